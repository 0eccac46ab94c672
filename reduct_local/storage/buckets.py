"""Buckets: creation, settings, renaming; their removal is in `removals`."""

import json
from collections.abc import Mapping

from ..errors import ApiError
from ..names import check_bucket_name, check_length
from ..settings import BucketSettings
from .model import BucketInfo
from .state import Bucket
from .store import Store, check_bucket, check_entry


class Buckets:
    """What can be done with buckets as a whole."""

    def __init__(self, store: Store, defaults: BucketSettings) -> None:
        self._store = store
        self._defaults = defaults

    def create(self, name: str, change: Mapping[str, object] | None) -> None:
        """Create a bucket: 422 name or settings, 409 exists."""
        settings = self._defaults.changed(change or {})
        check_bucket_name(name)
        if name in self._store.buckets:
            raise ApiError(409, f"Bucket '{name}' already exists")
        with self._store.database.transaction:
            self._store.create_bucket(name, settings)

    def change(self, name: str, change: Mapping[str, object] | None) -> None:
        """Change settings: 422, 404, 409 provisioned or something is deleting."""
        # The real server reads the body first.
        self._defaults.changed(change or {})
        bucket = self._store.bucket(name)
        if bucket.provisioned:
            raise ApiError(409, f"Can't change settings of provisioned bucket '{name}'")
        for entry in bucket.entries.values():
            check_entry(entry)
        settings = bucket.settings.changed(change or {})
        with self._store.database.transaction:
            self._store.database.execute(
                "UPDATE buckets SET settings = ? WHERE id = ?",
                (json.dumps(settings.to_dict()), bucket.id),
            )
            bucket.settings = settings

    def settings(self, name: str) -> BucketSettings:
        """Return the settings: 404, 409."""
        return self._store.bucket(name).settings

    def info(self, name: str) -> BucketInfo:
        """Return the statistics: 404, 409."""
        return self._store.bucket(name).info()

    def infos(self) -> list[BucketInfo]:
        """Return the statistics of all, by name."""
        return [self._store.buckets[name].info() for name in sorted(self._store.buckets)]

    def rename(self, old: str, new: str) -> None:
        """Rename a bucket: 422 name, 409 target exists, 404, 409 provisioned or deleting."""
        check_bucket_name(new)
        if new in self._store.buckets:
            raise ApiError(409, f"Bucket '{new}' already exists")
        bucket = self.find(old)
        if bucket.provisioned:
            raise ApiError(409, f"Can't rename provisioned bucket '{old}'")
        check_bucket(bucket)
        check_length(new)
        with self._store.database.transaction:
            self._store.database.execute(
                "UPDATE buckets SET name = ? WHERE id = ?", (new, bucket.id)
            )
            del self._store.buckets[old]
            bucket.name = new
            self._store.buckets[new] = bucket

    def find(self, name: str) -> Bucket:
        """Return a bucket, also one that is being removed: 404."""
        bucket = self._store.buckets.get(name)
        if bucket is None:
            raise ApiError(404, f"Bucket '{name}' is not found")
        return bucket
