"""Conditions mean the same on the real server and in `reduct_local`."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st

from reduct_local.clock import Clock
from reduct_local.conditions import EndsRealServerError
from reduct_local.conditions.nodes import LimitReachedError
from reduct_local.conditions.parser import parse_nodes
from reduct_local.conditions.values import to_text
from reduct_local.engine import Engine, Record
from reduct_local.errors import ApiError
from reduct_local.json_numbers import parse_number
from reduct_local.queries import IoLimits, Queries
from reduct_local.query_request import parse_query
from tests.differential.conditions import conditions, labels, operations, records
from tests.differential.effort import examples
from tests.differential.wire import Call, Connection, NoAnswerError
from tools.real_server import RealServer

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

BUCKET = "conditions"

CONDITIONS_PER_ENTRY = 16

Records = dict[int, dict[str, str]]

Found = tuple[int, tuple[tuple[str, str], ...]]
"""Timestamp and sorted labels of a record."""


class Outcome(NamedTuple):
    """What a query answers.

    Attributes:
        created: the status of its creation.
        reads: the status of each read until it is neither 200 nor has anything left.
        found: all records, in order.
    """

    created: int
    reads: tuple[int, ...] = ()
    found: tuple[Found, ...] = ()


class RealConditions:
    """Conditions as the real server answers them."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)
        self._entries = itertools.count()
        self.entry = ""
        assert self._connection.send(Call("POST", f"/b/{BUCKET}")).status == 200

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def store(self, stored: Records, entry: str | None = None) -> None:
        """Write records to an entry, a fresh one for None; queries read it from then on."""
        self.entry = entry or f"e{next(self._entries)}"
        headers = [
            (f"x-reduct-time-{timestamp}", ",".join(["0", "", *map("=".join, names.items())]))
            for timestamp, names in stored.items()
        ]
        answer = self._connection.send(
            Call("POST", f"/b/{BUCKET}/{self.entry}/batch", tuple(headers))
        )
        assert answer.status == 200
        assert not [name for name, _ in answer.headers if name.startswith("x-reduct-error-")]

    def ask(self, query: dict[str, Any]) -> Outcome:
        """Run a query to its end."""
        body = json.dumps(query).encode()
        created = self._connection.send(Call("POST", f"/b/{BUCKET}/{self.entry}/q", body=body))
        if created.status != 200:
            return Outcome(created.status)
        target = f"/b/{BUCKET}/{self.entry}/batch?q={json.loads(created.body)['id']}"
        reads: list[int] = []
        found: list[Found] = []
        while not reads or reads[-1] == 200:
            answer = self._connection.send(Call("HEAD", target))
            reads.append(answer.status)
            if answer.status == 200:
                found += sorted(read_headers(answer.headers))
        return Outcome(200, tuple(reads), tuple(found))


def read_headers(headers: tuple[tuple[str, str], ...]) -> Iterator[Found]:
    """Yield timestamp and sorted labels of the records of a batch; no value has a comma."""
    for name, value in headers:
        if name.startswith("x-reduct-time-"):
            _size, _type, *pairs = value.split(",")
            yield (
                int(name.removeprefix("x-reduct-time-")),
                tuple(
                    sorted((left, right) for left, _, right in (p.partition("=") for p in pairs))
                ),
            )


def as_read(document: Any) -> Any:
    """Return a JSON value as the servers read it."""
    return json.loads(json.dumps(document), parse_int=parse_number, parse_float=parse_number)


def ask_local(stored: Records, query: dict[str, Any], entry: str = "e") -> Outcome:
    """Run a query to its end in `reduct_local`.

    Raises EndsRealServerError for what the real server must not be asked.
    """
    engine = Engine(clock=Clock())
    try:
        engine.create_bucket(BUCKET)
        for timestamp, names in stored.items():
            engine.write(BUCKET, entry, timestamp, b"", "", names)
        return asyncio.run(run_local(engine, entry, query))
    finally:
        engine.close()


async def run_local(engine: Engine, entry: str, query: dict[str, Any]) -> Outcome:
    """Create a query and read it to its end."""
    queries = Queries(engine, Clock(), IoLimits())
    try:
        query_id = queries.create(BUCKET, entry, parse_query(as_read(query)))
    except EndsRealServerError:
        raise
    except ApiError as error:
        return Outcome(error.status)
    reads: list[int] = []
    found: list[Found] = []
    while True:
        try:
            batch = await queries.take_batch(
                BUCKET, entry, query_id, head=True, header_size=header_size
            )
        except EndsRealServerError:
            raise
        except ApiError as error:
            return Outcome(200, (*reads, error.status), tuple(found))
        reads.append(200)
        found += [(r.timestamp, tuple(sorted(r.labels.items()))) for r in batch.records]


def header_size(record: Record) -> int:
    """Return the bytes that the header of a record takes in a batch."""
    labels = [f"{name}={value}" for name, value in record.labels.items()]
    value = ",".join(["0", "application/octet-stream", *labels])
    return len(f"x-reduct-time-{record.timestamp}") + len(value) + 2


@pytest.fixture(scope="module")
def real() -> Iterator[RealConditions]:
    """The real server."""
    with RealServer() as server:
        asked = RealConditions(server.url)
        yield asked
        asked.close()


@examples(600)
@given(
    stored=records(),
    asked=st.lists(
        st.tuples(conditions(), st.booleans()), min_size=1, max_size=CONDITIONS_PER_ENTRY
    ),
)
def test_random_conditions(
    real: RealConditions, stored: Records, asked: list[tuple[Any, bool]]
) -> None:
    """Status and records of random conditions agree, but for those that end the real server."""
    real.store(stored)
    for when, strict in asked:
        query = {"query_type": "QUERY", "when": when, "strict": strict}
        note(f"{query} over {stored}")
        if (expected := ask_unless_fatal(stored, query)) is not None:
            event(f"created {expected.created}, {'some' if expected.found else 'no'} records")
            assert real.ask(query) == expected


def ask_unless_fatal(stored: Records, query: dict[str, Any]) -> Outcome | None:
    """Return what `ask_local` does, None for what ends the real server."""
    try:
        return ask_local(stored, query)
    except EndsRealServerError:
        event("ends the real server")
        return None


class LabelsOnly:
    """A record as conditions see it."""

    def __init__(self, timestamp: int, names: dict[str, str]) -> None:
        self.timestamp = timestamp
        self.labels = names


def text_of(operation: dict[str, Any], timestamp: int, names: dict[str, str]) -> str | None:
    """Return the value of an operation for a record, as text; None if it has none."""
    try:
        (build,) = parse_nodes(as_read(operation))
        return to_text(build()(LabelsOnly(timestamp, names)))
    except (ApiError, LimitReachedError):
        return None


def spelled(text: str) -> dict[str, list[str]]:
    """Return an expression for a text that would mean something else if it stood there whole."""
    return {"$add": ["$$" if letter == "$" else letter for letter in text] or [""]}


@examples(600)
@given(
    names=labels,
    timestamp=st.sampled_from([0, 1_700_000_000_123_456, 2**63 - 1, 2**63, 2**64 - 2]),
    asked=st.lists(operations(), min_size=1, max_size=CONDITIONS_PER_ENTRY),
)
def test_values_of_operations(
    real: RealConditions, names: dict[str, str], timestamp: int, asked: list[dict[str, Any]]
) -> None:
    """Every operation has the very value that it has here, shown as text, or the same error."""
    stored = {timestamp: names}
    real.store(stored)
    for operation in asked:
        text = text_of(operation, timestamp, names)
        # A literal of these letters would be a reference.
        comparable = text is not None and not {"&", "@"} & set(text)
        same = {"$eq": [{"$cast": [operation, "string"]}, spelled(text or "")]}
        query = {
            "query_type": "QUERY",
            "when": same if comparable else {"$and": [operation]},
            "strict": True,
        }
        note(f"{query} over {stored}")
        if (expected := ask_unless_fatal(stored, query)) is not None:
            assert real.ask(query) == expected
            assert bool(expected.found) or not comparable


def test_a_wrong_value_is_noticed(real: RealConditions) -> None:
    """Control: other values, records and errors are other outcomes."""
    stored = {1: {"a": "1"}, 2: {"a": "2"}, 3: {"b": "1"}}
    real.store(stored)
    conditions = [
        {"$eq": [{"$cast": [{"$add": ["&a", 1]}, "string"]}, spelled("2")]},
        {"$eq": [{"$cast": [{"$add": ["&a", 1]}, "string"]}, spelled("3")]},
        {"$eq": [{"$cast": [{"$add": ["&a", 1]}, "string"]}, spelled("2.5")]},
        {"&a": {"$gt": 0}, "#select_labels": "b"},
        {"$has": "a"},
        {"$x": "a"},
    ]
    queries = [{"query_type": "QUERY", "when": when} for when in conditions]
    queries.append({**queries[0], "strict": True})
    here = [ask_local(stored, query) for query in queries]
    assert [real.ask(query) for query in queries] == here
    assert len(set(here)) == len(here)


FATAL: list[tuple[str, Any, dict[str, str]]] = [
    ("e", 2**63, {}),
    ("e", {"$eq": ["&a", 2**64 - 1]}, {}),
    ("e", {"$rem": [7, 0]}, {}),
    ("e", {"$rem": [7, "&a"]}, {"a": "0"}),
    ("e", {"$rem": [7, False]}, {}),
    ("e", {"$rem": [7, "0s"]}, {}),
    ("e", {"$rem": [-(2**63), -1]}, {}),
    ("e", {"$div_num": [-(2**63), -1]}, {}),
    ("e", {"$div_num": [-1e300, -1.5]}, {}),
    ("e/$meta", True, {"key": "k"}),
    ("e/$meta", {"$not": "&key"}, {"key": "k"}),
]
"""Entry, condition and labels of a record, which end the real server."""


@pytest.mark.parametrize(("entry", "when", "names"), FATAL)
def test_conditions_that_end_the_real_server(entry: str, when: Any, names: dict[str, str]) -> None:
    """What is kept from the real server does end it; here it is an error of its own kind."""
    query = {"query_type": "QUERY", "when": when}
    with pytest.raises(EndsRealServerError):
        ask_local({1: names}, query, entry)
    with RealServer() as server:
        asked = RealConditions(server.url)
        asked.store({1: names}, entry)
        with pytest.raises(NoAnswerError):
            asked.ask(query)
        asked.close()
        deadline = time.monotonic() + 30
        while server.alive():
            assert time.monotonic() < deadline
            time.sleep(0.01)
