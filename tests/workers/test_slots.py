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
from launch_jobs.targets.devices import CPUS_LABEL, DEVICES_LABEL, Held, held_by, held_labels, with_devices
from launch_jobs.targets.grants import HostGrants, check_body
from launch_jobs.targets.render import Attempt, container_body, render_docker
from launch_jobs.targets.template import base_job_template
from launch_jobs.workers.devices import Capacity, Devices, Wanted, detected, wanted_by

FOUR = ("gpu:0", "gpu:1", "gpu:2", "gpu:3")


def test_devices_are_exact_and_come_back() -> None:
    """Each is held by one run; asking again gives the same; given back they are free."""
    devices = Devices(FOUR)
    assert devices.claim("q", "a", Wanted(3))
    assert devices.take("a", 3) == ("gpu:0", "gpu:1", "gpu:2")
    assert devices.free == ("gpu:3",)
    devices.give("a")
    assert devices.free == FOUR


def test_nobody_passes_the_first_in_line() -> None:
    """What is free is kept for a big run: neither its own queue's nor another's small ones get it."""
    devices = Devices(FOUR)
    assert devices.claim("q", "small", Wanted(1))
    assert not devices.claim("q", "big", Wanted(4))
    assert not devices.claim("q", "next", Wanted(1))
    assert not devices.claim("other", "else", Wanted(1))
    assert devices.claim("other", "without", Wanted(0))
    devices.give("small")
    assert devices.claim("q", "big", Wanted(4))
    assert devices.free == ()


def test_a_run_that_left_its_line_keeps_nothing() -> None:
    """Cancelled, or claimed elsewhere: its queue's next look tells; other queues' looks do not."""
    devices = Devices(FOUR)
    devices.claim("q", "small", Wanted(1))
    assert not devices.claim("q", "big", Wanted(4))
    devices.leave_line("other")
    devices.leave_line("q", ["big", "next"])
    assert not devices.claim("other", "else", Wanted(1))
    devices.leave_line("q", ["next"])
    assert devices.claim("other", "else", Wanted(1))


def test_a_restart_finds_what_living_attempts_hold() -> None:
    """Labels tell; a run that is over frees its own; what was given here and is not made yet stays given."""
    devices = Devices(FOUR)
    devices.found({"before": Held(("gpu:1", "gpu:2"))})
    assert devices.claim("q", "new", Wanted(2))
    assert devices.take("new", 2) == ("gpu:0", "gpu:3")
    devices.found({"before": Held(("gpu:1", "gpu:2"))})
    assert devices.free == ()
    assert devices.take("before", 2) == ("gpu:1", "gpu:2")
    devices.give("before")
    devices.found({})
    assert devices.free == ("gpu:1", "gpu:2")


def test_too_big_a_run_is_left_to_others_and_no_inventory_lets_all_pass() -> None:
    """A run that can never fit does not block the line; without an inventory nothing is counted."""
    assert not Devices(FOUR).fits(Wanted(5))
    assert not Devices(()).fits(Wanted(1))
    unknown = Devices(None)
    assert unknown.fits(Wanted(16))
    assert all(unknown.claim("q", str(number), Wanted(16)) for number in range(3))


@pytest.mark.parametrize("seed", range(20))
def test_many_small_and_big_runs_in_order_and_without_excess(seed: int) -> None:
    """A random day: never a device twice, claims in the order of the line, everybody served."""
    chance, devices = random.Random(seed), Devices(FOUR)
    line = [(f"run-{number}", Wanted(chance.choice([1, 1, 1, 2, 4]))) for number in range(60)]
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
    assert wanted_by(template, [{}], DockerConfiguration) == Wanted(0, 1.0, 0)
    assert wanted_by(template, [{"gpus": 1}, {"gpus": 2}], DockerConfiguration).gpus == 2
    assert wanted_by(template, [{"gpus": "all"}], DockerConfiguration) == Wanted()
    assert wanted_by(template, [{"cpus": 2.5, "memory": "1Gi"}], DockerConfiguration) == Wanted(0, 2.5, 2**30)
    assert wanted_by(base_job_template(ProcessConfiguration), [{"gpus": 3}], ProcessConfiguration) == Wanted(3)


def test_cpus_and_memory_are_counted_as_well() -> None:
    """Tenths add up exactly; one that would fit waits for the first in line, but where enough is left for that."""
    devices = Devices(None, Capacity(4, 8 << 30))
    assert all(devices.claim("q", str(number), Wanted(0, 0.1, 1 << 30)) for number in range(3))
    assert not devices.claim("q", "big", Wanted(0, 3.8, 0))
    assert "3.8 CPUs (3.7 of 4 are free on agent a)" in devices.lack(Wanted(0, 3.8, 0), "a")
    assert not devices.claim("other", "small", Wanted())
    assert "1 CPU (what is free on agent a is kept" in devices.lack(Wanted(), "a")
    assert devices.claim("other", "none", Wanted(0, 0, 1 << 30))
    devices.give("0")
    assert devices.claim("q", "big", Wanted(0, 3.8, 0))
    assert "6 GiB of memory (5 of 8 are free on agent a)" in devices.lack(Wanted(0, 0, 6 << 30), "a")
    assert not devices.fits(Wanted(0, 1, 9 << 30))
    assert "an agent with 9 GiB of memory (a has 8)" in devices.lack(Wanted(0, 1, 9 << 30), "a")


def test_a_container_says_what_it_holds_of_its_host() -> None:
    """To the agent after a restart; one that says nothing holds one processor."""
    spec = RunSpec(name="n", image="i", output_dir="/o", cpus=1.5, memory_bytes=1 << 30)
    assert held_by(held_labels(spec)) == Held((), 1.5, 1 << 30)
    assert held_by({}) == Held((), 1.0, 0)
    assert cast("JsonObject", container_body(spec)["Labels"])[CPUS_LABEL] == "1.5"


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
