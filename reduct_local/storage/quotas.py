"""Quotas: whether a record may come in, and what goes to make room for it."""

from ..errors import ApiError
from ..names import is_meta
from .state import Bucket, Entry
from .store import Store


def check_storage(store: Store, size: int, limit: int | None) -> None:
    """Refuse a record that all buckets together have no room for (500)."""
    if limit is not None and sum(one.size for one in store.buckets.values()) + size > limit:
        raise ApiError(500, "storage limit exceeded")


def make_room(store: Store, bucket: Bucket, size: int) -> None:
    """Refuse a record beyond a HARD quota (400); drop oldest blocks for a FIFO one.

    Raises ApiError 500 where even an empty FIFO bucket is too small; the blocks are gone then.
    """
    settings = bucket.settings
    if settings.quota_type == "NONE" or bucket.size + size <= settings.quota_size:
        return
    if settings.quota_type == "HARD":
        raise ApiError(400, f"Quota of '{bucket.name}' exceeded")
    while bucket.size + size > settings.quota_size:
        oldest = _oldest(bucket)
        if oldest is None:
            raise ApiError(500, f"Failed to keep quota of '{bucket.name}'")
        store.drop_block(oldest, oldest.blocks[oldest.oldest])


def _oldest(bucket: Bucket) -> Entry | None:
    """Return the entry with the oldest block; attachments are spared."""
    filled = (one for one in bucket.entries.values() if one.firsts and not is_meta(one.name))
    return min(filled, key=lambda entry: (entry.oldest, entry.name), default=None)
