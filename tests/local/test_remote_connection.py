"""What clients of a server elsewhere are told; no server is needed."""

from __future__ import annotations

import pytest

from launch_jobs.errors import BadInput
from launch_jobs.local.connection import client_environment
from launch_jobs.local.remote import Credential, remote, server_url


def test_no_credential_of_another_server_is_left_to_send() -> None:
    """What this server does not ask for is set empty, for the environment or a profile may have one."""
    told = client_environment(remote("https://server/api", Credential()), {})
    assert told == {"PREFECT_API_URL": "https://server/api", "PREFECT_API_AUTH_STRING": "", "PREFECT_API_KEY": ""}
    told = client_environment(remote("https://server/api", Credential(api_key="key")), {})
    assert (told["PREFECT_API_KEY"], told["PREFECT_API_AUTH_STRING"]) == ("key", "")


def test_a_server_elsewhere_is_reached_through_the_proxy() -> None:
    """Only loopback is taken out of it."""
    proxy = {"HTTP_PROXY": "http://proxy:3128"}
    assert "NO_PROXY" not in client_environment(remote("https://server/api", Credential()), proxy)
    assert "NO_PROXY" in client_environment(remote("http://127.0.0.1:4200/api", Credential()), proxy)


@pytest.mark.parametrize("credential", [Credential(auth_string="a:hidden"), Credential(api_key="hidden")])
def test_a_credential_shows_in_no_repr(credential: Credential) -> None:
    """Tracebacks print it."""
    assert "hidden" not in f"{credential!r} {remote('https://server/api', credential)!r}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://gpu-box:4200", "http://gpu-box:4200/api"),
        ("http://gpu-box:4200/", "http://gpu-box:4200/api"),
        ("http://gpu-box:4200/api", "http://gpu-box:4200/api"),
        (" https://host/prefect/api/\n", "https://host/prefect/api"),
        ("http://[::1]:4200", "http://[::1]:4200/api"),
    ],
)
def test_an_address_may_leave_api_away(text: str, url: str) -> None:
    """As one copies it from a browser or from PREFECT_API_URL."""
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text", ["", "host", "http:///api", "http://h?x=1", "http://h#x", "http://h:99999", "http://a\nb"]
)
def test_what_is_no_address_is_bad_input(text: str) -> None:
    """The message says how one is written."""
    with pytest.raises(BadInput, match="HOST:4200"):
        server_url(text)
