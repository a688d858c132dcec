"""An operator's account for a git host: used there, nowhere else, and seen by nobody."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from infrastructure.git_server import SECRETS, TOKEN, USER, GitHost, git_host
from repositories import Repo, tree_of

from launch_jobs.capture import capture_git
from launch_jobs.capture.git_account import GitAccount, offer_account
from launch_jobs.capture.source import checkout
from launch_jobs.errors import BadInput, Unavailable
from launch_jobs.store.jobs import JobStore

ENTRYPOINT = ["python", "train.py"]


@pytest.fixture
def host(repo: Repo, tmp_path: Path, user_config: Path) -> Generator[GitHost]:
    """A private host with one repository; the user's own configuration knows nothing of it."""
    del user_config
    folder = tmp_path / "hosted"
    repo.git("clone", "--quiet", "--bare", str(repo.root), str(folder / "repo.git"))
    with git_host(folder) as host:
        yield host
    offer_account(None)


def use(host: str, token: str = TOKEN) -> None:
    """Offer an account for a host."""
    account = GitAccount(host, USER, token)
    offer_account(lambda: account)


def test_without_an_account_a_private_repository_is_one_clear_error(host: GitHost, store: JobStore) -> None:
    """It names the address, what git said, and the setting."""
    with pytest.raises(Unavailable, match=rf"cannot fetch 'HEAD' from {host.address}.*git_credentials"):
        capture_git(f"{host.address}/repo.git", ENTRYPOINT, store=store)


def test_with_an_account_it_is_captured_and_checked_out(
    host: GitHost, store: JobStore, repo: Repo, tmp_path: Path
) -> None:
    """Byte for byte, by both ways to a remote."""
    use(host.name)
    version = capture_git(f"{host.address}/repo.git", ENTRYPOINT, store=store)
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out") == tree_of(repo.root)
    assert version.origin.remote == f"{host.address}/repo.git"


def test_the_account_is_left_nowhere(
    host: GitHost, store: JobStore, tmp_path: Path, user_config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in a command line, nor in any file (not even by a credential helper of the user's), nor in output."""
    user_config.write_text("[credential]\n\thelper = store\n")
    use(host.name)
    capture_git(f"{host.address}/repo.git", ENTRYPOINT, store=store)
    assert f"Basic {SECRETS[1]}" in host.authorizations
    assert host.arguments == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    said = "".join(capfd.readouterr()).encode()
    assert not [path for path in files for secret in SECRETS if secret.encode() in path.read_bytes() + said]


def test_the_account_goes_to_no_other_host(host: GitHost, store: JobStore) -> None:
    """Another port is another host."""
    with git_host(host.folder) as other:
        use(other.name)
        with pytest.raises(Unavailable):
            capture_git(f"{host.address}/repo.git", ENTRYPOINT, store=store)
    assert set(host.authorizations) == {None}


def test_a_redirect_to_another_host_is_not_followed(host: GitHost, store: JobStore) -> None:
    """The other host is not even asked."""
    use(host.name)
    with git_host(host.folder) as other:
        host.elsewhere = other.address
        with pytest.raises(Unavailable, match="302"):
            capture_git(f"{host.address}/repo.git", ENTRYPOINT, store=store)
        assert other.authorizations == []


def test_an_address_that_configuration_turns_elsewhere_takes_no_account(
    host: GitHost, store: JobStore, user_config: Path
) -> None:
    """`insteadOf` leads to another host, which gets nothing."""
    use(host.name)
    with git_host(host.folder) as other:
        user_config.write_text(f'[url "{other.address}"]\n\tinsteadOf = {host.address}\n')
        with pytest.raises(Unavailable):
            capture_git(f"{host.address}/repo.git", ENTRYPOINT, store=store)
        assert set(other.authorizations) == {None}


def test_a_wrong_token_is_said_without_the_token(host: GitHost, store: JobStore) -> None:
    """The error is for logs."""
    use(host.name, "another-secret")
    with pytest.raises(Unavailable, match="cannot fetch") as refusal:
        capture_git(f"{host.address}/repo.git", ENTRYPOINT, store=store)
    assert "another-secret" not in repr(refusal.value)


def test_a_host_elsewhere_is_sent_the_account_over_https_only() -> None:
    """Plain http would show it to everyone on the way; on this machine there is nobody."""

    def keys(host: str) -> set[str]:
        found = GitAccount(host, USER, TOKEN).environment({})
        return {value.partition("://")[0] for name, value in found.items() if name.startswith("GIT_CONFIG_KEY_")}

    assert keys("github.com") == keys("git.example.org:8443") == {"http.https"}
    assert keys("localhost:3000") == keys("127.0.0.1") == keys("[::1]:3000") == {"http.https", "http.http"}


def test_configuration_the_caller_passes_by_environment_is_kept() -> None:
    """Ours is numbered after it."""
    found = GitAccount("github.com", USER, TOKEN).environment({"GIT_CONFIG_COUNT": "2"})
    assert found["GIT_CONFIG_COUNT"] == "4"
    assert "GIT_CONFIG_KEY_0" not in found
    assert found["GIT_CONFIG_KEY_2"] == "http.https://github.com/.extraHeader"


@pytest.mark.parametrize("host", ["", "https://github.com", "github.com/me", "me@github.com", "a b", "a\n", "host:x"])
def test_what_is_no_host_is_refused(host: str) -> None:
    """The message says how one is written."""
    with pytest.raises(BadInput, match=r"no git host.*github\.com"):
        GitAccount(host, USER, TOKEN).environment({})


def test_a_token_shows_in_no_repr() -> None:
    """Tracebacks print it."""
    assert TOKEN not in repr(GitAccount("github.com", USER, TOKEN))
