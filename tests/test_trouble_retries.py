"""Which requests are sent again by themselves, after what wait, and which never are."""

from typing import Any

import httpx
import pytest

from reduct_async import ApiError, Client, ReductError, Retry, TransportError
from tests.calls import CALLS, URL, WRITES, Answer, Answers, no_sleep, trouble_of
from tests.flavours import Flavour


def client_of(flavour: Flavour, answers: Answers, **kwargs: Any) -> Client:
    return flavour.client(URL, transport=answers.transport, **kwargs)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that clients wait between attempts, instead of waiting."""
    return no_sleep(monkeypatch)


def busy(status: int, seconds: int | None = None) -> Answer:
    hint = "" if seconds is None else f" retry_after={seconds}s"
    return Answer(status, [("x-reduct-error", f"too much{hint}")])


EMPTY_LIST = Answer(200, body=b'{"buckets": []}')


@pytest.mark.parametrize("status", [429, 503])
async def test_a_read_waits_as_long_as_asked(
    flavour: Flavour, slept: list[float], status: int
) -> None:
    answers = Answers(busy(status, 7), busy(status, 2), EMPTY_LIST)
    client = client_of(flavour, answers, retry=Retry())
    assert await client.list() == []
    assert slept == [7, 2]


async def test_without_a_hint_the_pauses_grow(flavour: Flavour, slept: list[float]) -> None:
    answers = Answers(busy(503))
    retry = Retry(attempts=5, backoff=1, longest=3)
    client = client_of(flavour, answers, retry=retry)
    with pytest.raises(ApiError, match="Status 503: too much"):
        await client.list()
    assert len(answers.requests) == 5
    assert all(most / 2 <= pause <= most for pause, most in zip(slept, [1, 2, 3, 3], strict=True))


async def test_a_longer_wait_than_allowed_is_told(flavour: Flavour, slept: list[float]) -> None:
    answers = Answers(busy(429, 11))
    client = client_of(flavour, answers, retry=Retry(longest=10))
    with pytest.raises(ApiError, match="retry_after=11s"):
        await client.list()
    assert len(answers.requests) == 1
    assert slept == []


@pytest.mark.parametrize("name", sorted(WRITES))
async def test_writes_are_not_repeated(flavour: Flavour, slept: list[float], name: str) -> None:
    for status in (429, 503):
        answers = Answers(busy(status, 1))
        client = client_of(flavour, answers, retry=Retry())
        found = await trouble_of(CALLS[name], client, flavour)
        assert [error.status_code for error in found] == [status]
        assert [request.method in ("GET", "HEAD") for request in answers.requests] == [False]
        assert slept == []


@pytest.mark.parametrize("status", [429, 503])
async def test_answers_of_a_query_are_not_repeated(
    flavour: Flavour, slept: list[float], status: int
) -> None:
    """The records of the failed answer are gone from the query (T14): it would lose them."""
    answers = Answers(Answer(body=b'{"id": 1}'), busy(status, 1))
    client = client_of(flavour, answers, retry=Retry())
    with pytest.raises(ApiError, match="too much"):
        await CALLS["query"](client, flavour)
    assert len(answers.requests) == 2
    assert slept == []


async def test_without_retry_there_is_one_attempt(flavour: Flavour, slept: list[float]) -> None:
    answers = Answers(busy(503))
    with pytest.raises(ApiError, match="too much"):
        await client_of(flavour, answers, retry=None).list()
    assert len(answers.requests) == 1
    assert slept == []


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_where_nothing_was_sent_even_writes_are_repeated(
    flavour: Flavour, slept: list[float], failure: type[httpx.TransportError]
) -> None:
    attempts = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise failure("no")
        return httpx.Response(200)

    client = flavour.client(URL, transport=httpx.MockTransport(handler))
    await client.bucket("bucket").write("entry", b"data")
    assert attempts == 3
    assert len(slept) == 2


@pytest.mark.parametrize("name", ["write", "write stream", "write_batch", "write_record_batch"])
@pytest.mark.parametrize("status", [200, 401, 403, 404, 302, 429, 500, 503, None])
async def test_a_lost_write_is_explained_by_the_bucket(
    flavour: Flavour, slept: list[float], name: str, status: int | None
) -> None:
    """A refusal that got lost under the body is found out; nothing else hides that it was lost."""
    methods = []

    def handler(request: httpx.Request) -> httpx.Response:
        methods.append(request.method)
        if request.method == "POST":
            raise httpx.WriteError("Broken pipe")
        if status is None:
            raise httpx.ConnectError("Connection refused")
        return httpx.Response(status)

    client = flavour.client(URL, transport=httpx.MockTransport(handler))
    with pytest.raises(ReductError) as caught:
        await CALLS[name](client, flavour)
    assert methods.count("POST") == 1
    if status in (401, 403, 404):
        assert caught.value.status_code == status
    else:
        assert caught.value.status_code == -1
        assert caught.value.method == "POST"
        assert "Broken pipe" in caught.value.message


async def test_a_write_without_connection_is_told_as_such(
    flavour: Flavour, slept: list[float]
) -> None:
    methods = []

    def handler(request: httpx.Request) -> httpx.Response:
        methods.append(request.method)
        raise httpx.ConnectError("Connection refused")

    client = flavour.client(URL, transport=httpx.MockTransport(handler))
    with pytest.raises(TransportError, match=r"Cannot connect to http://reduct\.test") as caught:
        await CALLS["write"](client, flavour)
    assert caught.value.method == "POST"
    assert methods == ["POST"] * 3
