"""Writing, updating and removing records: which calls carry them, and what was stored."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import httpx
from attrs import frozen

from reduct_api.api.batch import remove_batch, update_batch, write_batch
from reduct_api.api.buckets import head_bucket
from reduct_api.api.io import io_write
from reduct_api.api.records import (
    head_record,
    remove_record_or_entry,
    update_record,
    write_record,
)
from reduct_api.types import Content, RequestSpec, StreamSpec

from . import errors, names
from . import labels as label_codec
from .batches import Item, MultiEntryBatch, SingleEntryBatch
from .errors import ReductError
from .gates import Claim, Mode, entry_claims
from .headers import (
    ENTRIES,
    LABELS,
    SINGLE_LABEL,
    START,
    V1_RECORD,
    RecordHead,
    v1_errors,
    v1_record,
    v2_errors,
    v2_headers,
)

RecordKey: TypeAlias = tuple[str, int]
"""Entry and timestamp."""

Errors: TypeAlias = dict[RecordKey, ReductError]

MAX_RECORDS = 80
"""Records in one request: the server takes 100 header lines, the rest is for HTTP's own."""

MAX_HEADER_BYTES = 400_000
"""Bytes of record headers in one request; the server takes 512,000 in all."""

MAX_BODY_BYTES = 8_000_000
"""Bytes of payload in one batch request; a larger record has a request of its own."""

FINISH_SECONDS = 5.0
"""How long a cancellation waits for the answer to a batch; most come within 0.1 s."""

DOUBT_SECONDS = 30.0
"""A success that took so long may not be stored: the server's own lock or chunk timeout has
passed meanwhile (server-concurrency rule 9), so it is verified by reading back."""

_BATCH_ONLY = f"upper-case label names, more than {label_codec.MAX_LABEL_LINES} labels"

# Statuses that concern the caller, not one record of a batch.
_OF_THE_CALL = frozenset({401, 403, 429, 503})


@frozen
class Call:
    """One request that writes, updates or removes records."""

    spec: StreamSpec | RequestSpec[None]
    claims: Sequence[Claim]
    keys: Sequence[RecordKey]
    parse: Callable[[httpx.Response], Errors]
    per_record: frozenset[int] = frozenset()
    """Statuses of the whole answer that are the error of each of its records."""
    verified: bool = False
    """Whether a slow success must be verified."""

    def outcome(self, response: httpx.Response) -> Errors:
        """Return the per-record errors of a success; ProtocolError for malformed ones."""
        errors.check_status(response, 200)
        with errors.parsing(response):
            return self.parse(response)

    @property
    def must_finish(self) -> bool:
        """Whether a cancellation must wait for the answer.

        The server goes on with a batch whose connection is lost, and the next write to the
        entry would overlap with it.
        """
        return isinstance(self.spec, StreamSpec) and isinstance(self.spec.content, bytes)

    def probe(self, key: RecordKey) -> StreamSpec:
        """Return the request that tells whether a record of this call is stored and whole.

        Raises ReductError for an entry whose name the server's routes take for another call.
        """
        if names.is_claimed(key[0]):
            raise ReductError(errors.NO_ANSWER, "its entry cannot be asked for single records")
        return head_record.build_request(self.claims[0][0].bucket, key[0], ts=key[1])

    def bucket_probe(self) -> RequestSpec[None]:
        """Return the request that tells whether token and bucket are good."""
        return head_bucket.build_request(self.claims[0][0].bucket)

    def failure(self, error: ReductError) -> Errors:
        """Return a failed request as errors of its records, or raise it."""
        if error.status_code not in self.per_record:
            raise error
        return dict.fromkeys(self.keys, error)


def _no_errors(_response: httpx.Response) -> Errors:
    return {}


def _parse_v1(entry: str, response: httpx.Response) -> Errors:
    found = v1_errors(response.headers.multi_items())
    return {(entry, timestamp): error for timestamp, error in found.items()}


def _parse_v2(response: httpx.Response) -> Errors:
    return v2_errors(response.headers.multi_items())


# --- single records ------------------------------------------------------------------------


def write_call(
    bucket: str, head: RecordHead, content: Content, *, per_record: bool = False
) -> Call:
    """Return the request that writes one record.

    The single-record call carries every label value, but no case of names; the batch call
    every name, and entries whose names the server's routes claim for something else.
    """
    entry = head.entry
    by_batch = label_codec.needs_batch_call(head.labels) or names.is_claimed(entry)
    if by_batch and label_codec.needs_own_call(head.labels):
        raise ValueError(
            f"no call of the server can carry this record of entry {entry!r}:"
            f" {_BATCH_ONLY}, and entries named .../batch or .../q need the batch call, which"
            " cannot hold both comma and quote in a label value"
        )
    size = {"Content-Length": str(head.size)}
    keys = [(entry, head.timestamp)]
    claims = entry_claims(bucket, [entry], Mode.WRITE)
    statuses = _record_statuses(per_record)
    if by_batch:
        spec = write_batch.build_request(bucket, entry, body=content)
        spec = spec.with_headers({**size, **_v1_headers([head])})
        return Call(spec, claims, keys, partial(_parse_v1, entry), statuses, verified=True)
    single = write_record.build_request(bucket, entry, body=content, ts=head.timestamp)
    single = single.with_headers(
        {**size, "Content-Type": head.content_type, **_label_headers(head.labels)}
    )
    return Call(single, claims, keys, _no_errors, statuses, verified=True)


def _record_statuses(per_record: bool) -> frozenset[int]:
    return frozenset(range(400, 600)) - _OF_THE_CALL if per_record else frozenset()


def _label_headers(labels: Mapping[str, str]) -> dict[str, str]:
    return {SINGLE_LABEL + name: value for name, value in labels.items()}


def _v1_headers(heads: Sequence[RecordHead]) -> dict[str, str]:
    return {
        f"{V1_RECORD}{head.timestamp}": v1_record(head.size, head.content_type, head.labels)
        for head in heads
    }


def update_call(
    bucket: str, entry: str, timestamp: int, labels: Mapping[str, str], *, per_record: bool = False
) -> Call:
    """Return the request that updates the labels of one record; an empty value removes one."""
    keys = [(entry, timestamp)]
    claims = entry_claims(bucket, [entry], Mode.UPDATE)
    statuses = _record_statuses(per_record)
    if label_codec.needs_batch_call(labels) or names.is_claimed(entry):
        if label_codec.needs_own_call(labels):
            raise ValueError(
                f"no call of the server can carry this update: {_BATCH_ONLY} need the batch call,"
                " which cannot hold both comma and quote in a label value"
            )
        batch = update_batch.build_request(bucket, entry)
        batch = batch.with_headers({f"{V1_RECORD}{timestamp}": v1_record(0, "", labels)})
        return Call(batch, claims, keys, partial(_parse_v1, entry), statuses)
    spec = update_record.build_request(bucket, entry, ts=timestamp)
    return Call(spec.with_headers(_label_headers(labels)), claims, keys, _no_errors, statuses)


def remove_call(bucket: str, entry: str, timestamp: int | None) -> Call:
    """Return the request that removes one record.

    Raises TypeError without a timestamp: the same request without it removes the entry and
    everything below it.
    """
    if timestamp is None:
        raise TypeError("a record is removed by its timestamp; remove_entry() removes an entry")
    if names.is_claimed(entry):
        return _v1_removal(bucket, entry, [timestamp])
    spec = remove_record_or_entry.build_request(bucket, entry, ts=timestamp)
    claims = entry_claims(bucket, [entry], Mode.REMOVE)
    return Call(spec, claims, [(entry, timestamp)], _no_errors)


def remove_entry_request(bucket: str, entry: str) -> RequestSpec[None]:
    """Return the request that removes an entry with everything below it."""
    if names.is_meta(entry):
        raise ValueError(f"entry {entry!r} holds attachments; use remove_attachments()")
    if names.is_claimed(entry):
        raise ValueError(
            f"the server cannot remove an entry named {entry!r}: its routes take the name for"
            " another call; rename_entry() it first"
        )
    return remove_record_or_entry.build_request(bucket, entry)


def in_doubt(call: Call, found: Errors, seconds: float) -> Sequence[RecordKey]:
    """Return the records of a success that must be verified, because it took too long."""
    if not call.verified or seconds < DOUBT_SECONDS:
        return ()
    return [key for key in call.keys if key not in found]


def was_cut_off(call: Call, error: ReductError) -> bool:
    """Tell whether the connection was lost under a body: the server refuses early by closing it."""
    lost = isinstance(
        error.__cause__, (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
    )
    return call.spec.content is not None and lost


def refusal(error: ReductError) -> ReductError | None:
    """Return the error of the bucket's probe, if it explains a lost write."""
    return error if error.status_code in (401, 403, 404) else None


def not_verified(key: RecordKey, seconds: float, error: ReductError) -> ReductError:
    """Return the error of a record that was answered with success and cannot be read back."""
    lost = error.status_code in (404, 425, 500)
    return errors.for_status(
        500,
        f"the server reported success after {seconds:.0f} s, but record {key[1]} of entry"
        f" {key[0]!r} "
        + ("is not stored" if lost else "could not be verified, it may be stored")
        + f" ({error})",
    )


# --- batches -------------------------------------------------------------------------------


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
    heads.sort(key=lambda pair: (pair[0].entry, pair[0].timestamp))
    for head, _ in heads:
        names.new_entry(head.entry)
    alone = [pair for pair in heads if _goes_alone(pair[0])]
    rest = [pair for pair in heads if not _goes_alone(pair[0])]
    calls = [write_call(bucket, head, data, per_record=True) for head, data in alone]
    several = len({head.entry for head, _ in rest}) > 1
    by_v2 = [pair for pair in rest if several and all(pair[0].labels.values())]
    by_v1 = [pair for pair in rest if not (several and all(pair[0].labels.values()))]
    calls += [_v2_write(bucket, part) for part in _split(by_v2, _written_size)]
    for group in _by_entry(by_v1):
        calls += [_v1_write(bucket, part) for part in _split(group, _written_size)]
    return calls


def _goes_alone(head: RecordHead) -> bool:
    """Tell whether a record must not share a request.

    An attachment removes the earlier one of its key, which corrupts what is written at the
    same time.
    """
    return names.is_meta(head.entry) or label_codec.needs_own_call(head.labels)


Pair: TypeAlias = tuple[RecordHead, bytes]


def _written_size(pair: Pair) -> tuple[int, int]:
    head = pair[0]
    # In protocol v2 a label may be named once more, by number, where it is gone.
    labels = sum(len(name) + len(value) + 18 for name, value in head.labels.items())
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
    spec = write_batch.build_request(bucket, entry, body=_body(part))
    spec = spec.with_headers(_v1_headers([head for head, _ in part]))
    claims = entry_claims(bucket, [entry], Mode.WRITE)
    return Call(spec, claims, _keys(part), partial(_parse_v1, entry), verified=True)


def _v2_write(bucket: str, part: Sequence[Pair]) -> Call:
    headers = v2_headers([head for head, _ in part])
    spec = io_write.build_request(
        bucket,
        body=_body(part),
        x_reduct_entries=headers.pop(ENTRIES),
        x_reduct_start_ts=int(headers.pop(START)),
        x_reduct_labels=headers.pop(LABELS, None),
    ).with_headers(headers)
    claims = entry_claims(bucket, [head.entry for head, _ in part], Mode.WRITE)
    return Call(spec, claims, _keys(part), _parse_v2, verified=True)


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
    spec = update_batch.build_request(bucket, entry)
    spec = spec.with_headers(_v1_headers([head for head, _ in part]))
    claims = entry_claims(bucket, [entry], Mode.UPDATE)
    statuses = frozenset({404, 409}) if entry_errors else frozenset()
    return Call(spec, claims, _keys(part), partial(_parse_v1, entry), statuses)


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
        _v1_removal(bucket, entry, times[begin : begin + MAX_RECORDS], entry_errors)
        for entry, times in groups.items()
        for begin in range(0, len(times), MAX_RECORDS)
    ]


def _v1_removal(bucket: str, entry: str, times: Sequence[int], entry_errors: bool = False) -> Call:
    spec = remove_batch.build_request(bucket, entry)
    spec = spec.with_headers({f"{V1_RECORD}{timestamp}": "" for timestamp in times})
    claims = entry_claims(bucket, [entry], Mode.REMOVE)
    keys = [(entry, timestamp) for timestamp in times]
    statuses = frozenset({404, 409}) if entry_errors else frozenset()
    return Call(spec, claims, keys, partial(_parse_v1, entry), statuses)


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
