"""What only the S3 kind can get wrong: lost replies, broken connections, servers that refuse, lie or are none."""

from __future__ import annotations

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from infrastructure.plugin import Bucket
from infrastructure.s3_server import PAGE
from s3_proxy import Answer, Forward, Proxy, Request, cut, error, proxy_to
from store_samples import make_job

from launch_jobs.errors import BadInput, LaunchError, NotFound, StoreError, Unavailable
from launch_jobs.job import Origin
from launch_jobs.store.access import S3Access
from launch_jobs.store.envelope import LARGEST_BYTES
from launch_jobs.store.jobs import open_store
from launch_jobs.store.s3 import S3Objects

HTML = Answer(200, b"<html><body>Welcome to nginx</body></html>", {"Content-Type": "text/html"})


@pytest.fixture(scope="module")
def running_proxy(s3_server: str) -> Generator[Proxy]:
    """A proxy before the S3 server."""
    with proxy_to(s3_server) as proxy:
        yield proxy


@pytest.fixture
def proxy(running_proxy: Proxy) -> Proxy:
    """The proxy, which forwards everything so far."""
    running_proxy.script = lambda _, forward: forward()
    running_proxy.requests.clear()
    return running_proxy


@pytest.fixture
def objects(s3: Bucket, proxy: Proxy) -> S3Objects:
    """Objects of a bucket, reached through the proxy."""
    return S3Objects(s3.name, "store", S3Access(endpoint_url=proxy.endpoint))


def lose_reply(_: Request, forward: Forward) -> None:
    """Do what was asked, and close the connection without an answer."""
    forward()


@pytest.mark.parametrize("expected", [None, b"before"])
def test_a_lost_reply_of_a_conditional_write(objects: S3Objects, proxy: Proxy, expected: bytes | None) -> None:
    """The SDK repeats the request and is refused, because the first one was carried out: we wrote."""
    if expected:
        objects.put_if_absent("a", expected)
    proxy.once(lose_reply)
    assert objects.replace("a", b"ours", expected=expected)
    assert objects.get("a") == b"ours"


def test_a_lost_reply_to_the_loser(objects: S3Objects, proxy: Proxy) -> None:
    """Whoever was too late is told so, also if the reply that said it was lost."""
    objects.put_if_absent("a", b"theirs")
    proxy.once(lose_reply)
    assert not objects.put_if_absent("a", b"ours")
    assert objects.get("a") == b"theirs"


def test_equal_content_of_another_writer_is_not_ours(objects: S3Objects) -> None:
    """Exactly one of two writers of the same bytes is told that it wrote."""
    assert objects.put_if_absent("a", b"same")
    assert not objects.put_if_absent("a", b"same")


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_a_conflict_is_tried_again(objects: S3Objects, proxy: Proxy, code: str) -> None:
    """409 says that nobody won yet."""
    proxy.once(lambda _, __: error(409, code))
    assert objects.put_if_absent("a", b"x")


def test_a_download_goes_on_where_it_broke_off(objects: S3Objects, proxy: Proxy, tmp_path: Path) -> None:
    """A connection that breaks in the middle of an object costs one more request, and no byte."""
    data = os.urandom(3 << 20)
    objects.put_if_absent("a", data)
    proxy.requests.clear()
    proxy.once(lambda _, forward: cut(forward(), 2_000_000))
    objects.download("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == data
    assert len(proxy.requests) == 2


def test_a_server_that_always_breaks_off(objects: S3Objects, proxy: Proxy) -> None:
    """Reading ends after a few tries that bring nothing, as something that can pass."""
    objects.put_if_absent("a", b"0123456789")
    proxy.script = lambda _, forward: cut(forward(), 0)
    with pytest.raises(Unavailable, match="a in s3://"):
        objects.get("a")


def test_an_object_that_changes_while_it_is_read(objects: S3Objects, proxy: Proxy, s3: Bucket) -> None:
    """The rest of another content is never joined to the first half."""
    objects.put_if_absent("a", b"0" * 100)

    def change(_: Request, forward: Forward) -> Answer:
        answer = cut(forward(), 50)
        s3.client.put_object(Bucket=s3.name, Key="store/a", Body=b"1" * 100)
        return answer

    proxy.once(change)
    with pytest.raises(Unavailable, match="changed while"):
        objects.get("a")


def test_a_document_of_any_size_does_not_fill_the_memory(objects: S3Objects, proxy: Proxy) -> None:
    """Reading a whole object stops at the largest size a document has."""
    big = Answer(200, bytes(LARGEST_BYTES + 2), {"ETag": '"x"'})
    proxy.script = lambda _, __: big
    with pytest.raises(StoreError, match="larger than"):
        objects.get("a")


def test_a_checksum_that_does_not_match(objects: S3Objects, proxy: Proxy) -> None:
    """What S3's own checksum refuses is damaged."""
    objects.put_if_absent("a", b"content")

    def change(_: Request, forward: Forward) -> Answer:
        answer = forward()
        return Answer(answer.status, b"CONTENT", answer.headers)

    proxy.script = change
    with pytest.raises(StoreError, match="checksum"):
        objects.get("a")


REFUSALS = [
    (403, "AccessDenied", StoreError, "s3:GetObject"),
    (403, "InvalidAccessKeyId", StoreError, "AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", StoreError, "AWS_SECRET_ACCESS_KEY"),
    (403, "RequestTimeTooSkewed", StoreError, "clock"),
    (400, "ExpiredToken", StoreError, "Log in again"),
    (404, "NoSuchBucket", BadInput, "Make the bucket"),
    (400, "AuthorizationHeaderMalformed", BadInput, "region"),
    (301, "PermanentRedirect", BadInput, "region"),
    (503, "SlowDown", Unavailable, "Try again"),
    (500, "InternalError", Unavailable, "Try again"),
    (400, "KMS.DisabledException", StoreError, "what the account may do"),
]
CALLS = ["get", "put_if_absent", "upload", "download", "delete", "keys", "digest"]


def call(objects: S3Objects, name: str, folder: Path) -> None:
    """Call a method with whatever it needs."""
    (folder / "file").write_bytes(b"x")
    match name:
        case "put_if_absent":
            objects.put_if_absent("a", b"x")
        case "upload":
            objects.upload("a", folder / "file")
        case "download":
            objects.download("a", folder / "new")
        case "keys":
            list(objects.keys("a/"))
        case _:
            getattr(objects, name)("a")


@pytest.fixture
def no_waiting(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """One try a request: the SDK's own pauses between tries are not what is tested."""
    del s3  # it clears the environment first
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("status", "code", "kind", "do"), REFUSALS, ids=[code for _, code, _, _ in REFUSALS])
def test_a_refusal_is_one_line(  # noqa: PLR0917
    objects: S3Objects,
    proxy: Proxy,
    tmp_path: Path,
    name: str,
    status: int,
    code: str,
    kind: type[LaunchError],
    do: str,
) -> None:
    """Every call says S3's code and request id and what to do, and never takes it for a missing object."""
    proxy.script = lambda _, __: error(status, code)
    with pytest.raises(kind) as caught:
        call(objects, name, tmp_path)
    said = str(caught.value)
    assert not isinstance(caught.value, NotFound)
    assert code in said
    assert "REQ1" in said
    assert do in said
    assert "\n" not in said
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", [*CALLS, "touch"])
@pytest.mark.parametrize(
    "answer", [HTML, Answer(404, HTML.body), Answer(200, b"\x00garbage")], ids=["page", "404", "junk"]
)
def test_an_endpoint_that_is_no_s3(objects: S3Objects, proxy: Proxy, tmp_path: Path, name: str, answer: Answer) -> None:
    """A web page is never taken for an object, an empty listing, a missing key or a write that was done."""
    proxy.script = lambda _, __: answer
    if name == "delete" and answer.status == 200:
        return  # S3's own answer to a delete says as little
    with pytest.raises(LaunchError) as caught:
        call(objects, name, tmp_path)
    if name != "touch":
        assert not isinstance(caught.value, NotFound)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("name", CALLS)
def test_a_server_that_is_not_there(s3: Bucket, tmp_path: Path, name: str) -> None:
    """Nobody at the endpoint is something that can pass, and names the endpoint."""
    objects = S3Objects(s3.name, access=S3Access(endpoint_url="http://127.0.0.1:9"))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        call(objects, name, tmp_path)


def test_a_bucket_that_does_not_exist(s3: Bucket) -> None:
    """A misspelt bucket is bad input that names it."""
    with pytest.raises(BadInput, match=rf"s3://{s3.name}-x/store.*NoSuchBucket.*Make the bucket"):
        open_store(f"s3://{s3.name}-x/store")


def test_no_credentials(s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an account the message says how to give one."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID"):
        open_store(s3.url)


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://x", "http://", "http://[x"])
def test_endpoints_that_are_none(s3: Bucket, endpoint: str) -> None:
    """An endpoint that is no URL is refused in one line."""
    with pytest.raises(LaunchError) as caught:
        open_store(s3.url, S3Access(endpoint_url=endpoint))
    assert "\n" not in str(caught.value)


def test_the_secret_is_not_printed() -> None:
    """The access may appear in a log."""
    assert "hush" not in repr(S3Access(access_key_id="me", secret_access_key="hush"))


@pytest.mark.parametrize("path", ["", "/", "/team", "/team/store/"])
def test_a_new_store_is_marked_and_opens_again(s3: Bucket, tmp_path: Path, path: str) -> None:
    """An empty place becomes a store; what was put is there the next time."""
    digest = open_store(f"s3://{s3.name}{path}").put_bytes(b"content")
    open_store(f"s3://{s3.name}{path}").get_blob(digest, tmp_path / "read")
    assert (tmp_path / "read").read_bytes() == b"content"


def test_somebody_elses_objects_are_no_store(s3: Bucket) -> None:
    """A place with other objects is refused and stays as it is; beside them a store can be."""
    s3.client.put_object(Bucket=s3.name, Key="photos/cat.jpg", Body=b"cat")
    for url in (f"s3://{s3.name}", f"s3://{s3.name}/photos"):
        with pytest.raises(StoreError, match="other objects"):
            open_store(url)
    open_store(f"s3://{s3.name}/photo")
    assert [found.get("Key") for found in s3.client.list_objects_v2(Bucket=s3.name).get("Contents", [])] == [
        "photo/launch-jobs-store",
        "photos/cat.jpg",
    ]


@pytest.mark.parametrize("ignored", ["If-None-Match", "If-Match"])
def test_a_server_that_ignores_conditions_is_refused(s3: Bucket, proxy: Proxy, ignored: str) -> None:
    """Where two writers could both win, no store is made, and none is left."""

    def forget(request: Request, forward: Forward) -> Answer:
        request.headers.pop(ignored, None)
        return forward()

    proxy.script = forget
    with pytest.raises(StoreError, match="conditional writes"):
        open_store(s3.url, S3Access(endpoint_url=proxy.endpoint))
    assert "Contents" not in s3.client.list_objects_v2(Bucket=s3.name)


def test_many_open_a_new_store_at_once(s3: Bucket) -> None:
    """Everyone finds the store that one of them made."""
    with ThreadPoolExecutor(8) as pool:
        for opened in [pool.submit(open_store, s3.url) for _ in range(8)]:
            assert opened.result().names() == []


def test_many_writers_publish_one_name(s3: Bucket) -> None:
    """Eight writers of equal and different jobs make dense versions, one a content, each whole."""

    def publish(n: int) -> list[tuple[str, int]]:
        store, words = open_store(s3.url), [f"own-{n}", "shared", f"pair-{n // 2}"]
        return [(word, store.add("digits", make_job(word), Origin()).version) for word in words]

    with ThreadPoolExecutor(8) as pool:
        told = [pair for pairs in pool.map(publish, range(8)) for pair in pairs]
    versions = open_store(s3.url).versions("digits")
    assert [version.version for version in versions] == list(range(8 + 1 + 4))
    assert len({version.digest for version in versions}) == 13
    assert all(versions[number].job == make_job(word) for word, number in told)


def big_file(folder: Path) -> Path:
    """A file that is sent in parts."""
    path = folder / "big"
    path.write_bytes(os.urandom(1 << 20) * 33)
    return path


def test_a_large_file_goes_in_parts(s3: Bucket, objects: S3Objects, tmp_path: Path) -> None:
    """What is larger than one request comes back byte for byte, and is written once."""
    path = big_file(tmp_path)
    objects.upload("a", path)
    objects.upload("a", path)
    objects.download("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert s3.client.head_object(Bucket=s3.name, Key="store/a")["ETag"].endswith('-3"')


def uploads(s3: Bucket) -> int:
    """How many uploads in parts are not ended."""
    return len(s3.client.list_multipart_uploads(Bucket=s3.name).get("Uploads", []))


@pytest.mark.usefixtures("no_waiting")
def test_a_failed_upload_leaves_no_parts(s3: Bucket, objects: S3Objects, proxy: Proxy, tmp_path: Path) -> None:
    """When a part is refused the others are removed, and there is no object."""

    def refuse(request: Request, forward: Forward) -> Answer:
        return error(503, "SlowDown") if "partNumber=2" in request.path else forward()

    proxy.script = refuse
    with pytest.raises(Unavailable, match="SlowDown"):
        objects.upload("a", big_file(tmp_path))
    assert uploads(s3) == 0
    assert list(objects.entries()) == []


def test_parts_of_a_killed_upload_are_found_and_removed(s3: Bucket, objects: S3Objects) -> None:
    """What no writer ended is named when it is old enough, and goes on demand; another store's stays."""
    for key in ("store/blobs/x", "other/y"):
        s3.client.create_multipart_upload(Bucket=s3.name, Key=key)
    began = datetime(2010, 11, 10, 20, 48, 33, tzinfo=UTC)  # moto tells this of every upload
    assert objects.unfinished(began, remove=True) == []
    (name,) = objects.unfinished(began + timedelta(seconds=1))
    assert name.startswith("blobs/x (upload ")
    assert objects.unfinished(datetime.now(UTC), remove=True) == [name]
    assert objects.unfinished(datetime.now(UTC)) == []
    assert uploads(s3) == 1


def test_a_listing_of_many_pages(objects: S3Objects) -> None:
    """More objects than one answer tells are all listed, in order."""
    names = [f"a/{n:04}" for n in range(2 * PAGE + 1)]
    for name in reversed(names):
        objects.put_if_absent(name, b"")
    assert list(objects.keys("a/")) == names


def test_strangers_are_entries_and_no_keys(s3: Bucket, objects: S3Objects) -> None:
    """Names that we never give are seen by a check and by nobody else."""
    objects.put_if_absent("a/x", b"")
    for key in ("store/a/", "store/a/é b", "store/a//x", "elsewhere"):
        s3.client.put_object(Bucket=s3.name, Key=key, Body=b"?")
    assert list(objects.keys("a/")) == ["a/x"]
    assert {entry.key for entry in objects.entries()} == {"a/", "a//x", "a/x", "a/é b"}


def test_an_old_object_is_made_young_by_a_copy(objects: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """Touching changes the time and nothing else."""
    objects.put_if_absent("a", b"content")
    monkeypatch.setattr("launch_jobs.store.s3._YOUNG", timedelta(seconds=-1))
    (before,) = objects.entries()
    while next(objects.entries()).modified == before.modified:
        objects.touch("a")
    assert objects.get("a") == b"content"


def test_a_young_object_is_not_copied(objects: S3Objects, proxy: Proxy) -> None:
    """What was written just now costs one look."""
    objects.put_if_absent("a", b"content")
    proxy.requests.clear()
    objects.touch("a")
    assert [request.split()[0] for request in proxy.requests] == ["HEAD"]
