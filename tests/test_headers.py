"""Heads of batches: what the server sends is read back exactly, what is sent is understood."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from reduct_core import headers as codec
from reduct_core import labels as label_codec
from reduct_core.errors import ApiError, ConflictError, NotFoundError
from reduct_core.headers import Answer, RecordHead, parse_v1, parse_v2, v1_errors, v2_errors
from tests.batch_protocol import (
    CONTENT_TYPES,
    LABEL_NAMES,
    LABEL_VALUES,
    PLAIN_VALUES,
    STORED_TYPES,
    Headers,
    Stored,
    answer_v1,
    answer_v2,
    request_v1,
    request_v2,
    updates_v1,
)

ENTRIES = st.sampled_from(["a", "b", "z", "a/b", "a/b/$meta", "x-1_Y", "rename", "7"])
TIMES = st.integers(0, 12) | st.integers(0, 2**64 - 2)
LABELS = st.dictionaries(LABEL_NAMES, LABEL_VALUES | PLAIN_VALUES, max_size=4)
FEW_LABELS = st.dictionaries(st.sampled_from(["k", "l", "9"]), LABEL_VALUES | PLAIN_VALUES)
COMPUTED = st.dictionaries(LABEL_NAMES, PLAIN_VALUES.filter(bool), max_size=2)


def is_accepted(labels: Mapping[str, str]) -> bool:
    try:
        return label_codec.encode(labels) == labels
    except ValueError:
        return False


def records(
    entries: st.SearchStrategy[str] = ENTRIES,
    labels: st.SearchStrategy[Any] = LABELS | FEW_LABELS,
    kinds: st.SearchStrategy[str] = CONTENT_TYPES,
) -> st.SearchStrategy[list[Stored]]:
    """Records as a query meets them: by time, then entry; labels come and go between them."""
    one = st.builds(
        Stored,
        entry=entries,
        timestamp=TIMES,
        data=st.binary(max_size=5),
        content_type=kinds,
        labels=labels.filter(is_accepted),
        computed=st.just({}) | COMPUTED,
    )
    return st.lists(one, max_size=8, unique_by=lambda r: (r.entry, r.timestamp)).map(
        lambda found: sorted(found, key=lambda record: (record.timestamp, record.entry))
    )


def lines(headers: Headers) -> str:
    """Return headers as the lines of a head."""
    return "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)


def shuffled(headers: Headers, order: random.Random) -> Headers:
    """Return headers in another order, with names as proxies may write them (B29)."""
    forms = (str.lower, str.upper, str.title)
    result = [(order.choice(forms)(name), value) for name, value in headers]
    order.shuffle(result)
    return result


def head_of(record: Stored, *, empty_labels: bool) -> RecordHead:
    return RecordHead(
        record.timestamp,
        record.entry,
        len(record.data),
        record.content_type,
        {name: value for name, value in record.labels.items() if value or empty_labels},
        {f"@{name}": value for name, value in record.computed.items()},
    )


def cut(answer: Answer, body: bytes) -> dict[tuple[str, int], bytes]:
    """Cut a body by the heads in their order."""
    found = {}
    for head in answer.heads:
        found[head.entry, head.timestamp], body = body[: head.size], body[head.size :]
    assert body == b""
    return found


# --- answers -------------------------------------------------------------------------------


@given(
    records(st.just("entry"), kinds=STORED_TYPES), st.booleans(), st.randoms(use_true_random=False)
)
def test_v1_answers_are_read_back(stored: list[Stored], last: bool, order: random.Random) -> None:
    headers, body = answer_v1(stored, last=last)
    answer = parse_v1(lines(shuffled(headers, order)), "entry")
    assert list(answer.heads) == [head_of(record, empty_labels=True) for record in stored]
    assert answer.last is last
    assert cut(answer, body) == {("entry", r.timestamp): r.data for r in stored}


@given(records(kinds=STORED_TYPES), st.booleans(), st.randoms(use_true_random=False))
def test_v2_answers_are_read_back(stored: list[Stored], last: bool, order: random.Random) -> None:
    """T3, T4: in any numbering of entries and labels; an empty label is sent as a removal (T7)."""
    assume(len({record.timestamp for record in stored}) == 0 or stored[-1].timestamp < 2**64)
    headers, body = answer_v2(stored, last=last, order=order)
    answer = parse_v2(shuffled(headers, order))
    found = {(head.entry, head.timestamp): head for head in answer.heads}
    assert found == {
        (record.entry, record.timestamp): head_of(record, empty_labels=False) for record in stored
    }
    assert answer.last is last
    assert cut(answer, body) == {(r.entry, r.timestamp): r.data for r in stored}


def test_b01_bodies_of_several_entries_are_in_the_order_of_entries() -> None:
    stored = [Stored("a", 1, b"a1"), Stored("z", 2, b"z2"), Stored("a", 3, b"a3")]
    headers, body = answer_v2(stored, last=True, order=random.Random(0))
    assert body == b"a1a3z2"
    assert [head.timestamp for head in parse_v2(headers).heads] == [1, 3, 2]


def test_b13_computed_labels_do_not_stick() -> None:
    stored = [Stored("a", 1, b"", computed={"score": "1"}), Stored("a", 2, b"")]
    headers, _ = answer_v2(stored, last=True, order=random.Random(0))
    first, second = parse_v2(headers).heads
    assert (first.labels, first.computed) == ({}, {"@score": "1"})
    assert (second.labels, second.computed) == ({}, {})


def test_labels_of_one_head_are_its_own() -> None:
    """Changing a record's labels changes nothing of the next one."""
    headers, _ = answer_v2(
        [Stored("a", 1, b"", labels={"k": "v"}), Stored("a", 2, b"", labels={"k": "v"})],
        last=True,
        order=random.Random(0),
    )
    first, second = parse_v2(headers).heads
    first.labels["k"] = "changed"
    assert second.labels == {"k": "v"}


def test_idle_answer_of_v2() -> None:
    headers = [("x-reduct-entries", ""), ("x-reduct-start-ts", "0"), ("x-reduct-last", "false")]
    assert parse_v2(headers) == Answer([], False)


def test_names_of_entries_and_labels_are_decoded() -> None:
    headers = [
        ("x-reduct-entries", "a%2Fb, c"),
        ("x-reduct-start-ts", "5"),
        ("x-reduct-labels", "k%20l,m%C3%BC"),
        ("x-reduct-0-0", "1,,0=x,1=y,plain=z"),
        ("x-reduct-1-1", "2"),
    ]
    with pytest.raises(ValueError, match="first record"):
        parse_v2(headers)
    (head,) = parse_v2(headers[:-1]).heads
    assert (head.entry, head.labels) == ("a/b", {"k l": "x", "mü": "y", "plain": "z"})


HEADER_NAMES = st.one_of(
    st.sampled_from(["x-reduct-entries", "x-reduct-start-ts", "x-reduct-labels", "x-reduct-last"]),
    st.text("0159-_+ .", max_size=6).map("x-reduct-time-".__add__),
    st.text("0159-_+ .", max_size=6).map("x-reduct-error-".__add__),
    st.text("0159-_+ .", max_size=6).map("x-reduct-".__add__),
    st.text(max_size=12),
)
HEADER_VALUES = st.one_of(
    st.text('0123456789,= abc"%-+_@\t', max_size=20),
    st.sampled_from(
        ["true", "a", "a,b", "0", "3,,0=1", "3,text/plain,1=x", "3", "404,gone", "9" * 5000]
    ),
    st.text(max_size=10),
)
RAW = st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=8)


@given(RAW)
@example([("x-reduct-time--5", "1,")])
@example([("x-reduct-time-1_0", "1,")])
@example([("x-reduct-time-1", "+5,")])
def test_malformed_v1_answers_are_value_or_lookup_errors(raw: Headers) -> None:
    """Which the client turns into ProtocolError; what is no number is never taken for one."""
    try:
        heads = parse_v1(lines(raw), "entry").heads
    except (ValueError, LookupError):
        return
    assert all(head.size >= 0 and head.timestamp >= 0 for head in heads)
    times = [name for name, _ in raw if name.startswith("x-reduct-time-")]
    assert all(name[len("x-reduct-time-") :].isdecimal() for name in times)


@given(RAW)
@example([("x-reduct-start-ts", "-5"), ("x-reduct-entries", "a"), ("x-reduct-0-0", "1,")])
@example([("x-reduct-start-ts", "1_0"), ("x-reduct-entries", "a"), ("x-reduct-0-0", "1,")])
def test_malformed_v2_answers_are_value_or_lookup_errors(raw: Headers) -> None:
    try:
        heads = parse_v2(raw).heads
    except (ValueError, LookupError):
        return
    assert all(head.size >= 0 and head.timestamp >= 0 for head in heads)
    assert dict(raw)["x-reduct-start-ts"].isdecimal()


@given(RAW)
def test_malformed_errors_are_value_or_lookup_errors(raw: Headers) -> None:
    for read in (v1_errors, v2_errors):
        try:
            found: Mapping[Any, Any] = read(raw)
        except (ValueError, LookupError):
            continue
        assert all(isinstance(error, ApiError) for error in found.values())


@pytest.mark.parametrize(
    "headers",
    [
        [("x-reduct-start-ts", "0"), ("x-reduct-0-0", "1,")],
        [("x-reduct-entries", "a"), ("x-reduct-0-0", "1,")],
        [("x-reduct-entries", "a"), ("x-reduct-start-ts", "0"), ("x-reduct-1-0", "1,")],
        [("x-reduct-entries", "%FF"), ("x-reduct-start-ts", "0"), ("x-reduct-0-0", "1,")],
        [("x-reduct-entries", "a"), ("x-reduct-start-ts", "x"), ("x-reduct-0-0", "1,")],
        [("x-reduct-entries", "a"), ("x-reduct-start-ts", "0"), ("x-reduct-0-0", "-1,")],
        [("x-reduct-entries", "a"), ("x-reduct-start-ts", "0"), ("x-reduct-0-0", "x,")],
        [("x-reduct-entries", "a"), ("x-reduct-start-ts", "0"), ("x-reduct-0-0", "1")],
        [
            ("x-reduct-entries", "a"),
            ("x-reduct-start-ts", "0"),
            ("x-reduct-labels", "k"),
            ("x-reduct-0-0", "1,,1=x"),
        ],
    ],
    ids=str,
)
def test_v2_answers_that_are_none_are_errors(headers: Headers) -> None:
    with pytest.raises((ValueError, LookupError)):
        parse_v2(headers)


@pytest.mark.parametrize("value", ["", "x,", "-1,", "1.5,", ",text/plain", "1e3,"])
def test_v1_answers_without_a_size_are_errors(value: str) -> None:
    with pytest.raises(ValueError, match=r"int|size|number|digit"):
        parse_v1(lines([("x-reduct-time-1", value)]), "entry")


def test_numbers_that_the_api_has_not_are_errors() -> None:
    assert (
        parse_v1(lines([(f"x-reduct-time-{2**64 - 1}", "1,")]), "e").heads[0].timestamp == 2**64 - 1
    )
    with pytest.raises(ValueError, match="larger"):
        parse_v1(lines([(f"x-reduct-time-{2**64}", "1,")]), "e")
    start = ("x-reduct-start-ts", str(2**64 - 1))
    with pytest.raises(ValueError, match="larger"):
        parse_v2([start, ("x-reduct-entries", "e"), ("x-reduct-0-1", "1,")])


def test_labels_that_others_stored_leave_a_v1_answer_readable() -> None:
    """B11: a value with quote and comma, and a content type with a comma."""
    headers = [
        ("x-reduct-time-1", '1,text/plain,k="a,b",x=c,d"'),
        ("x-reduct-time-2", "1,multipart/mixed, text/plain"),
        ("x-reduct-time-3", "1,text/plain,k=v"),
    ]
    heads = parse_v1(lines(headers), "entry").heads
    assert [head.size for head in heads] == [1, 1, 1]
    assert heads[1].content_type == "multipart/mixed, text/plain"
    assert heads[2].labels == {"k": "v"}


# --- single records ------------------------------------------------------------------------


def single(**extra: str) -> httpx.Headers:
    plain = {"content-length": "3", "x-reduct-time": "7", "content-type": "text/plain"}
    return httpx.Headers({**plain, **{name.replace("_", "-"): v for name, v in extra.items()}})


def test_b29_single_answers_in_any_case() -> None:
    answer = httpx.Headers(
        {
            "Content-Length": "3",
            "X-Reduct-Time": "7",
            "Content-Type": "a, b",
            "X-Reduct-Label-K": 'x, "y"',
            "X-Reduct-Label-Empty": "",
            "X-Reduct-Entry": "other",
        }
    )
    assert codec.single_head(lines(answer.multi_items()), "entry") == RecordHead(
        7, "entry", 3, "a, b", {"k": 'x, "y"', "empty": ""}, {}
    )


def test_a_single_answer_without_type_has_the_default() -> None:
    headers = single()
    del headers["content-type"]
    head = codec.single_head(lines(headers.multi_items()), "entry")
    assert head.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-reduct-time", None),
        ("content-length", None),
        ("x-reduct-time", "x"),
        ("x-reduct-time", "-1"),
        ("content-length", "-1"),
        ("content-length", "1_0"),
    ],
)
def test_single_answers_that_are_none_are_errors(name: str, value: str | None) -> None:
    headers = single()
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises((ValueError, LookupError)):
        codec.single_head(lines(headers.multi_items()), "entry")


# --- errors of single records --------------------------------------------------------------


def test_v1_errors_are_by_timestamp() -> None:
    headers = [
        ("X-Reduct-Error-5", "409,A record, with commas"),
        ("x-reduct-error-18446744073709551614", "-1,unknown"),
        ("x-reduct-last", "true"),
    ]
    found = v1_errors(headers)
    assert list(found) == [5, 2**64 - 2]
    assert isinstance(found[5], ConflictError)
    assert found[5] == ConflictError(409, "A record, with commas")
    assert isinstance(found[2**64 - 2], ApiError)
    assert found[2**64 - 2].status_code == -1


def test_v2_errors_are_by_entry_and_timestamp() -> None:
    headers = [
        ("X-Reduct-Error-1-3", "404,not there"),
        ("x-reduct-error-0-0", "500,broken"),
        ("x-reduct-entries", "a%2Fb,c"),
        ("x-reduct-start-ts", "100"),
    ]
    found = v2_errors(headers)
    assert found.keys() == {("c", 103), ("a/b", 100)}
    assert isinstance(found["c", 103], NotFoundError)
    assert v2_errors([("x-reduct-entries", "a"), ("x-reduct-start-ts", "1")]) == {}


@pytest.mark.parametrize("value", ["", "gone", ",gone", "4.5,gone"])
def test_errors_without_a_status_are_errors(value: str) -> None:
    with pytest.raises(ValueError, match=r"int|status|number"):
        v1_errors([("x-reduct-error-5", value)])


# --- requests ------------------------------------------------------------------------------

WRITTEN_LABELS = (LABELS | FEW_LABELS).filter(
    lambda labels: is_accepted(labels) and not label_codec.needs_own_call(labels)
)


def heads(stored: Sequence[Stored]) -> list[RecordHead]:
    return [
        RecordHead(r.timestamp, r.entry, len(r.data), r.content_type, dict(r.labels), {})
        for r in sorted(stored, key=lambda record: (record.entry, record.timestamp))
    ]


@given(records(labels=WRITTEN_LABELS.filter(lambda labels: all(labels.values()))))
def test_v2_requests_are_understood(stored: list[Stored]) -> None:
    """Also where a record lacks labels of the one before it (R1)."""
    assume(stored)
    sent = heads(stored)
    headers = codec.v2_headers(sent)
    understood = request_v2(headers)
    assert [(r.entry, r.timestamp, r.size, r.content_type, r.labels) for r in understood] == [
        (h.entry, h.timestamp, h.size, h.content_type, h.labels) for h in sent
    ]
    assert len(headers) <= len(stored) + 3


def test_r1_labels_that_are_lost_between_records_are_removed() -> None:
    stored = [
        Stored("a", 1, b"", labels={"a": "1"}),
        Stored("a", 2, b""),
        Stored("a", 3, b"", labels={"b": "2"}),
    ]
    headers = codec.v2_headers(heads(stored))
    assert [record.labels for record in request_v2(headers)] == [{"a": "1"}, {}, {"b": "2"}]
    assert headers["x-reduct-0-1"] == "0,application/octet-stream,0="


@given(records(st.just("entry"), WRITTEN_LABELS))
def test_v1_requests_are_understood(stored: list[Stored]) -> None:
    headers = {
        f"{codec.V1_RECORD}{head.timestamp}": codec.v1_record(
            head.size, head.content_type, head.labels
        )
        for head in heads(stored)
    }
    understood = request_v1(headers, "entry")
    assert [(r.timestamp, r.size, r.content_type, r.labels) for r in understood] == [
        (r.timestamp, len(r.data), r.content_type, r.labels) for r in stored
    ]


@given(WRITTEN_LABELS)
def test_v1_updates_are_understood(labels: dict[str, str]) -> None:
    headers = {"x-reduct-time-5": codec.v1_record(0, "", labels)}
    assert updates_v1(headers) == {5: {name: value or None for name, value in labels.items()}}
