"""The comparison sees what differs: two real servers, of which one lies."""

import gzip
import json
from collections.abc import Callable, Iterator

import pytest

from tests.differential.answers import comparable
from tests.differential.excluded import EXCLUDED, as_request, excluded_by
from tests.differential.pair import Pair
from tests.differential.scripts import beginning
from tests.differential.wire import Answer, Call, Connection, NoAnswerError
from tools.real_server import RealServer

Lie = Callable[[Answer], Answer]


class Liar(Connection):
    """A connection whose answers are told otherwise."""

    lie: Lie = staticmethod(lambda answer: answer)

    def send(self, call: Call) -> Answer:
        return self.lie(super().send(call))


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with RealServer() as server:
        yield Liar(server.url)


@pytest.fixture(scope="module")
def liars(liar: Liar) -> Iterator[Pair]:
    """A server that is believed, and one that may lie."""
    with RealServer() as server:
        pair = Pair(Connection(server.url), liar)
        yield pair
        pair.close()


EVERYTHING = json.dumps({"query_type": "QUERY", "start": 0, "stop": 9}).encode()
SCRIPT = [
    *beginning(),
    Call("POST", "/b/<b0>/a?ts=1", (), b"again"),
    Call("POST", "/b/<b0>/a/batch", (("x-reduct-time-1", "1,"),), b"x"),
    Call("GET", "/b/<b0>/a?ts=1", size=None),
    Call("HEAD", "/b/<b0>/a?ts=4", size=None),
    Call("POST", "/b/<b0>/a/q", body=EVERYTHING, keep="q"),
    Call("GET", "/b/<b0>/a/batch?q=<q>", size=None),
    Call("POST", "/io/<b0>/q", body=EVERYTHING, keep="io"),
    Call("GET", "/io/<b0>/read", (("x-reduct-query-id", "<io>"),), size=None),
    Call("GET", "/io/<b0>/read", (("x-reduct-query-id", "<io>"),), size=None),
    Call("GET", "/b/<b0>", size=None),
    Call("DELETE", "/b/<b0>/a", size=None),
    Call("GET", "/b/<b0>", size=None),
]


def told(old: str, new: str, header: str | None = None) -> Lie:
    """Return a lie that replaces text in one header, or in all of them and in the body."""

    def lie(answer: Answer) -> Answer:
        headers = tuple(
            (name, value.replace(old, new) if header in (None, name) else value)
            for name, value in answer.headers
        )
        body = answer.body.decode("latin-1").replace(old, new).encode("latin-1")
        return Answer(answer.status, headers, body if header is None else answer.body)

    return lie


def without(header: str) -> Lie:
    """Return a lie that leaves out a header."""
    return lambda answer: answer._replace(
        headers=tuple(pair for pair in answer.headers if pair[0] != header)
    )


def with_status(old: int, new: int) -> Lie:
    """Return a lie about the status."""
    return lambda answer: answer._replace(status=new) if answer.status == old else answer


def hangs_up(answer: Answer) -> Answer:
    raise NoAnswerError("gone")


LIES: dict[str, Lie] = {
    "status": with_status(409, 422),
    "no record for one": with_status(204, 200),
    "byte": told("0123456789", "0123456788"),
    "byte of a single read": lambda answer: answer._replace(body=answer.body.replace(b"0", b"1")),
    "label": told("a=2", "a=3"),
    "label of a single read": without("x-reduct-label-a"),
    "label of several entries": told("=2", "=3", "x-reduct-0-1"),
    "labels of several entries": told("c-d", "c-e", "x-reduct-labels"),
    "length": told("3,", "4,"),
    "type": told("text/plain", "text/html"),
    "status of a record": told("409,", "404,"),
    "header": without("x-reduct-last"),
    "time": without("x-reduct-time-4"),
    "count": told('"record_count":4', '"record_count":5'),
    "field": told('"latest_record"', '"newest_record"'),
    "error header": without("x-reduct-error"),
    "hang": hangs_up,
}


@pytest.mark.real
@pytest.mark.parametrize("name", LIES)
def test_lies_are_found(liars: Pair, liar: Liar, name: str) -> None:
    liar.lie = LIES[name]
    assert liars.first_difference(SCRIPT) is not None


@pytest.mark.real
def test_without_a_lie_nothing_is_found(liars: Pair, liar: Liar) -> None:
    liar.lie = told("nothing like it", "")
    difference = liars.first_difference(SCRIPT)
    assert difference is None, str(difference)


@pytest.mark.parametrize(
    "lie",
    [
        told("Record", "A record"),
        without("date"),
        without("server"),
        told('"size":10', '"size":11'),
        told('"id":1', '"id":12'),
    ],
)
def test_what_is_free_is_not_compared(lie: Lie) -> None:
    headers = (("date", "x"), ("server", "y"), ("content-type", "application/json"))
    answers = [
        Answer(404, (*headers, ("x-reduct-error", "Record")), b'{"detail": "Record"}'),
        Answer(200, headers, b'{"size":10,"id":1}'),
    ]
    for answer in answers:
        assert comparable(lie(answer)) == comparable(answer)


def test_the_order_of_labels_is_free() -> None:
    first = (("x-reduct-labels", "a,b"), ("x-reduct-0-0", '1,,0=x,1="y,z"'))
    second = (("x-reduct-labels", "b,a"), ("x-reduct-0-0", '1,,0="y,z",1=x'))
    other = (("x-reduct-labels", "b,a"), ("x-reduct-0-0", '1,,1="y,z",0=x'))
    assert comparable(Answer(200, first, b"x")) == comparable(Answer(200, second, b"x"))
    assert comparable(Answer(200, first, b"x")) != comparable(Answer(200, other, b"x"))


# --- what is excluded -----------------------------------------------------------------------------

LINK = "/links/x?ct=AAAA&s=AAAAAAAAAAAAAAAAAAAAAQ&i=x&n="
NONCE = "A" * 21 + "Q"


def asking(when: object, target: str = "/b/<b0>/a/q") -> Call:
    body = json.dumps({"query_type": "QUERY", "when": when}).encode()
    return Call("POST", target, body=body)


def writing(value: str, bucket: str = "<b0>") -> Call:
    return Call("POST", f"/b/{bucket}/a/batch", (("x-reduct-time-1", value),))


def packed(body: bytes) -> Call:
    return Call("POST", "/b/<b0>/a?ts=1", (("content-encoding", "gzip"),), body)


SAMPLES = {
    "integer_beyond_64_bits": (asking(2**63), asking(2**63 - 1)),
    "remainder_of_zero": (asking({"$rem": [1, 0]}), asking({"$rem": [1, 2]})),
    "division_of_the_least_integer": (
        asking({"$div_num": [-(2**63), -1]}),
        asking({"$div_num": [-(2**63), 1]}),
    ),
    "odd_condition_on_attachments": (asking(True, "/b/<b0>/a/$meta/q"), asking(True)),
    "label_that_is_no_token": (writing("0,,a b=1"), writing("0,,a-b=1")),
    "label_beyond_ascii": (
        Call(
            "POST",
            "/io/<b0>/write",
            (
                ("x-reduct-entries", "a"),
                ("x-reduct-start-ts", "1"),
                ("x-reduct-labels", "%C3%A9"),
                ("x-reduct-0-0", "0,,0=1"),
            ),
        ),
        writing("0,,e=1"),
    ),
    "control_character_in_a_name": (writing("0,", "a%01"), writing("0,", "a.b")),
    "link_range_of_another_unit": (
        Call("GET", LINK + NONCE, (("range", "items=0-1"),)),
        Call("GET", LINK + NONCE, (("range", "bytes=0-1"),)),
    ),
    "link_with_a_short_salt": (
        Call("GET", LINK.replace("A" * 21 + "Q", "AAAA") + NONCE),
        Call("GET", LINK + NONCE),
    ),
    "link_with_an_odd_nonce": (Call("GET", LINK + "AAAA"), Call("GET", LINK + NONCE)),
    "content_of_a_query_without_content": (
        Call("GET", "/b/<b0>/a/batch?q=<head1>"),
        Call("HEAD", "/b/<b0>/a/batch?q=<head1>"),
    ),
    "range_beyond_the_record": (
        Call("GET", LINK + NONCE, (("range", "bytes=0-10"),)),
        Call("GET", LINK + NONCE, (("range", "bytes=0-9"),)),
    ),
    "several_attachments_at_once": (
        Call(
            "POST",
            "/b/<b0>/a/$meta/batch",
            (("x-reduct-time-1", "0,,key=a"), ("x-reduct-time-2", "0,,key=b")),
        ),
        Call("POST", "/b/<b0>/a/$meta/batch", (("x-reduct-time-1", "0,,key=a"),)),
    ),
    "compressed_body_without_its_end": (
        packed(gzip.compress(b"x" * 100)[:-1]),
        packed(gzip.compress(b"x" * 100)[:-9]),
    ),
    "small_answers_about_several_entries": (
        asking({"#batch_records": 1}, "/io/<b0>/q"),
        asking({"#batch_records": 1}),
    ),
    "name_beyond_the_file_system": (
        Call("POST", f"/b/<b0>/a/{'x' * 256}?ts=1"),
        Call("POST", f"/b/<b0>/a/{'x' * 255}/y?ts=1"),
    ),
    "system_bucket": (Call("GET", "/b/$system"), Call("GET", "/b/system")),
    "comma_and_quote_in_a_label": (
        Call("POST", "/b/<b0>/a?ts=1", (("x-reduct-label-a", ',"'),)),
        Call("POST", "/b/<b0>/a?ts=1", (("x-reduct-label-a", ","),)),
    ),
}
"""A call of each kind that is excluded, and its neighbour that is not."""


def test_each_exclusion_has_a_sample_and_a_reason() -> None:
    assert SAMPLES.keys() == EXCLUDED.keys()
    assert all(len(exclusion.reason) > 20 for exclusion in EXCLUDED.values())


@pytest.mark.parametrize("name", SAMPLES)
def test_exclusions_take_what_they_name_and_nothing_else(name: str) -> None:
    excluded, neighbour = SAMPLES[name]
    assert EXCLUDED[name].applies(as_request(excluded))
    assert excluded_by(excluded) is not None
    assert excluded_by(neighbour) is None
