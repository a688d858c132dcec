"""Which git remotes are fetched from (the names of rows are those of LAUNCH_FEATURES C1 and RELIABILITY B70)."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch_jobs.capture import capture_git
from launch_jobs.capture.remote_rule import EVERYWHERE, check_remote
from launch_jobs.capture.remote_way import way_to
from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.store.jobs import open_store

ACCEPTED = {
    "https://github.com/o/r": "github.com",
    "https://github.com/o/r.git": "github.com",
    "ssh://git@github.com/o/r.git": "github.com",
    "git@github.com:o/r.git": "github.com",
    "git@host.example.com:group/sub/repo.git": "host.example.com",
    "https://code.example.com/x": "code.example.com",
    "ssh://git@host.example.com:2222/o/r": "host.example.com",
    "https://GitHub.com./o/r": "github.com",
    "git@10.0.0.5:o/r.git": "10.0.0.5",
    "work-alias:o/r.git": "work-alias",
}
REFUSED = [
    *("file:///tmp/x.git", "ext::sh -c touch% /tmp/x", "EXT::sh -c x", "fd::17/foo", "git://github.com/o/r"),
    *("http://github.com/o/r", "/tmp/local/repo", ".", "./rel", "-u./x", "--upload-pack=echo", "-x@host:path"),
    *("ssh://-oProxyCommand=x/y", "git@-host:x", "git@-oProxyCommand=x:y", "ssh://-l@host/x", "HTTPS://github.com/o/r"),
    *("https://github.com/o/r\n", "https://github.com/\r", "https://github.com/\0", "https://git hub.com/x", "c:\\x"),
    *("https://gith\u0443b.com/o/r", "https://xn--gthub-n4a.com/o/r", "https://github.com:0/o/r", "c:/x/y"),
    *("https://github.com:99999/o/r", "https://github.com:x/o/r", "https://github.com:/o/r", "https://github.com/"),
    *(
        "https://169.254.169.254/x",
        "https://[fe80::1]/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://0.0.0.0/x",
    ),
    *("https://2130706433/x", "https://0x7f.1/x", "https://127.1/x", "https://[::ffff:169.254.169.254]/x"),
    *("https://localhost/x", "https://a.localhost/x", "https://metadata.google.internal/x", "git@localhost:x"),
    *("https://good.example\\@evil.example/x", "https:///x", "", "https://" + "a" * 3000, "git@host:-x", "host::x"),
]


@pytest.mark.parametrize("url", ACCEPTED)
def test_a_remote_of_a_host_elsewhere_is_accepted(url: str) -> None:
    """By https and ssh, to any host."""
    assert check_remote(url).host == ACCEPTED[url]


@pytest.mark.parametrize("url", REFUSED)
def test_any_other_address_is_refused(url: str) -> None:
    """Whether git would run a program, ask this machine itself, or show the source to everyone on the way."""
    with pytest.raises(Refused, match="no git remote to fetch from"):
        check_remote(url)


@pytest.mark.parametrize("url", [url for url in REFUSED if url and "\0" not in url and url not in (".", "./rel")])
def test_refused_before_git_starts(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no git on PATH the answer is the same."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError) as refusal:
        capture_git(url, ["python", "x.py"], store=open_store((tmp_path / "store").as_uri()))
    # Without a scheme and a host it is the path of a folder, which is not there.
    assert refusal.value.exit_code == (2 if url == "/tmp/local/repo" else 3)


WIDENED = [
    ("http://127.0.0.1:3000", "http://127.0.0.1:3000/x", "http://127.0.0.1:3001/x"),
    ("http://localhost", "http://localhost:99/x", "http://127.0.0.1/x"),
    ("https://*.example.org", "https://git.example.org/x", "https://example.org/x"),
    ("ssh://github.com", "git@github.com:o/r", "git@gitlab.com:o/r"),
    ("file:///srv/git", "/srv/git/a.git", "/srv/git/../secret"),
    ("file:///srv/git", "file:///srv/git/a.git", "file:///srv/github/a.git"),
    ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example/x", "https://buecher.example/x"),
    (EVERYWHERE, "https://github.com/x", "git://github.com/x"),
]


@pytest.mark.parametrize(("rule", "inside", "outside"), WIDENED)
def test_an_operator_widens_and_narrows(rule: str, inside: str, outside: str) -> None:
    """By scheme, host, port and folder; what is refused says by which rule."""
    check_remote(inside, rule)
    with pytest.raises(Refused, match="git_remotes"):
        check_remote(outside, rule)


@pytest.mark.parametrize(
    "rule", ["ext://*", "github.com", "https://", "file://host/x", "https://-x", "https://h/../x y"]
)
def test_a_setting_that_is_no_rule_says_so(rule: str) -> None:
    """Before anything is fetched."""
    with pytest.raises(BadInput, match="git_remotes"):
        check_remote("https://github.com/o/r", rule)


@pytest.fixture
def bare_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose operator said nothing of remotes."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path))
    for name in ("LAUNCH_JOBS_GIT_REMOTES", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare_home")
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:127.0.0.1"])
def test_a_name_that_leads_to_this_machine_is_refused(address: str) -> None:
    """A public name may be made to point to the agent's own services, or its cloud's metadata."""
    with pytest.raises(Refused, match="this machine or its link"):
        way_to("https://rebinding.example/x", {}, lambda _host, _port: ["93.184.216.34", address])


@pytest.mark.usefixtures("bare_home")
def test_git_is_held_to_the_checked_address_and_kinds() -> None:
    """So that a second look-up cannot lead elsewhere, nor a redirect."""
    told = way_to("https://host.example:8443/x", {"GIT_CONFIG_COUNT": "1"}, lambda _host, _port: ["93.184.216.34"])
    assert told["GIT_ALLOW_PROTOCOL"] == "https:ssh"
    keys = {told[f"GIT_CONFIG_KEY_{number}"]: told[f"GIT_CONFIG_VALUE_{number}"] for number in (1, 2)}
    assert keys == {"http.followRedirects": "false", "http.curloptResolve": "host.example:8443:93.184.216.34"}
    assert told["GIT_CONFIG_COUNT"] == "3"
