"""Datasets in S3: what lies there is recorded by version or ETag when a job is captured."""

from __future__ import annotations

from launch_jobs.job import Dataset, DatasetOrigin
from launch_jobs.store.jobs import JobStore
from launch_jobs.store.s3_datasets import list_objects, listing_bytes


def declare_objects(name: str, url: str, store: JobStore) -> tuple[Dataset, DatasetOrigin]:
    """A dataset of one object (`s3://bucket/key`), or of all whose key begins so (`s3://bucket/prefix/`).

    Raises:
        BadInput: the URL names nothing.
        NotFound: there is no such object.
        Refused, StoreError, Unavailable: S3 does not give it.
    """
    objects = list_objects(name, url)
    blob = store.put_bytes(listing_bytes(objects))
    dataset = Dataset(name=name, url=url, digest=blob, is_file=not url.endswith("/"))
    size = sum(one.size for one in objects)
    return dataset, DatasetOrigin(declared=url, blob=blob, files=len(objects), size=size)
