"""Batches of writes, updates and removals: split into the requests that carry them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import httpx

from reduct_api import api

from . import labels as label_codec
from . import names
from .batches import Item, MultiEntryBatch, SingleEntryBatch
from .errors import ReductError
from .gates import Mode, entry_claims
from .headers import ENTRIES, LABELS, START, RecordHead, v2_errors, v2_headers
from .writes import (
    Call,
    Errors,
    RecordKey,
    parse_v1_errors,
    update_call,
    v1_record_headers,
    v1_removal,
    write_call,
)

MAX_RECORDS = 80
"""Records in one request: the server takes 100 header lines, the rest is for HTTP's own."""

MAX_HEADER_BYTES = 400_000
"""Bytes of record headers in one request; the server takes 512,000 in all."""

MAX_BODY_BYTES = 8_000_000
"""Bytes of payload in one batch request; a larger record has a request of its own."""


def _parse_v2_errors(response: httpx.Response) -> Errors:
    return v2_errors(response.headers.multi_items())


def of_entry(entry: str, batch: SingleEntryBatch[Any]) -> list[tuple[str, Item]]:
    """Return the records of a single-entry batch as records of `entry`."""
    if not isinstance(batch, SingleEntryBatch):
        raise TypeError(f"batch must be a Batch, not {type(batch).__name__}")
    return [(entry, item) for item in batch.contents().values()]


def of_entries(batch: MultiEntryBatch[Any]) -> list[tuple[str, Item]]:
    """Return the records of a multi-entry batch with their entries."""
    if not isinstance(batch, MultiEntryBatch):
        raise TypeError(f"batch must be a RecordBatch, not {type(batch).__name__}")
    return [(entry or "", item) for (entry, _), item in batch.contents().items()]


def write_calls(bucket: str, records: Sequence[tuple[str, Item]]) -> list[Call]:
    """Return the requests that write `records`, split below the server's limits.

    One entry goes by protocol v1, several by v2. What neither's header can carry goes by the
    single-record call, and empty label values, which v2 drops, by v1.
    """
    heads = [(item.written(entry), item.data) for entry, item in records]
    heads.sort(key=_entry_and_time)
    for entry in {head.entry for head, _ in heads}:
        names.new_entry(entry)
    alone, rest = _parted(heads, _goes_alone)
    calls = [write_call(bucket, head, data, per_record=True) for head, data in alone]
    several = len({head.entry for head, _ in rest}) > 1
    by_v2, by_v1 = _parted(rest, _has_values) if several else ([], rest)
    calls += [_v2_write(bucket, part) for part in _split(by_v2, _written_size)]
    for group in _by_entry(by_v1):
        calls += [_v1_write(bucket, part) for part in _split(group, _written_size)]
    return calls


Pair: TypeAlias = tuple[RecordHead, bytes]


def _entry_and_time(pair: Pair) -> RecordKey:
    return pair[0].entry, pair[0].timestamp


def _parted(
    pairs: Sequence[Pair], test: Callable[[RecordHead], bool]
) -> tuple[list[Pair], list[Pair]]:
    """Return the records that pass a test and the others, each in order."""
    passed: list[Pair] = []
    others: list[Pair] = []
    for pair in pairs:
        (passed if test(pair[0]) else others).append(pair)
    return passed, others


def _has_values(head: RecordHead) -> bool:
    return all(head.labels.values())


def _goes_alone(head: RecordHead) -> bool:
    """Tell whether a record must not share a request.

    An attachment removes the earlier one of its key, which corrupts what is written at the
    same time.
    """
    return names.is_meta(head.entry) or label_codec.needs_own_call(head.labels)


def _written_size(pair: Pair) -> tuple[int, int]:
    head = pair[0]
    # In protocol v2 a label may be named once more, by number, where it is gone.
    labels = 0
    for name, value in head.labels.items():
        labels += len(name) + len(value) + 18
    return labels + len(head.content_type) + len(head.entry) * 3 + 64, head.size


def _split(pairs: Sequence[Pair], measure: Callable[[Pair], tuple[int, int]]) -> list[list[Pair]]:
    """Return `pairs` in order, in parts that fit one request."""
    parts: list[list[Pair]] = []
    header_bytes = body_bytes = 0
    for pair in pairs:
        header, body = measure(pair)
        header_bytes += header
        body_bytes += body
        full = (
            not parts
            or len(parts[-1]) >= MAX_RECORDS
            or header_bytes > MAX_HEADER_BYTES
            or body_bytes > MAX_BODY_BYTES
        )
        if full:
            parts.append([])
            header_bytes, body_bytes = header, body
        parts[-1].append(pair)
    return parts


def _by_entry(pairs: Sequence[Pair]) -> list[list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair[0].entry, []).append(pair)
    return list(groups.values())


def _body(part: Sequence[Pair]) -> bytes:
    return part[0][1] if len(part) == 1 else b"".join(data for _, data in part)


def _keys(part: Sequence[Pair]) -> list[RecordKey]:
    return [(head.entry, head.timestamp) for head, _ in part]


def _v1_write(bucket: str, part: Sequence[Pair]) -> Call:
    entry = part[0][0].entry
    spec = api.batch.write_batch.build_request(bucket, entry, body=_body(part))
    spec = spec.with_headers(v1_record_headers([head for head, _ in part]))
    claims = entry_claims(bucket, [entry], Mode.WRITE)
    return Call(spec, claims, _keys(part), partial(parse_v1_errors, entry), verified=True)


def _v2_write(bucket: str, part: Sequence[Pair]) -> Call:
    headers = v2_headers([head for head, _ in part])
    spec = api.io.io_write.build_request(
        bucket,
        body=_body(part),
        x_reduct_entries=headers.pop(ENTRIES),
        x_reduct_start_ts=int(headers.pop(START)),
        x_reduct_labels=headers.pop(LABELS, None),
    ).with_headers(headers)
    claims = entry_claims(bucket, [head.entry for head, _ in part], Mode.WRITE)
    return Call(spec, claims, _keys(part), _parse_v2_errors, verified=True)


def update_calls(
    bucket: str, records: Sequence[tuple[str, Item]], *, entry_errors: bool = False
) -> list[Call]:
    """Return the requests that update labels, one protocol v1 batch per entry and part.

    Protocol v2 would carry a change on to all later records of the entry (T5). With
    `entry_errors` a missing entry is the error of its records, else of the call.
    """
    pairs: list[Pair] = []
    calls: list[Call] = []
    for entry, item in sorted(records, key=lambda record: (record[0], record[1].timestamp)):
        labels = label_codec.for_update(item.labels)
        if label_codec.needs_own_call(labels):
            calls.append(update_call(bucket, entry, item.timestamp, labels, per_record=True))
        else:
            pairs.append((RecordHead(item.timestamp, entry, 0, "", labels, {}), b""))
    for group in _by_entry(pairs):
        calls += [_v1_update(bucket, part, entry_errors) for part in _split(group, _written_size)]
    return calls


def _v1_update(bucket: str, part: Sequence[Pair], entry_errors: bool) -> Call:
    entry = part[0][0].entry
    spec = api.batch.update_batch.build_request(bucket, entry)
    spec = spec.with_headers(v1_record_headers([head for head, _ in part]))
    claims = entry_claims(bucket, [entry], Mode.UPDATE)
    statuses = frozenset({404, 409}) if entry_errors else frozenset()
    return Call(spec, claims, _keys(part), partial(parse_v1_errors, entry), statuses)


def remove_calls(
    bucket: str, records: Sequence[tuple[str, Item]], *, entry_errors: bool = False
) -> list[Call]:
    """Return the requests that remove records, by protocol v1, entry by entry.

    Protocol v2 reports an error of one record for all with the same timestamp (T6).
    """
    groups: dict[str, list[int]] = {}
    for entry, timestamp in sorted((entry, item.timestamp) for entry, item in records):
        if names.is_meta(entry):
            raise ValueError(f"entry {entry!r} holds attachments; use remove_attachments()")
        groups.setdefault(entry, []).append(timestamp)
    return [
        v1_removal(bucket, entry, times[begin : begin + MAX_RECORDS], entry_errors)
        for entry, times in groups.items()
        for begin in range(0, len(times), MAX_RECORDS)
    ]


def by_time(found: Errors) -> dict[int, ReductError]:
    """Return errors of one entry by timestamp."""
    return {timestamp: error for (_, timestamp), error in sorted(found.items(), key=_by_key)}


def by_entry(found: Errors) -> dict[str, dict[int, ReductError]]:
    """Return errors by entry and timestamp."""
    result: dict[str, dict[int, ReductError]] = {}
    for (entry, timestamp), error in sorted(found.items(), key=_by_key):
        result.setdefault(entry, {})[timestamp] = error
    return result


def _by_key(pair: tuple[RecordKey, ReductError]) -> RecordKey:
    return pair[0]


def progress_note(done: int, total: int) -> str:
    """Return what to say of a batch that failed between two of its requests."""
    return (
        f"the batch was sent in {total} requests: {done} of them succeeded before, this one"
        " failed, and the rest was not sent"
    )
