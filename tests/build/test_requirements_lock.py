"""The lock: exact versions and direct references, and nothing that a file could misread."""

from __future__ import annotations

import pytest
from build_samples import distributions, law
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from launch_jobs.build.requirements import lock, locks, python_request, python_version, source_metadata, source_paths
from launch_jobs.errors import BadInput
from launch_jobs.job import Distribution, Environment

HASH = "sha256:" + "a" * 64


def environment(*found: Distribution) -> Environment:
    """A Python environment of these."""
    return Environment(python="3.11.7", distributions=found)


@law
@given(distributions)
def test_every_line_is_one_exact_requirement(found: tuple[Distribution, ...]) -> None:
    """What pip reads back are the same names, in order."""
    lines = [Requirement(line) for line in lock(environment(*found)).splitlines()]
    assert [line.name for line in lines] == sorted(d.name for d in found)
    assert all(str(line.specifier).startswith("==") for line in lines)


@law
@given(st.text(), st.text())
def test_no_metadata_adds_a_line(name: str, version: str) -> None:
    """Whatever a name or version holds, it gives one line or is refused."""
    try:
        text = lock(environment(Distribution(name=name, version=version)))
    except BadInput:
        return
    assert text.count("\n") == 1
    assert Requirement(text.strip()).name == name


def test_a_local_version_is_kept() -> None:
    """The accelerator's variant is part of the version."""
    assert lock(environment(Distribution(name="torch", version="2.5.1+cu121"))) == "torch==2.5.1+cu121\n"


@pytest.mark.parametrize(
    "url",
    [
        "https://user:token@example.org/x.whl",
        "git+https://token@github.com/a/b@main",
        "git+ssh://git:secret@github.com/a/b",
        "file:///home/me/x.whl",
        "https://example.org/x.whl\n--index-url http://evil",
        "https://example.org/x.whl --hash=x",
        "",
    ],
)
def test_a_reference_that_cannot_stand_in_an_image_is_refused(url: str) -> None:
    """Credentials would stay in it, local files are not there, other text would be an option."""
    with pytest.raises(BadInput):
        lock(environment(Distribution(name="x", version="1", origin="url", url=url)))


def test_the_refusal_of_a_credential_does_not_tell_it() -> None:
    """The message goes into logs."""
    with pytest.raises(BadInput) as caught:
        lock(environment(Distribution(name="x", version="1", origin="url", url="https://me:s3cret@example.org/x.whl")))
    assert "s3cret" not in str(caught.value)


def test_each_package_is_taken_from_its_own_index() -> None:
    """One file an index, so that nobody can offer a package in another; the queue's only index has them all."""
    found = environment(
        Distribution(name="torch", version="2.4.0+cpu", index="https://download.pytorch.org/whl/cpu"),
        Distribution(name="six", version="1.17.0", hashes=(HASH,)),
    )
    assert locks(found, package_index=None) == {
        "requirements.lock": f"six==1.17.0 --hash={HASH}\n",
        "requirements-1.lock": "--index-url https://download.pytorch.org/whl/cpu\ntorch==2.4.0+cpu\n",
    }
    assert locks(found, package_index="https://q.org/simple") == {"requirements.lock": lock(found)}


def test_a_carried_wheel_is_a_file_of_the_image() -> None:
    """Its blob is in the build context; a name that is no wheel's is refused."""
    found = environment(Distribution(name="a", version="1", origin="wheel", url="a-1-py3-none-any.whl", hashes=(HASH,)))
    assert lock(found) == "a @ file:///opt/launch/wheels/a-1-py3-none-any.whl\n"
    assert found.wheels == {"a-1-py3-none-any.whl": HASH}
    for name in ("../a.whl", "a.whl\nb", "a.tar.gz"):
        with pytest.raises(BadInput):
            lock(environment(Distribution(name="a", version="1", origin="wheel", url=name, hashes=(HASH,))))


@pytest.mark.parametrize("one", ["sha256:12", f"{HASH} --index-url x", "md5:1", ""])
def test_what_is_no_hash_is_refused(one: str) -> None:
    """It stands on a line of options."""
    with pytest.raises(BadInput):
        lock(environment(Distribution(name="a", version="1", hashes=(one,))))


@pytest.mark.parametrize(
    ("implementation", "request_"),
    [("cpython", "3.13.1"), ("cpython+freethreaded", "3.13.1+freethreaded"), ("pypy", "pypy@3.13.1")],
)
def test_the_interpreter_is_asked_for_by_its_kind(implementation: str, request_: str) -> None:
    """In uv's words; a kind that it does not know is refused."""
    assert python_request(Environment(python="3.13.1", implementation=implementation)) == request_
    with pytest.raises(BadInput, match="no builder"):
        python_request(Environment(python="3.13.1", implementation="micropython"))


def test_packages_of_the_tree_are_found_in_both_layouts() -> None:
    """`src` first; the root of the tree is itself."""
    found = (
        Distribution(name="a", version="1", origin="source", url="."),
        Distribution(name="b", version="1", origin="source", url="libs/b"),
        Distribution(name="c", version="1"),
    )
    assert source_paths(environment(*found)) == ("src", ".", "libs/b/src", "libs/b")


def test_packages_of_the_tree_have_metadata() -> None:
    """`importlib.metadata.version` knows them."""
    files = source_metadata(environment(Distribution(name="a-b", version="1.0", origin="source", url=".")))
    assert "Name: a-b\nVersion: 1.0\n" in files["a_b-1.0.dist-info/METADATA"]


@pytest.mark.parametrize("url", ["/home/me/lib", "../lib", "a/../../b", "a\nb"])
def test_a_package_outside_the_tree_is_refused(url: str) -> None:
    """It is not in the image."""
    with pytest.raises(BadInput, match="outside"):
        source_paths(environment(Distribution(name="a", version="1", origin="source", url=url)))


@pytest.mark.parametrize("version", ["3", "3.11; rm", "", "three", "3.11.7\n"])
def test_what_is_no_python_version_is_refused(version: str) -> None:
    """It becomes an argument of the build."""
    with pytest.raises(BadInput):
        python_version(Environment(python=version))
