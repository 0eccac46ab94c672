"""Headers of batches, drawn at random, on the embedded and the real server side by side."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reduct_local
from tests.batch_protocol import PIECES
from tests.differential.effort import examples
from tests.differential.wire import Answer
from tests.local.raw_calls import Raw, with_prefix
from tests.servers import Server

pytestmark = pytest.mark.real

EXAMPLES = 100


def mostly(good: Sequence[str], *bad: str) -> st.SearchStrategy[str]:
    """Draw good ones nine times of ten."""
    return st.sampled_from([*good] * max(1, 9 * len(bad) // len(good)) + [*bad])


LENGTHS = mostly(["5", "12", " 3 ", "+1", "007", "0"], "-1", "", "9" * 20)

TYPES = mostly(["", "x/y", " ", "a=1", " z "])

CHANGES = mostly(
    ["k=v", "l=", "0=x", 'm="a,b"', "1=z", " n = w ", "k=", "k=a=b", 'k="x" ', 'k=x"y', "7=", "=e"],
    "@c=1",
    "junk",
    'q="',
    "",
    "99=x",
)

LABELS = st.lists(CHANGES, max_size=4).map(",".join)

NONSENSE = st.lists(st.sampled_from([*PIECES, "5", "x/y", "k=v,"]), max_size=7).map("".join)

VALUES = st.one_of(
    *[st.tuples(LENGTHS, TYPES, LABELS).map(",".join)] * 5,
    st.tuples(LENGTHS, TYPES).map(",".join),
    LENGTHS,
    NONSENSE,
).map(str.strip)

TIMES = mostly(["1", "2", "01", "+3", "18446744073709551615"], "x", "", "-1")

PLACES = mostly(
    ["0-0", "0-1", "0-01", "1-0", "+1-0", "1-7", "label-a", "0-0x"],
    *["2-0", "a-0", "-0", "0-", "5", "label-1", ""],
)

ENTRIES = mostly(["a,b", "a,a", "a%2Fb , b", "a/b,c", "a,b!"], "a", "a,,b", "a%", "a%FF", " ")

NAMES = st.none() | mostly(["k,l", "x%20y,z", ",k", "k,k", "%40c,d"], "%4", " ", "k")

STARTS = mostly(["1", "+1", "18446744073709551615", "0"], "x", "")


class Pair:
    """Both servers, with a bucket of the same name that is filled anew for each example."""

    def __init__(self, real: Raw, embedded: Raw) -> None:
        self._both = (real, embedded)
        self._round = 0
        self.bucket = ""

    def renew(self) -> None:
        """Take a fresh bucket."""
        self._round += 1
        self.bucket = f"side-{self._round}"
        for raw in self._both:
            assert raw("POST", f"/b/{self.bucket}").status == 200

    def agree(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send one call to both; both must answer alike."""
        answers = [raw(method, target, headers, body) for raw in self._both]
        assert seen(answers[0]) == seen(answers[1])
        return answers[0]

    def agree_on_records(self) -> None:
        """Read everything by both protocols; both servers must have stored the same."""
        names = [self.entries(raw) for raw in self._both]
        assert names[0] == names[1]
        for entry in names[0]:
            found = [batch(raw, f"/b/{self.bucket}/{entry}") for raw in self._both]
            assert found[0] == found[1]

    def entries(self, raw: Raw) -> list[str]:
        """Return the names of the entries with records."""
        listed = json.loads(raw("GET", f"/b/{self.bucket}").body)["entries"]
        return [entry["name"] for entry in listed if entry["record_count"]]


def batch(raw: Raw, path: str) -> tuple[dict[str, str], bytes]:
    """Return the record headers of all records of an entry, and their contents."""
    query = json.dumps({"query_type": "QUERY", "start": 0, "stop": 2**64 - 1}).encode()
    number = json.loads(raw("POST", f"{path}/q", body=query).body)["id"]
    answer = raw("GET", f"{path}/batch?q={number}")
    return with_prefix(answer, "x-reduct-time-"), answer.body


def seen(answer: Answer) -> object:
    """Return what of an answer must agree: the status, and what is said of single records."""
    errors = with_prefix(answer, "x-reduct-error-")
    return (
        answer.status,
        {place: value.split(",")[0] for place, value in errors.items()},
        answer.header("x-reduct-entries"),
        answer.header("x-reduct-start-ts"),
    )


@pytest.fixture(scope="module")
def pair(server: Server) -> Iterator[Pair]:
    with ExitStack() as resources:
        embedded = resources.enter_context(reduct_local.Server())
        yield Pair(
            resources.enter_context(closing(Raw(server.url))),
            resources.enter_context(closing(Raw(embedded.url))),
        )


def length(value: str) -> int:
    """Return the length that a record header most likely announces."""
    text = value.partition(",")[0].strip().removeprefix("+")
    return int(text) if text.isdigit() and len(text) < 3 else 0


@examples(EXAMPLES)
@given(values=st.dictionaries(TIMES, VALUES, max_size=3))
def test_v1(pair: Pair, values: dict[str, str]) -> None:
    pair.renew()
    headers = {f"x-reduct-time-{time}": value for time, value in values.items()}
    body = b"x" * sum(map(length, values.values()))
    target = f"/b/{pair.bucket}/e/batch"
    for method in ("POST", "PATCH", "POST"):
        pair.agree(method, target, headers, body)
    pair.agree_on_records()
    pair.agree("DELETE", target, headers, b"")
    pair.agree_on_records()


@examples(EXAMPLES)
@given(
    values=st.dictionaries(PLACES, VALUES, max_size=3),
    entries=ENTRIES,
    names=NAMES,
    start=STARTS,
)
def test_v2(
    pair: Pair, values: dict[str, str], entries: str, names: str | None, start: str
) -> None:
    pair.renew()
    headers = {f"x-reduct-{place}": value for place, value in values.items()}
    headers |= {"x-reduct-entries": entries, "x-reduct-start-ts": start}
    if names is not None:
        headers["x-reduct-labels"] = names
    body = b"x" * sum(map(length, values.values()))
    for method, path in (("POST", "write"), ("PATCH", "update"), ("POST", "write")):
        pair.agree(method, f"/io/{pair.bucket}/{path}", headers, body)
    pair.agree_on_records()
    pair.agree("DELETE", f"/io/{pair.bucket}/remove", headers, b"")
    pair.agree_on_records()


def test_disagreement_is_found(pair: Pair) -> None:
    """The comparison is no formality."""
    pair.renew()
    pair.agree_on_records()
    pair._both[0]("POST", f"/b/{pair.bucket}/e?ts=1", body=b"x")
    with pytest.raises(AssertionError):
        pair.agree_on_records()
    with pytest.raises(AssertionError):
        pair.agree("POST", f"/b/{pair.bucket}/e/batch", {"x-reduct-time-1": "1,"}, b"x")
