"""A job: what to run, as immutable data. No I/O here; capture makes jobs, the store keeps them."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from launch_jobs.names import Digest, digest_of

JsonObject = dict[str, JsonValue]


class Frozen(BaseModel):
    """Base of all our data: immutable, and closed against unknown fields (a newer schema is refused, not guessed)."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class GitSource(Frozen):
    """A git commit plus every uncommitted change, as one tree."""

    type: Literal["git"] = "git"
    commit: str = Field(description="Full commit id the tree is based on.")
    tree: Digest = Field(description="Digest of the whole tree, uncommitted changes included (see `tree_digest`).")


class CodeSource(Frozen):
    """A snapshot of a code directory."""

    type: Literal["code"] = "code"
    tree: Digest = Field(description="Digest of the whole tree (see `tree_digest`).")


class ImageSource(Frozen):
    """A ready container image; nothing is built."""

    type: Literal["image"] = "image"
    reference: str = Field(description="As the user wrote it, e.g. `pytorch/pytorch:2.5`.")
    digest: Digest | None = Field(default=None, description="Registry digest; runs on any engine that can pull it.")
    image_id: Digest | None = Field(
        default=None, description="The engine's image id, where there is no registry digest."
    )


Source = Annotated[GitSource | CodeSource | ImageSource, Field(discriminator="type")]


class TreeEntry(Frozen):
    """One file or symbolic link of a source tree."""

    path: str = Field(description="Relative to the tree's root, `/` between parts.")
    mode: Literal["644", "755", "link"] = Field(description="As git keeps it: executable or not, or a symbolic link.")
    digest: Digest = Field(description="Of the content; for a link, of its target text.")


def tree_digest(entries: list[TreeEntry]) -> Digest:
    """The digest of a tree: of its entries sorted by path. Empty folders do not count (git keeps none)."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    return digest_of([[_path_value(entry.path), entry.mode, entry.digest] for entry in ordered])


def _path_value(path: str) -> JsonValue:
    """A path as JSON; one that is not UTF-8 (`os.fsdecode` leaves its bytes as lone surrogates) by its bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"base64": b64encode(path.encode("utf-8", "surrogateescape")).decode()}
    return path


class Entrypoint(Frozen):
    """The job's command."""

    argv: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments. A leading python keeps the name it was called by."
    )
    directory: str = Field(default=".", description="Working directory relative to the source root.")


class Distribution(Frozen):
    """One installed Python distribution."""

    name: str = Field(description="Normalised (PEP 503).")
    version: str
    origin: Literal["index", "url", "vcs", "source", "wheel"] = Field(
        default="index",
        description="Where it came from; `source`: editable or a local folder, carried in the source tree; "
        "`wheel`: from elsewhere on the capturing machine, carried as a blob of the job store.",
    )
    url: str | None = Field(
        default=None,
        description="For url and vcs: pip's direct reference. For source: path relative to the source root. "
        "For wheel: its file name.",
    )
    index: str | None = Field(
        default=None, description="For index: URL of the index that has it; None: the tools' own default (PyPI)."
    )
    hashes: tuple[str, ...] = Field(
        default=(), description="`sha256:…` of the files it may be installed from; for wheel: of the blob. Empty: any."
    )
    extras: tuple[str, ...] = Field(default=(), description="Extras that something needed asks for, sorted.")
    entry_points: str | None = Field(
        default=None, description="For source: text of its entry_points.txt: console scripts and plugins."
    )


class Environment(Frozen):
    """The software a job needs."""

    python: str | None = Field(
        default=None, description="Exact version, e.g. `3.11.7`; None for a program in another language."
    )
    implementation: str = Field(
        default="cpython", description="As `sys.implementation.name` says; `cpython+freethreaded` without the GIL."
    )
    platform: str = Field(default="linux/amd64", description="OCI platform it was captured on.")
    distributions: tuple[Distribution, ...] = Field(default=(), description="Sorted by name; closed over requirements.")
    search_path: tuple[str, ...] = Field(
        default=(), description="Folders of the source tree, relative to it, that PYTHONPATH named."
    )

    @property
    def wheels(self) -> dict[str, Digest]:
        """File name → blob of each distribution that is carried as a wheel."""
        return {
            one.url: one.hashes[0] for one in self.distributions if one.origin == "wheel" and one.url and one.hashes
        }


class Inputs(Frozen):
    """The job's hyperparameters: what they may be, and how they reach the program."""

    parameters_schema: JsonObject = Field(
        default_factory=lambda: {"type": "object", "properties": {}, "additionalProperties": False},
        description="JSON schema of an object, one property a parameter, with defaults.",
    )
    options: tuple[Option, ...] = Field(default=(), description="How each parameter reaches the program.")
    files: tuple[InputFile, ...] = Field(default=(), description="Config files of which values are parameters.")


class InputFile(Frozen):
    """A config file in the source tree; a run that changes a parameter of it gets its own copy."""

    path: str = Field(description="Relative to the source root.")
    text: str = Field(description="As captured, line ends included.")


class Option(Frozen):
    """How one parameter becomes arguments (captured from argparse, click, Hydra, absl or fire)."""

    name: str = Field(description="The parameter: argparse's `dest`; of a sub-command's, `command.dest` if taken.")
    flag: str | None = Field(description="The long option, e.g. `--lr`; None for a positional argument.")
    action: Literal["store", "append", "flag", "count", "boolean", "assign", "literal", "word", "file"] = Field(
        default="store",
        description="flag: there when the value is `const`; boolean: --x or --no-x; count, append: repeated; "
        "assign: Hydra's `name=value`; literal: the value as Python writes it (fire); "
        "word: no parameter but the sub-command `const`, behind which the next options stand; "
        "file: no argument, but the value that `at` names in a config file.",
    )
    const: JsonValue = Field(default=True, description="For flag: the value that the flag's presence means.")
    many: bool = Field(default=False, description="The option takes a list of values (nargs).")
    separate: bool = Field(default=False, description="A value is a word behind the flag, not `flag=value`.")
    position: int = Field(default=0, description="Order among positional arguments.")
    file: str | None = Field(default=None, description="For file: path of one of the inputs' files.")
    # Not `keys`: with that, dict(option), which Prefect calls on what a task is given, takes it for a mapping.
    at: tuple[str, ...] = Field(default=(), description="For file: the keys of the value, the outermost first.")


class Dataset(Frozen):
    """An input that the program reads and that is not in its source tree."""

    name: str = Field(description="An identifier; LAUNCH_DATASET_<NAME> names the path to the program.")
    url: str = Field(
        description="`file:PATH`: content in the job store, expected by the program at PATH, which is relative to the "
        "source root or absolute. `s3://bucket/key`: an object, or with a last `/` all objects that begin so. "
        "`outputs://run/attempt[/path]`: what a run left."
    )
    digest: Digest | None = Field(
        default=None, description="Of its tree (see `tree_digest`); for S3, of its sorted [key, version or ETag, size]."
    )
    is_file: bool = Field(default=False, description="It is one file, not a folder.")


class Job(Frozen):
    """A versioned, immutable blueprint. Its digest covers exactly what decides the result."""

    schema_version: Literal[1] = 1
    source: Source
    entrypoint: Entrypoint
    environment: Environment = Environment()
    inputs: Inputs = Inputs()
    datasets: tuple[Dataset, ...] = ()
    dockerfile: str | None = Field(default=None, description="Path in the source tree of the job's own Dockerfile.")
    base_image: str | None = Field(
        default=None, description="The job's own base image, before the queue's and the settings'."
    )

    @property
    def digest(self) -> Digest:
        """The SHA-256 of the canonical manifest; the job's identity.

        Fields at their defaults do not count: so a field that is added later, with a default that means what was so
        before it, leaves every digest as it is. A default must never change.
        """
        changed = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return digest_of({"schema_version": self.schema_version, **changed})


class DatasetOrigin(Frozen):
    """Where a dataset's content can be had, and what it was called when it was declared. Outside the digest."""

    declared: str = Field(description="As the user named it: a path, an alias, a URL.")
    blob: Digest | None = Field(
        default=None, description="Blob: tar of its files; for S3, the list of its objects. None: a run's outputs."
    )
    files: int = Field(default=0, ge=0, description="How many files or objects.")
    size: int = Field(default=0, ge=0, description="Bytes of all.")


class Origin(Frozen):
    """Where a job's source tree can be had again. Outside the digest: the tree is checked after any way."""

    remote: str | None = Field(default=None, description="Git remote that has the commit (without credentials).")
    bundle: Digest | None = Field(default=None, description="Blob: git bundle, when no remote has the commit.")
    patch: Digest | None = Field(default=None, description="Blob: binary patch from the commit to the tree.")
    archive: Digest | None = Field(default=None, description="Blob: tar of the tree (code sources, imported jobs).")
    notes: tuple[str, ...] = Field(default=(), description="What is particular about the source, in plain words.")
    datasets: dict[str, DatasetOrigin] = Field(default_factory=dict, description="By the dataset's name.")


class Host(Frozen):
    """The machine a tracked run ran on."""

    name: str
    system: str
    cpus: int
    memory_bytes: int | None = None
    gpus: tuple[str, ...] = ()


class SeenData(Frozen):
    """A file or S3 object that a tracked run read or wrote, and that is not in its source."""

    path: str = Field(description="Relative to the source root; absolute outside; `s3://bucket/key`.")
    size: int | None = Field(default=None, ge=0, description="Bytes, when the run was over; None: unknown.")
    modified: str | None = Field(default=None, description="ISO 8601, UTC.")
    digest: Digest | None = Field(default=None, description="Of the content; None: not taken (large, or an object).")
    sample: Digest | None = Field(
        default=None, description="Without a digest: of its size and of 64 KiB at its begin, middle and end."
    )
    version: str | None = Field(default=None, description="Of an object: `version:…`, or `etag:…` without versions.")
    endpoint: str | None = Field(default=None, description="Of an object that is not on AWS: URL of the server.")


class Parent(Frozen):
    """One thing that a job was made from."""

    how: Literal["run", "checkout", "outputs"] = Field(
        description="run: captured inside it; checkout: from a job's checked-out tree; outputs: reads what a run left."
    )
    run: str | None = Field(default=None, description="Id of the run.")
    job: str | None = Field(default=None, description="`name@sha256:…`: the job of the run, or that was checked out.")


class CaptureRecord(Frozen):
    """What one tracked run was: values, times, exit code. Beside a job version, never part of its digest."""

    run: str = Field(description="Id of the tracked run.")
    parameters: JsonObject = Field(default_factory=dict, description="Captured values, by parameter name.")
    argv: tuple[str, ...] = Field(description="The command as the user typed it.")
    exit_code: int = Field(description="As a shell would say it: 128+n for signal n.")
    started: str = Field(description="ISO 8601, UTC.")
    duration_s: float
    host: Host
    outputs: tuple[str, ...] = Field(
        default=(), description="Paths the run wrote inside its source tree, relative to the root."
    )
    freeze: tuple[Distribution, ...] = Field(default=(), description="Everything installed in the interpreter.")
    libraries: tuple[str, ...] = Field(default=(), description="System libraries the process had loaded.")
    system_packages: tuple[str, ...] = Field(
        default=(), description="Packages of the operating system that hold them: `libgomp1=12.2.0-14`."
    )
    notes: tuple[str, ...] = Field(default=(), description="What could not be seen, in plain words.")
    parents: tuple[Parent, ...] = Field(default=(), description="What it was made from, as far as known.")
    read: tuple[SeenData, ...] = Field(default=(), description="Proposed inputs: what it read, but for its source.")
    written: tuple[SeenData, ...] = Field(default=(), description="Proposed outputs: what it wrote and left.")
    verified: bool | None = Field(
        default=None,
        description="The job's tree was rebuilt from what the store holds, and was the one that ran; None: not tried.",
    )


class JobVersion(Frozen):
    """One version of a named job, as the store keeps it."""

    name: str
    version: int = Field(ge=0)
    job: Job
    origin: Origin = Origin()
    created: str = Field(description="ISO 8601, UTC.")

    @property
    def digest(self) -> Digest:
        """The job's digest."""
        return self.job.digest

    @property
    def reference(self) -> str:
        """`name@sha256:…`: the reference that cannot move."""
        return f"{self.name}@{self.digest}"

    @property
    def label(self) -> str:
        """`name:vN`: the reference people read."""
        return f"{self.name}:v{self.version}"


class Overrides(Frozen):
    """Per-run changes to a job. Values are text for the program, never templates."""

    parameters: JsonObject = Field(default_factory=dict)
    args: tuple[str, ...] = Field(default=(), description="Appended to the command.")
    env: dict[str, str] = Field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = Field(default=None, description="Replaces the job's command.")
    timeout_s: float | None = Field(default=None, gt=0, description="Maximum runtime in seconds.")
    retries: int = Field(default=0, ge=0, le=100, description="Further attempts after one that failed or crashed.")
    datasets: dict[str, str] = Field(
        default_factory=dict, description="Name → `outputs://<run id>/<attempt>[/<path>]`: what another run left."
    )

    @classmethod
    def of(cls, **given: object) -> Overrides:
        """Overrides from what a form gives, where None stands for not given."""
        return cls.model_validate({name: value for name, value in given.items() if value is not None})


Inputs.model_rebuild()
