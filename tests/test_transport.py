"""The life of a request, driven step by step without a client."""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reduct_api.api.batch import write_batch
from reduct_api.api.queries import create_query
from reduct_api.api.records import read_record, remove_record_or_entry, write_record
from reduct_api.api.server import get_alive, get_info
from reduct_api.models import QueryEntry, QueryType
from reduct_core.config import Retry, base_url, make_config
from reduct_core.errors import (
    ApiError,
    NotFoundError,
    ProtocolError,
    ReductError,
    TimeoutError,
    TransportError,
)
from reduct_core.transport import (
    Discard,
    Send,
    Session,
    Sleep,
    Spec,
    Step,
    UniqueClock,
    exchange,
    parse,
)

URL = "http://host:8383/base"


def session(retry: Retry | None = None, url: str = URL, **given: Any) -> Session:
    headers, timeout = given.get("extra"), given.get("timeout")
    token, proxy = given.get("token"), given.get("proxy")
    return Session(make_config(base_url(url), token, timeout, headers, None, retry, proxy))


def answer(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, content=body)


Outcome = httpx.Response | Exception


class Exchange:
    """An exchange that was driven to its end by prepared outcomes."""

    def __init__(
        self, session: Session, outcomes: list[Outcome], spec: Spec | None = None, **given: bool
    ) -> None:
        self.steps: list[Step] = []
        self.result: httpx.Response | None = None
        self.error: Exception | None = None
        repeatable = given.get("repeatable", True)
        spec = spec or get_info.build_request()
        request = session.request(spec)
        self._drive(exchange(session, spec, request, repeatable=repeatable), outcomes)

    def _drive(self, steps: Any, outcomes: list[Outcome]) -> None:
        coming = iter(outcomes)
        try:
            step = next(steps)
            while True:
                self.steps.append(step)
                outcome = next(coming) if isinstance(step, Send) else None
                step = (
                    steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
                )
        except StopIteration as stop:
            self.result = stop.value
        except Exception as error:
            self.error = error
        assert list(coming) == [], "an outcome was not asked for"

    @property
    def kinds(self) -> list[str]:
        return [type(step).__name__ for step in self.steps]

    @property
    def pauses(self) -> list[float]:
        return [step.seconds for step in self.steps if isinstance(step, Sleep)]


# --- attempts ------------------------------------------------------------------------------

THREE = Retry(attempts=3, backoff=0.1, longest=10.0)


def test_a_success_is_handed_on_unread() -> None:
    response = answer(200, b"{}")
    found = Exchange(session(THREE), [response])
    assert found.result is response
    assert found.kinds == ["Send"]
    assert response.request.url == "http://host:8383/base/api/v1/info"


@pytest.mark.parametrize("status", [200, 204, 206])
def test_every_success_is_one(status: int) -> None:
    assert Exchange(session(THREE), [answer(status)]).result is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 425, 500, 502, 504, 507])
def test_other_errors_are_raised_at_once(status: int) -> None:
    refused = answer(status, x_reduct_error="the reason")
    found = Exchange(session(THREE), [refused])
    assert isinstance(found.error, ApiError)
    assert found.error.message == "the reason"
    assert (found.error.method, found.error.path) == ("GET", "/base/api/v1/info")
    assert found.steps[1:] == [Discard(refused)]


def test_a_connection_is_not_used_again_behind_an_early_answer_to_a_body() -> None:
    refused = answer(401)
    write = write_record.build_request("b", "e", body=b"abc", ts=1)
    found = Exchange(session(THREE), [refused], write)
    assert found.steps[1:] == [Discard(refused, reusable=False)]


def test_a_call_may_have_less_time() -> None:
    state = session(timeout=httpx.Timeout(5.0, connect=1.0, pool=None))
    made = state.request(get_alive.build_request(), 2.0)
    assert made.extensions["timeout"] == {"connect": 1.0, "read": 2.0, "write": 2.0, "pool": 2.0}
    later = state.request(get_alive.build_request())
    assert later.extensions["timeout"]["read"] == 5.0


@pytest.mark.parametrize("status", [429, 503])
def test_what_changes_nothing_is_asked_again(status: int) -> None:
    found = Exchange(session(THREE), [answer(status), answer(status), answer(200)])
    assert found.result is not None
    assert found.kinds == ["Send", "Discard", "Sleep", "Send", "Discard", "Sleep", "Send"]
    requests = [step.request for step in found.steps if isinstance(step, Send)]
    assert requests[0] is requests[2]


@pytest.mark.parametrize("status", [429, 503])
def test_what_changes_something_is_not(status: int) -> None:
    found = Exchange(session(THREE), [answer(status, x_reduct_error="busy")], repeatable=False)
    assert isinstance(found.error, ApiError)
    assert found.error.message == "busy"
    assert found.pauses == []


def test_the_last_attempt_is_the_last() -> None:
    found = Exchange(session(THREE), [answer(503, x_reduct_error=f"{n}") for n in range(3)])
    assert isinstance(found.error, ApiError)
    assert found.error.message == "2"
    assert len(found.pauses) == 2


def test_no_retry_is_one_attempt() -> None:
    assert Exchange(session(None), [answer(503)]).kinds == ["Send", "Discard"]
    found = Exchange(session(None), [httpx.ConnectError("refused")])
    assert isinstance(found.error, TransportError)


UNSENT = [httpx.ConnectError("no"), httpx.ConnectTimeout("no"), httpx.PoolTimeout("no")]


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("cause", UNSENT, ids=lambda cause: type(cause).__name__)
def test_where_nothing_was_sent_every_request_is_tried_again(
    cause: Exception, repeatable: bool
) -> None:
    found = Exchange(session(THREE), [cause, cause, answer(200)], repeatable=repeatable)
    assert found.result is not None
    assert found.kinds == ["Send", "Sleep", "Send", "Sleep", "Send"]
    failed = Exchange(session(THREE), [cause, cause, cause], repeatable=repeatable)
    assert isinstance(failed.error, TransportError)
    assert failed.error.__cause__ is cause


SENT = [
    httpx.ReadError("cut"),
    httpx.WriteError("cut"),
    httpx.ReadTimeout("late"),
    httpx.WriteTimeout("late"),
    httpx.RemoteProtocolError("Receive buffer too long"),
    httpx.RemoteProtocolError("disconnected"),
    httpx.ProxyError("no"),
    httpx.UnsupportedProtocol("no"),
]


@pytest.mark.parametrize("cause", SENT, ids=str)
def test_where_something_may_have_been_sent_nothing_is_repeated(cause: Exception) -> None:
    found = Exchange(session(THREE), [cause])
    assert isinstance(found.error, (TransportError, ProtocolError))
    assert isinstance(found.error, TimeoutError) is isinstance(cause, httpx.TimeoutException)
    assert found.error.__cause__ is cause


def test_errors_of_others_pass_unchanged() -> None:
    for cause in (KeyError("mine"), NotFoundError(404, "of another client")):
        found = Exchange(session(THREE), [cause])
        assert found.error is cause
        assert found.kinds == ["Send"]


# --- waiting -------------------------------------------------------------------------------


@given(st.integers(2, 30), st.floats(0.001, 5), st.floats(0, 20), st.sampled_from([0.5, 1.0]))
def test_pauses_grow_up_to_the_longest(
    attempts: int, backoff: float, longest: float, share: float
) -> None:
    """Each is shortened by up to a half at random, so that clients do not come all at once."""
    retry = Retry(attempts=attempts, backoff=backoff, longest=longest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "uniform", lambda low, high: low + (high - low) * (2 * share - 1))
        found = Exchange(session(retry), [httpx.ConnectError("no")] * attempts)
    assert isinstance(found.error, TransportError)
    assert found.pauses == pytest.approx(
        [share * min(backoff * 2**number, longest) for number in range(attempts - 1)]
    )


def test_attempts_have_no_limit() -> None:
    retry = Retry(attempts=1_500, backoff=0.001, longest=0.5)
    found = Exchange(session(retry), [httpx.ConnectError("no")] * 1_500)
    assert isinstance(found.error, TransportError)
    assert len(found.pauses) == 1_499
    assert max(found.pauses) <= 0.5


def test_t07_the_server_says_how_long_to_wait() -> None:
    busy = answer(429, x_reduct_error="Rate limit exceeded, retry_after=7s")
    found = Exchange(session(THREE), [busy, answer(200)])
    assert found.pauses == [7.0]


def test_the_longer_of_both_waits_counts() -> None:
    retry = Retry(attempts=2, backoff=8.0)
    busy = answer(429, x_reduct_error="retry_after=1s")
    (pause,) = Exchange(session(retry), [busy, answer(200)]).pauses
    assert 4.0 <= pause <= 8.0


@pytest.mark.parametrize("seconds", ["11", "3600", "9" * 400])
def test_a_wait_that_is_too_long_is_an_error_at_once(seconds: str) -> None:
    busy = answer(429, x_reduct_error=f"Rate limit exceeded, retry_after={seconds}s")
    found = Exchange(session(THREE), [busy])
    assert isinstance(found.error, ApiError)
    assert found.pauses == []
    assert Exchange(session(Retry(longest=20)), [answer(503), answer(200)]).result is not None


# --- requests ------------------------------------------------------------------------------


def test_requests_have_what_every_request_has() -> None:
    made = session(timeout=5, token="t-1", extra={"X-Mine": "1"}).request(get_alive.build_request())
    assert made.method == "GET"
    assert str(made.url) == "http://host:8383/base/api/v1/alive"
    assert made.headers["host"] == "host:8383"
    assert made.headers["authorization"] == "Bearer t-1"
    assert made.headers["x-mine"] == "1"
    assert made.headers["accept-encoding"] == "identity"
    assert made.extensions["timeout"] == dict.fromkeys(("connect", "read", "write", "pool"), 5.0)


@pytest.mark.parametrize("url", ["http://host", "http://host/", "http://host/b%20c/d"])
def test_base_paths(url: str) -> None:
    path = url.removeprefix("http://host").rstrip("/").encode()
    made = session(url=url).request(get_info.build_request())
    assert made.url.raw_path == path + b"/api/v1/info"


ODD = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8)


@given(ODD, st.lists(ODD, min_size=1, max_size=3))
def test_b05_paths_are_sent_as_they_were_built(bucket: str, entry: list[str]) -> None:
    """No library on the way resolves, drops or codes a part again."""
    spec = read_record.build_request(bucket, "/".join(entry), ts=0)
    made = session().request(spec)
    path, _, query = made.url.raw_path.decode("ascii").partition("?")
    assert path == "/base/api/v1" + spec.url
    assert query == "ts=0"
    assert path.count("/") == 5 + len(entry)


@given(st.dictionaries(st.text("abc", min_size=1), st.text(st.characters(codec="utf-8"))))
def test_parameters_are_encoded(params: dict[str, str]) -> None:
    spec = get_info.build_request()
    made = session().request(type(spec)(method="GET", url="/info", params=params, parse=spec.parse))
    assert dict(parse_qsl(made.url.query.decode(), keep_blank_values=True)) == params


def test_bodies() -> None:
    body = QueryEntry(query_type=QueryType.QUERY, start=0)
    query = session().request(create_query.build_request("b", "e", body=body))
    assert json.loads(query.read()) == {"query_type": "QUERY", "start": 0}
    assert query.headers["content-type"] == "application/json"
    write = session().request(write_batch.build_request("b", "e", body=b"abc"))
    assert write.read() == b"abc"
    assert write.headers["content-length"] == "3"
    removal = session().request(remove_record_or_entry.build_request("b", "e", ts=1))
    assert removal.read() == b""
    assert "transfer-encoding" not in removal.headers


def test_streams_have_the_announced_length() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"ab"
        yield b"c"

    spec = write_record.build_request("b", "e", body=chunks(), ts=1)
    made = session().request(spec.with_headers({"Content-Length": "3"}))
    assert made.headers["content-length"] == "3"
    assert "transfer-encoding" not in made.headers
    assert b"".join(made.stream) == b"abc"  # type: ignore[arg-type]


def test_headers_of_a_call_stand_once() -> None:
    spec = write_record.build_request("b", "e", body=b"", ts=1)
    made = session().request(spec.with_headers({"content-type": "text/x"}))
    assert made.headers.get_list("content-type") == ["text/x"]
    names = [name.lower() for name, _ in made.headers.raw]
    assert len(names) == len(set(names))


def test_a_closed_session_sends_nothing() -> None:
    closed = session(THREE)
    closed.closed = True
    with pytest.raises(TransportError, match=r"^Status -1: the client is closed$"):
        closed.request(get_info.build_request())


# --- answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    found = Exchange(session(THREE), [answer(status, location="https://other/x")])
    assert isinstance(found.error, ApiError)
    assert "https://other/x" in found.error.message
    assert found.kinds == ["Send", "Discard"]


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (answer(500, b'{"detail": "body"}', x_reduct_error="header"), "header"),
        (answer(500, b'{"detail": "body"}'), "body"),
        (answer(500, b"<html>"), "Internal Server Error"),
    ],
    ids=["header", "body", "reason"],
)
def test_message_of_the_server(response: httpx.Response, message: str) -> None:
    found = Exchange(session(), [response])
    assert isinstance(found.error, ApiError)
    assert found.error.message == message


def test_a_page_of_a_proxy_is_no_success() -> None:
    page = answer(200, b"<html>", content_type="Text/HTML; charset=utf-8")
    found = Exchange(session(THREE), [page])
    assert isinstance(found.error, ProtocolError)
    assert "a page of a proxy" in found.error.message
    assert found.steps[1:] == [Discard(page)]


def test_records_of_text_are_no_pages() -> None:
    record = answer(200, b"text", content_type="text/plain", x_reduct_time="1")
    assert Exchange(session(), [record]).result is record
    capital = httpx.Response(200, headers={"CONTENT-TYPE": "text/x", "X-REDUCT-TIME": "1"})
    assert Exchange(session(), [capital]).result is capital


# --- version -------------------------------------------------------------------------------


def test_b34_the_version_is_unknown_until_told() -> None:
    state = session()
    told = []
    for response in (
        answer(200),
        answer(404, x_reduct_api="1.21"),
        answer(429),
        answer(200, x_reduct_api="1.22"),
    ):
        told.append(state.api_version)
        Exchange(state, [response])
    assert [*told, state.api_version] == [None, None, (1, 21), (1, 21), (1, 22)]


@pytest.mark.parametrize("version", ["1.20", "1.21", "2.0", "10.0"])
def test_supported_versions(version: str) -> None:
    assert Exchange(session(), [answer(200, x_reduct_api=version)]).result is not None


@pytest.mark.parametrize("version", ["1.19", "1.3", "0.99"])
@pytest.mark.parametrize("status", [200, 404])
def test_older_servers_are_refused_by_both_versions(version: str, status: int) -> None:
    found = Exchange(session(THREE), [answer(status, x_reduct_api=version)])
    assert isinstance(found.error, ProtocolError)
    assert f"API {version};" in found.error.message
    assert "1.20 or newer" in found.error.message
    assert found.kinds == ["Send", "Discard"]


@pytest.mark.parametrize(
    "text", ["", "x", "1", "1.", ".1", "1.2.3", "-1.2", "1 .2", "9" * 5000 + ".1"]
)
def test_other_text_is_no_version(text: str) -> None:
    state = session()
    assert Exchange(state, [answer(200, x_reduct_api=text)]).result is not None
    assert state.api_version is None


def test_a_server_that_was_upgraded_is_believed() -> None:
    state = session()
    assert isinstance(Exchange(state, [answer(200, x_reduct_api="1.18")]).error, ProtocolError)
    assert Exchange(state, [answer(200, x_reduct_api="1.21")]).result is not None


# --- cookies -------------------------------------------------------------------------------


def cookie_of(state: Session) -> str | None:
    (step,) = Exchange(state, [answer(200)]).steps
    assert isinstance(step, Send)
    found: str | None = step.request.headers.get("cookie")
    return found


@pytest.mark.parametrize("host", ["host", "127.0.0.1:8383", "localhost", "a.example", "[::1]:8383"])
@pytest.mark.parametrize("status", [200, 404])
def test_b24_cookies_keep_a_client_on_one_node(host: str, status: int) -> None:
    state = session(url=f"http://{host}")
    assert cookie_of(state) is None
    Exchange(state, [answer(status, set_cookie="node=7; Path=/")])
    assert cookie_of(state) == "node=7"
    Exchange(state, [answer(200, set_cookie="node=8; Path=/")])
    assert cookie_of(state) == "node=8"
    Exchange(state, [answer(200, set_cookie="node=; Max-Age=0; Path=/")])
    assert cookie_of(state) is None


def test_cookies_of_another_client_or_path_are_not_sent() -> None:
    state = session(url="http://host")
    Exchange(state, [answer(200, set_cookie="node=7; Path=/ui")])
    assert cookie_of(state) is None
    assert cookie_of(session(url="http://host")) is None


def test_a_retry_of_a_refused_request_goes_to_the_same_node() -> None:
    state = session(THREE)
    Exchange(state, [answer(503, set_cookie="node=7; Path=/"), answer(200)])
    assert cookie_of(state) == "node=7"


# --- clock ---------------------------------------------------------------------------------


def test_b08_times_are_unique_where_the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 5_000_999)
    state = session()
    assert [state.now() for _ in range(3)] == [5_000, 5_001, 5_002]
    monkeypatch.setattr(time, "time_ns", lambda: 1_000)
    assert state.now() == 5_003
    monkeypatch.setattr(time, "time_ns", lambda: 9_000_000)
    assert state.now() == 9_000


def test_times_are_unique_across_threads() -> None:
    clock = UniqueClock()
    found: list[int] = []

    def take() -> None:
        found.extend([clock.now() for _ in range(2_000)])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == len(set(found)) == 16_000


# --- logging and parsing -------------------------------------------------------------------


def test_requests_are_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    state = session(THREE, token="secret", extra={"X-Key": "secret"})
    with caplog.at_level(logging.DEBUG, "reduct"):
        Exchange(state, [httpx.ConnectError("refused"), answer(503), answer(200)])
    assert "GET /base/api/v1/info: 503" in caplog.text
    assert "refused" in caplog.text
    assert "secret" not in caplog.text


def test_answers_are_decoded_or_protocol_errors() -> None:
    request = session().request(get_alive.build_request())
    spec = get_alive.build_request()
    parse(spec, httpx.Response(200, request=request))
    decode: list[tuple[Callable[[], Any], type[ReductError]]] = [
        (
            lambda: parse(
                get_info.build_request(), httpx.Response(200, text="<p>", request=request)
            ),
            ProtocolError,
        ),
        (
            lambda: parse(get_info.build_request(), httpx.Response(200, json=[1], request=request)),
            ProtocolError,
        ),
    ]
    for call, error in decode:
        with pytest.raises(error, match="does not follow the API"):
            call()
