"""The headers of batch protocol v2, held against another reading of it."""

import random
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_local.batch_v1 import DEFAULT_TYPE
from reduct_local.batch_v2 import (
    BatchRequest,
    Encoder,
    Place,
    decode_name,
    encode_name,
    error_header,
    parse_heads,
    parse_request,
    parse_updates,
)
from reduct_local.errors import ApiError
from reduct_local.storage.model import Record
from tests import batch_protocol
from tests.batch_protocol import CONTENT_TYPES, LABEL_NAMES, PIECES, PLAIN_VALUES

ENTRIES = st.sampled_from(["a", "b", "a/b", "c-1_x", "$meta"])


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def request(headers: Mapping[str, str], entries: str = "a,b", start: str = "100") -> BatchRequest:
    fixed = {"x-reduct-entries": entries, "x-reduct-start-ts": start}
    return parse_request(raw({**fixed, **headers}))


def heads(headers: Mapping[str, str]) -> list[tuple[str, int, int, str, dict[str, str]]]:
    return [
        (place.entry, place.timestamp, head.size, head.content_type, head.labels)
        for place, head in parse_heads(request(headers))
    ]


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "a"),
        ("a/b c", "a%2Fb%20c"),
        ("a%2F", "a%2F"),
        ("ä", "%C3%A4"),
        ('a,b="', "a%2Cb%3D%22"),
        ("!#$%&'*+-.^_`|~", "!#$%&'*+-.^_`|~"),
        ("a\n\x7f", "a%0A%7F"),
    ],
)
def test_encoded_names(name: str, text: str) -> None:
    assert encode_name(name) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [("a/b", "a/b"), ("a%2fb", "a/b"), ("a%2Fb", "a/b"), ("%C3%A4", "ä"), ("a b", "a b"), ("", "")],
)
def test_decoded_names(text: str, name: str) -> None:
    assert decode_name(text) == name


@pytest.mark.parametrize("text", ["%", "a%", "a%4", "%4g", "%g4", "%%41", "% 41", "%FF", "%C3"])
def test_names_that_cannot_be_decoded(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_name(text)
    assert caught.value.status == 422


@given(name=st.text().filter(lambda name: "%" not in name))
def test_names_come_back(name: str) -> None:
    assert decode_name(encode_name(name)) == name


# --- requests ----------------------------------------------------------------------------------


def test_records_are_sorted_by_index_and_delta() -> None:
    headers = {"x-reduct-1-0": "4,", "x-reduct-0-10": "3,", "x-reduct-0-9": "2,"}
    assert request(headers).records == [
        (Place(0, "a", 9, 109), b"2,"),
        (Place(0, "a", 10, 110), b"3,"),
        (Place(1, "b", 0, 100), b"4,"),
    ]


def test_timestamps_wrap_around() -> None:
    batch = request({"x-reduct-0-10": "1,"}, start=str(2**64 - 1))
    assert [place.timestamp for place in batch.places()] == [9]


def test_echo() -> None:
    batch = request({"x-reduct-1-0": "4,"}, entries="a/b, c%20d")
    assert batch.echo() == [
        (b"x-reduct-entries", b"a%2Fb,c%20d"),
        (b"x-reduct-start-ts", b"100"),
    ]


def test_batch_without_entries() -> None:
    batch = parse_request([(b"x-reduct-start-ts", b"5")])
    assert batch == BatchRequest([], 5, None, [])
    assert batch.echo()[0] == (b"x-reduct-entries", b"")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-reduct-start-ts": "x"},
        {"x-reduct-start-ts": ""},
        {"x-reduct-start-ts": "-1"},
        {"x-reduct-start-ts": str(2**64)},
        {"x-reduct-start-ts": "1", "x-reduct-entries": " "},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a,,b"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a%"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "ä"},
        {"x-reduct-start-ts": "1", "x-reduct-labels": " "},
        {"x-reduct-start-ts": "1", "x-reduct-labels": "a%"},
        {"x-reduct-start-ts": "1", "x-reduct-0-0": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-1-0": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-0-" + "9" * 20: "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-x-0": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-0-0-0": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-label-1": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-time-5": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-5": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-": "1,"},
        {"x-reduct-start-ts": "1", "x-reduct-entries": "a", "x-reduct-0-": "1,"},
    ],
)
def test_refused_requests(headers: Mapping[str, str]) -> None:
    with pytest.raises(ApiError) as caught:
        parse_request(raw(headers))
    assert caught.value.status == 422


@pytest.mark.parametrize("name", ["x-reduct-0-x", "x-reduct-label-a", "x-reduct-0-5x", "x-other-1"])
def test_headers_that_are_no_records(name: str) -> None:
    assert request({name: "1,"}).records == []


def test_first_of_repeated_headers_counts() -> None:
    headers = [(b"x-reduct-start-ts", b"1"), (b"x-reduct-start-ts", b"x")]
    assert parse_request(headers).start == 1


def test_removals_do_not_look_at_label_names() -> None:
    headers = raw({"x-reduct-start-ts": "1", "x-reduct-labels": " "})
    assert parse_request(headers, with_labels=False).label_names is None


def test_index_may_have_a_sign() -> None:
    assert request({"x-reduct-+1-0": "1,"}).places() == [Place(1, "b", 0, 100)]


@pytest.mark.parametrize(
    ("first", "second", "content_type", "labels"),
    [
        ("1,x/y,k=v", "2", "x/y", {"k": "v"}),
        ("1,x/y,k=v", "2,", "x/y", {"k": "v"}),
        ("1,x/y,k=v", "2,,", "x/y", {"k": "v"}),
        ("1,x/y,k=v", "2, ", "x/y", {"k": "v"}),
        ("1,x/y,k=v", "2,z", "z", {"k": "v"}),
        ("1,x/y,k=v", "2,,l=w", "x/y", {"k": "v", "l": "w"}),
        ("1,x/y,k=v", "2,,k=", "x/y", {}),
        ("1,x/y,k=v", '2,,k=""', "x/y", {}),
        ("1,x/y,k=v", '2,,k="a,b"', "x/y", {"k": "a,b"}),
        ("1,x/y,k=v", "2,,k=,k=w", "x/y", {"k": "w"}),
        ("1,", "2", DEFAULT_TYPE, {}),
        ("1,,k=", "2", DEFAULT_TYPE, {}),
    ],
)
def test_records_build_on_the_one_before(
    first: str, second: str, content_type: str, labels: dict[str, str]
) -> None:
    found = heads({"x-reduct-0-0": first, "x-reduct-0-1": second, "x-reduct-1-0": "3,"})
    assert found[1] == ("a", 101, 2, content_type, labels)
    assert found[2] == ("b", 100, 3, DEFAULT_TYPE, {})


def test_one_entry_under_two_indexes() -> None:
    batch = request({"x-reduct-0-0": "1,x,k=v", "x-reduct-1-0": "2"}, entries="a,a")
    assert [head.labels for _, head in parse_heads(batch)] == [{"k": "v"}, {"k": "v"}]
    assert batch.first_place(batch.places()[1]).index == 0


@pytest.mark.parametrize(
    "value", ["1", "", "x,", "1,,k", "1,,k=v,l", '1,,k="v', "1,,@k=v", "1,,k=v,@l=w", "-1,"]
)
def test_refused_values(value: str) -> None:
    with pytest.raises(ApiError) as caught:
        heads({"x-reduct-0-0": value})
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("0=x", {"k": "x"}),
        ("1=x", {"@c": "x"}),
        ("+0=x", {"k": "x"}),
        ("k=x", {"k": "x"}),
        ("2=x,k=y", {"a b": "x", "k": "y"}),
        ("3=x", {"": "x"}),
    ],
)
def test_labels_by_index(labels: str, expected: dict[str, str]) -> None:
    found = heads({"x-reduct-labels": "k,%40c,a%20b,", "x-reduct-0-0": f"1,,{labels}"})
    assert found[0][4] == expected


@pytest.mark.parametrize("labels", ["4=x", "99999999999=x", "@c=x"])
def test_refused_labels_by_index(labels: str) -> None:
    with pytest.raises(ApiError):
        heads({"x-reduct-labels": "k,%40c,a%20b,", "x-reduct-0-0": f"1,,{labels}"})


def test_numeric_names_without_label_list() -> None:
    assert heads({"x-reduct-0-0": "1,,7=x"})[0][4] == {"7": "x"}


# --- updates -----------------------------------------------------------------------------------


def updates(headers: Mapping[str, str]) -> list[dict[str, str]]:
    return [labels for _, labels in parse_updates(request(headers))]


def test_updates_accumulate_per_entry() -> None:
    headers = {
        "x-reduct-0-0": "0,,k=v",
        "x-reduct-0-1": "0,,l=",
        "x-reduct-0-2": "0",
        "x-reduct-0-3": "0,,k=,l=w",
        "x-reduct-1-0": "0,,m=n",
    }
    assert updates(headers) == [
        {"k": "v"},
        {"k": "v", "l": ""},
        {"k": "v", "l": ""},
        {"k": "", "l": "w"},
        {"m": "n"},
    ]


def test_removal_wins_within_a_record() -> None:
    assert updates({"x-reduct-0-0": "0,,k=,k=v"}) == [{"k": ""}]


def test_updates_need_a_length() -> None:
    with pytest.raises(ApiError):
        updates({"x-reduct-0-0": ",,k=v"})


# --- held against the other reading ------------------------------------------------------------


VALUES = (
    st.lists(st.sampled_from([*PIECES, "5", "x/y", ",,", "@c=1", "k=", "0=", "k=v,"]), max_size=7)
    .map(lambda pieces: "".join(pieces).strip())
    .filter(lambda text: not re.search(r"\+", text))
)

NAMES = st.sampled_from(["x-reduct-0-", "x-reduct-1-", "x-reduct-2-", "x-reduct-a-"])


@given(
    values=st.dictionaries(st.tuples(NAMES, st.integers(0, 3)), VALUES, max_size=4),
    entries=st.sampled_from(["a,b", "a,a", "a%2Fb , b", "a", "a,,b", "a%", "a%FF"]),
    labels=st.sampled_from([None, "k,l", "x%20y", "l , k", "%4"]),
)
def test_requests_are_read_as_by_the_other_reading(
    values: Mapping[tuple[str, int], str], entries: str, labels: str | None
) -> None:
    headers = {"x-reduct-entries": entries, "x-reduct-start-ts": "100"}
    if labels is not None:
        headers["x-reduct-labels"] = labels.strip()
    headers |= {f"{name}{delta}": value for (name, delta), value in values.items()}
    assert found(headers) == expected(headers)


Outcome = list[tuple[str, int, int, str, dict[str, str]]] | int


def found(headers: Mapping[str, str]) -> Outcome:
    try:
        records = parse_heads(parse_request(raw(headers)))
    except ApiError as error:
        return error.status
    return [
        (place.entry, head.timestamp, head.size, head.content_type, head.labels)
        for place, head in records
    ]


def expected(headers: Mapping[str, str]) -> Outcome:
    try:
        records = batch_protocol.request_v2(headers)
    except (batch_protocol.Refused, UnicodeDecodeError):
        return 422
    return [
        (record.entry, record.timestamp, record.size, record.content_type, dict(record.labels))
        for record in records
    ]


# --- answers -----------------------------------------------------------------------------------


def record(entry: str, timestamp: int, labels: dict[str, str] | None = None) -> Record:
    return Record("bucket", entry, timestamp, 5, "x/y", labels or {}, 0, 0)


def encoded(records: Sequence[Record]) -> tuple[dict[str, str], list[tuple[str, int]]]:
    encoder = Encoder[Record]()
    sizes = [encoder.add(record) for record in records]
    headers, ordered = encoder.finish()
    texts = {name.decode(): value.decode() for name, value in headers}
    lines = {
        name: value for name, value in texts.items() if re.fullmatch("x-reduct-[0-9]+-[0-9]+", name)
    }
    if not moved(records):
        assert sum(sizes) == sum(len(name) + len(value) + 2 for name, value in lines.items())
    return texts, [(record.entry, record.timestamp) for record in ordered]


def moved(records: Sequence[Record]) -> bool:
    """Return whether entries get other numbers than those by which the size was counted."""
    return len({record.entry for record in records}) > 10


def test_entries_are_numbered_by_first_time_and_name() -> None:
    headers, order = encoded([record("b", 5), record("c", 7), record("a", 5), record("c", 3)])
    assert headers["x-reduct-entries"] == "c,a,b"
    assert headers["x-reduct-start-ts"] == "3"
    assert order == [("c", 3), ("c", 7), ("a", 5), ("b", 5)]
    assert headers["x-reduct-0-4"] == "5,x/y"
    assert headers["x-reduct-0-0"] == "5"


def test_labels_are_sent_as_changes() -> None:
    headers, _ = encoded(
        [
            record("a", 1, {"k": "v", "l": "1,2"}),
            record("a", 2, {"k": "v", "l": "1,2"}),
            record("a", 3, {"k": "w"}),
            record("b", 4, {"m": ""}),
        ]
    )
    assert headers["x-reduct-labels"] == "k,l,m"
    assert headers["x-reduct-0-0"] == '5,x/y,0=v,1="1,2"'
    assert headers["x-reduct-0-1"] == "5"
    assert headers["x-reduct-0-2"] == "5,,0=w,1="
    assert headers["x-reduct-1-3"] == "5,x/y,2="


def test_empty_batch() -> None:
    headers, order = encoded([])
    assert headers == {"x-reduct-entries": "", "x-reduct-start-ts": "0"}
    assert order == []


LABELS = st.dictionaries(LABEL_NAMES, PLAIN_VALUES.filter(bool) | st.just("a,b"), max_size=3)

RECORDS = st.lists(
    st.builds(
        Record,
        bucket=st.just("bucket"),
        entry=ENTRIES,
        timestamp=st.integers(0, 50) | st.integers(0, 2**64 - 1),
        size=st.integers(0, 2**64 - 1),
        content_type=CONTENT_TYPES,
        labels=LABELS,
        id=st.just(0),
        block=st.just(0),
    ),
    max_size=6,
    unique_by=lambda record: (record.entry, record.timestamp),
)


@given(records=RECORDS)
def test_answers_are_read_back(records: list[Record]) -> None:
    records.sort(key=lambda record: (record.timestamp, record.entry))
    encoder = Encoder[Record]()
    for item in records:
        encoder.add(item)
    headers, ordered = encoder.finish()
    if not records:
        return
    back = parse_heads(parse_request(headers))
    assert [
        (place.entry, head.timestamp, head.size, head.content_type, head.labels)
        for place, head in back
    ] == [
        (item.entry, item.timestamp, item.size, item.content_type, item.labels) for item in ordered
    ]


@given(records=RECORDS)
def test_answers_are_those_of_the_other_reading(records: list[Record]) -> None:
    records.sort(key=lambda record: (record.timestamp, record.entry))
    for item in records:
        item.size = 4
    texts, order = encoded(records)
    stored = [
        batch_protocol.Stored(item.entry, item.timestamp, b"data", item.content_type, item.labels)
        for item in records
    ]
    expected, _ = batch_protocol.answer_v2(stored, last=True, order=InOrder())
    common = {name: value for name, value in expected if name not in END}
    assert texts == common
    assert sorted(order) == sorted((item.entry, item.timestamp) for item in records)


class InOrder(random.Random):
    """Leaves what it is to shuffle as it is: the numbers of labels are free."""

    def shuffle(self, x: object) -> None:
        """Do nothing."""


END = {"content-length", "content-type", "x-reduct-last"}


@given(records=RECORDS)
def test_sizes_are_those_of_the_record_headers(records: list[Record]) -> None:
    """In any order: an earlier record makes all deltas longer."""
    encoded(records)


def test_error_header() -> None:
    assert error_header(Place(2, "a", 7, 107), ApiError(404, "gone")) == (
        b"x-reduct-error-2-7",
        b"404,gone",
    )
