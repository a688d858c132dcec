"""Devices of an agent: exact, first in line first, nothing over, found again after a restart. And their rendering."""

from __future__ import annotations

import random
from typing import cast

import pytest

from launch_jobs.agent_file import AgentFile, allowed_devices
from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.configuration import DockerConfiguration, ProcessConfiguration
from launch_jobs.targets.devices import DEVICES_LABEL, with_devices
from launch_jobs.targets.grants import HostGrants, check_body
from launch_jobs.targets.render import Attempt, container_body, render_docker
from launch_jobs.targets.template import base_job_template
from launch_jobs.workers.devices import Devices, detected, gpus_wanted

FOUR = ("gpu:0", "gpu:1", "gpu:2", "gpu:3")


def test_devices_are_exact_and_come_back() -> None:
    """Each is held by one run; asking again gives the same; given back they are free."""
    devices = Devices(FOUR)
    assert devices.claim("q", "a", 3)
    assert devices.take("a", 3) == ("gpu:0", "gpu:1", "gpu:2")
    assert devices.free == ("gpu:3",)
    devices.give("a")
    assert devices.free == FOUR


def test_nobody_passes_the_first_in_line() -> None:
    """What is free is kept for a big run: neither its own queue's nor another's small ones get it."""
    devices = Devices(FOUR)
    assert devices.claim("q", "small", 1)
    assert not devices.claim("q", "big", 4)
    assert not devices.claim("q", "next", 1)
    assert not devices.claim("other", "else", 1)
    assert devices.claim("other", "without", 0)
    devices.give("small")
    assert devices.claim("q", "big", 4)
    assert devices.free == ()


def test_a_run_that_left_its_line_keeps_nothing() -> None:
    """Cancelled, or claimed elsewhere: its queue's next look tells; other queues' looks do not."""
    devices = Devices(FOUR)
    devices.claim("q", "small", 1)
    assert not devices.claim("q", "big", 4)
    devices.leave_line("other")
    devices.leave_line("q", ["big", "next"])
    assert not devices.claim("other", "else", 1)
    devices.leave_line("q", ["next"])
    assert devices.claim("other", "else", 1)


def test_a_restart_finds_what_living_attempts_hold() -> None:
    """Labels tell; a run that is over frees its own; what was given here and is not made yet stays given."""
    devices = Devices(FOUR)
    devices.found({"before": ("gpu:1", "gpu:2")})
    assert devices.claim("q", "new", 2)
    assert devices.take("new", 2) == ("gpu:0", "gpu:3")
    devices.found({"before": ("gpu:1", "gpu:2")})
    assert devices.free == ()
    assert devices.take("before", 2) == ("gpu:1", "gpu:2")
    devices.give("before")
    devices.found({})
    assert devices.free == ("gpu:1", "gpu:2")


def test_too_big_a_run_is_left_to_others_and_no_inventory_lets_all_pass() -> None:
    """A run that can never fit does not block the line; without an inventory nothing is counted."""
    assert not Devices(FOUR).fits(5)
    assert not Devices(()).fits(1)
    unknown = Devices(None)
    assert unknown.fits(16)
    assert all(unknown.claim("q", str(number), 16) for number in range(3))


@pytest.mark.parametrize("seed", range(20))
def test_many_small_and_big_runs_in_order_and_without_excess(seed: int) -> None:
    """A random day: never a device twice, claims in the order of the line, everybody served."""
    chance, devices = random.Random(seed), Devices(FOUR)
    line = [(f"run-{number}", chance.choice([1, 1, 1, 2, 4])) for number in range(60)]
    waiting, running, started = list(line), list[str](), list[str]()
    while waiting or running:
        while waiting and devices.claim("q", *waiting[0]):
            running.append(waiting.pop(0)[0])
            started.append(running[-1])
        held = [device for run in running for device in devices.take(run, 0) or ()]
        assert len(held) == len(set(held)) <= len(FOUR)
        devices.give(running.pop(chance.randrange(len(running))))
    assert started == [run for run, _ in line]


def test_the_demand_of_a_run() -> None:
    """Template, deployment and submitter in their order; what is wrong wants nothing, its flow says so."""
    template = base_job_template(DockerConfiguration)
    assert gpus_wanted(template, [{}], DockerConfiguration) == 0
    assert gpus_wanted(template, [{"gpus": 1}, {"gpus": 2}], DockerConfiguration) == 2
    assert gpus_wanted(template, [{"gpus": "all"}], DockerConfiguration) == 0
    assert gpus_wanted(base_job_template(ProcessConfiguration), [{"gpus": 3}], ProcessConfiguration) == 3


def _docker(*devices: str) -> RunSpec:
    attempt = Attempt(run_id="r", number=1, job="j@sha256:0", queue="q", image="i", command=("true",))
    return with_devices(render_docker(attempt, DockerConfiguration(gpus=len(devices))), devices)


def test_a_container_asks_for_exactly_its_devices() -> None:
    """Ids in the request, the label for the next agent, the ids for the program; granted without a grant."""
    body = container_body(_docker("gpu:1", "gpu:GPU-8f"))
    request: JsonObject = {
        "Driver": "",
        "Count": 0,
        "DeviceIDs": ["1", "GPU-8f"],
        "Capabilities": [["gpu"]],
        "Options": {},
    }
    assert cast("JsonObject", body["HostConfig"])["DeviceRequests"] == [request]
    assert cast("JsonObject", body["Labels"])[DEVICES_LABEL] == "gpu:1,gpu:GPU-8f"
    assert "LAUNCH_GPUS=1,GPU-8f" in cast("list[str]", body["Env"])
    check_body(body, HostGrants())
    assert "DeviceRequests" not in cast("JsonObject", container_body(_docker("fake:0"))["HostConfig"])


def test_a_process_sees_exactly_its_devices() -> None:
    """CUDA's own variable, numbered as the driver numbers."""
    spec = RunSpec(name="n", image="", source="/s", output_dir="/o", gpus=2)
    assert with_devices(spec, ("gpu:2", "gpu:3")).env == {
        "LAUNCH_GPUS": "2,3",
        "CUDA_VISIBLE_DEVICES": "2,3",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert with_devices(spec, ("fake:0",)).env == {"LAUNCH_GPUS": "0"}


def test_the_command_line_takes_of_the_files_devices_only() -> None:
    """The stricter of the two rules."""
    file = AgentFile(devices=("gpu:0", "gpu:1"))
    assert allowed_devices(None, file) == ("gpu:0", "gpu:1")
    assert allowed_devices(["gpu:1"], file) == ("gpu:1",)
    assert allowed_devices(["gpu:7"], AgentFile()) == ("gpu:7",)
    with pytest.raises(Refused, match="gpu:2"):
        allowed_devices(["gpu:2"], file)
    for wrong in ("", "0", "all", "gpu:", "gpu:0;"):
        with pytest.raises(BadInput, match="no device"):
            allowed_devices([wrong], AgentFile())


def test_without_a_driver_nobody_counts() -> None:
    """Whether or not nvidia-ml-py is installed."""
    found = detected()
    assert found is None or all(name.startswith("gpu:") for name in found)
