"""Buckets: settings, entries, and everything about their records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from os import PathLike
from typing import Any

from reduct_api import api, models
from reduct_core import attachments as attachment_codec
from reduct_core import batch_writes, links, names, reads, removals, server, writes
from reduct_core import labels as label_codec
from reduct_core import query as queries
from reduct_core.batch_writes import MAX_RECORDS
from reduct_core.batches import OnDuplicate
from reduct_core.conditions import Condition, check_stateless, ext_conditions
from reduct_core.errors import ReductError
from reduct_core.headers import RecordHead
from reduct_core.labels import LabelValue
from reduct_core.lanes import (
    BATCH_BYTES,
    BATCH_SECONDS,
    BUFFER_BYTES,
    PARALLEL,
    WriterSettings,
)
from reduct_core.many import READERS, NewRecord, places
from reduct_core.missing import Missing
from reduct_core.sieve import make_filters
from reduct_core.subscriptions import Start, Watch, check_interval
from reduct_core.times import MAX_RECORD_US, TimestampLike, to_us
from reduct_core.transfer import Progress, check_progress, file_size, shown
from reduct_core.write_report import OnError, WriteReport

from ._body import outgoing
from ._flavour import Source, Stream, open_file
from ._io import Io
from ._many import read_all, write_all
from ._query import check_patterns, query, records
from ._write import run, run_single
from .batch import Batch, RecordBatch
from .files import pieces, store
from .record import AnswerReader, Record
from .subscription import Subscription
from .writer import Writer


class Bucket:
    """A bucket of a server; made by ``Client.get_bucket``, ``create_bucket`` or ``bucket``.

    Times are microseconds since 1970-01-01 UTC as int, seconds as float, datetime, or ISO 8601
    text; without an offset, datetime and text are local time. Intervals include `start` and
    exclude `stop`.

    Entry names are segments of letters, digits, "_" and "-", joined by "/". Where several
    entries may be given, so may patterns: "*" at the end of a name, "*" and "**" in segments,
    and "!" before what to leave out.

    Every method may raise ReductError: NotFoundError if the bucket or what it names does not
    exist, PermissionDeniedError if the token may not, TransportError without an answer.
    Arguments that the server could not take are ValueError or TypeError before anything is
    sent.

    Writes to one entry take turns within a client, because the server does not survive them
    side by side; different entries do not wait for each other. Let one process write to an
    entry.
    """

    def __init__(self, name: str, io: Io):
        self._name = names.bucket(name)
        self._io = io

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self._name!r}>"

    @property
    def name(self) -> str:
        """Name of the bucket."""
        return self._name

    # --- the bucket ------------------------------------------------------------------------

    async def get_full_info(self) -> models.BucketFullInfo:
        """Return settings, statistics and entries of the bucket."""
        return await self._io.send(api.buckets.get_bucket.build_request(self._name))

    async def info(self) -> models.BucketInfo:
        """Return statistics of the bucket."""
        return (await self.get_full_info()).info

    async def get_settings(self) -> models.BucketSettings:
        """Return the settings of the bucket."""
        return (await self.get_full_info()).settings

    async def set_settings(self, settings: models.BucketSettings) -> None:
        """Change the settings of the bucket; fields that are None stay as they are."""
        body = server.bucket_settings(settings)
        await self._io.send(api.buckets.update_bucket.build_request(self._name, body=body))

    async def get_entry_list(self) -> list[models.EntryInfo]:
        """Return the entries of the bucket with their statistics, sorted by name."""
        return (await self.get_full_info()).entries

    async def rename(self, new_name: str) -> None:
        """Rename the bucket; this object goes on under the new name.

        Raises ConflictError if a bucket of that name exists.
        """
        body = models.RenameBucketRequest(new_name=names.new_bucket(new_name))
        await self._io.send(api.buckets.rename_bucket.build_request(self._name, body=body))
        self._name = new_name

    async def remove(self) -> None:
        """Remove the bucket with all its records.

        The server works on after the answer; until it is done, the name is in use
        (ConflictError).
        """
        await self._io.send(api.buckets.remove_bucket.build_request(self._name))

    async def rename_entry(self, old_name: str, new_name: str) -> None:
        """Rename an entry and everything below it; running queries of the bucket end.

        Raises ConflictError if an entry of the new name exists.
        """
        body = models.RenameEntryRequest(new_name=names.new_entry(new_name))
        await self._io.send(
            api.entries.rename_entry.build_request(self._name, names.entry(old_name), body=body)
        )

    async def remove_entry(self, entry_name: str) -> None:
        """Remove an entry with its records, attachments and everything below it.

        The server works on after the answer; until it is done, the name is in use
        (ConflictError). Names ending in "/batch" or "/q" are refused with ValueError, because
        the server takes them for other calls: rename such an entry first.
        """
        await self._io.send(writes.remove_entry_request(self._name, names.entry(entry_name)))

    # --- reading ---------------------------------------------------------------------------

    @asynccontextmanager
    async def read(
        self, entry_name: str, timestamp: TimestampLike | None = None, head: bool = False
    ) -> AsyncIterator[Record]:
        """Open one record, as a context manager.

        Args:
            entry_name: exact name of the entry.
            timestamp: time of the record; None is the latest one, 0 is a time.
            head: whether to get the metadata alone, without the payload.

        Raises:
            NotFoundError: there is no such record.

        Examples:
            >>> async with bucket.read("entry-1", timestamp=1_000_000) as record:
            ...     data = await record.read_all()
        """
        entry = names.entry(entry_name)
        us = None if timestamp is None else to_us(timestamp, "timestamp")
        if names.is_claimed(entry):
            async with aclosing(self._by_query(entry, us, head)) as found:
                yield await anext(found)
            return
        response = await self._io.open(reads.request(self._name, entry, us, head))
        reader = await AnswerReader.of(response, partial(reads.answer, entry=entry), head=head)
        try:
            yield (await reader.next_records())[0]
        finally:
            await reader.close()

    async def _by_query(self, entry: str, us: int | None, head: bool) -> Stream[Record]:
        plan = reads.by_query(self._name, entry, us, head)
        async with aclosing(records(self._io, plan)) as found:
            async for record in found:
                yield record
                return
        raise reads.not_found(self._name, entry, us)

    def query(
        self,
        entries: str | Sequence[str],
        start: TimestampLike | None = None,
        stop: TimestampLike | None = None,
        ttl: float | None = None,
        when: Condition | None = None,
        *,
        strict: bool | None = None,
        ext: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        head: bool = False,
        include: Mapping[str, LabelValue] | None = None,
        exclude: Mapping[str, LabelValue] | None = None,
        limit: int | None = None,
        each_n: int | None = None,
        each_s: float | None = None,
        missing: Missing = "ignore",
        prefetch: bool = True,
    ) -> Stream[Record]:
        """Iterate over the records of a time interval.

        Records of one entry come in the order of time; those of several entries do so within
        one answer of the server (up to 85 records), not across answers.

        Args:
            entries: name of an entry, a pattern, or several of them; none yields nothing.
            start: first time, included; None is the first record.
            stop: last time, excluded; None is the last record.
            ttl: seconds that the server keeps the query between two answers, 600 if None.
            when: condition that the server evaluates on labels.
            strict: whether a record for which `when` cannot be evaluated is an error, instead
                of being left out.
            ext: parameters of server extensions.
            head: whether to get metadata alone, without payloads.
            include: only records that have all these labels, equal as text.
            exclude: no records that have all these labels, equal as text.
            limit: at most so many records in all.
            each_n: of each entry, the first record and every n-th after it.
            each_s: of each entry, at most one record in so many seconds.
            missing: what to do if an exact name does not exist: "ignore" it, "warn", or
                "raise" NotFoundError.
            prefetch: whether the server already works on its next answer while the loop works
                on this one; a connection is in use for it. Never so with `limit`.

        `include`, `exclude`, `each_s` and `each_n` are applied in this order, by the client,
        to what `when` selected; then `limit`.

        Examples:
            >>> async for record in bucket.query("entry-1", stop=time.time_ns() / 1000):
            ...     data = await record.read_all()
        """
        filters = make_filters(include, exclude, limit, each_n, each_s)
        plan = queries.make_plan(
            self._name,
            entries,
            start,
            stop,
            ttl,
            when,
            strict=strict,
            ext=ext,
            head=head,
            filters=filters,
            missing=missing,
            prefetch=prefetch,
        )
        return query(self._io, plan)

    def subscribe(
        self,
        entries: str | Sequence[str],
        start: Start = None,
        poll_interval: float = 1.0,
        when: Condition | None = None,
        *,
        strict: bool | None = None,
        ext: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        head: bool = False,
        include: Mapping[str, LabelValue] | None = None,
        exclude: Mapping[str, LabelValue] | None = None,
        limit: int | None = None,
        each_n: int | None = None,
        each_s: float | None = None,
        overlap: float = 0.0,
    ) -> Subscription:
        """Iterate over records, present and future, until the subscription is closed.

        Survives idle time, slow loops and restarts of the server, and sees entries that appear
        later under a pattern. Costs one small request for each idle `poll_interval`. Needs
        read permission.

        Records of one entry come in the order of time, but one that is written completely only
        after newer ones comes after them. It may be missed if it takes more than 60 s longer,
        or if records are removed meanwhile; `overlap` finds it.

        Args:
            entries: name of an entry, a pattern, or several of them; they need not exist yet.
            start: first time, included; None is the first record, "now" the moment of this
                call, a mapping of entries to microseconds a checkpoint (``cursors``).
            poll_interval: seconds between two questions for new records.
            when: condition that the server evaluates; operators that remember earlier records
                (``$limit``, ``$each_n``, ``$each_t``, ``$gate``, ``#ctx_*``) are refused.
            overlap: seconds to read again before the newest record of an entry that changed,
                for records that are written late, with older times; doubles are dropped.

        The other arguments are those of `query`; the filters keep their memory.

        Examples:
            >>> async for record in bucket.subscribe("entry-1"):
            ...     data = await record.read_all()
        """
        check_stateless(when)
        for step_condition in ext_conditions(ext):
            check_stateless(step_condition)
        plan = queries.make_plan(
            self._name,
            entries,
            None,
            None,
            None,
            when,
            strict=strict,
            ext=ext,
            head=head,
            filters=make_filters(include, exclude, limit, each_n, each_s),
        )
        watch = Watch(plan.entries, start, overlap, self._io.session.now())
        return Subscription(self._io, watch, plan, check_interval(poll_interval))

    # --- writing ---------------------------------------------------------------------------

    async def write(
        self,
        entry_name: str,
        data: Any,
        timestamp: TimestampLike | None = None,
        content_length: int | None = None,
        *,
        labels: Mapping[str, LabelValue] | None = None,
        content_type: str | None = None,
    ) -> None:
        """Write a record; returns when the server has stored it.

        Args:
            entry_name: exact name of the entry; it is created if it does not exist.
            data: bytes-like, str (stored as UTF-8), a path (os.PathLike), an open binary file
                (from its position on), or an iterable of bytes, asynchronous or plain.
            timestamp: time of the record; None is now, and never the same twice.
            content_length: bytes of the payload; required for iterables, checked for others.
                Nothing is stored if the data turns out longer or shorter.
            labels: names and values (str, bool, int, float).
            content_type: type of the payload, ``application/octet-stream`` if None.

        Raises:
            ConflictError: the entry has a record of this timestamp.

        Examples:
            >>> await bucket.write("entry-1", b"data", timestamp="2026-01-31T12:00:00Z")
        """
        entry = names.new_entry(entry_name)
        us = self._io.session.now() if timestamp is None else _record_us(timestamp)
        stored = label_codec.for_write(label_codec.encode(labels))
        kind = label_codec.content_type(content_type)
        async with outgoing(data, content_length) as (content, size):
            head = RecordHead(us, entry, size, kind, stored, {})
            await run_single(self._io, writes.write_call(self._name, head, content))

    async def write_batch(self, entry_name: str, batch: Batch) -> dict[int, ReductError]:
        """Write the records of `batch` to one entry; return errors by timestamp.

        Records without an error are stored. A batch beyond the limits of one request is sent
        in several; an empty one sends nothing.
        """
        entry = names.new_entry(entry_name)
        calls = batch_writes.write_calls(self._name, batch_writes.of_entry(entry, batch))
        return batch_writes.by_time(await run(self._io, calls))

    async def write_record_batch(self, batch: RecordBatch) -> dict[str, dict[int, ReductError]]:
        """Write the records of `batch` to their entries; return errors by entry and timestamp.

        Otherwise like `write_batch`.
        """
        calls = batch_writes.write_calls(self._name, batch_writes.of_entries(batch))
        return batch_writes.by_entry(await run(self._io, calls))

    async def update(
        self, entry_name: str, timestamp: TimestampLike, labels: Mapping[str, LabelValue | None]
    ) -> None:
        """Change labels of a record: set those given, remove those that are None or "".

        Labels that are not named stay as they are.

        Raises:
            NotFoundError: there is no such record.
        """
        entry = names.entry(entry_name)
        changes = label_codec.for_update(label_codec.encode(labels))
        call = writes.update_call(self._name, entry, _record_us(timestamp), changes)
        await run_single(self._io, call)

    async def update_batch(self, entry_name: str, batch: Batch) -> dict[int, ReductError]:
        """Change labels of records of one entry; return errors by timestamp.

        Each record of the batch changes as by `update`; its data is not used.

        Examples:
            >>> batch = Batch()
            >>> batch.add(1_000_000, labels={"checked": True, "draft": None})
            >>> errors = await bucket.update_batch("entry-1", batch)
        """
        entry = names.entry(entry_name)
        calls = batch_writes.update_calls(self._name, batch_writes.of_entry(entry, batch))
        return batch_writes.by_time(await run(self._io, calls))

    async def update_record_batch(self, batch: RecordBatch) -> dict[str, dict[int, ReductError]]:
        """Change labels of records of several entries; return errors by entry and timestamp.

        Each record of the batch changes as by `update`; its data is not used.

        Examples:
            >>> batch = RecordBatch()
            >>> batch.add("entry-1", 1_000_000, labels={"checked": True, "draft": None})
            >>> errors = await bucket.update_record_batch(batch)
        """
        calls = batch_writes.update_calls(
            self._name, batch_writes.of_entries(batch), entry_errors=True
        )
        return batch_writes.by_entry(await run(self._io, calls))

    # --- many records, and files -----------------------------------------------------------

    def writer(
        self,
        *,
        batch_records: int = MAX_RECORDS,
        batch_bytes: int = BATCH_BYTES,
        batch_age: float = BATCH_SECONDS,
        buffer_bytes: int = BUFFER_BYTES,
        parallel: int = PARALLEL,
        on_duplicate: OnDuplicate = "raise",
        on_error: OnError | None = None,
    ) -> Writer:
        """Return a context manager that takes single records and writes them in batches.

        Each entry has its batches, one on its way at a time; different entries are written
        side by side. A batch is sent when it is full, or its first record old enough, by
        itself. Leaving the block sends the rest and waits until all is stored; so it does after
        an error of the block. A cancellation or Ctrl-C only waits (some seconds) for what is
        on its way. ``Writer.report`` tells what became of every record.

        Args:
            batch_records: most records in a request, up to 80.
            batch_bytes: bytes of payload after which a request is sent, up to 8,000,000.
            batch_age: seconds after which a record no longer waits for others.
            buffer_bytes: how much may be held (payloads, labels, 1 KiB a record) before
                ``write`` waits. Besides that, requests on their way hold a copy of their
                payloads: at most `parallel` times `batch_bytes`.
            parallel: how many entries are written side by side.
            on_duplicate: for a timestamp that was given before (all those held, and the last
                10,000 sent): "raise" ValueError, "replace" the record if it was not sent yet, or
                "shift" to the next free microsecond. What else the entry holds already is
                an error of the record (ConflictError).
            on_error: called with each FailedRecord, one at a time, beside the block; what it
                raises ends the writer. The writer goes on after all failures then. It must
                not wait for the writer.

        Raises:
            WriteError: without `on_error`, when the block is left: records were not stored; the
                exception names them all. An error that concerns more than single records (no
                answer, 401, 403, 404, 429, 503) ends the writer at once: `write` raises it,
                and what was not sent is in the report.

        Examples:
            >>> async with bucket.writer(on_duplicate="shift") as writer:
            ...     for reading in range(100_000):
            ...         await writer.write(f"sensor-{reading % 8}", str(reading))
            >>> writer.report.stored
            100000
        """
        settings = WriterSettings(
            batch_records=batch_records,
            batch_bytes=batch_bytes,
            batch_age=batch_age,
            buffer_bytes=buffer_bytes,
            parallel=parallel,
            on_duplicate=on_duplicate,
            hands_over=on_error is not None,
        )
        return Writer(self._io, self._name, settings, on_error)

    async def write_many(
        self,
        records: Source[NewRecord],
        *,
        on_duplicate: OnDuplicate = "raise",
        on_error: OnError | None = None,
    ) -> WriteReport:
        """Write all records of an iterable by a `writer`; return what became of them.

        Args:
            records: records of a query, or tuples of entry, data, and, if wanted, timestamp,
                labels and content type; asynchronous or plain.
            on_duplicate, on_error: as for `writer`.

        Raises:
            WriteError: records were not stored, and there is no `on_error`; it names them all.

        Examples:
            >>> await bucket.write_many(("sensor", str(n), n) for n in range(1000))
            >>> await copy.write_many(bucket.query("*"))
        """
        async with self.writer(on_duplicate=on_duplicate, on_error=on_error) as writer:
            await write_all(writer, records)
        return writer.report

    def read_many(
        self,
        wanted: Iterable[tuple[str, TimestampLike | None]],
        *,
        concurrency: int = READERS,
        missing: Missing = "raise",
    ) -> Stream[Record]:
        """Iterate over single records by entry and timestamp, in the order asked.

        They are read side by side, some ahead: up to 8 for each reader, or 32 MiB and one
        record for each. Payloads are complete in memory, whatever their size.

        Args:
            wanted: entries and timestamps; None is the latest record of the entry.
            concurrency: how many are read side by side.
            missing: what to do where there is no such record: "raise" NotFoundError in its
                place, behind the records before it, "warn", or "ignore" it.

        Examples:
            >>> async for record in bucket.read_many([("entry-1", 1_000_000), ("entry-2", None)]):
            ...     data = await record.read_all()
        """
        return read_all(self.read, places(wanted, concurrency, missing), concurrency, missing)

    async def upload(
        self,
        entry_name: str,
        path: str | PathLike[str],
        timestamp: TimestampLike | None = None,
        *,
        labels: Mapping[str, LabelValue] | None = None,
        content_type: str | None = None,
        progress: Progress = None,
    ) -> int:
        """Write a file of any size as one record; return its timestamp in microseconds.

        Args:
            progress: called with the bytes done and the bytes in all, again and again; True
                shows a bar (needs tqdm: ``pip install 'reduct-httpx[progress]'``).

        The other arguments are those of `write`. Memory does not grow with the file. Nothing is
        stored if the file changes its size meanwhile.

        Raises:
            ConflictError: the entry has a record of this timestamp.

        Examples:
            >>> await bucket.upload("video", "day.mp4", labels={"camera": 7}, progress=True)
        """
        check_progress(progress)
        us = self._io.session.now() if timestamp is None else _record_us(timestamp)
        file = await open_file(path)
        try:
            size = file_size(path, file.fileno())
            with shown(progress, entry_name, size) as done:
                async with aclosing(pieces(file, done)) as found:
                    await self.write(
                        entry_name, found, us, size, labels=labels, content_type=content_type
                    )
        finally:
            file.close()
        return us

    async def download(
        self,
        entry_name: str,
        timestamp: TimestampLike | None,
        path: str | PathLike[str],
        *,
        progress: Progress = None,
    ) -> Record:
        """Write the payload of a record to a file; return the record, for its metadata.

        The file appears when it is complete, and then replaces one of that name; until then it
        has a hidden name in the same folder, ending in ".part". After an error nothing is left.
        Memory does not grow with the record. The file is not forced to the disk
        (``os.fsync``).

        Args:
            timestamp: time of the record; None is the latest one.
            progress: as for `upload`.

        Raises:
            NotFoundError: there is no such record.

        Examples:
            >>> record = await bucket.download("video", None, "latest.mp4")
        """
        check_progress(progress)
        async with self.read(entry_name, timestamp) as record:
            await store(record, path, progress)
        return record

    # --- removing --------------------------------------------------------------------------

    async def remove_record(self, entry_name: str, timestamp: TimestampLike) -> None:
        """Remove one record.

        Raises:
            NotFoundError: there is no such record.
            TypeError: `timestamp` is None; `remove_entry` removes a whole entry.
        """
        entry = names.entry(entry_name)
        call = writes.remove_call(self._name, entry, to_us(timestamp, "timestamp"))
        await run_single(self._io, call)

    async def remove_batch(self, entry_name: str, batch: Batch) -> dict[int, ReductError]:
        """Remove the records of one entry whose timestamps are in `batch`; return errors."""
        entry = names.entry(entry_name)
        calls = batch_writes.remove_calls(self._name, batch_writes.of_entry(entry, batch))
        return batch_writes.by_time(await run(self._io, calls))

    async def remove_record_batch(self, batch: RecordBatch) -> dict[str, dict[int, ReductError]]:
        """Remove the records that are in `batch`; return errors by entry and timestamp."""
        calls = batch_writes.remove_calls(
            self._name, batch_writes.of_entries(batch), entry_errors=True
        )
        return batch_writes.by_entry(await run(self._io, calls))

    async def remove_query(
        self,
        entries: str | Sequence[str],
        start: TimestampLike | None = None,
        stop: TimestampLike | None = None,
        when: Condition | None = None,
        *,
        strict: bool | None = None,
        ext: None = None,
        everything: bool = False,
        include: None = None,
        exclude: None = None,
        limit: None = None,
        each_n: None = None,
        each_s: None = None,
    ) -> int:
        """Remove the records that a query selects; return how many were removed.

        Args:
            entries: name of an entry, a pattern, or several of them.
            start: first time, included; None is the first record.
            stop: last time, excluded; None is the last record.
            when: condition on labels.
            strict: whether a record for which `when` cannot be evaluated is an error.
            ext: not supported in removals: the server would ignore it and remove more.
            everything: must be True to remove all records of the entries, without `start`,
                `stop` and `when`.

        `include`, `exclude`, `limit`, `each_n` and `each_s` are refused with TypeError: the
        server would ignore them and remove more. Query with them, then remove what came by
        `remove_batch`.
        """
        removals.refuse_filters(
            include=include, exclude=exclude, limit=limit, each_n=each_n, each_s=each_s
        )
        body = removals.remove_body(
            entries, start, stop, when, strict=strict, ext=ext, everything=everything
        )
        selected = body.entries or []
        await check_patterns(self._io, self._name, selected)
        async with self._io.gate(removals.remove_claims(self._name, selected)):
            answer = await self._io.send(
                api.io.io_query.build_request(self._name, body=body), repeatable=False
            )
        return removals.removed_records(answer)

    # --- links and attachments -------------------------------------------------------------

    async def create_query_link(
        self,
        entries: str | Sequence[str],
        start: TimestampLike | None = None,
        stop: TimestampLike | None = None,
        when: Condition | None = None,
        *,
        strict: bool | None = None,
        ext: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        record_index: int | None = None,
        record_entry: str | None = None,
        record_timestamp: TimestampLike | None = None,
        expire_at: TimestampLike | None = None,
        file_name: str | None = None,
        base_url: str | None = None,
    ) -> str:
        """Return a link from which anybody can download one record, without a token.

        Args:
            entries, start, stop, when, strict, ext: the query that must select the record.
            record_index: position of the record in the query, from 0; the first one if None.
            record_entry: entry of the record, if it is chosen by time and `entries` is not
                one exact name.
            record_timestamp: time of the record, instead of its position.
            expire_at: end of the link's life; None is in 24 hours.
            file_name: name for the download, ``<entry>_<timestamp>.bin`` if None.
            base_url: what the link begins with; None is the server's public address, or this
                client's if the server has none.

        Raises:
            NotFoundError: the query selects no record at that position.
        """
        plan = queries.make_plan(
            self._name,
            entries,
            start,
            stop,
            None,
            when,
            strict=strict,
            ext=ext,
        )
        chosen = links.check_selector(plan, record_index, record_entry, record_timestamp)
        expires = links.check_expiry(expire_at)
        base = links.check_base_url(base_url)
        await check_patterns(self._io, self._name, plan.entries)
        record = await self._nth(plan, chosen) if isinstance(chosen, int) else chosen
        name = links.file_name(file_name, *record)
        answer = await self._io.send(links.request(plan, record, expires, name, base))
        return links.usable(answer.link, name, self._io.session.config.url)

    async def _nth(self, plan: queries.Plan, index: int) -> tuple[str, int]:
        seen = 0
        async with aclosing(records(self._io, links.metadata(plan))) as found:
            async for record in found:
                if seen == index:
                    return record.entry, record.timestamp
                seen += 1
        raise links.no_record(plan, index, seen)

    async def write_attachments(self, entry_name: str, attachments: Mapping[str, Any]) -> None:
        """Attach JSON documents to an entry, by key; those of the same key are replaced.

        Raises:
            TypeError, ValueError: a content is no JSON.

        Examples:
            >>> await bucket.write_attachments("entry-1", {"schema": {"unit": "mm"}})
        """
        items = attachment_codec.items(entry_name, attachments, self._io.session.now)
        found = await run(self._io, batch_writes.write_calls(self._name, items))
        for error in found.values():
            raise error

    async def read_attachments(self, entry_name: str) -> dict[str, Any]:
        """Return the attachments of an entry by key, decoded from JSON; {} if there are none."""
        plan = reads.attachments(self._name, attachment_codec.meta_entry(entry_name), head=False)
        result: dict[str, Any] = {}
        async with aclosing(records(self._io, plan)) as found:
            async for record in found:
                key = record.labels.get(attachment_codec.KEY)
                if key is not None:
                    result[key] = attachment_codec.decode(key, await record.read_all())
        return result

    async def remove_attachments(
        self, entry_name: str, attachment_keys: Sequence[str] | None = None
    ) -> None:
        """Remove attachments of an entry: those named, or all if None; unknown keys are ignored.

        An empty list removes nothing.
        """
        keys = attachment_codec.check_keys(attachment_keys)
        meta = attachment_codec.meta_entry(entry_name)
        plan = reads.attachments(self._name, meta, head=True)
        known: list[tuple[int, str]] = []
        async with aclosing(records(self._io, plan)) as found:
            async for record in found:
                known.append((record.timestamp, record.labels.get(attachment_codec.KEY, "")))
        removals = attachment_codec.removals(meta, known, keys)
        for error in (
            await run(self._io, batch_writes.update_calls(self._name, removals))
        ).values():
            raise error


def _record_us(timestamp: TimestampLike) -> int:
    return to_us(timestamp, "timestamp", most=MAX_RECORD_US)
