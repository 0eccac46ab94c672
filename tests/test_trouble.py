"""Answers that a real server does not give on demand, over transports that give them."""

import builtins
import copy
import inspect
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

import reduct_async
import reduct_sync
from reduct_async import (
    ApiError,
    AuthenticationError,
    Bucket,
    Client,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ReductError,
    Retry,
    TimeoutError,
    TransportError,
    WriteError,
)
from tests.calls import CALLS, PROBES, URL, WRITES, Answer, Answers, no_sleep, trouble_of
from tests.flavours import Flavour

every_call = pytest.mark.parametrize("name", CALLS)

STARTED = Answer(body=b'{"id": 1}')

HTML = Answer(200, [("content-type", "text/html; charset=utf-8")], b"<html>Please log in</html>")


def client_of(flavour: Flavour, answers: Answers, **kwargs: Any) -> Client:
    """Return a client that gets `answers`, without waiting between attempts."""
    kwargs.setdefault("retry", Retry(attempts=2, backoff=0))
    return flavour.client(URL, transport=answers.transport, **kwargs)


async def only_error(flavour: Flavour, name: str, *answers: Answer) -> ReductError:
    """Return the error that a call gives for `answers`, which must be the same for all records."""
    client = client_of(flavour, Answers(*answers))
    found = await trouble_of(CALLS[name], client, flavour)
    assert found
    assert len(set(found)) == 1
    return found[0]


def test_calls_are_complete() -> None:
    """A method that is added later is shown the same trouble, or this fails."""
    local = {"close", "bucket"}
    public = {
        name
        for cls in (Client, Bucket)
        for name, value in inspect.getmembers(cls, inspect.isroutine)
        if not name.startswith("_") and name not in local
    }
    assert public - {name.removeprefix("bucket ").split()[0] for name in CALLS} == set()
    assert set(CALLS) >= WRITES | PROBES


# --- every call, the same trouble ----------------------------------------------------------


@every_call
async def test_page_of_a_proxy(flavour: Flavour, name: str) -> None:
    """A log-in page with status 200 is no success, not even of a write or a removal."""
    error = await only_error(flavour, name, HTML)
    assert isinstance(error, ProtocolError)
    assert error.status_code == 200
    assert "text/html" in error.message
    assert error.method is not None
    assert error.path is not None
    assert error.path.startswith("/api/v1/")


@every_call
async def test_other_successes(flavour: Flavour, name: str) -> None:
    """The server says 200, and 204 at the end of a query; whoever says 202 is another one."""
    for status in (201, 202, 204, 206, 299):
        error = await only_error(flavour, name, Answer(status, [("x-reduct-api", "1.21")]))
        assert type(error) is ProtocolError, status
        assert error.status_code == status


@pytest.mark.parametrize("name", ["query", "query head", "query several", "query pattern head"])
async def test_other_successes_of_a_query(flavour: Flavour, name: str) -> None:
    """Records that came with another status are not handed out."""
    v1 = [("x-reduct-time-1", "0,"), ("x-reduct-last", "true")]
    v2 = [("x-reduct-start-ts", "1"), ("x-reduct-entries", "entry-1"), ("x-reduct-0-0", "0,a")]
    headers = [*v1, *v2]
    client = client_of(flavour, Answers(STARTED, Answer(200, headers)))
    assert len(await CALLS[name](client, flavour)) == 1
    for status in (201, 206):
        error = await only_error(flavour, name, STARTED, Answer(status, headers))
        assert type(error) is ProtocolError


@every_call
async def test_redirects_are_not_followed(flavour: Flavour, name: str) -> None:
    """The client would send its token to wherever the redirect points."""
    for status in (301, 302, 307, 308):
        answers = Answers(Answer(status, [("location", "https://elsewhere.test/x")]))
        found = await trouble_of(CALLS[name], client_of(flavour, answers), flavour)
        assert found
        assert all(isinstance(error, ApiError) for error in found)
        assert all(error.status_code == status for error in found)
        assert all("https://elsewhere.test/x" in error.message for error in found)
        assert {request.url.host for request in answers.requests} == {"reduct.test"}


STATUSES: Mapping[int, type[ApiError]] = {
    400: ApiError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: ApiError,
    422: ApiError,
    425: ApiError,
    431: ApiError,
    500: ApiError,
    507: ApiError,
    599: ApiError,
}


@every_call
async def test_error_statuses(flavour: Flavour, name: str) -> None:
    for status, expected in STATUSES.items():
        error = await only_error(flavour, name, Answer(status, [("x-reduct-error", "the text")]))
        assert type(error) is expected
        assert error.status_code == status
        # The client's own advice may follow.
        assert error.message.startswith(("the text", "no record", "the query over"))
        assert str(error) == f"Status {status}: {error.message}"


@every_call
async def test_server_away(flavour: Flavour, name: str) -> None:
    """Nobody answers behind a proxy, or the server still starts."""
    for status in (502, 503, 504):
        client = client_of(
            flavour, Answers(Answer(status, [("content-type", "text/html")], b"<h1>"))
        )
        if name in ("is_alive", "is_ready"):
            assert await CALLS[name](client, flavour) is False
            continue
        found = await trouble_of(CALLS[name], client, flavour)
        assert found
        expected = TimeoutError if name == "wait_ready" else ApiError
        assert all(isinstance(error, expected) for error in found)


@every_call
async def test_old_server(flavour: Flavour, name: str) -> None:
    """One clear error, also where the server answers with an error."""
    for status in (200, 404):
        answers = Answers(Answer(status, [("x-reduct-api", "1.18")], b"{}"))
        found = await trouble_of(CALLS[name], client_of(flavour, answers), flavour)
        assert [type(error) for error in found] == [ProtocolError]
        assert "1.18" in found[0].message
        assert "1.20" in found[0].message
        assert len(answers.requests) == 1


@every_call
async def test_closed_client(flavour: Flavour, name: str) -> None:
    answers = Answers(Answer())
    client = client_of(flavour, answers)
    await client.close()
    await client.close()
    found = await trouble_of(CALLS[name], client, flavour)
    assert found
    assert all(type(error) is TransportError for error in found)
    assert all(error.status_code == -1 for error in found)
    assert all(error.message == "the client is closed" for error in found)
    assert answers.requests == []


def no_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("All connection attempts failed", request=request)


@every_call
async def test_no_connection(flavour: Flavour, name: str) -> None:
    transport = httpx.MockTransport(no_connection)
    client = flavour.client(URL, transport=transport, retry=Retry(attempts=2, backoff=0))
    if name in ("is_alive", "is_ready"):
        assert await CALLS[name](client, flavour) is False
        return
    found = await trouble_of(CALLS[name], client, flavour)
    assert found
    for error in found:
        assert isinstance(error, TransportError)
        assert error.status_code == -1
        if name == "wait_ready":
            assert "was not ready within 0 s" in error.message
        else:
            assert error.message.startswith("Cannot connect to http://reduct.test: All connection")


@every_call
async def test_misspelt_keyword(flavour: Flavour, name: str) -> None:
    """An unknown keyword is never swallowed, as reduct-py does (B3)."""
    answers = Answers(Answer())
    client = client_of(flavour, answers)
    bucket = client.bucket("bucket")
    method = name.removeprefix("bucket ").split()[0]
    owner: Any = client if hasattr(Client, method) and not name.startswith("bucket ") else bucket
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        await getattr(owner, method)(nonsense=1)
    assert answers.requests == []


@pytest.mark.parametrize("name", ["Client", "Batch", "RecordBatch"])
def test_misspelt_keyword_of_a_constructor(name: str) -> None:
    for package in (reduct_async, reduct_sync):
        with pytest.raises(TypeError, match="nonsense"):
            getattr(package, name)(nonsense=1)
    with pytest.raises(TypeError, match="nonsense"):
        reduct_async.Batch().add(1, nonsense=1)  # type: ignore[call-arg]


EMPTY_LIST = Answer(200, body=b'{"buckets": []}')

# --- B22 to B29 ----------------------------------------------------------------------------


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that clients wait between attempts, instead of waiting."""
    return no_sleep(monkeypatch)


def batch(*heads: str, body: bytes, length: int | None = None) -> Answer:
    """Return the last v1 answer, with records at 1, 2, ..."""
    headers = [(f"x-reduct-time-{time}", head) for time, head in enumerate(heads, 1)]
    framing = [] if length is None else [("content-length", str(length))]
    return Answer(200, [*headers, *framing, ("x-reduct-last", "true")], body)


@pytest.mark.parametrize("length", [None, 4, 10])
async def test_b22_short_body_is_an_error_not_a_loop(flavour: Flavour, length: int | None) -> None:
    answer = batch("4,", "6,", body=b"abcd", length=length)
    with pytest.raises(ProtocolError, match=r"6 bytes before|heads announce 10 bytes"):
        await CALLS["query"](client_of(flavour, Answers(STARTED, answer)), flavour)
    single = Answer(200, [("x-reduct-time", "1"), ("content-length", "10")], b"abcd")
    with pytest.raises(ProtocolError, match="6 bytes before"):
        await CALLS["read"](client_of(flavour, Answers(single)), flavour)


@pytest.mark.parametrize("length", [None, 4, 6])
async def test_b22_excess_body_is_an_error(flavour: Flavour, length: int | None) -> None:
    answer = batch("1,", "3,", body=b"abcdef", length=length)
    with pytest.raises(ProtocolError, match=r"2 bytes more|heads announce 4 bytes"):
        await CALLS["query"](client_of(flavour, Answers(STARTED, answer)), flavour)
    single = Answer(200, [("x-reduct-time", "1"), ("content-length", "4")], b"abcdef")
    with pytest.raises(ProtocolError, match="2 bytes more"):
        await CALLS["read"](client_of(flavour, Answers(single)), flavour)


async def test_b22_empty_answers_for_ever_end(flavour: Flavour, slept: list[float]) -> None:
    """An honest server holds an empty answer for seconds; a cache gives it at once, for ever.

    Until the end, the loop is not kept busy.
    """
    empty = Answer(200, [("x-reduct-entries", ""), ("x-reduct-start-ts", "0")])
    answers = Answers(STARTED, empty)
    answers.most = 100_000
    with pytest.raises(ProtocolError, match="empty answers"):
        await CALLS["query several"](client_of(flavour, answers), flavour)
    assert sum(slept) > 60


async def test_b23_default_timeouts(flavour: Flavour) -> None:
    """Inactivity, not a total; above the 60 s after which the server answers a locked entry."""
    answers = Answers(EMPTY_LIST)
    await client_of(flavour, answers).list()
    expected = {"connect": 10.0, "read": 75.0, "write": 75.0, "pool": None}
    assert answers.requests[0].extensions["timeout"] == expected


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (3, {"connect": 3, "read": 3, "write": 3, "pool": 3}),
        (
            httpx.Timeout(1, read=None, pool=4),
            {"connect": 1, "read": None, "write": 1, "pool": 4},
        ),
    ],
)
async def test_b23_timeouts_as_given(flavour: Flavour, timeout: Any, expected: Any) -> None:
    answers = Answers(EMPTY_LIST)
    await client_of(flavour, answers, timeout=timeout).list()
    assert answers.requests[0].extensions["timeout"] == expected


async def test_b25_aiohttp_sessions_are_refused_by_name(flavour: Flavour) -> None:
    with pytest.raises(TypeError, match=r"session=.*transport="):
        flavour.client(URL, session=object())


async def test_b25_the_transport_given_is_used_and_closed(flavour: Flavour) -> None:
    closed: list[str] = []

    class Transport(httpx.MockTransport):
        def close(self) -> None:
            closed.append("sync")

        async def aclose(self) -> None:
            closed.append("async")

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"buckets": []})

    client = flavour.client(URL, transport=Transport(handler))
    async with client:
        assert await client.list() == []
        assert closed == []
    assert closed == [flavour.name]
    with pytest.raises(TransportError, match="the client is closed"):
        await client.list()
    await client.close()
    assert closed == [flavour.name]


FOREIGN: Mapping[type[httpx.TransportError], type[ReductError]] = {
    httpx.ConnectError: TransportError,
    httpx.ReadError: TransportError,
    httpx.WriteError: TransportError,
    httpx.CloseError: TransportError,
    httpx.ProxyError: TransportError,
    httpx.LocalProtocolError: TransportError,
    httpx.RemoteProtocolError: TransportError,
    httpx.UnsupportedProtocol: TransportError,
    httpx.ConnectTimeout: TimeoutError,
    httpx.ReadTimeout: TimeoutError,
    httpx.WriteTimeout: TimeoutError,
    httpx.PoolTimeout: TimeoutError,
}


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_b26_errors_of_httpx_become_ours(
    flavour: Flavour, foreign: type[httpx.TransportError]
) -> None:
    cause = foreign("the cause")

    def handler(request: httpx.Request) -> httpx.Response:
        raise cause

    client = flavour.client(URL, transport=httpx.MockTransport(handler), retry=None, timeout=2.5)
    with pytest.raises(ReductError) as caught:
        await client.list()
    error = caught.value
    assert type(error) is FOREIGN[foreign]
    assert error.__cause__ is cause
    assert (error.status_code, error.method, error.path) == (-1, "GET", "/api/v1/list")
    assert "http://reduct.test" in error.message
    if isinstance(error, TimeoutError):
        phase = foreign.__name__.removesuffix("Timeout").lower()
        assert f"{phase} timeout of 2.5 s passed" in error.message


def test_b26_every_transport_error_of_httpx_is_known() -> None:
    def leaves(cls: type) -> set[type]:
        below: list[type] = cls.__subclasses__()
        return {leaf for child in below for leaf in leaves(child)} or {cls}

    assert leaves(httpx.TransportError) == set(FOREIGN)


ERRORS = [
    ReductError(400, "text"),
    TransportError(-1, "text", method="GET", path="/x"),
    TimeoutError(-1, "text", method="GET", path="/x"),
    ApiError(500, "text"),
    AuthenticationError(401, "text"),
    PermissionDeniedError(403, "text"),
    NotFoundError(404, "text", method="PUT", path="/x"),
    ConflictError(409, "text"),
    ProtocolError(200, "text"),
    WriteError(409, "text"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_b27_errors_are_values(error: ReductError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert twin is not error
        assert type(twin) is type(error)
        assert twin == error
        assert hash(twin) == hash(error)
        assert (twin.method, twin.path) == (error.method, error.path)
        assert str(twin) == str(error) == f"Status {error.status_code}: text"
        assert repr(twin) == repr(error)
    assert error != type(error)(error.status_code, "other text")
    assert error != type(error)(418, "text")
    assert error != "text"
    assert error is not None
    assert (error == None) is False  # noqa: E711
    assert len({error, copy.copy(error)}) == 1


def test_b27_all_errors_are_tried() -> None:
    def tree(cls: type[ReductError]) -> set[type[ReductError]]:
        return {cls}.union(*map(tree, cls.__subclasses__()))

    assert tree(ReductError) == {type(error) for error in ERRORS}


def test_b27_timeouts_are_the_built_in_error() -> None:
    assert isinstance(TimeoutError(-1, "text"), builtins.TimeoutError)


RECORD = Answer(200, [("x-reduct-time", "1"), ("content-length", "4")], b"data")


class UsersError(Exception):
    """Of the user's own program."""


class Stop(BaseException):
    """As KeyboardInterrupt is, which would end the tests."""


FOREIGN_ERRORS: list[BaseException] = [
    UsersError("mine"),
    httpx.ConnectError("to some other service"),
    httpx.ReadTimeout("of some other service"),
    TransportError(-1, "of another client"),
    ProtocolError(200, "of another client"),
    OSError("of the user's disk"),
    ConnectionResetError("of some other service"),
    builtins.TimeoutError("of some other service"),
    ValueError("mine"),
    KeyError("mine"),
    Stop("mine"),
    StopIteration("mine"),
    StopAsyncIteration("mine"),
]


@pytest.mark.parametrize("error", FOREIGN_ERRORS, ids=lambda error: type(error).__name__)
async def test_b28_errors_in_the_block_pass_unchanged(
    flavour: Flavour, error: BaseException
) -> None:
    client = client_of(flavour, Answers(RECORD))
    caught: BaseException | None = None
    try:
        async with client.bucket("bucket").read("entry"):
            raise error
    except BaseException as exc:
        caught = exc
    assert caught is error


@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("error", FOREIGN_ERRORS[:-2], ids=lambda error: type(error).__name__)
async def test_b28_errors_of_a_body_pass_unchanged(
    flavour: Flavour, error: BaseException, slept: list[float], size: int
) -> None:
    """And they are the end of the call: an iterator cannot be read twice.

    A small body is read before anything is sent, a large one while it is sent.
    """
    error.__cause__ = httpx.ConnectError("a cause that would allow another attempt")

    class Body:
        """Plain, so that the error reaches the blocking flavour as it is."""

        begun = 0

        def __iter__(self) -> Any:
            self.begun += 1
            yield bytes(size)
            raise error

    body = Body()
    answers = Answers(Answer())
    client = client_of(flavour, answers, retry=Retry())
    caught: BaseException | None = None
    try:
        await client.bucket("bucket").write("entry", body, content_length=2 * size)
    except BaseException as exc:
        caught = exc
    assert caught is error
    assert body.begun == 1
    assert answers.requests == []
    assert slept == []


async def test_b28_a_write_goes_on_after_an_error_of_a_body(flavour: Flavour) -> None:
    """The gate of the entry is open again."""

    def body() -> Iterator[bytes]:
        yield bytes(100_000)
        raise UsersError

    answers = Answers(Answer())
    bucket = client_of(flavour, answers).bucket("bucket")
    for _ in range(3):
        with pytest.raises(UsersError):
            await bucket.write("entry", body(), content_length=100_001)
    await bucket.write("entry", b"data")
    assert len(answers.requests) == 1
