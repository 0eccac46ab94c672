"""Running queries: ids, lifetimes, single and batch reads, continuous ones, removal by query."""

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping

from reduct_local.clock import Clock
from reduct_local.conditions import (
    Condition,
    EndsRealServerError,
    check_syntax,
    parse_condition,
)
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError
from reduct_local.integers import U64_MAX
from reduct_local.names import is_meta, select
from reduct_local.query_request import QueryRequest
from reduct_local.query_stream import EntryStream, MergedStream, Selection, no_content
from reduct_local.running_query import Batch, IoLimits, Query, fill_batch

__all__ = ["Batch", "IoLimits", "Queries"]

_logger = logging.getLogger("reduct_local")

LOOKS_AT_CREATION = 4096
"""Records that are looked at before the answer to the creation of a query, over all entries.

The real server begins to read at once, too: what is written later is not found any more.
"""

FEW_QUERIES = 64
"""Up to so many queries of a place nobody looks for expired ones."""

_TOMBSTONE = {"$and": [{"$has": "remove"}, {"&remove": {"$eq": True}}]}

_Place = tuple[str, str | None]
"""Bucket and entry of a query; None for queries of `/io`."""


class Queries:
    """All running queries of a server; used from its event loop only.

    Args:
        engine: where the records are.
        clock: measures the time to live; pauses and batch timeouts are in real time.
        limits: of batch answers, unless directives say otherwise.
    """

    def __init__(self, engine: Engine, clock: Clock, limits: IoLimits) -> None:
        self._engine = engine
        self._clock = clock
        self._limits = limits
        self._running: dict[_Place, dict[int, Query]] = {}
        # From how many queries of a place on expired ones are looked for.
        self._many: dict[_Place, int] = {}
        self._next_id = 1

    def create(self, bucket: str, entry: str | None, request: QueryRequest) -> int:
        """Return the id of a new query; `entry` None: over `request.entries` (`/io`).

        Raises ApiError 404, 409 for bucket and entries, 422 range, condition or extension.
        """
        self._engine.check_bucket(bucket)
        if entry is None:
            entries = select(self._engine.entry_names(bucket), request.entries or ())
        else:
            self._engine.check_entry(bucket, entry)
            entries = [entry]
        # The real server gives every entry of `/io` a query of its own.
        query_id = self._take_ids(1 if entry else 1 + len(entries))
        conditions = _Conditions(request.when)
        streams = [self._entry_stream(bucket, name, request, conditions) for name in entries]
        if entry is None and streams and request.ttl == 0:
            raise _unknown(query_id)
        limits = self._limits_for(entries, conditions)
        _refuse_extensions(request, query_id)
        for stream in streams:
            stream.fill(LOOKS_AT_CREATION // len(streams), time.monotonic())
        source = streams[0] if entry else MergedStream(streams)
        self._add((bucket, entry), query_id, Query(source, request, limits, self._clock.now_us()))
        return query_id

    def _take_ids(self, count: int) -> int:
        """Return the first of `count` new ids."""
        self._next_id += count
        return self._next_id - count

    def _add(self, place: _Place, query_id: int, query: Query) -> None:
        """Keep a query; those of its place that expired go before they are too many."""
        queries = self._running.setdefault(place, {})
        queries[query_id] = query
        if len(queries) >= self._many.get(place, FEW_QUERIES):
            now_us = self._clock.now_us()
            for expired in [key for key, each in queries.items() if each.expired(now_us)]:
                queries.pop(expired).drop()
            self._many[place] = max(FEW_QUERIES, 2 * len(queries))

    def _entry_stream(
        self,
        bucket: str,
        entry: str,
        request: QueryRequest,
        conditions: "_Conditions",
        *,
        ends: bool = False,
    ) -> EntryStream:
        """Return the stream of one entry; `ends`: though the request says continuous."""
        continuous = request.continuous and not ends
        start, stop = self._range(bucket, entry, request)
        if start > stop and not continuous:
            raise ApiError(422, "Start time must be before stop time")
        selection = Selection(
            bucket,
            entry,
            start,
            stop,
            conditions.of(entry),
            request.strict,
            request.ttl / 4 if continuous else None,
        )
        return EntryStream(self._engine, selection)

    def _range(self, bucket: str, entry: str, request: QueryRequest) -> tuple[int, int]:
        oldest, latest = self._engine.bounds(bucket, entry) or (0, 0)
        # The real server's sum wraps around after the latest time there is.
        after = 0 if latest == U64_MAX else latest + 1
        start = oldest if request.start is None else request.start
        return start, after if request.stop is None else request.stop

    def _limits_for(self, entries: list[str], conditions: "_Conditions") -> IoLimits:
        if not entries:
            # The real server looks neither at directives nor at its settings then.
            conditions.check_syntax()
            return IoLimits()
        condition = conditions.of(entries[0])
        return self._limits if condition is None else self._limits.directed(condition.directives)

    def remove(self, bucket: str, entry: str | None, request: QueryRequest) -> int:
        """Remove the records that the query selects and return how many that were.

        `entry` None: of `request.entries`, but of no attachments; records of entries before the
        one with an error stay removed. Raises ApiError like `create`.
        """
        self._engine.check_bucket(bucket)
        if entry is not None:
            self._engine.create_entry(bucket, entry)
            return self._remove_from(bucket, entry, request)
        entries = select(self._engine.entry_names(bucket), request.entries or ())
        return sum(
            self._remove_from(bucket, name, request) for name in entries if not is_meta(name)
        )

    def _remove_from(self, bucket: str, entry: str, request: QueryRequest) -> int:
        self._engine.check_entry(bucket, entry)
        conditions = _Conditions(request.when)
        stream = self._entry_stream(bucket, entry, request, conditions, ends=True)
        query_id = self._take_ids(1)
        if request.ttl == 0:
            raise _unknown(query_id)
        # Block by block, as the real server: an error later on leaves these removed.
        size = max(self._engine.settings(bucket).max_block_records, 1)
        removed = 0
        while not stream.closed:
            timestamps = list(itertools.islice(_timestamps(stream), size))
            failed = self._engine.remove_records(bucket, entry, timestamps)
            for timestamp, error in failed.items():
                _logger.warning("record %d was not removed: %s", timestamp, error.message)
            removed += len(timestamps) - len(failed)
        return removed

    async def take_one(self, bucket: str, entry: str, query_id: int) -> Record:
        """Return the next record of a query, waiting for it.

        Raises ApiError 204 at the end, and when a continuous query has nothing new; 400 when it
        is read again after its end; 404 for an unknown or expired one; what a condition raises.
        """
        self._engine.check_entry(bucket, entry)
        query = self._find(bucket, entry, query_id)
        async with query.lock:
            if query.stream.closed:
                message = f"Query '{bucket}/{entry}/{query_id}' was closed: broken channel"
                raise ApiError(400, message)
            item = await query.next()
        if isinstance(item, Record):
            return item
        raise no_content() if item is None else item

    async def take_batch(
        self,
        bucket: str,
        entry: str | None,
        query_id: int,
        *,
        head: bool,
        header_size: Callable[[Record], int],
    ) -> Batch:
        """Return the next batch; `entry` None: of a query of `/io`, which may be empty.

        `header_size` gives the bytes of a record's header (name, value and 2); it is called once
        for each record of the batch, in order. `head`: the limit on content does not apply.
        Raises ApiError 204, 404 and what a condition raises, like `take_one`; records that were
        taken before an error are lost.
        """
        if entry is None:
            self._engine.check_bucket(bucket)
        else:
            self._engine.check_entry(bucket, entry)
        query = self._find(bucket, entry, query_id)
        async with query.lock:
            batch = await fill_batch(query, entry is None, head, header_size)
        if not batch.records:
            self._find_still(bucket, entry, query_id)
        return batch

    def _find(self, bucket: str, entry: str | None, query_id: int) -> Query:
        """Return a query, which lives on from now; 404."""
        now_us = self._clock.now_us()
        queries = self._running.get((bucket, entry), {})
        query = queries.get(query_id)
        if query is None or query.expired(now_us):
            queries.pop(query_id, None)
            raise _unknown(query_id)
        query.last_access_us = now_us
        return query

    def _find_still(self, bucket: str, entry: str | None, query_id: int) -> None:
        """Let a query live on after an empty batch; 204 when its time is over already."""
        try:
            self._find(bucket, entry, query_id)
        except ApiError:
            raise ApiError(204, "No more records") from None

    def is_only_metadata(self, bucket: str, entry: str | None, query_id: int) -> bool:
        """Return whether a query delivers no content; False for an unknown one."""
        query = self._running.get((bucket, entry), {}).get(query_id)
        return query is not None and query.only_metadata

    def forget_bucket(self, bucket: str) -> None:
        """Drop all queries of a bucket that was removed or renamed."""
        self._drop_places([place for place in self._running if place[0] == bucket])

    def forget_entries(self, bucket: str, entry: str) -> None:
        """Drop the queries of an entry and of those below it, which were removed.

        Queries of `/io` go on with their other entries.
        """
        self._drop_from_merged(bucket, entry)
        below: list[_Place] = [
            (where, name)
            for where, name in self._running
            if where == bucket and name is not None and f"{name}/".startswith(f"{entry}/")
        ]
        self._drop_places(below)

    def forget_renamed(self, bucket: str, entry: str) -> None:
        """Drop the queries of all entries of a bucket in which one was renamed.

        So does the real server. Queries of `/io` go on with their other entries.
        """
        self._drop_from_merged(bucket, entry)
        self._drop_places([place for place in self._running if place[0] == bucket and place[1]])

    def _drop_from_merged(self, bucket: str, entry: str) -> None:
        for query in self._running.get((bucket, None), {}).values():
            query.stream.drop(entry)

    def close(self) -> None:
        """Drop all queries; waiting reads end with 404."""
        self._drop_places(list(self._running))

    def _drop_places(self, places: list[_Place]) -> None:
        for place in places:
            self._many.pop(place, None)
            for query in self._running.pop(place).values():
                query.drop()


def _timestamps(stream: EntryStream) -> Iterator[int]:
    """Yield the timestamps of a stream until its end; raise the error of its condition."""
    while not stream.closed:
        item = stream.poll(time.monotonic())
        if isinstance(item, Record):
            yield item.timestamp
        elif item is not None and item.status != 204:
            raise item


class _Conditions:
    """The conditions that a `when` means for entries: attachments have one of their own."""

    def __init__(self, when: object) -> None:
        self._when = when
        self._parsed: dict[bool, Condition | None] = {}

    def of(self, entry: str) -> Condition | None:
        """Return the condition for the records of an entry; raises ApiError 422."""
        meta = is_meta(entry)
        if meta not in self._parsed:
            when = _without_tombstones(self._when) if meta else self._when
            self._parsed[meta] = None if when is None else parse_condition(when)
        return self._parsed[meta]

    def check_syntax(self) -> None:
        """Raise ApiError 422 for what not even a query of no entry may have."""
        if self._when is not None:
            check_syntax(self._when)


def _without_tombstones(when: object) -> object:
    """Return the `when` for attachments, under which no tombstone matches.

    The member is put in where the real server does it, which ends for a wrong type here.
    """
    document = {} if when is None else when
    if not isinstance(document, Mapping):
        raise EndsRealServerError("no object, for attachments")
    excluded = document.get("$not", [])
    if not isinstance(excluded, list):
        raise EndsRealServerError("$not without an array, for attachments")
    return {**document, "$not": [*excluded, _TOMBSTONE]}


def _refuse_extensions(request: QueryRequest, query_id: int) -> None:
    """Raise ApiError 422 for a query with extensions: there are none."""
    directives = request.when if isinstance(request.when, Mapping) else {}
    wanted = directives.get("#ext", request.ext)
    if wanted is None:
        return
    step = wanted[0] if isinstance(wanted, list) and wanted else wanted
    if not isinstance(step, Mapping):
        raise ApiError(
            422,
            "Extension parameters must be a JSON object or an array of JSON objects "
            f"in query id={query_id}",
        )
    if "when" in step:
        check_syntax(step["when"])
    name = next((key for key in step if key != "when"), None)
    if name is None:
        raise ApiError(422, f"Extension name is not found in query id={query_id}")
    raise ApiError(422, f"Unknown extension '{name}' in query id={query_id}")


def _unknown(query_id: int) -> ApiError:
    return ApiError(
        404,
        f"Query {query_id} not found and it might have expired. Check TTL in your query request.",
    )
