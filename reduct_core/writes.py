"""Writing, updating and removing records: the calls that carry them, and what was stored."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import httpx
from attrs import frozen

from reduct_api import api
from reduct_api.types import Content, RequestSpec, StreamSpec

from . import errors, names
from . import labels as label_codec
from .errors import ReductError
from .gates import Claim, Mode, entry_claims
from .headers import (
    SINGLE_LABEL,
    V1_RECORD,
    RecordHead,
    v1_errors,
    v1_record,
)

RecordKey: TypeAlias = tuple[str, int]
"""Entry and timestamp."""

Errors: TypeAlias = dict[RecordKey, ReductError]

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
    def bucket(self) -> str:
        """The bucket of the records."""
        return self.claims[0][0].bucket

    @property
    def adds(self) -> bool:
        """Whether it stores records that were not there before."""
        return any(mode is Mode.WRITE for _, mode in self.claims)

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
        return api.records.head_record.build_request(self.bucket, key[0], ts=key[1])

    def bucket_probe(self) -> RequestSpec[None]:
        """Return the request that tells whether token and bucket are good."""
        return api.buckets.head_bucket.build_request(self.bucket)

    def failure(self, error: ReductError) -> Errors:
        """Return a failed request as errors of its records, or raise it."""
        if error.status_code not in self.per_record:
            raise error
        return dict.fromkeys(self.keys, error)


def _no_errors(_response: httpx.Response) -> Errors:
    return {}


def parse_v1_errors(entry: str, response: httpx.Response) -> Errors:
    found = v1_errors(response.headers.multi_items())
    return {(entry, timestamp): error for timestamp, error in found.items()}


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
        spec = api.batch.write_batch.build_request(bucket, entry, body=content)
        spec = spec.with_headers({**size, **v1_record_headers([head])})
        return Call(spec, claims, keys, partial(parse_v1_errors, entry), statuses, verified=True)
    single = api.records.write_record.build_request(bucket, entry, body=content, ts=head.timestamp)
    single = single.with_headers(
        {**size, "Content-Type": head.content_type, **_label_headers(head.labels)}
    )
    return Call(single, claims, keys, _no_errors, statuses, verified=True)


def _record_statuses(per_record: bool) -> frozenset[int]:
    return frozenset(range(400, 600)) - _OF_THE_CALL if per_record else frozenset()


def _label_headers(labels: Mapping[str, str]) -> dict[str, str]:
    return {SINGLE_LABEL + name: value for name, value in labels.items()}


def v1_record_headers(heads: Sequence[RecordHead]) -> dict[str, str]:
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
        batch = api.batch.update_batch.build_request(bucket, entry)
        batch = batch.with_headers({f"{V1_RECORD}{timestamp}": v1_record(0, "", labels)})
        return Call(batch, claims, keys, partial(parse_v1_errors, entry), statuses)
    spec = api.records.update_record.build_request(bucket, entry, ts=timestamp)
    return Call(spec.with_headers(_label_headers(labels)), claims, keys, _no_errors, statuses)


def remove_call(bucket: str, entry: str, timestamp: int | None) -> Call:
    """Return the request that removes one record.

    Raises TypeError without a timestamp: the same request without it removes the entry and
    everything below it.
    """
    if timestamp is None:
        raise TypeError("a record is removed by its timestamp; remove_entry() removes an entry")
    if names.is_claimed(entry):
        return v1_removal(bucket, entry, [timestamp])
    spec = api.records.remove_record_or_entry.build_request(bucket, entry, ts=timestamp)
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
    return api.records.remove_record_or_entry.build_request(bucket, entry)


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


def v1_removal(bucket: str, entry: str, times: Sequence[int], entry_errors: bool = False) -> Call:
    spec = api.batch.remove_batch.build_request(bucket, entry)
    spec = spec.with_headers({f"{V1_RECORD}{timestamp}": "" for timestamp in times})
    claims = entry_claims(bucket, [entry], Mode.REMOVE)
    keys = [(entry, timestamp) for timestamp in times]
    statuses = frozenset({404, 409}) if entry_errors else frozenset()
    return Call(spec, claims, keys, partial(parse_v1_errors, entry), statuses)
