"""What is measured: one `Row` each, with the data it needs and the goals it is held against."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

ASYNC = ("reduct-py", "async", "blocking", "stock")
RAW = ("raw socket", "raw protocol")

FIRST = 1_000_000
"""The timestamp of the first record of every entry; the others follow each microsecond."""


@dataclass(frozen=True)
class Data:
    """Records that are there before a row begins: `count` of `size` bytes in each entry."""

    count: int
    size: int
    entries: tuple[str, ...] = ("e0",)


@dataclass(frozen=True)
class Goals:
    """Ratios that the default install is to reach: against reduct-py, and against raw bytes."""

    asynchronous: float | None = None
    blocking: float | None = None
    raw: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        key: names the row on the command line and in the JSON.
        unit: what is counted; a rate is units in a second.
        measure: "rate" is better when larger; "delay" (median of samples) and "memory" (peak
            above the imports, bytes) are better when smaller.
        order: what the workers are told.
    """

    key: str
    title: str
    group: str
    unit: str
    order: Mapping[str, Any]
    goals: Goals = Goals()
    data: Data | None = None
    contenders: tuple[str, ...] = ASYNC
    measure: Literal["rate", "delay", "memory"] = "rate"
    rounds: int | None = None
    quick: bool = True
    changes_records: bool = False
    server: Literal["real", "embedded"] = "real"


@dataclass(frozen=True)
class Scale:
    """How much a run does."""

    seconds: float
    rounds: int
    records: int
    file: int
    samples: int
    changed: int


FULL = Scale(1.0, 5, 20_000, 1_000_000_000, 12, 10_000)
QUICK = Scale(0.2, 3, 4_000, 100_000_000, 4, 2_000)


def query(
    scale: Scale, key: str, title: str, size: int, count: int, goals: Goals, **more: Any
) -> Row:
    """Return a row that reads all records of one entry."""
    return Row(
        key,
        title,
        "queries",
        "rec",
        {"op": "query", "entries": ["e0"], "count": count, "seconds": scale.seconds, **more},
        goals,
        Data(count, size),
        ASYNC + RAW,
    )


def queries(scale: Scale) -> list[Row]:
    """Return the rows that read by query."""
    count = scale.records
    several = tuple(f"e{number}" for number in range(8))
    over_entries = Row(
        "query-8-entries",
        "query over 8 entries, 1 kB",
        "queries",
        "rec",
        {"op": "query", "entries": several, "count": count, "seconds": scale.seconds},
        Goals(2, 2),
        Data(count // 8, 1_000, several),
    )
    return [
        query(scale, "query-300B", "batch query, 300 B", 300, count, Goals(25, 20, 0.8)),
        query(scale, "query-1kB", "batch query, 1 kB", 1_000, count, Goals(3, 2.5, 0.8)),
        query(scale, "query-5kB", "batch query, 5 kB", 5_000, count, Goals(2, 2, 0.7)),
        query(
            scale, "query-100kB", "batch query, 100 kB", 100_000, count // 5, Goals(2.2, 2.2, 0.8)
        ),
        query(scale, "query-10MB", "query, 10 MB", 10_000_000, count // 500, Goals(2.5, 2.5, 0.8)),
        over_entries,
        query(
            scale,
            "query-head",
            "query of metadata only, 1 kB",
            1_000,
            count,
            Goals(2.5, 2.5),
            head=True,
        ),
    ]


def at_once(
    tasks: int, read: Mapping[str, Any], data: Data, goals: Goals = Goals(), *, quick: bool = True
) -> Row:
    """Return a row of single reads that so many tasks send side by side."""
    key, title = f"read-x{tasks}", f"single read, {tasks} at once"
    return Row(key, title, "calls", "op", {**read, "tasks": tasks}, goals, data, quick=quick)


def singles(scale: Scale) -> list[Row]:
    """Return the rows of single reads and writes."""
    data = Data(1_000, 1_000)
    read = {
        "op": "read",
        "entries": ["e0"],
        "first": FIRST,
        "count": data.count,
        "seconds": scale.seconds,
    }
    write = {"op": "write", "size": 1_000, "first": FIRST, "seconds": scale.seconds}
    many = {
        "op": "gather_writes",
        "size": 1_000,
        "first": FIRST,
        "count": 1_000,
        "patience": 100,
    }
    both = ASYNC + RAW
    return [
        Row("read", "single read", "calls", "op", read, Goals(1.4, 1.4, 0.6), data, both),
        at_once(8, read, data, quick=False),
        at_once(16, read, data, Goals(1.8, 1.2)),
        at_once(64, read, data, quick=False),
        Row("write", "single write", "calls", "op", write, Goals(1.2, 1.2, 0.6), None, both),
        Row(
            "gather-1",
            "1,000 gathered writes to one entry",
            "calls",
            "op",
            many | {"spread": 1},
            rounds=2,
            quick=False,
        ),
        Row(
            "gather-16",
            "1,000 gathered writes to 16 entries",
            "calls",
            "op",
            many | {"spread": 16},
            rounds=2,
        ),
    ]


def writes(scale: Scale) -> list[Row]:
    """Return the rows that write, change and remove by batches."""
    write = {"size": 1_000, "first": FIRST, "batch": 80, "seconds": scale.seconds}
    change = {"op": "change", "first": FIRST, "batch": 80, "count": scale.changed // 80 * 80}
    return [
        Row(
            "write-batch",
            "batch write, one entry, 1 kB",
            "writes",
            "rec",
            write | {"op": "write_batches", "spread": 1},
            Goals(1.0, 1.0, 0.9),
            contenders=ASYNC + RAW,
        ),
        Row(
            "writer",
            "writer over 8 entries, 1 kB (reduct-py: batches)",
            "writes",
            "rec",
            write | {"op": "writer", "spread": 8},
            Goals(2, 2),
        ),
        Row(
            "update",
            "label update by batch",
            "writes",
            "rec",
            change | {"change": "labels"},
            Goals(1.1, 1.1),
            changes_records=True,
        ),
        Row(
            "remove",
            "removal by batch",
            "writes",
            "rec",
            change | {"change": "removal"},
            Goals(1.1, 1.1),
            changes_records=True,
        ),
    ]


def files(scale: Scale) -> list[Row]:
    """Return the rows that move one large file."""
    contenders = ("reduct-py", "async", "blocking", "raw socket")
    order = {"first": FIRST, "size": scale.file}
    goals = Goals(1.3, 1.3, 0.8)
    return [
        Row("upload", "upload", "files", "B", order | {"op": "upload"}, goals, None, contenders),
        Row(
            "download",
            "download",
            "files",
            "B",
            order | {"op": "download"},
            goals,
            None,
            contenders,
        ),
    ]


def growth(scale: Scale) -> list[Row]:
    """Return the rows that show how the cost grows with the records of an answer."""
    return [
        replace(
            query(
                scale,
                f"answer-{number}",
                f"batch query, 1 kB, {number:,} a batch",
                1_000,
                max(500, min(scale.records, 200 * number)),
                Goals(),
                when={"#batch_records": number, "#batch_metadata_size": 500_000},
            ),
            group="growth",
            quick=False,
        )
        for number in (1, 10, 100, 1_000)
    ]


def others(scale: Scale) -> list[Row]:
    """Return the rows of subscriptions and memory."""
    delay = {"op": "subscribe", "first": FIRST, "count": scale.samples, "poll": 3.0}
    memory = {
        "op": "query",
        "entries": ["e0"],
        "count": 5_000,
        "seconds": 0,
        "bytes": 2_000_000_000,
    }
    clients = ("reduct-py", "async", "blocking")
    return [
        Row(
            "subscribe",
            "write to arrival in subscribe, poll 3 s",
            "others",
            "s",
            delay,
            Goals(1.0, 1.0),
            None,
            clients,
            "delay",
            rounds=1,
            quick=False,
        ),
        Row(
            "memory",
            "memory while reading 2 GB",
            "others",
            "B",
            memory,
            Goals(1.0, 1.0),
            Data(5_000, 100_000),
            clients,
            "memory",
            rounds=1,
            quick=False,
        ),
    ]


def embedded(scale: Scale) -> list[Row]:
    """Return the rows that tell how fast the embedded server is, in memory, by this client."""
    data = Data(1_000, 1_000)
    clients = ("async", "blocking", *RAW)
    single = {"first": FIRST, "size": 1_000, "seconds": scale.seconds}
    whole = {"entries": ["e0"], "count": data.count, "seconds": scale.seconds}
    orders: dict[str, tuple[str, str, dict[str, Any]]] = {
        "write": ("single write", "op", {"op": "write", **single}),
        "read": ("single read", "op", {"op": "read", **whole, "first": FIRST}),
        "write-batch": (
            "batch write",
            "rec",
            {"op": "write_batches", "spread": 1, "batch": 80, **single},
        ),
        "query": ("batch query", "rec", {"op": "query", **whole}),
    }
    return [
        Row(
            f"embedded-{key}",
            f"embedded server: {title}, 1 kB",
            "embedded",
            unit,
            order,
            data=data,
            contenders=clients,
            server="embedded",
            quick=False,
        )
        for key, (title, unit, order) in orders.items()
    ]


def all_rows(scale: Scale) -> list[Row]:
    """Return all rows of a run in the order of the table."""
    return [
        *queries(scale),
        *growth(scale),
        *singles(scale),
        *writes(scale),
        *files(scale),
        *others(scale),
        *embedded(scale),
    ]
