"""From job, base image and options to what will be built: Dockerfiles, context, digests. Pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from importlib import resources

from pydantic import Field, JsonValue

from launch_jobs.build import BaseImage, BuildPlan
from launch_jobs.build.dockerfile import (
    COPY_FILES,
    ROOT,
    base_of,
    certificate_lines,
    check_own,
    environment_lines,
    job_lines,
    label_lines,
    own_lines,
    text_of,
    workdir,
)
from launch_jobs.build.requirements import (
    check_url,
    locks,
    minor_version,
    python_request,
    python_version,
    source_metadata,
    source_paths,
    source_scripts,
)
from launch_jobs.errors import BadInput
from launch_jobs.job import Environment, Frozen, ImageSource, Job
from launch_jobs.names import Digest, ImageRef, digest_of, sha256

PLANNER = 1
"""Raised whenever the same inputs shall give another image."""

UV_VERSION = "0.13.9"
INSTALL = resources.files("launch_jobs.build").joinpath("install.sh").read_text()


CERTIFICATE_FILE = "launch/ca.pem"
LABEL = "org.launch-jobs"
OCI = "org.opencontainers.image"

_PLATFORM = re.compile(r"linux/[a-z0-9]+(?:/v[0-9]+)?")


class BuildOptions(Frozen):
    """What queue and settings decide for a build."""

    package_index: str | None = Field(
        default=None, description="URL of the only package index; None: the tools' own default."
    )
    ca_bundle_pem: str | None = Field(default=None, description="Certificates trusted besides the base image's own.")
    base_image: str | None = Field(default=None, description="Base image after the job's own; None: python:*-slim.")
    platform: str | None = Field(
        default=None, description="Of the queue's hosts; None: the job's own, if it is a Linux."
    )
    network: str | None = Field(
        default=None, description="Network mode of the build; decides no content, so no digest."
    )


def base_reference(job: Job, options: BuildOptions, *, own_dockerfile: str | None = None) -> str:
    """The base image to resolve for a job: its Dockerfile's, else its own, else the options', else Python's slim one.

    Raises:
        BadInput: that is no image reference, or the Dockerfile has no FROM.
    """
    if job.dockerfile:
        found = base_of(own_dockerfile or "")
        if not found:
            raise BadInput(f"{job.dockerfile} has no FROM", do="Mend the Dockerfile")
        return found if found == "scratch" else str(ImageRef.parse(found))
    if job.base_image or options.base_image:
        return str(ImageRef.parse(job.base_image or options.base_image or ""))
    if job.environment.python is None:
        return "docker.io/library/debian:stable-slim"
    kind = "pypy" if job.environment.implementation == "pypy" else "python"
    return f"docker.io/library/{kind}:{minor_version(python_version(job.environment))}-slim"


def platform_of(job: Job, base: BaseImage, options: BuildOptions) -> str:
    """What an image is for: the queue's platform, else its base image's, else the job's own if that is a Linux.

    Raises:
        BadInput: that is no platform.
    """
    captured = job.environment.platform
    found = options.platform or base.platform or (captured if captured.startswith("linux/") else "linux/amd64")
    if not _PLATFORM.fullmatch(found):
        raise BadInput(f"{found[:60]!r} is no platform", do="Write it as linux/amd64")
    return found


def plan(
    job: Job,
    base: BaseImage,
    options: BuildOptions,
    *,
    own_dockerfile: str | None = None,
    environment: Environment | None = None,
) -> BuildPlan:
    """Decide what will be built for a job.

    Args:
        job: what the image is for.
        base: the image of `base_reference`, resolved.
        options: what queue and settings decide.
        own_dockerfile: content of `job.dockerfile`, if the job has one.
        environment: the job's, resolved again for the queue's platform; None: as it was captured.

    Raises:
        BadInput: the job is a ready image, or something in it cannot stand in a build.
    """
    if isinstance(job.source, ImageSource):
        raise BadInput(f"{job.source.reference} is a ready image: nothing is built")
    if base.reference != "scratch":
        ImageRef.parse(base.reference)
    software = environment or job.environment
    if job.dockerfile:
        lines = own_lines(check_own(own_dockerfile or ""), job.entrypoint)
        own = _single(_Inputs(job, base, options, {}, Environment()), lines)
        return own.model_copy(update={"workdir": "", "root": ""})
    files = _certificates(options)
    if software.python is not None:
        return _layered(_Inputs(job, base, options, files | _environment_files(software, options), software))
    trust = [COPY_FILES, *certificate_lines()] if files else []
    lines = [f"FROM {base.reference}", "USER 0:0", *trust, *job_lines(job.entrypoint)]
    return _single(_Inputs(job, base, options, files, Environment()), lines)


@dataclass(frozen=True, slots=True)
class _Inputs:
    job: Job
    base: BaseImage
    options: BuildOptions
    files: dict[str, str]
    environment: Environment

    @property
    def platform(self) -> str:
        return platform_of(self.job, self.base, self.options)

    def environment_digest(self, dockerfile: str) -> Digest:
        """Of everything in an image but the source tree."""
        files: JsonValue = {**{path: sha256(text.encode()) for path, text in self.files.items()}, **self.carried}
        return digest_of([PLANNER, self.base.identity, self.platform, dockerfile, files])

    @property
    def carried(self) -> dict[str, Digest]:
        """The wheels of the job, by path in the context."""
        return {f"launch/wheels/{name}": digest for name, digest in self.environment.wheels.items()}

    @property
    def base_labels(self) -> dict[str, str]:
        return {f"{OCI}.base.name": self.base.reference, f"{OCI}.base.digest": self.base.identity}


def _layered(inputs: _Inputs) -> BuildPlan:
    """The environment as one image, shared by all jobs that have it; source and command as one small layer on it."""
    python = python_request(inputs.environment)
    index = inputs.options.package_index
    install = (python, UV_VERSION, check_url("package index", index) if index else "")
    lines = environment_lines(inputs.base.reference, install, certificates=CERTIFICATE_FILE in inputs.files)
    environment = inputs.environment_digest(text_of(lines))
    labels = {f"{LABEL}.environment-digest": environment, **inputs.base_labels}
    tag = _tag("env", environment)
    single = _single(inputs, [f"FROM {tag}", *job_lines(inputs.job.entrypoint)], environment)
    return single.model_copy(
        update={"environment_tag": tag, "environment_dockerfile": text_of([*lines, *label_lines(labels)])}
    )


def _single(inputs: _Inputs, lines: list[str], environment: Digest | None = None) -> BuildPlan:
    environment = environment or inputs.environment_digest(text_of(lines))
    digest = digest_of([environment, inputs.job.digest, text_of(lines)])
    labels = {f"{LABEL}.job-digest": inputs.job.digest, f"{LABEL}.image-digest": digest, **inputs.base_labels}
    return BuildPlan(
        digest=digest,
        environment_digest=environment,
        environment_tag="",
        tag=_tag("job", digest),
        environment_dockerfile="",
        dockerfile=text_of([*lines, *label_lines(labels)]),
        context=tuple(sorted([*inputs.files, *inputs.carried])),
        files=inputs.files,
        carried=inputs.carried,
        platform=inputs.platform,
        base=inputs.base,
        workdir=workdir(inputs.job.entrypoint),
        root=ROOT,
    )


def _environment_files(environment: Environment, options: BuildOptions) -> dict[str, str]:
    site = dict(source_metadata(environment))
    if folders := source_paths(environment):
        site["launch-jobs-source.pth"] = "".join(f"{posixpath.normpath(f'{ROOT}/{f}')}\n" for f in folders)
    return {
        "launch/install.sh": INSTALL,
        **{f"launch/{name}": text for name, text in locks(environment, package_index=options.package_index).items()},
        **{f"launch/site/{path}": text for path, text in site.items()},
        **{f"launch/bin/{name}": text for name, text in source_scripts(environment).items()},
    }


def _certificates(options: BuildOptions) -> dict[str, str]:
    return {CERTIFICATE_FILE: options.ca_bundle_pem} if options.ca_bundle_pem else {}


def _tag(kind: str, digest: Digest) -> str:
    return f"launch-jobs/{kind}:{digest.removeprefix('sha256:')[:32]}"
