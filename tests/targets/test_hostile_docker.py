"""Hostile containers: every way to a host's power is refused, by the template, by the final body, and by the target."""

from __future__ import annotations

import copy
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import JsonValue

from launch_jobs.engine import Engine, connect
from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import JsonObject, Overrides
from launch_jobs.submission import check_on_queue
from launch_jobs.targets import RunSpec
from launch_jobs.targets.configuration import DockerConfiguration
from launch_jobs.targets.docker import DockerTarget
from launch_jobs.targets.grants import HostGrants, check_body, refusals
from launch_jobs.targets.render import Attempt, container_body, render_docker
from launch_jobs.targets.template import base_job_template, check_template, render_configuration, with_operator_fields

NOTHING = HostGrants()
ATTEMPT = Attempt(run_id="r", number=1, job="j@sha256:0", queue="q", image="i", command=("true",))


def _body(**host: JsonValue) -> JsonObject:
    body = copy.deepcopy(container_body(render_docker(ATTEMPT, DockerConfiguration())))
    cast("JsonObject", body["HostConfig"]).update(host)
    return body


def _bind(source: str, *, read_only: bool = False) -> JsonObject:
    return {"Type": "bind", "Source": source, "Target": "/x", "ReadOnly": read_only}


def test_what_we_render_is_granted_everywhere() -> None:
    """Our own bodies, with all limits, need no grant."""
    full = DockerConfiguration(cpus=1.5, memory="2Gi", shm_size="512Mi", gpus=2, network="none")
    for configuration in (DockerConfiguration(), full):
        check_body(container_body(render_docker(ATTEMPT, configuration)), NOTHING)


HOSTILE: list[tuple[str, Any, Any]] = [
    # HostConfig key, value, and the grant that allows it (None: nothing does)
    ("Privileged", True, {"privileged": True}),
    ("Binds", ["/:/host"], {"mounts": ["/"]}),
    ("Binds", ["/data:/data"], {"mounts": ["/data"]}),
    ("Binds", ["/data:/data:ro"], {"read_only_mounts": ["/data"]}),
    ("Binds", ["/data:/data:shared"], None),
    ("Binds", ["/var/run/docker.sock:/var/run/docker.sock"], {"mounts": ["/var/run/docker.sock"]}),
    ("Binds", ["named:/x"], None),
    ("Binds", ["--privileged:/x"], None),
    ("Mounts", [_bind("/")], {"mounts": ["/"]}),
    ("Mounts", [_bind("/data/a", read_only=True)], {"read_only_mounts": ["/data"]}),
    ("Mounts", [_bind("/data/../etc")], None),
    ("Mounts", [_bind("/run/docker.sock")], {"mounts": ["/run"]}),
    ("Mounts", [{**_bind("/data"), "BindOptions": {"Propagation": "rshared"}}], None),
    ("Mounts", [{"Type": "volume", "Source": "v", "Target": "/x"}], None),
    ("Mounts", [{"Type": "volume", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "local"}}}], None),
    ("Mounts", [{"Type": "npipe", "Source": "/x", "Target": "/x"}], None),
    ("PidMode", "host", {"host_pid": True}),
    ("PidMode", "container:other", None),
    ("IpcMode", "host", {"host_ipc": True}),
    ("IpcMode", "shareable", None),
    ("IpcMode", "container:other", None),
    ("NetworkMode", "host", {"host_network": True}),
    ("NetworkMode", "container:other", None),
    ("NetworkMode", "some-network", None),
    ("UTSMode", "host", None),
    ("UsernsMode", "host", None),
    ("CgroupnsMode", "host", None),
    ("CgroupnsMode", "", None),
    ("Cgroup", "container:other", None),
    ("CgroupParent", "/", None),
    ("CapAdd", ["SYS_ADMIN"], {"capabilities": ["SYS_ADMIN"]}),
    ("CapAdd", ["CAP_SYS_ADMIN"], {"capabilities": ["SYS_ADMIN"]}),
    ("CapAdd", ["ALL"], {"privileged": True}),
    ("CapDrop", [], {"privileged": True}),
    ("Devices", [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/x"}], {"devices": ["/dev/sda"]}),
    ("DeviceCgroupRules", ["a *:* rwm"], None),
    ("DeviceRequests", [{"Count": -1, "Capabilities": [["gpu"]]}], None),
    ("DeviceRequests", [{"Driver": "x", "Capabilities": [["other"]]}], None),
    ("SecurityOpt", [], {"privileged": True}),
    ("SecurityOpt", ["no-new-privileges", "seccomp=unconfined"], {"privileged": True}),
    ("SecurityOpt", ["no-new-privileges", "apparmor=unconfined"], {"privileged": True}),
    ("SecurityOpt", ["no-new-privileges:false"], {"privileged": True}),
    ("SecurityOpt", ["no-new-privileges", "systempaths=unconfined"], {"privileged": True}),
    ("Runtime", "sysbox", None),
    ("VolumesFrom", ["other"], None),
    ("VolumeDriver", "x", None),
    ("Sysctls", {"kernel.shmmax": "1"}, None),
    ("MaskedPaths", ["/nothing"], None),
    ("ReadonlyPaths", ["/nothing"], None),
    ("GroupAdd", ["docker"], None),
    ("OomScoreAdj", -1000, None),
    ("OomKillDisable", True, None),
    ("PidsLimit", -1, None),
    ("PidsLimit", 0, None),
    ("Ulimits", [{"Name": "nofile", "Hard": 1 << 30, "Soft": 1 << 30}], None),
    ("ExtraHosts", ["server:169.254.169.254"], None),
    ("Dns", ["10.0.0.1"], None),
    ("Links", ["other"], None),
    ("PortBindings", {"22/tcp": [{"HostPort": "22"}]}, None),
    ("PublishAllPorts", True, None),
    ("RestartPolicy", {"Name": "always"}, None),
    ("AutoRemove", True, None),
    ("LogConfig", {"Type": "syslog", "Config": {"syslog-address": "tcp://evil.test"}}, None),
    ("ContainerIDFile", "/x", None),
    ("SomethingNew", {"a": 1}, None),
]


@pytest.mark.parametrize(("key", "value", "grant"), HOSTILE, ids=lambda value: str(value)[:40])
def test_each_is_refused_by_default_and_granted_only_by_its_own_grant(
    key: str, value: JsonValue, grant: JsonObject | None
) -> None:
    """The final body is refused; its own grant lets it pass; all other grants together do not."""
    body = _body(**{key: value})
    with pytest.raises(Refused, match=r"does not grant .*agent\.toml"):
        check_body(body, NOTHING)
    if grant is not None:
        assert list(refusals(body, HostGrants.model_validate(grant))) == []
        everything: dict[str, Any] = {"host_network": True, "host_pid": True, "host_ipc": True, "mounts": ["/granted"]}
        others = HostGrants.model_validate({name: each for name, each in everything.items() if name not in grant})
        assert list(refusals(body, others)) != []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Env", ["LD_PRELOAD=/x.so"]),
        ("Env", ["NVIDIA_VISIBLE_DEVICES=all"]),
        ("Env", ["PREFECT_API_KEY=x"]),
        ("Volumes", {"/x": {}}),
        ("ExposedPorts", {"22/tcp": {}}),
        ("NetworkingConfig", {"EndpointsConfig": {"other": {}}}),
        ("MacAddress", "00:00:00:00:00:00"),
        ("HostConfig", None),
    ],
)
def test_hostile_top_level(key: str, value: JsonValue) -> None:
    """Beside HostConfig, too, only what is known passes."""
    assert list(refusals(_body() | {key: value}, NOTHING))


OPTIONS = (
    *("privileged", "volumes", "binds", "pid_mode", "network_mode", "cap_add", "cap_drop", "devices", "security_opt"),
    *(
        "userns_mode",
        "uts_mode",
        "ipc_mode",
        "cgroup_parent",
        "cgroupns",
        "runtime",
        "env-file",
        "--env-file",
        "sysctls",
    ),
    *("device_requests", "device_cgroup_rules", "volumes_from", "volume_driver", "group_add", "extra_hosts", "links"),
    *("ports", "oom_score_adj", "ulimits", "storage_opt", "log_config", "restart_policy", "user", "HostConfig"),
    *("--privileged", "privileged=true", "-v", "-privileged", "privileged ", "Privileged", "container_create_kwargs"),
)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", [True, "host", ["/:/host"], {"a": "b"}])
def test_no_option_of_docker_is_a_job_variable(name: str, value: JsonValue) -> None:
    """A submitter is told so at submit, and a template that has it is refused when made and again at each claim."""
    template = base_job_template(DockerConfiguration)
    with pytest.raises(BadInput, match="unknown job variable"):
        check_on_queue("launch-docker", template, {name: value}, Overrides())
    changed = copy.deepcopy(template)
    cast("JsonObject", changed["job_configuration"])[name] = value
    with pytest.raises(Refused, match="do not allow"):
        check_template(changed, DockerConfiguration)


MACROS = (
    *("{{ prefect.blocks.secret.tok }}", "{{prefect.variables.x}}", "a{{ $HOME }}b", "{{$PREFECT_API_KEY}}"),
    *("{{ {{ prefect.blocks.secret.tok }} }}", "{{ prefect.blocks.secret.{{ a }} }}"),
)
TEXTS = ("{{ ''.__class__ }}", "{%", "{% for x in y %}", "${image_uri}", "{{ cpus }}", "{{ {{a}} }}", "$HOME", "`id`")


@pytest.mark.parametrize("value", MACROS)
def test_a_macro_is_refused_at_submit(value: str) -> None:
    """What a stock worker would resolve to a secret never gets on a queue."""
    for variables in ({"env": {"A": value}}, {"image": value}, {"command": ["sh", value]}):
        with pytest.raises(Refused, match="macro"):
            check_on_queue(
                "launch-docker", base_job_template(DockerConfiguration), cast("JsonObject", variables), Overrides()
            )


@pytest.mark.parametrize("value", [*MACROS, *TEXTS])
def test_text_arrives_in_the_final_body_as_it_was(value: str) -> None:
    """The run's own env and command are never looked into; of job variables, what is no macro."""
    attempt = Attempt("r", 1, "j@sha256:0", "q", "i", ("echo", value), env={"A": value})
    configuration = DockerConfiguration()
    if value in TEXTS:
        template = base_job_template(DockerConfiguration)
        configuration = render_configuration(template, {"env": {"B": value}}, DockerConfiguration)
    body = container_body(render_docker(attempt, configuration))
    assert body["Entrypoint"] == ["echo", value]
    assert {f"A={value}"} <= set(cast("list[str]", body["Env"]))
    assert value not in TEXTS or f"B={value}" in cast("list[str]", body["Env"])


@pytest.mark.parametrize(
    "name",
    [
        *("LAUNCH_RUN_ID", "LAUNCH_X", "PREFECT_API_URL", "PREFECT__X", "LD_PRELOAD", "LD_AUDIT"),
        *("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
    ],
)
def test_a_reserved_variable_is_refused_at_submit(name: str) -> None:
    """From a job variable and from the run's own env; the agent refuses it again (test_render)."""
    template = base_job_template(DockerConfiguration)
    with pytest.raises(Refused, match=name):
        check_on_queue("launch-docker", template, {"env": {name: "x"}}, Overrides())
    with pytest.raises(Refused, match=name):
        check_on_queue("launch-docker", template, {}, Overrides(env={name: "x"}))


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0"}, {"A B": "x"}, {"A": "x" * (1 << 20)}])
def test_what_is_no_variable_is_bad_input_at_submit(env: dict[str, str]) -> None:
    """Empty names, `=`, blanks, NUL and a megabyte."""
    with pytest.raises(BadInput):
        check_on_queue("launch-docker", base_job_template(DockerConfiguration), {}, Overrides(env=env))


def _with_mounts(*mounts: str) -> JsonObject:
    return with_operator_fields(base_job_template(DockerConfiguration), DockerConfiguration, {"mounts": [*mounts]})


def test_mounts_are_the_operators_and_the_hosts() -> None:
    """Written into the template they reach the body; a submitter has no such variable; the host must grant them."""
    template = _with_mounts("/data:/data", "/scratch:/scratch:rw")
    configuration = render_configuration(template, {}, DockerConfiguration)
    body = container_body(render_docker(ATTEMPT, configuration))
    assert list(refusals(body, HostGrants(mounts=("/scratch",), read_only_mounts=("/data",)))) == []
    assert list(refusals(body, HostGrants(read_only_mounts=("/data", "/scratch")))) == ["the mount '/scratch'"]
    with pytest.raises(BadInput, match="unknown job variable"):
        check_on_queue("launch-docker", template, {"mounts": ["/:/x"]}, Overrides())
    for malformed in ("data:/x", "/a:b", "/a", "/a:/b:shared", "/a:/b:rw:z"):
        with pytest.raises(BadInput):
            check_template(_with_mounts(malformed), DockerConfiguration)


@pytest.fixture
def engine(docker_base: str) -> Iterator[Engine]:
    """A connection of the test's own."""
    del docker_base
    connection = connect()
    yield connection
    connection.close()


@pytest.fixture
async def spec(docker_base: str, engine: Engine, tmp_path: Path) -> AsyncIterator[RunSpec]:
    """An attempt that wants to read a folder of the host, through a link; its container is gone afterwards."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("from the host\n")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    attempt = Attempt(uuid.uuid4().hex, 1, "j@sha256:0", "q", docker_base, ("cat", "/x/x"))
    made = render_docker(attempt, DockerConfiguration(mounts=(f"{tmp_path}/link:/x",)))
    yield made
    if any(f"/{made.name}" in cast("list[str]", one["Names"]) for one in engine.containers(all=True)):
        engine.remove_container(made.name, v=True, force=True)


@pytest.mark.anyio
async def test_the_target_refuses_and_makes_nothing(spec: RunSpec, tmp_path: Path) -> None:
    """On a real engine: by default nothing is made; a grant of the link's name is none of the folder behind it."""
    for grants in (HostGrants(), HostGrants(mounts=(f"{tmp_path}/link",))):
        target = DockerTarget(grants=grants)
        with pytest.raises(Refused, match="does not grant the mount"):
            await target.ensure(spec)
        assert await target.status(await target.place(spec.name)) is None
        target.close()


@pytest.mark.anyio
async def test_what_is_granted_runs_and_stays_adopted_when_the_grant_goes(spec: RunSpec, tmp_path: Path) -> None:
    """The program reads the folder; an agent that grants less adopts what runs, and ends nothing."""
    target, stricter = DockerTarget(grants=HostGrants(mounts=(str(tmp_path),))), DockerTarget()
    await target.ensure(spec)
    place = await target.place(spec.name)
    said = b"".join([chunk.data async for chunk in target.logs(place, None)])
    assert said == b"from the host\n"
    assert (await stricter.ensure(spec)).exit_code == 0
    target.close()
    stricter.close()


@pytest.mark.anyio
async def test_created_and_then_no_longer_granted(spec: RunSpec, engine: Engine) -> None:
    """A container that a dead agent only created is not started by one that does not grant it: it is removed."""
    engine.create_container_from_config(container_body(spec), spec.name)
    target = DockerTarget()
    with pytest.raises(Refused):
        await target.ensure(spec)
    assert await target.status(await target.place(spec.name)) is None
    target.close()
