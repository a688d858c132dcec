"""From an attempt and its configuration to what a target is asked for. Pure: it can be printed and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydantic import JsonValue

from launch_jobs.config_files.rendering import ChangedFile
from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.names import attempt_name, canonical_json
from launch_jobs.targets import RunSpec
from launch_jobs.targets.configuration import DockerConfiguration, ProcessConfiguration
from launch_jobs.targets.devices import device_request, held_labels
from launch_jobs.targets.env import check_env, check_exec
from launch_jobs.targets.kubernetes.configuration import KubernetesConfiguration
from launch_jobs.targets.kubernetes.kinds import Kinds
from launch_jobs.targets.kubernetes.queue_manifest import queue_manifest
from launch_jobs.targets.secret_files import CONTAINER_SECRETS, SECRETS, SECRETS_VARIABLE, GivenSecret, exporting

LABEL_PREFIX = "org.launch-jobs."
CONTAINER_OUTPUT_DIR = "/launch/outputs"
CONTAINER_DATASET_DIR = "/launch/datasets"
PIDS_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class StagedDataset:
    """A dataset of an attempt, as it lies on the agent.

    Attributes:
        name: an identifier.
        folder: on the agent, with the dataset's files.
        file: the only file, if the dataset is one file and not a folder.
        place: where the program expects it, relative to the source root or absolute; None: it asks the variable.
        mounted: the folder is one of the agent's cache, to be mounted and not copied.
    """

    name: str
    folder: str
    file: str | None = None
    place: str | None = None
    mounted: bool = False

    @property
    def source(self) -> str:
        """On the agent: the file, or the folder."""
        return str(PurePosixPath(self.folder, self.file or ""))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a run, before it is rendered for a target.

    Attributes:
        run_id: the flow run's id.
        number: of the attempt, from 1.
        job: the job's reference, `name@sha256:…`.
        queue: name of the launch queue.
        image: Docker: reference or id of the image to run. Process: folder of the virtual environment, or empty.
        command: argument vector with the parameters already in it; empty: the image's own.
        directory: absolute working directory; None: the image's own.
        root: absolute path of the source root (Process: of the attempt's own checkout); None for ready images.
        env: the submitter's variables.
        parameters: effective hyperparameters.
        collect: paths relative to `root` that are outputs too; None: whatever the program writes there.
        datasets: what other runs left and this one reads.
        files: config files with this run's values.
    """

    run_id: str
    number: int
    job: str
    queue: str
    image: str
    command: tuple[str, ...] = ()
    directory: str | None = None
    root: str | None = None
    env: dict[str, str] = field(default_factory=dict[str, str])
    parameters: JsonObject = field(default_factory=JsonObject)
    collect: tuple[str, ...] | None = ()
    datasets: tuple[StagedDataset, ...] = ()
    files: tuple[ChangedFile, ...] = ()

    @property
    def name(self) -> str:
        """The deterministic name of container or folder."""
        return attempt_name(self.run_id, self.number)


def render_docker(attempt: Attempt, configuration: DockerConfiguration) -> RunSpec:
    """What the Docker target is asked for.

    Raises:
        BadInput: command, variables or paths that no program can get.
        Refused: a reserved environment variable.
    """
    places = _Places(CONTAINER_OUTPUT_DIR, CONTAINER_DATASET_DIR, CONTAINER_SECRETS, anywhere=True)
    return RunSpec(
        name=attempt.name,
        image=attempt.image,
        command=attempt.command,
        directory=attempt.directory,
        env=_env(attempt, configuration, places, configuration.gpus),
        labels=_labels(attempt),
        output_dir=CONTAINER_OUTPUT_DIR,
        collect=_inside(attempt.collect),
        root=attempt.root,
        datasets=_placed(attempt, places),
        mounts=_placed(attempt, places, mounted=True),
        host_mounts=configuration.mounts or (),
        secrets=_secrets(attempt, configuration),
        files=attempt.files,
        cpus=configuration.cpus,
        memory_bytes=configuration.memory_bytes,
        shm_bytes=configuration.shm_bytes,
        gpus=configuration.gpus,
        network=configuration.network,
        stop_grace_s=configuration.stop_grace_seconds,
        output_limit_bytes=configuration.output_limit_bytes,
    )


def render_kubernetes(attempt: Attempt, configuration: KubernetesConfiguration, kinds: Kinds) -> RunSpec:
    """What the Kubernetes target is asked for; its kinds are the agent's.

    Raises:
        BadInput: command, variables or paths that no program can get; or the queue's manifest is wrong.
        Refused: a reserved environment variable, or a label that is ours.
    """
    places = _Places(CONTAINER_OUTPUT_DIR, CONTAINER_DATASET_DIR, CONTAINER_SECRETS, anywhere=True)
    return RunSpec(
        name=attempt.name,
        image=attempt.image,
        command=attempt.command,
        directory=attempt.directory,
        env=_env(attempt, configuration, places, configuration.gpus),
        labels=_labels(attempt),
        output_dir=CONTAINER_OUTPUT_DIR,
        collect=_inside(attempt.collect),
        root=attempt.root,
        datasets=_placed(attempt, places),
        dataset_files=tuple(
            path for one in attempt.datasets if one.file and (path := _place(one, attempt, places)) is not None
        ),
        dataset_limit_bytes=configuration.dataset_limit_bytes,
        secrets=_secrets(attempt, configuration, needs_command=False),
        files=attempt.files,
        cpus=configuration.cpus,
        memory_bytes=configuration.memory_bytes,
        shm_bytes=configuration.shm_bytes,
        gpus=configuration.gpus,
        stop_grace_s=configuration.stop_grace_seconds,
        output_limit_bytes=configuration.output_limit_bytes,
        manifest=queue_manifest(configuration, kinds),
    )


def render_process(attempt: Attempt, configuration: ProcessConfiguration, folder: str) -> RunSpec:
    """What the process target is asked for.

    Args:
        attempt: with a command; its `root` is a checkout of its own, which the program may write in.
        configuration: of the queue and the run.
        folder: the attempt's folder, as `ProcessTarget.folder` names it.

    Raises:
        BadInput: no command or source; command, variables or paths that no program can get.
        Refused: a reserved environment variable.
    """
    if not attempt.command or attempt.root is None:
        raise BadInput("a process queue runs a command in a source tree, not a ready image", do="Use a docker queue")
    places = _Places(f"{folder}/outputs", f"{folder}/datasets", f"{folder}/{SECRETS}")
    return RunSpec(
        name=attempt.name,
        image=attempt.image,
        command=attempt.command,
        directory=attempt.directory or attempt.root,
        source=attempt.root,
        env=_env(attempt, configuration, places, configuration.gpus),
        labels=_labels(attempt),
        output_dir=places.outputs,
        collect=_inside(attempt.collect),
        root=attempt.root,
        datasets=_placed(attempt, places),
        secrets=_secrets(attempt, configuration),
        files=attempt.files,
        gpus=configuration.gpus,
        stop_grace_s=configuration.stop_grace_seconds,
        output_limit_bytes=configuration.output_limit_bytes,
    )


def container_body(spec: RunSpec) -> JsonObject:
    """The exact body of the Docker Engine's container-create call: nothing of a submitter's is left to choose."""
    limits = _mounts(spec)
    if spec.memory_bytes is not None:
        limits |= {"Memory": spec.memory_bytes, "MemorySwap": spec.memory_bytes}
    if spec.cpus is not None:
        limits["NanoCpus"] = round(spec.cpus * 1_000_000_000)
    if spec.shm_bytes is not None:
        limits["ShmSize"] = spec.shm_bytes
    if request := device_request(spec):
        limits["DeviceRequests"] = [request]
    body: JsonObject = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in sorted(spec.env.items())],
        "Labels": {**spec.labels, **held_labels(spec)},
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec.network or "bridge") | limits,
    }
    if spec.command:
        body |= {"Entrypoint": list(exporting(spec.command, spec.secrets)), "Cmd": []}
    if spec.directory is not None:
        body["WorkingDir"] = spec.directory
    if spec.user is not None:
        body["User"] = spec.user
    return body


def _mounts(spec: RunSpec) -> JsonObject:
    found = sorted(spec.mounts.items())
    mounts: list[JsonValue] = [{"Type": "bind", "Source": at, "Target": path, "ReadOnly": True} for path, at in found]
    for mount in spec.host_mounts:
        at, path, *more = mount.split(":")
        mounts.append({"Type": "bind", "Source": at, "Target": path, "ReadOnly": more != ["rw"]})
    return {"Mounts": mounts} if mounts else {}


def _host_config(network: str) -> JsonObject:
    return {
        "AutoRemove": False,
        "Binds": [],
        "CapDrop": ["ALL"],
        "CgroupnsMode": "private",
        "Init": True,
        "IpcMode": "private",
        # No max-size: the driver drops old lines with it, and the store keeps the whole log.
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": network,
        "PidsLimit": PIDS_LIMIT,
        "Privileged": False,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "SecurityOpt": ["no-new-privileges"],
    }


def _labels(attempt: Attempt) -> dict[str, str]:
    values = {"run": attempt.run_id, "attempt": str(attempt.number), "job": attempt.job, "queue": attempt.queue}
    return {LABEL_PREFIX + name: value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class _Places:
    """Where an attempt finds its folders: absolute paths at run time."""

    outputs: str
    datasets: str
    secrets: str
    anywhere: bool = False
    """Whether a dataset can be at any absolute path: it is the program's own file system."""


def _placed(attempt: Attempt, places: _Places, *, mounted: bool = False) -> dict[str, str]:
    found: dict[str, str] = {}
    for dataset in attempt.datasets:
        if dataset.mounted is mounted:
            place = _place(dataset, attempt, places)
            found[place or f"{places.datasets}/{dataset.name}"] = dataset.source if place else dataset.folder
    return found


def _place(dataset: StagedDataset, attempt: Attempt, places: _Places) -> str | None:
    """The path where the program expects a dataset; None where that cannot be had, or nothing is expected."""
    if dataset.place is None:
        return None
    if dataset.place.startswith("/"):
        return dataset.place if places.anywhere else None
    return f"{attempt.root.rstrip('/')}/{dataset.place}" if attempt.root else None


def _env(attempt: Attempt, configuration: ProcessConfiguration, places: _Places, gpus: int) -> dict[str, str]:
    """The queue's variables, over them the submitter's, over them ours (whose names the others cannot have)."""
    theirs = {**configuration.env, **attempt.env}
    check_env(theirs, gpus=gpus)
    ours = {SECRETS_VARIABLE: places.secrets} if configuration.secrets else {}
    env = {
        **theirs,
        **ours,
        "LAUNCH_RUN_ID": attempt.run_id,
        "LAUNCH_ATTEMPT": str(attempt.number),
        "LAUNCH_JOB": attempt.job,
        "LAUNCH_QUEUE": attempt.queue,
        "LAUNCH_OUTPUT_DIR": places.outputs,
        "LAUNCH_PARAMETERS": canonical_json(attempt.parameters).decode(),
    }
    for dataset in attempt.datasets:
        conventional = PurePosixPath(places.datasets, dataset.name, dataset.file or "")
        env[f"LAUNCH_DATASET_{dataset.name.upper()}"] = _place(dataset, attempt, places) or str(conventional)
    check_exec(attempt.command, env)
    if attempt.command and not attempt.command[0]:
        raise BadInput("the command is empty", do="Name a program")
    return env


def _secrets(
    attempt: Attempt, configuration: ProcessConfiguration, *, needs_command: bool = True
) -> tuple[GivenSecret, ...]:
    """What a run names, without values; the variables are judged as any others."""
    secrets = tuple(GivenSecret.of(use) for use in configuration.secrets)
    variables = {one.variable: "" for one in secrets if one.variable}
    check_env(variables, gpus=1)
    if needs_command and variables and not attempt.command:
        raise BadInput(
            "An image's own command cannot get a secret as a variable", do="Name its command, or let it read the file"
        )
    return secrets


def _inside(paths: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Paths that stay inside the source root."""
    for path in paths or ():
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
            raise BadInput(f"{path[:80]!r} is no path inside the source tree")
    return paths
