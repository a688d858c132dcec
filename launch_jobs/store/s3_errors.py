"""Failures of S3 in our words: what to do, with S3's own code and request id for whoever runs the server."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from launch_jobs.errors import BadInput, LaunchError, NotFound, StoreError, Unavailable

_PLACE = {
    "NoSuchBucket": "Make the bucket, or mend its name in the store's URL",
    "InvalidBucketName": "Mend the bucket's name in the store's URL",
    "PermanentRedirect": "Name the bucket's own region (AWS_DEFAULT_REGION, or the region in the store's block)",
    "AuthorizationHeaderMalformed": "Name the bucket's own region (AWS_DEFAULT_REGION, or the store block's)",
    "IllegalLocationConstraintException": "Name the bucket's own region (AWS_DEFAULT_REGION, or the store block's)",
    "301": "Name the bucket's own region (AWS_DEFAULT_REGION, or the region in the store's block)",
}
"""The store's URL or region is wrong."""

_ACCOUNT = {
    "AccessDenied": "It needs s3:GetObject, PutObject, DeleteObject, ListBucket, AbortMultipartUpload there",
    "403": "It needs s3:GetObject, PutObject, DeleteObject, ListBucket, AbortMultipartUpload there",
    "InvalidAccessKeyId": "Mend AWS_ACCESS_KEY_ID, the AWS profile, or the store's block",
    "SignatureDoesNotMatch": "Mend AWS_SECRET_ACCESS_KEY, the AWS profile, or the store's block",
    "ExpiredToken": "Log in again: the session has expired",
    "InvalidToken": "Log in again: the session token is not valid",
    "RequestTimeTooSkewed": "Set this machine's clock",
}
"""The account or this machine is refused."""

_PASSING = {"SlowDown", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "Throttling"}

_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError)

SDK_ERRORS = (ClientError, BotoCoreError, Boto3Error, ResponseParserError)
"""Whatever boto3 raises."""


@contextmanager
def failures(what: str) -> Generator[None]:
    """Raise our errors instead of boto3's; `what` begins their message."""
    try:
        yield
    except SDK_ERRORS as error:
        raise explain(what, error) from error


def explain(what: str, error: Exception) -> LaunchError:
    """Our error for one of boto3's."""
    if isinstance(error, ClientError):
        return _answered(what, error)
    if isinstance(error, _NO_CREDENTIALS):
        return StoreError(f"{what}: {error}", do="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or an AWS profile")
    if isinstance(error, SSLError):
        return StoreError(f"{what}: {_line(error)}", do="Trust the server's certificate by AWS_CA_BUNDLE")
    if isinstance(error, NoConnection | HTTPClientError | IncompleteReadError):
        return Unavailable(f"{what}: {_line(error)}", do="Try again; see that the S3 endpoint is right and reachable")
    if isinstance(error, ResponseParserError):
        return no_s3(what)
    return StoreError(f"{what}: {_line(error)}", do="Check the store's URL and the AWS configuration")


def no_s3(what: str) -> StoreError:
    """The endpoint answers, but not as S3 does."""
    return StoreError(f"{what}: the endpoint does not answer as S3 does", do="Check the store's endpoint URL")


def code_of(error: ClientError) -> str:
    """S3's error code, or the HTTP status where it gave none."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: ClientError) -> int:
    """The HTTP status of an answer."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def was_repeated(error: ClientError) -> bool:
    """Whether the SDK had sent the request before, so that this answer may be to its own earlier success."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0


def _answered(what: str, error: ClientError) -> LaunchError:
    code, status = code_of(error), status_of(error)
    request = error.response.get("ResponseMetadata", {}).get("RequestId", "")
    said = _line(error.response.get("Error", {}).get("Message") or "no reason given")
    what = f"{what}: S3 says {code}: {said}" + (f" (request {request})" if request else "")
    if code == "NoSuchKey":
        return NotFound(what)
    if code in _PLACE:
        return BadInput(what, do=_PLACE[code])
    if code in _ACCOUNT:
        return StoreError(what, do=_ACCOUNT[code])
    if status >= 500 or status == 429 or code in _PASSING:
        return Unavailable(what, do="Try again in a while")
    if not request:
        return no_s3(what)
    return StoreError(what, do="Check the store's URL, and what the account may do")


def _line(said: object) -> str:
    """One line of at most 300 signs: an endpoint's garbage does not fill the terminal."""
    return " ".join(str(said).split())[:300].rstrip(".")
