"""Jobs, bases and laws that the tests of builds share."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from launch_jobs.build import BaseImage
from launch_jobs.job import CodeSource, Distribution, Entrypoint, Environment, GitSource, Job

BASE = BaseImage(reference="docker.io/library/python:3.11-slim", identity="sha256:" + "b" * 64)
TREE = "sha256:" + "1" * 64

DIGITS = Job(
    source=GitSource(commit="0" * 40, tree=TREE),
    entrypoint=Entrypoint(argv=("python", "train.py"), directory="examples/digits"),
    environment=Environment(
        python="3.11.7",
        distributions=(
            Distribution(name="scikit-learn", version="1.7.2"),
            Distribution(name="digits-lib", version="0.3", origin="source", url="libs/digits"),
            Distribution(name="numpy", version="2.3.4"),
            Distribution(name="six", version="1.17.0", origin="vcs", url="git+https://example.org/six.git@" + "a" * 40),
        ),
    ),
)
SHELL = Job(
    source=CodeSource(tree=TREE),
    entrypoint=Entrypoint(argv=("sh", "-c", 'echo "$HOME" && ./run.sh\n')),
    base_image="debian:bookworm-slim",
)
OWN = Job(
    source=CodeSource(tree=TREE),
    entrypoint=Entrypoint(argv=("./serve",), directory="bin"),
    dockerfile="docker/Dockerfile",
)
OWN_DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=debian:bookworm-slim
FROM golang:1.23 AS build
RUN go build -o /serve \\
    ./cmd
FROM ${BASE}
COPY --from=build /serve bin/serve
"""

law = settings(deadline=None, max_examples=40)
"""Machines that run all tests at once are slow: no time limit for one example."""

words = st.text(min_size=1).filter(lambda text: "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text))
hex_digests = st.integers(min_value=0, max_value=16**64 - 1).map(lambda n: f"sha256:{n:064x}")
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}", fullmatch=True)
names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
distributions = st.lists(
    st.builds(Distribution, name=names, version=versions), max_size=4, unique_by=lambda found: found.name
).map(tuple)
environments = st.builds(
    Environment,
    python=st.builds("3.{}.{}".format, st.integers(8, 14), st.integers(0, 20)),
    distributions=distributions,
)
jobs = st.builds(
    Job,
    source=st.builds(CodeSource, tree=hex_digests),
    entrypoint=st.builds(Entrypoint, argv=st.lists(words, min_size=1, max_size=4).map(tuple)),
    environment=environments,
)


def dockerfile_instructions(text: str) -> list[str]:
    """The first word of every line that is not blank and not a comment."""
    return [line.split()[0] for line in text.split("\n") if line.strip() and not line.startswith("#")]
