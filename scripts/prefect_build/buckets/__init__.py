"""Buckets that flow code can be stored in: one module for each cloud."""

from __future__ import annotations

from nyc_taxi.errors import InvalidInputError

from .base import Bucket, StoredObject

__all__ = ["Bucket", "StoredObject", "open_bucket"]


def open_bucket(s3: str | None, profile: str | None, gcs: str | None) -> Bucket | None:
    """Return the bucket of this name; None if no name is given."""
    if s3 and gcs:
        raise InvalidInputError(
            "code is stored in one bucket; give either --s3-bucket or --gcs-bucket"
        )
    if s3:
        from .s3 import S3Bucket  # each client takes a second to import

        return S3Bucket(s3, profile)
    if gcs:
        from .gcs import GcsBucket

        return GcsBucket(gcs)
    return None
