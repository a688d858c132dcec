"""One boto3 client an account, with bounded waiting."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from launch_jobs.errors import BadInput
from launch_jobs.store.access import S3Access
from launch_jobs.store.s3_errors import failures

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def _config() -> Config:
    """Made anew for each client: botocore writes what AWS_MAX_ATTEMPTS says into the one that it is given."""
    return Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard"},  # three tries; AWS_MAX_ATTEMPTS changes it
        max_pool_connections=32,
        user_agent_extra="launch-jobs",
    )


def s3_client(access: S3Access) -> S3Client:
    """The client for an account.

    Raises:
        BadInput: the endpoint is no URL.
        StoreError: the AWS configuration is not whole.
    """
    # What boto3 reads from the environment: another account there needs another client.
    return _made(access, tuple(sorted((name, os.environ[name]) for name in os.environ if name.startswith("AWS_"))))


@lru_cache(maxsize=8)
def _made(access: S3Access, environment: tuple[tuple[str, str], ...]) -> S3Client:
    """Kept, with its connections: making a client takes 50 ms, and its calls are thread-safe."""
    del environment
    try:
        with failures("the S3 client cannot be made"):
            session = boto3.Session(
                aws_access_key_id=access.access_key_id,
                aws_secret_access_key=access.secret_access_key,
                region_name=access.region,
            )
            return session.client("s3", endpoint_url=access.endpoint_url, config=_config())  # pyright: ignore[reportUnknownMemberType] # stubs of the other services are not installed
    except ValueError as error:
        raise BadInput(f"the S3 client cannot be made: {error}", do="Check the store's endpoint URL") from error
