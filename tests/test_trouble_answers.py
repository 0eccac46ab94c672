"""Successful answers that break the rules of the API: each is one ProtocolError."""

import re
from collections.abc import Mapping

import pytest

from reduct_async import NotFoundError, ProtocolError, ReductError
from tests.calls import CALLS, URL, Answer, Answers
from tests.flavours import Flavour

STARTED = Answer(body=b'{"id": 1}')


async def refused(flavour: Flavour, name: str, *answers: Answer) -> str:
    """Return the text of the ProtocolError that a call gives for its last answer."""
    client = flavour.client(URL, transport=Answers(*answers).transport, retry=None)
    with pytest.raises(ProtocolError) as caught:
        await CALLS[name](client, flavour)
    assert caught.value.status_code == answers[-1].status
    assert caught.value.path is not None
    return caught.value.message


SINGLE: Mapping[str, list[tuple[str, str]]] = {
    "no time": [("content-length", "4")],
    "time is a word": [("x-reduct-time", "now"), ("content-length", "4")],
    "time is empty": [("x-reduct-time", ""), ("content-length", "4")],
    "time is a fraction": [("x-reduct-time", "1.5"), ("content-length", "4")],
    "time is negative": [("x-reduct-time", "-1"), ("content-length", "4")],
    "time is too large": [("x-reduct-time", str(2**64)), ("content-length", "4")],
    "time is huge": [("x-reduct-time", "9" * 5000), ("content-length", "4")],
    "no length": [("x-reduct-time", "1")],
    "length is a word": [("x-reduct-time", "1"), ("content-length", "four")],
    "length is negative": [("x-reduct-time", "1"), ("content-length", "-4")],
    "length is short": [("x-reduct-time", "1"), ("content-length", "3")],
    "length is long": [("x-reduct-time", "1"), ("content-length", "5")],
}


@pytest.mark.parametrize("trouble", SINGLE)
async def test_malformed_record(flavour: Flavour, trouble: str) -> None:
    await refused(flavour, "read", Answer(200, SINGLE[trouble], b"data"))
    if "length is" not in trouble:
        await refused(flavour, "read head", Answer(200, SINGLE[trouble]))


async def test_what_is_missing_is_named(flavour: Flavour) -> None:
    message = await refused(flavour, "read", Answer(200, [("content-length", "0")]))
    assert re.search("no .*x-reduct-time|x-reduct-time is missing", message)


@pytest.mark.parametrize("status", [202, 204, 206])
async def test_other_successes_are_no_record(flavour: Flavour, status: int) -> None:
    await refused(flavour, "read", Answer(status))


V1: Mapping[str, list[tuple[str, str]]] = {
    "no records": [],
    "time is a word": [("x-reduct-time-now", "4,text/plain")],
    "time is missing": [("x-reduct-time-", "4,text/plain")],
    "time is negative": [("x-reduct-time--1", "4,text/plain")],
    "time is too large": [(f"x-reduct-time-{2**64}", "4,text/plain")],
    "head is empty": [("x-reduct-time-1", "")],
    "size is a word": [("x-reduct-time-1", "four,text/plain")],
    "size is negative": [("x-reduct-time-1", "-4,text/plain")],
    "size is huge": [("x-reduct-time-1", "9" * 5000 + ",text/plain")],
    "size is short": [("x-reduct-time-1", "3,text/plain")],
    "size is long": [("x-reduct-time-1", "5,text/plain")],
    "length is short": [("x-reduct-time-1", "4,text/plain"), ("content-length", "3")],
    "length is a word": [("x-reduct-time-1", "4,text/plain"), ("content-length", "four")],
}


@pytest.mark.parametrize("trouble", V1)
async def test_malformed_v1_batch(flavour: Flavour, trouble: str) -> None:
    await refused(flavour, "query", STARTED, Answer(200, V1[trouble], b"data"))


def v2(*records: tuple[str, str], **changes: str | None) -> list[tuple[str, str]]:
    """Return headers of a v2 answer; a change of None leaves a header out."""
    headers: dict[str, str | None] = {
        "x-reduct-start-ts": "10",
        "x-reduct-entries": "entry-1",
        "x-reduct-labels": "a",
    }
    headers |= {f"x-reduct-{name.replace('_', '-')}": value for name, value in changes.items()}
    return [(name, value) for name, value in headers.items() if value is not None] + list(records)


GOOD = ("x-reduct-0-0", "4,text/plain,0=1")

V2: Mapping[str, list[tuple[str, str]]] = {
    "no start": v2(GOOD, start_ts=None),
    "start is a word": v2(GOOD, start_ts="now"),
    "start is negative": v2(GOOD, start_ts="-11"),
    "start is too large": v2(GOOD, start_ts=str(2**64)),
    "start is huge": v2(GOOD, start_ts="9" * 5000),
    "no entries": v2(GOOD, entries=None),
    "entries are empty": v2(GOOD, entries=""),
    "entry index is out of range": v2(("x-reduct-1-0", "4,text/plain")),
    "entry index is a word": v2(("x-reduct-a-0", "4,text/plain")),
    "delta is a word": v2(("x-reduct-0-now", "4,text/plain")),
    "delta is missing": v2(("x-reduct-0-", "4,text/plain")),
    "delta is too large": v2((f"x-reduct-0-{2**64}", "4,text/plain")),
    "entries are no UTF-8": v2(GOOD, entries="%ff"),
    "label index is out of range": v2(("x-reduct-0-0", "4,text/plain,1=1")),
    "labels are no UTF-8": v2(GOOD, labels="%ff"),
    "size is a word": v2(("x-reduct-0-0", "four,text/plain")),
    "size is negative": v2(("x-reduct-0-0", "-4,text/plain")),
    "size is short": v2(("x-reduct-0-0", "3,text/plain")),
    "size is long": v2(("x-reduct-0-0", "5,text/plain")),
    "head is empty": v2(("x-reduct-0-0", "")),
    "first head without a type": v2(("x-reduct-0-0", "4")),
    "length is short": [*v2(GOOD), ("content-length", "3")],
}


@pytest.mark.parametrize("trouble", V2)
async def test_malformed_v2_batch(flavour: Flavour, trouble: str) -> None:
    await refused(flavour, "query several", STARTED, Answer(200, V2[trouble], b"data"))


async def test_the_rules_are_not_too_strict(flavour: Flavour) -> None:
    """The neighbours of what is refused above."""
    end = ("x-reduct-last", "true")
    for name, headers, time in (
        ("read", [("x-reduct-time", "0"), ("content-length", "4")], 0),
        ("query", [("x-reduct-time-0", "4,"), end], 0),
        ("query", [(f"x-reduct-time-{2**64 - 1}", "4"), end, ("content-length", "4")], 2**64 - 1),
        ("query several", [*v2(GOOD), end], 10),
        ("query several", [*v2(GOOD, start_ts=str(2**64 - 1)), end], 2**64 - 1),
    ):
        answers = [Answer(200, headers, b"data")]
        answers = answers if name == "read" else [STARTED, *answers]
        client = flavour.client(URL, transport=Answers(*answers).transport)
        found = await CALLS[name](client, flavour)
        assert time in (found if name == "read" else found[0])


BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "no JSON": b"text",
    "cut JSON": b'{"buckets": [',
    "no object": b"[]",
    "a number": b"1",
    "null": b"null",
    "an empty object": b"{}",
    "wrong types": b'{"buckets": {}, "id": "x", "name": 1, "info": [], "settings": 7}',
    "no Unicode": b'{"buckets": "\xff\xfe"}',
    "NaN": b'{"buckets": NaN, "id": NaN}',
    "deep": b"[" * 100_000,
    "huge number": b'{"id": 1' + b"0" * 5000 + b"}",
}

READS = [
    "info",
    "list",
    "get_token_list",
    "get_token",
    "create_token",
    "rotate_token",
    "me",
    "get_replications",
    "get_replication_detail",
    "get_lifecycles",
    "get_lifecycle_detail",
    "get_full_info",
    "bucket info",
    "get_settings",
    "get_entry_list",
    "query",
    "query several",
    "subscribe",
    "remove_query",
    "create_query_link at",
    "read_attachments",
]


@pytest.mark.parametrize("trouble", BODIES)
async def test_malformed_json(flavour: Flavour, trouble: str) -> None:
    kind = [("content-type", "application/json")]
    for name in READS:
        message = await refused(flavour, name, Answer(200, kind, BODIES[trouble]))
        assert "application/json" in message, name
        assert len(message) < 1000, name


async def test_attachment_that_is_no_json(flavour: Flavour) -> None:
    head = ("x-reduct-time-1", "4,application/json,key=schema")
    batch = Answer(200, [head, ("x-reduct-last", "true")], b"{abc")
    message = await refused_attachment(flavour, batch)
    assert "'schema' is not JSON" in message


async def refused_attachment(flavour: Flavour, batch: Answer) -> str:
    client = flavour.client(URL, transport=Answers(STARTED, batch).transport)
    with pytest.raises(ProtocolError) as caught:
        await client.bucket("bucket").read_attachments("entry")
    return caught.value.message


PER_RECORD: Mapping[str, list[tuple[str, str]]] = {
    "time is a word": [("x-reduct-error-now", "409,exists")],
    "time is missing": [("x-reduct-error-", "409,exists")],
    "status is a word": [("x-reduct-error-1", "conflict,exists")],
    "status is missing": [("x-reduct-error-1", "")],
    "status is huge": [("x-reduct-error-1", "9" * 5000 + ",exists")],
}


@pytest.mark.parametrize("name", ["write_batch", "update_batch", "remove_batch"])
@pytest.mark.parametrize("trouble", PER_RECORD)
async def test_malformed_errors_of_records(flavour: Flavour, name: str, trouble: str) -> None:
    """A failed write never looks like a success because its error is unreadable."""
    await refused(flavour, name, Answer(200, PER_RECORD[trouble]))


V2_ERRORS: Mapping[str, list[tuple[str, str]]] = {
    "entry index is out of range": v2(("x-reduct-error-1-0", "409,exists")),
    "no start": v2(("x-reduct-error-0-0", "409,exists"), start_ts=None),
    "no entries": v2(("x-reduct-error-0-0", "409,exists"), entries=None),
    "status is a word": v2(("x-reduct-error-0-0", "conflict,exists")),
    "delta is a word": v2(("x-reduct-error-0-now", "409,exists")),
}


@pytest.mark.parametrize("trouble", V2_ERRORS)
async def test_malformed_errors_of_v2_records(flavour: Flavour, trouble: str) -> None:
    await refused(flavour, "write_record_batch", Answer(200, V2_ERRORS[trouble]))


async def test_signed_statuses_of_records(flavour: Flavour) -> None:
    """The server prints its internal codes as they are (http-api.md 1.4)."""
    headers = [("x-reduct-error-1", "-1,unknown, with a comma"), ("x-reduct-error-2", "404")]
    client = flavour.client(URL, transport=Answers(Answer(200, headers)).transport)
    found = await CALLS["write_batch"](client, flavour)
    assert found == {1: ReductError(-1, "unknown, with a comma"), 2: ReductError(404, "")}
    assert type(found[2]) is NotFoundError


MESSAGES: Mapping[str, tuple[Answer, str]] = {
    "header": (
        Answer(404, [("x-reduct-error", "of the header")], b'{"detail": "x"}'),
        "of the header",
    ),
    "body": (Answer(404, [], b'{"detail": "of the body"}'), "of the body"),
    "reason": (Answer(404), "Not Found"),
    "detail is no text": (Answer(404, [], b'{"detail": [1]}'), "Not Found"),
    "no object": (Answer(404, [], b"[]"), "Not Found"),
    "deep": (Answer(404, [], b"[" * 100_000), "Not Found"),
    "no Unicode": (Answer(404, [], b'{"detail": "\xff"}'), "Not Found"),
    "page": (Answer(502, [("content-type", "text/html")], b"<h1>no</h1>"), "Bad Gateway"),
    "unknown status": (Answer(599), "no message"),
    "UTF-8": (Answer(404, [("x-reduct-error", "größer")]), "größer"),
}


@pytest.mark.parametrize("kind", MESSAGES)
async def test_messages_of_errors(flavour: Flavour, kind: str) -> None:
    """The header first, because the body is not escaped; then the body; then the reason."""
    answer, expected = MESSAGES[kind]
    client = flavour.client(URL, transport=Answers(answer).transport, retry=None)
    with pytest.raises(ReductError) as caught:
        await client.list()
    assert caught.value.message == expected
    assert str(caught.value) == f"Status {answer.status}: {expected}"


async def test_redirect_without_a_target(flavour: Flavour) -> None:
    client = flavour.client(URL, transport=Answers(Answer(304)).transport)
    with pytest.raises(ReductError, match="redirected to an unnamed address"):
        await client.list()
