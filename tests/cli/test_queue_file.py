"""Queues described in files: what is read, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch_jobs.cli.queue_file import QueueFile, read_queue_file
from launch_jobs.errors import BadInput

WHOLE = """\
name: gpu
type: docker
description: The big ones
limit: 4
registry: team
variables:
  memory: 8Gi
  gpus: 1
"""


def test_a_file_describes_a_queue(tmp_path: Path) -> None:
    """In YAML, and so in JSON too."""
    (tmp_path / "queue").write_text(WHOLE)
    read = read_queue_file(tmp_path / "queue")
    assert (read.name, read.type, read.limit, read.registry) == ("gpu", "docker", 4, "team")
    assert read.variables == {"memory": "8Gi", "gpus": 1}
    (tmp_path / "queue").write_text(json.dumps(read.model_dump(mode="json")))
    assert read_queue_file(tmp_path / "queue") == read


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    """Only name and type are needed."""
    (tmp_path / "queue").write_text('{"name": "q", "type": "process"}')
    assert read_queue_file(tmp_path / "queue") == QueueFile(name="q", type="process")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: q\ntype: docker\nlimt: 3\n", r"field 'limt': .*A queue has: name, type"),
        ("type: docker\n", "field 'name'"),
        ("name: q\n", "field 'type'"),
        ("name: 3\ntype: docker\n", "field 'name'"),
        ("name: q\ntype: docker\nlimit: 0\n", "field 'limit'"),
        ("name: q\ntype: docker\nlimit: yes\n", "field 'limit'"),
        ("name: q\ntype: docker\nlimit: '3'\n", "field 'limit'"),
        ("name: q\ntype: docker\nvariables: [memory]\n", "field 'variables'"),
        ("name: q\ntype: docker\nvariables: {day: 2026-01-01}\n", "field 'variables"),
        ("name: q\ntype: docker\ntemplate: none\n", "field 'template'"),
        ("- name: q\n", "describes no queue"),
        ("", "describes no queue"),
        ("{", "no readable YAML"),
        ("a: !!python/object:os.system {}\n", "no readable YAML"),
        ("\x00", "no readable YAML"),
    ],
)
def test_what_is_wrong_is_told_by_name(tmp_path: Path, text: str, told: str) -> None:
    """In one line that names the file."""
    (tmp_path / "queue.yaml").write_text(text)
    with pytest.raises(BadInput, match=told) as caught:
        read_queue_file(tmp_path / "queue.yaml")
    assert "queue.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Bytes of something else."""
    (tmp_path / "queue.yaml").write_bytes(b"name: \xff\x80")
    with pytest.raises(BadInput, match="no readable YAML"):
        read_queue_file(tmp_path / "queue.yaml")
