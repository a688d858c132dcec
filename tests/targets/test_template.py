"""Base job templates and their renderer: bounds, macros, what an operator may not write, laws."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.job import JsonObject
from launch_jobs.targets.configuration import DockerConfiguration, ProcessConfiguration
from launch_jobs.targets.quantity import parse_quantity
from launch_jobs.targets.template import (
    base_job_template,
    check_template,
    merge_variables,
    render_configuration,
    with_defaults,
    with_operator_fields,
)

DOCKER = base_job_template(DockerConfiguration)


def _render(values: JsonObject) -> DockerConfiguration:
    return render_configuration(DOCKER, values, DockerConfiguration)


def _changed(change: Callable[[Any], object]) -> JsonObject:
    """The docker template after an operator's change."""
    template = copy.deepcopy(DOCKER)
    change(cast("Any", template))
    return template


def test_defaults_are_the_models() -> None:
    """Without values each queue type renders to its own defaults."""
    assert _render({}) == DockerConfiguration()
    process = base_job_template(ProcessConfiguration)
    assert render_configuration(process, {}, ProcessConfiguration) == ProcessConfiguration()


def test_values_reach_the_configuration() -> None:
    """Declared variables come through typed."""
    rendered = _render({"cpus": 2, "memory": "1.5Gi", "command": ["a", "b"], "env": {"A": "1"}, "gpus": 1})
    assert (rendered.cpus, rendered.memory_bytes, rendered.command) == (2.0, 3 << 29, ("a", "b"))
    assert (rendered.env, rendered.gpus) == ({"A": "1"}, 1)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"cpus": 0}, "cpus"),
        ({"cpus": -1}, "cpus"),
        ({"cpus": 1e9}, "maximum of 256"),
        ({"cpus": float("nan")}, "JSON"),
        ({"cpus": float("inf")}, "JSON"),
        ({"cpus": "1"}, "cpus"),
        ({"cpus": True}, "cpus"),
        ({"memory": "1g"}, "e.g. 512Mi"),
        ({"memory": "-1"}, "memory"),
        ({"memory": "0"}, "at least 6Mi"),
        ({"memory": "2Gi\n"}, "memory"),
        ({"memory": 1024}, "memory"),
        ({"gpus": "all"}, "gpus"),
        ({"gpus": 1.5}, "gpus"),
        ({"gpus": -1}, "gpus"),
        ({"gpus": 2**63}, "gpus"),
        ({"network": "host"}, "network"),
        ({"timeout": "1h30"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"stop_grace_seconds": 3601}, "stop_grace_seconds"),
        ({"env": {"A=B": "c"}}, "env"),
        ({"env": {"A": 1}}, "env.A"),
        ({"env": ["A=B"]}, "env"),
        ({"command": "python train.py"}, "command"),
        ({"image": ""}, "image"),
        ({"image": "x" * 2_000_000}, "too many"),
    ],
)
def test_value_out_of_bounds_is_bad_input(values: JsonObject, told: str) -> None:
    """Each is told in one line that names the variable."""
    with pytest.raises(BadInput) as caught:
        _render(values)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    "name",
    [
        *("privileged", "volumes", "devices", "cap_add", "security_opt", "pid_mode", "network_mode", "userns_mode"),
        *("cgroup_parent", "runtime", "ipc_mode", "--env-file", "binds", "extra_hosts", "container_create_kwargs"),
    ],
)
def test_host_privileges_cannot_be_named(name: str) -> None:
    """A submitter cannot set them; an operator's template with them is refused by name."""
    with pytest.raises(BadInput, match="unknown job variable"):
        _render({name: "/:/host"})
    with pytest.raises(Refused, match=name):
        check_template(
            _changed(lambda template: template["job_configuration"].update({name: True})), DockerConfiguration
        )


def test_the_registry_is_the_operators() -> None:
    """It is in the template as a plain value, null at first, and nowhere among the variables."""
    assert DOCKER["job_configuration"]["registry"] is None  # pyright: ignore[reportArgumentType, reportCallIssue, reportOptionalSubscript, reportIndexIssue] # JSON
    template = with_operator_fields(DOCKER, DockerConfiguration, {"registry": "team"})
    assert render_configuration(template, {}, DockerConfiguration).registry == "team"
    with pytest.raises(BadInput, match="unknown job variable 'registry'"):
        render_configuration(template, {"registry": "mine"}, DockerConfiguration)


@pytest.mark.parametrize("value", ["{{ image }}", "{{ registry }}", "x{{ image }}", ["{{ image }}"]])
def test_a_registry_that_a_submitter_could_set_is_refused(value: JsonValue) -> None:
    """Whatever variable the template would take it from."""

    def change(template: Any) -> None:
        template["job_configuration"]["registry"] = value
        template["variables"]["properties"]["registry"] = {"type": "string"}

    with pytest.raises(Refused, match="'registry' is a placeholder"):
        check_template(_changed(change), DockerConfiguration)


@pytest.mark.parametrize("value", ["", "a b", "Team", 7, {"name": "team"}])
def test_a_registry_that_is_no_block_name_is_refused_at_once(value: JsonValue) -> None:
    """When the queue is made, not when a run is claimed."""
    with pytest.raises(BadInput, match="configuration 'registry'"):
        check_template(with_operator_fields(DOCKER, DockerConfiguration, {"registry": value}), DockerConfiguration)


def test_a_process_queue_has_no_registry() -> None:
    """There is nothing to push."""
    with pytest.raises(Refused, match="launch-process queues have no registry"):
        with_operator_fields(base_job_template(ProcessConfiguration), ProcessConfiguration, {"registry": "team"})


def test_an_operator_sets_defaults_of_job_variables() -> None:
    """They are what a run gets that says nothing; the template that they came from stays."""
    before = copy.deepcopy(DOCKER)
    template = with_defaults(DOCKER, {"memory": "2Gi", "gpus": 1})
    rendered = render_configuration(template, {}, DockerConfiguration)
    assert (rendered.memory, rendered.gpus, rendered.cpus, before) == ("2Gi", 1, None, DOCKER)
    with pytest.raises(BadInput, match=r"'gpus'.*maximum"):
        with_defaults(DOCKER, {"gpus": 99})


def test_unknown_variable_names_the_nearest() -> None:
    """A slip of the pen is told with what was meant."""
    with pytest.raises(BadInput, match="Did you mean 'memory'"):
        _render({"memmory": "1Gi"})


@pytest.mark.parametrize(
    "value",
    [
        "{{ prefect.blocks.secret.token }}",
        "x {{prefect.variables.x}} y",
        "{{ $HOME }}",
        "{{$PREFECT_API_KEY}}",
        "{{ {{ prefect.blocks.secret.token }} }}",
    ],
)
def test_macro_in_a_value_is_refused(value: str) -> None:
    """What Prefect would resolve to a secret is refused, naming the variable."""
    for values in ({"image": value}, {"command": ["echo", value]}, {"env": {"A": value}}):
        with pytest.raises(Refused, match="template macro"):
            _render(cast("JsonObject", values))


@pytest.mark.parametrize("kind", ["json", "jinja", "workspace_variable", "none"])
def test_server_side_template_is_refused(kind: str) -> None:
    """A value that Prefect's server would render is refused, at any depth."""
    with pytest.raises(Refused, match="env"):
        _render({"env": {"A": {"__prefect_kind": kind, "template": "{{ 1 }}"}}})


@pytest.mark.parametrize(
    "value", ["{{ cpus }}", "{{ ''.__class__ }}", "{% for x in y %}", "${image_uri}", "a: b\n- !!tag #", "{{ {{a}} }}"]
)
def test_other_text_stays_as_it_is(value: str) -> None:
    """Values are never templates, even if they look like one of ours."""
    assert _render({"env": {"A": value}, "image": value, "cpus": 3}).env == {"A": value}
    assert _render({"image": value}).image == value


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=30), max_size=4))
def test_texts_come_through_or_are_refused(env: dict[str, str]) -> None:
    """Whatever the text: it arrives as it was, or is refused."""
    try:
        assert _render({"env": cast("JsonValue", env)}).env == env
    except Refused:
        assert any("{{" in value for value in env.values())


def test_later_layers_win_and_variables_merge_by_name() -> None:
    """The submitter's values go over the job's; `env` is merged name by name."""
    layers: list[JsonObject] = [{"cpus": 1, "env": {"A": "1", "B": "1"}}, {"cpus": 2, "env": {"B": "2"}}, {"gpus": 1}]
    assert merge_variables(DOCKER, *layers) == {"cpus": 2, "env": {"A": "1", "B": "2"}, "gpus": 1}


def test_merging_changes_no_layer_and_no_layer_is_nothing() -> None:
    """The layers stay as they were."""
    layer: JsonObject = {"env": {"A": "1"}}
    assert merge_variables(DOCKER, layer, {"env": {"B": "2"}}) == {"env": {"A": "1", "B": "2"}}
    assert layer == {"env": {"A": "1"}}
    assert merge_variables(DOCKER) == {}


def test_operators_values_and_bounds_rule() -> None:
    """An operator fixes a value, drops a variable, narrows a bound: the submitter is held to it."""

    def change(template: Any) -> None:
        template["job_configuration"]["network"] = "none"
        del template["variables"]["properties"]["network"]
        template["variables"]["properties"]["gpus"] = {"type": "integer", "minimum": 1, "maximum": 2, "default": 1}

    template = _changed(change)
    rendered = render_configuration(template, {}, DockerConfiguration)
    assert (rendered.network, rendered.gpus) == ("none", 1)
    for values in ({"network": "bridge"}, {"gpus": 3}, {"gpus": 0}):
        with pytest.raises(BadInput):
            render_configuration(template, cast("JsonObject", values), DockerConfiguration)


def _set(part: str, key: str, value: JsonValue) -> Callable[[Any], object]:
    return lambda template: template[part].__setitem__(key, value)


def _gpus(changes: JsonObject) -> Callable[[Any], object]:
    return lambda template: template["variables"]["properties"]["gpus"].update(changes)


def _replace(part: str, value: JsonValue) -> Callable[[Any], object]:
    return lambda template: template.__setitem__(part, value)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_replace("job_configuration", []), "no object 'job_configuration'"),
        (_replace("variables", "x"), "no object 'variables'"),
        (_replace("variables", {"properties": []}), "no JSON schema|no object"),
        (_replace("variables", {"type": "nonsense"}), "no JSON schema"),
        (_set("job_configuration", "image", "{{ missing }}"), "names no declared variable"),
        (_set("job_configuration", "image", "x-{{ image }}"), "mixes a placeholder"),
        (_set("job_configuration", "image", "{{ prefect.blocks.secret.x }}"), "mixes a placeholder"),
        (_set("job_configuration", "env", {"{{ image }}x": "1"}), "mixes a placeholder"),
        (_set("job_configuration", "image", "fixed"), "does not use it"),
        (_replace("padding", "x" * 2_000_000), "too many"),
        (_gpus({"default": "many"}), "default of job variable 'gpus'"),
        (_gpus({"$ref": "http://evil.test/x"}), "refer to"),
        (_gpus({"$ref": "#/$defs/none"}), "refer to"),
    ],
)
def test_malformed_template_is_bad_input(change: Callable[[Any], object], error: str) -> None:
    """A queue that is misconfigured is told so, in one line, when it is made and when it is used."""
    with pytest.raises(BadInput, match=error):
        check_template(_changed(change), DockerConfiguration)


def test_host_network_is_refused_whoever_wrote_it() -> None:
    """Neither an operator's value nor an enum that offers it gives the host's network."""
    fixed = _changed(
        lambda t: (_set("job_configuration", "network", "host")(t), t["variables"]["properties"].pop("network"))
    )
    with pytest.raises(Refused, match="'host'"):
        render_configuration(fixed, {}, DockerConfiguration)
    offered = _changed(lambda t: t["variables"]["properties"]["network"].update(enum=["bridge", "host"]))
    with pytest.raises(Refused, match="'host'"):
        render_configuration(offered, {"network": "host"}, DockerConfiguration)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(DockerConfiguration.model_fields)) | st.text(max_size=10), value=_JSON)
def test_any_value_is_taken_or_told(name: str, value: JsonValue) -> None:
    """No JSON value of any variable gives anything but a configuration within bounds or one of our errors."""
    try:
        rendered = _render({name: value})
    except LaunchError:
        return
    assert 0 <= rendered.gpus <= 16
    assert rendered.cpus is None or 0 < rendered.cpus <= 256
    assert rendered.network in {"bridge", "none"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("0", 0), ("1", 1), ("1k", 1000), ("1Ki", 1024), ("512Mi", 512 << 20), ("2Gi", 2 << 30), ("1.5Gi", 3 << 29)),
        *(("1e3", 1000), ("1E3", 1000), ("1E", 10**18), ("1Ei", 1 << 60), ("0.1", 1), ("1.0000001k", 1001)),
    ],
)
def test_quantity_is_read_exactly(text: str, size: int) -> None:
    """As Kubernetes reads it; fractions of a byte are rounded up."""
    assert parse_quantity(text) == size


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 Gi", "1g", "1GB", "1K", "-1", "+1", "1.", ".5", "1Gi\n", "0x1", "1e", "1e99", "9Ei", "NaN", "\u0661"],
)
def test_text_that_is_no_quantity_is_bad_input(text: str) -> None:
    """Docker's `1g`, negative, and more than any machine has."""
    with pytest.raises(BadInput):
        parse_quantity(text)


@settings(deadline=None)
@given(number=st.integers(min_value=0, max_value=8191), power=st.integers(min_value=1, max_value=5))
def test_quantity_suffixes_are_powers(number: int, power: int) -> None:
    """Each binary suffix is 1024 of the one before, each decimal one 1000."""
    assert parse_quantity(f"{number}{'KMGTP'[power - 1]}i") == number * 1024**power
    assert parse_quantity(f"{number}{'kMGTP'[power - 1]}") == number * 1000**power
