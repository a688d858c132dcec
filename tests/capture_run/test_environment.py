"""Which distributions a job needs: the rule, over what an interpreter says it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from launch_jobs.capture.environment import Evidence, Mode, environment_of, without_credentials
from launch_jobs.capture.probed import Installed, Probe
from launch_jobs.errors import CaptureError
from launch_jobs.job import Distribution, JsonObject

SITE = "/v/lib/python3.11/site-packages"
ROOT = Path("/w/tree")


def dist(
    name: str, *modules: str, requires: tuple[str, ...] = (), direct_url: JsonObject | None = None, location: str = SITE
) -> Installed:
    """An installed distribution."""
    return Installed(
        name=name, version="1.0", location=location, requires=requires, modules=modules, direct_url=direct_url
    )


def needed(
    *installed: Installed,
    imported: dict[str, str | None] | None = None,
    scanned: tuple[str, ...] = (),
    declared: tuple[str, ...] = (),
    local: tuple[str, ...] = (),
    mode: Mode = "project",
) -> list[Distribution]:
    """The job's distributions, of those that are installed."""
    probe = Probe(
        python="3.11.7",
        implementation="cpython",
        system="Linux",
        machine="x86_64",
        prefix="/v",
        executable="/v/bin/python",
        markers={"sys_platform": "linux", "python_version": "3.11"},
        distributions=installed,
    )
    evidence = Evidence(ROOT, local, imported or {}, scanned, tuple(map(Requirement, declared)))
    return list(environment_of(probe, evidence, mode).distributions)


def names(found: list[Distribution]) -> list[str]:
    """Their names."""
    return [one.name for one in found]


def test_requirements_are_followed_with_markers_and_extras() -> None:
    """A requirement counts where its marker holds; an extra's only where somebody asks for the extra."""
    installed = (
        dist("A", "a", requires=("b[fast]>1", 'w; sys_platform == "win32"')),
        dist("b", "b", requires=('c; extra == "fast"', 'd; extra == "slow"')),
        *(dist(name, name) for name in "cdw"),
    )

    assert names(needed(*installed, imported={"a": f"{SITE}/a.py"})) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("imported", ["a"]), ("project", ["a", "b", "c"]), ("full", ["a", "b", "c", "d"])],
)
def test_modes_choose_the_evidence(mode: Mode, expected: list[str]) -> None:
    """imported: what ran; project: also what the source can import and declares; full: all but the installers."""
    installed = (*(dist(name, name) for name in "abcd"), dist("pip", "pip"), dist("setuptools", "_distutils_hack"))
    imported: dict[str, str | None] = {"a": f"{SITE}/a.py", "_distutils_hack": f"{SITE}/_distutils_hack/__init__.py"}

    assert names(needed(*installed, imported=imported, scanned=("b.x",), declared=("C",), mode=mode)) == expected


def test_installers_count_where_they_are_required() -> None:
    """setuptools is needed by what requires it."""
    installed = (dist("a", "a", requires=("setuptools",)), dist("setuptools", "setuptools"))

    assert names(needed(*installed, scanned=("a",))) == ["a", "setuptools"]


def test_a_file_of_the_source_goes_before_a_distribution() -> None:
    """A module of the tree is not the distribution of the same name, imported or only read."""
    imported: dict[str, str | None] = {"data": "/w/tree/data.py"}

    assert needed(dist("data", "data"), imported=imported, scanned=("data",), local=("data",)) == []


def test_a_namespace_package_means_only_the_distribution_asked_for() -> None:
    """Of the distributions that share a top-level name, the one that has the module is meant."""
    installed = (dist("g-one", "g.one", "g.one.x"), dist("g-two", "g.two"))

    assert names(needed(*installed, scanned=("g", "g.two", "g.two.Thing"))) == ["g-two"]
    assert names(needed(*installed, imported={"g": None, "g.one.x": f"{SITE}/g/one/x.py"})) == ["g-one"]


def test_an_editable_install_inside_the_tree_is_carried() -> None:
    """It is origin `source`, with its path in the tree, found by its file wherever it lies."""
    editable: JsonObject = {"url": "file:///w/tree/lib%20a", "dir_info": {"editable": True}}

    (found,) = needed(dist("Lib_A", direct_url=editable), imported={"lib_a": "/w/tree/lib a/src/lib_a/__init__.py"})

    assert found == Distribution(name="lib-a", version="1.0", origin="source", url="lib a")


def test_a_script_beside_an_editable_package_does_not_need_it() -> None:
    """An example in the repository of an installed package needs that package only if it imports it."""
    editable: JsonObject = {"url": "file:///w/tree", "dir_info": {"editable": True}}
    package = dist("p", "p", direct_url=editable)
    imported: dict[str, str | None] = {"__main__": "/w/tree/examples/train.py", "more": "/w/tree/examples/more.py"}

    assert needed(package, imported=imported) == []
    assert names(needed(package, imported={**imported, "p.x": "/w/tree/p/x.py"})) == ["p"]


def test_an_editable_install_outside_the_tree_is_refused_by_name() -> None:
    """What cannot be carried is refused where it is needed, and ignored where it is not."""
    editable: JsonObject = {"url": "file:///w/other", "dir_info": {"editable": True}}

    with pytest.raises(CaptureError, match=r"other-lib.*outside the source tree"):
        needed(dist("other_lib", "other", direct_url=editable), scanned=("other",))
    assert needed(dist("other_lib", "other", direct_url=editable)) == []


def test_direct_references_keep_commit_and_hash_and_lose_credentials() -> None:
    """VCS and URL installs name exactly what was installed, and no secret."""
    vcs: JsonObject = {
        "url": "https://user:token@h.org/r.git",
        "vcs_info": {"vcs": "git", "commit_id": "c0ffee"},
        "subdirectory": "py",
    }
    wheel: JsonObject = {"url": "https://h.org/x.whl", "archive_info": {"hashes": {"sha256": "ab"}}}

    found = needed(dist("v", "v", direct_url=vcs), dist("w", "w", direct_url=wheel), scanned=("v", "w"))

    assert [(one.origin, one.url) for one in found] == [
        ("vcs", "git+https://h.org/r.git@c0ffee#subdirectory=py"),
        ("url", "https://h.org/x.whl#sha256=ab"),
    ]


def test_the_user_of_an_ssh_address_stays() -> None:
    """`git@` is no secret: without it the address means somebody else."""
    assert without_credentials("ssh://git@h.org/r") == "ssh://git@h.org/r"
    assert without_credentials("https://token@h.org/r") == "https://h.org/r"


def test_a_built_egg_info_in_the_tree_hides_no_install() -> None:
    """Metadata that a build left in the source tree is no distribution; the editable install is."""
    editable: JsonObject = {"url": "file:///w/tree", "dir_info": {"editable": True}}
    installed = (dist("p", "p", location="/w/tree"), dist("p", "p", direct_url=editable))

    (found,) = needed(*installed, imported={"p": "/w/tree/p.py"})

    assert (found.origin, found.url) == ("source", ".")
