"""What engines say of registries, told apart: each has one error for all."""

from __future__ import annotations

import itertools

import pytest

from launch_jobs.engine import EngineRefused
from launch_jobs.engine_images import checked, registry_errors
from launch_jobs.errors import BadInput, LaunchError, NotFound, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.names import ImageRef

URL = '"https://registry.example/v2/"'
WORDS = {
    Unavailable: [
        f"Get {URL}: dial tcp 10.0.0.1:443: connect: connection refused",
        f"Get {URL}: dial tcp: lookup registry.example on 10.0.0.2:53: no such host",
        f"Get {URL}: net/http: TLS handshake timeout",
        f"Get {URL}: net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        f"Head {URL}: EOF",
        "write tcp 10.0.0.3:1->10.0.0.1:443: write: broken pipe",
        "received unexpected HTTP status: 503 Service Unavailable",
        "unexpected status from HEAD request to https://registry.example/v2/x: 500 Internal Server Error",
        "error parsing HTTP 429 response body: invalid character 'T'",
        "toomanyrequests: You have reached your pull rate limit",
    ],
    Refused: [
        "no basic auth credentials",
        "unauthorized: authentication required",
        "denied: requested access to the resource is denied",
        "unexpected status from POST request to https://registry.example/v2/x: 403 Forbidden",
        "manifest verification failed for digest sha256:" + "4" * 64,
        "filesystem layer verification failed for digest sha256:" + "5" * 64,
    ],
    NotFound: ["manifest unknown: manifest unknown", "failed to resolve reference: registry.example/x:1: not found"],
    BadInput: [
        f"Get {URL}: x509: certificate signed by unknown authority",
        f"Get {URL}: http: server gave HTTP response to HTTPS client",
        "invalid reference format",
    ],
}


@pytest.mark.parametrize(("kind", "said"), [(kind, said) for kind, all_said in WORDS.items() for said in all_said])
def test_an_engines_words_become_the_error_they_mean(kind: type[LaunchError], said: str) -> None:
    """In one line that quotes them and names the image."""
    reference = ImageRef.parse("registry.example:5003/x:403")
    with pytest.raises(kind) as caught, registry_errors(reference):
        raise EngineRefused(f"Docker Engine refuses: {said}")
    assert type(caught.value) is kind
    assert f"registry.example:5003/x:403: {said}" in str(caught.value)


def test_a_stream_is_left_at_the_step_after_the_word() -> None:
    """A push that nobody wants any more does not go on to its end."""
    steps: itertools.repeat[JsonObject] = itertools.repeat({"status": "Pushing"})
    going = iter([True, True, False])
    assert checked(steps, lambda: next(going)) == []
    assert next(going, None) is None


def test_the_first_failure_of_a_stream_is_told_when_it_has_ended() -> None:
    """Read to its end, it gives its connection back."""
    steps: list[JsonObject] = [{"status": "x"}, {"error": "first"}, {"error": "second"}]
    left = iter(steps)
    with pytest.raises(EngineRefused, match="first"):
        checked(left, lambda: True)
    assert next(left, None) is None
