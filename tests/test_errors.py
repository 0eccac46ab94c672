"""Errors: one tree, one boundary; every foreign error becomes one of ours."""

import builtins
import copy
import inspect
import pickle
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_api.errors import UnexpectedBody, UnexpectedStatus
from reduct_core import errors
from reduct_core.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ReductError,
    TimeoutError,
    TransportError,
    for_status,
    from_response,
)

CLASSES = [
    ReductError,
    TransportError,
    TimeoutError,
    ApiError,
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    ConflictError,
    ProtocolError,
]


def request(
    method: str = "GET", url: str = "http://host:1234/base/api/v1/b/x?q=1"
) -> httpx.Request:
    seconds = {"connect": 1.5, "read": 75.0, "write": 2.0, "pool": None}
    return httpx.Request(method, url, extensions={"timeout": seconds})


def response(status: int, content: bytes = b"", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, content=content, request=request("POST"))


# --- the errors themselves -----------------------------------------------------------------


def test_every_error_of_the_tree_is_tested() -> None:
    found = {
        member
        for _, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, ReductError)
    }
    assert found == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_b27_errors_can_be_hashed_compared_and_pickled(cls: type[ReductError]) -> None:
    error = cls(404, "gone", method="GET", path="/b/x")
    error.add_note("a note")
    assert hash(error) == hash(cls(404, "gone"))
    assert {error: 1}[cls(404, "gone")] == 1
    for twin in (
        *(pickle.loads(pickle.dumps(error, version)) for version in range(2, 6)),
        copy.copy(error),
        copy.deepcopy(error),
    ):
        assert type(twin) is cls
        assert twin == error
        assert (twin.status_code, twin.message) == (404, "gone")
        assert (twin.method, twin.path) == ("GET", "/b/x")
        assert twin.__notes__ == ["a note"]


def test_b27_errors_differ_by_status_and_message() -> None:
    assert ReductError(404, "a") == NotFoundError(404, "a", method="GET")
    assert ReductError(404, "a") != ReductError(404, "b")
    assert ReductError(404, "a") != ReductError(409, "a")
    nothing: Any = None
    assert (ReductError(404, "a") == nothing) is False
    assert ReductError(404, "a") != Exception(404, "a")


def test_text_of_errors() -> None:
    error = NotFoundError(404, "it's gone")
    assert str(error) == "Status 404: it's gone"
    assert repr(error) == """NotFoundError(404, "it's gone")"""
    assert (error.method, error.path) == (None, None)


def test_timeouts_are_built_in_timeouts() -> None:
    error = TimeoutError(-1, "too late")
    assert isinstance(error, builtins.TimeoutError)
    assert isinstance(error, TransportError)
    assert str(error) == "Status -1: too late"


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, ApiError),
        (500, ApiError),
        (-1, ApiError),
    ],
)
def test_class_by_status(status: int, cls: type[ReductError]) -> None:
    error = for_status(status, "text", method="GET", path="/x")
    assert type(error) is cls
    assert (error.status_code, error.message, error.method, error.path) == (
        status,
        "text",
        "GET",
        "/x",
    )
    assert type(ReductError.from_header(f"{status},text, more")) is cls
    assert ReductError.from_header(f"{status},text, more").message == "text, more"


def test_a_wedge_of_another_process_is_named() -> None:
    text = "Failed to acquire async write lock within timeout (caller: x)"
    assert "one writer process per entry" in for_status(500, text).message
    assert for_status(500, text).message.startswith(text)
    assert "one writer process per entry" in ReductError.from_header(f"500,{text}").message
    assert for_status(500, "other").message == "other"


# --- answers that are errors ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response(404, b'{"detail": "body"}', x_reduct_error="header"), "header"),
        (response(404, b'{"detail": "body"}'), "body"),
        (response(404, b'{"detail": "body"}', x_reduct_error=""), "body"),
        (response(404, b'{"detail": 5}'), "Not Found"),
        (response(404, b'{"other": 5}'), "Not Found"),
        (response(404, b'["detail"]'), "Not Found"),
        (response(404, b'"detail"'), "Not Found"),
        (response(404, b"5"), "Not Found"),
        (response(404, b"<html>"), "Not Found"),
        (response(404, b'{"detail": "bad \\q"}'), "Not Found"),
        (response(404, b"\xff\xfe"), "Not Found"),
        (response(404, b"[" * 100_000), "Not Found"),
        (response(404), "Not Found"),
        (response(599), "no message"),
    ],
    ids=lambda value: None if isinstance(value, httpx.Response) else value,
)
def test_message_of_the_server(answer: httpx.Response, message: str) -> None:
    error = from_response(answer)
    assert error.message == message
    assert error.status_code == answer.status_code
    assert (error.method, error.path) == ("POST", "/base/api/v1/b/x")


def test_t28_the_header_is_utf8() -> None:
    answer = httpx.Response(
        404, headers=[(b"x-reduct-error", "größer".encode())], request=request()
    )
    assert from_response(answer).message == "größer"


def test_an_unread_answer_has_its_reason() -> None:
    unread = httpx.Response(503, stream=httpx.ByteStream(b'{"detail": "x"}'), request=request())
    assert from_response(unread).message == "Service Unavailable"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_name_their_target(status: int) -> None:
    error = from_response(response(status, location="https://other/"))
    assert type(error) is ApiError
    assert error.status_code == status
    assert "redirected to https://other/" in error.message
    assert "not followed" in error.message
    assert "unnamed address" in from_response(response(status)).message


@given(st.binary(max_size=30), st.integers(400, 599))
def test_any_body_gives_an_error(body: bytes, status: int) -> None:
    assert from_response(response(status, body)).status_code == status


# --- answers that do not parse -------------------------------------------------------------


def decoded(value: Exception) -> Exception:
    """Return what the generated code raises over `value`."""
    try:
        raise UnexpectedBody(b'{"value": "secret"}') from value
    except UnexpectedBody as error:
        return error


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ValueError("bad header"), "bad header"),
        (TypeError("expected a string"), "expected a string"),
        (IndexError("list index out of range"), "list index out of range"),
        (KeyError("x-reduct-time"), "'x-reduct-time' is missing"),
        (decoded(KeyError("name")), "'name' is missing"),
        (decoded(TypeError("expected an object")), "expected an object"),
        (UnexpectedStatus(206, b"text"), "unexpected status 206"),
    ],
    ids=str,
)
def test_what_does_not_parse_is_a_protocol_error(raised: Exception, reason: str) -> None:
    answer = response(200, content_type="text/html")
    with pytest.raises(ProtocolError) as caught, errors.parsing(answer):
        raise raised
    assert reason in caught.value.message
    assert "(text/html)" in caught.value.message
    assert "secret" not in str(caught.value)
    assert caught.value.status_code == 200
    assert (caught.value.method, caught.value.path) == ("POST", "/base/api/v1/b/x")
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_other_successes_are_protocol_errors(status: int) -> None:
    errors.check_status(response(200), 200)
    with pytest.raises(ProtocolError, match=f"status {status} instead of 200"):
        errors.check_status(response(status), 200)


def test_other_errors_pass_the_parser() -> None:
    with pytest.raises(ZeroDivisionError), errors.parsing(response(200)):
        raise ZeroDivisionError
    with pytest.raises(NotFoundError), errors.parsing(response(200)):
        raise NotFoundError(404, "gone")
    with errors.parsing(response(200)):
        pass


# --- what httpx raises ---------------------------------------------------------------------


def httpx_errors(base: type[Exception]) -> Iterator[type[Exception]]:
    """Yield all kinds of `base` that httpx itself raises."""
    for cls in base.__subclasses__():
        if cls.__module__.partition(".")[0] == "httpx":
            yield cls
            yield from httpx_errors(cls)


RAISED = sorted(
    {
        *httpx_errors(httpx.HTTPError),
        *httpx_errors(httpx.StreamError),
        httpx.StreamError,
        httpx.InvalidURL,
    },
    key=lambda cls: cls.__name__,
)
"""httpx.CookieConflict is missing: only looking a cookie up by its name raises it."""


def made(cls: Any) -> Exception:
    """Make an error of httpx, whose constructors differ."""
    for arguments in (("reason",), ()):
        try:
            found: Exception = cls(*arguments)
        except TypeError:
            continue
        return found
    status: Exception = cls("reason", request=request(), response=response(500))
    return status


def test_httpx_has_errors() -> None:
    """The control: the list is not empty by a renaming in httpx."""
    names = {cls.__name__ for cls in RAISED}
    assert {"ConnectError", "ReadTimeout", "RemoteProtocolError", "StreamConsumed"} <= names
    assert len(names) > 20


@pytest.mark.parametrize("cls", RAISED, ids=lambda cls: cls.__name__)
def test_b26_every_error_of_httpx_becomes_ours(cls: type[Exception]) -> None:
    raised = made(cls)
    with pytest.raises(ReductError) as caught, errors.mapped(request()):
        raise raised
    error = caught.value
    assert isinstance(error, (TransportError, ProtocolError))
    assert error.status_code == -1
    assert "http://host:1234" in error.message or isinstance(error, ProtocolError)
    assert error.__cause__ is raised
    assert (error.method, error.path) == ("GET", "/base/api/v1/b/x")
    assert isinstance(error, TimeoutError) is issubclass(cls, httpx.TimeoutException)
    unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)
    assert error.message.startswith("Cannot connect to http://host:1234: ") is issubclass(
        cls, unsent
    )


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (
            httpx.ConnectTimeout(""),
            "Cannot connect to http://host:1234: connect timeout of 1.5 s passed",
        ),
        (
            httpx.ReadTimeout(""),
            "read timeout of 75 s passed (GET http://host:1234/base/api/v1/b/x)",
        ),
        (
            httpx.WriteTimeout(""),
            "write timeout of 2 s passed (GET http://host:1234/base/api/v1/b/x)",
        ),
        (httpx.PoolTimeout(""), "pool timeout passed (GET http://host:1234/base/api/v1/b/x)"),
        (httpx.ConnectError("refused"), "Cannot connect to http://host:1234: refused"),
        (httpx.ConnectError(""), "Cannot connect to http://host:1234: ConnectError"),
        (
            httpx.RemoteProtocolError("cut"),
            "Connection to http://host:1234 was lost before the answer was complete: cut",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_messages_without_an_answer(raised: Exception, message: str) -> None:
    with pytest.raises(TransportError) as caught, errors.mapped(request()):
        raise raised
    assert caught.value.message == message


def test_a_proxy_in_between_is_named() -> None:
    through = request()
    through.extensions[errors.PROXY] = "proxy:3128"
    with pytest.raises(TransportError, match=r"host:1234 \(through the proxy proxy:3128, which"):
        with errors.mapped(through):
            raise httpx.ConnectError("refused")


def test_a_transport_without_timeouts_still_names_the_phase() -> None:
    bare = httpx.Request("GET", "http://host/x")
    with pytest.raises(TimeoutError, match=r"read timeout passed \(GET http://host/x\)"):
        with errors.mapped(bare):
            raise httpx.ReadTimeout("")


def test_b19_a_head_that_is_too_large_names_the_limit() -> None:
    with pytest.raises(ProtocolError, match="larger than 100 KiB") as caught:
        with errors.mapped(request()):
            raise httpx.RemoteProtocolError("Receive buffer too long")
    assert "#batch_records" in caught.value.message


def test_a_body_that_cannot_be_decoded_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="cannot be decoded: bad gzip"):
        with errors.mapped(request()):
            raise httpx.DecodingError("bad gzip")


def test_errors_of_sockets_become_ours() -> None:
    """httpx lets some through: an alert of TLS after the handshake, for one."""
    raised = ssl.SSLError(1, "alert bad certificate")
    with pytest.raises(TransportError, match=r"was lost before the answer.*bad cert") as caught:
        with errors.mapped(request()):
            raise raised
    assert caught.value.__cause__ is raised


def test_b28_errors_of_others_pass() -> None:
    for error in (KeyError("mine"), ReductError(500, "mine"), TimeoutError(-1, "mine")):
        with pytest.raises(type(error)) as caught, errors.mapped(request()):
            raise error
        assert caught.value is error


def test_a_closed_client_asked_nobody() -> None:
    assert str(errors.closed()) == "Status -1: the client is closed"
    assert not errors.is_away(errors.closed())
    assert not errors.is_away(NotFoundError(404, "gone"))
    with pytest.raises(TransportError) as caught, errors.mapped(request()):
        raise httpx.ReadError("cut")
    assert errors.is_away(caught.value)
