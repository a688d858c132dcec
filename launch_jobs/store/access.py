"""How an S3 store is reached; data only, so that naming it does not import the S3 SDK."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class S3Access:
    """Where an S3 server is, and the account to use there; what is left open is as boto3 finds it.

    Attributes:
        endpoint_url: of an S3-compatible server; None: AWS, or `AWS_ENDPOINT_URL`.
        region: the bucket's region; None: as the AWS configuration says.
        access_key_id: None: as boto3 finds credentials (environment, profile, instance role).
        secret_access_key: of the access key; never printed.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
