"""Tokens never show: not in reprs, logs, errors or tracebacks."""

import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from attrs import evolve

from reduct_api.models import TokenCreateResponse
from reduct_async import (
    FullTokenInfo,
    Permissions,
    ReductError,
    ReplicationMode,
    ReplicationSettings,
    Token,
)
from tests.calls import CALLS, URL, Answer, Answers, no_sleep
from tests.flavours import Flavour
from tests.scripted_server import REQUEST, RESET, Script, ScriptedServer, answer

TOKEN = "client-token-0123456789abcdef"
DST_TOKEN = "replication-token-0123456789abcdef"
VALUE = "created-token-0123456789abcdef"
SECRETS = (TOKEN, DST_TOKEN, VALUE)


def shown(text: str) -> list[str]:
    """Return the secrets, or parts of them, that a text shows."""
    return [secret for secret in SECRETS if secret in text or secret[:-8] in text]


def test_a_shown_secret_is_seen() -> None:
    assert shown(f"Bearer {TOKEN}") == [TOKEN]
    assert shown(f"{DST_TOKEN[:-4]}...") == [DST_TOKEN]
    assert shown("nothing") == []


def printed(error: BaseException) -> str:
    """Return what Python and its logging print of an error."""
    return "\n".join([repr(error), str(error), *traceback.format_exception(error)])


def everything(error: BaseException) -> str:
    """Return what debuggers and error trackers print of an error: local variables, too.

    Those of the test do not count: it has the secrets in hand.
    """
    texts = [printed(error)]
    current: BaseException | None = error
    while current is not None:
        texts += [repr(value) for frame in project_frames(current) for value in frame.values()]
        current = current.__cause__ or current.__context__
    return "\n".join(texts)


def project_frames(error: BaseException) -> Iterator[dict[str, Any]]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals["__name__"].startswith(("reduct_", "httpx", "httpcore")):
            yield frame.f_locals


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """The log of all loggers from DEBUG on; without waiting between attempts."""
    no_sleep(monkeypatch)
    caplog.set_level(logging.DEBUG)
    for name in ("reduct", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


@pytest.mark.parametrize("name", CALLS)
async def test_the_token_of_the_client(
    flavour: Flavour, log: pytest.LogCaptureFixture, name: str
) -> None:
    """Each answer is an error for nearly all calls: nothing of it is the API's."""
    for status in (200, 401, 404, 503):
        answers = Answers(Answer(status, [("content-type", "text/plain")], b"Unauthorized"))
        client = flavour.client(URL, TOKEN, transport=answers.transport)
        try:
            result = repr(await CALLS[name](client, flavour))
        except ReductError as error:
            result = everything(error)
        assert shown(result) == []
        assert answers.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert shown(log.text) == []


@pytest.mark.parametrize("stock", [False, True])
async def test_the_token_over_the_wire(
    flavour: Flavour, log: pytest.LogCaptureFixture, stock: bool
) -> None:
    """httpx and httpcore log and raise, too."""
    script: Script = [REQUEST, answer(b'{"buckets": []}'), REQUEST, RESET]
    with ScriptedServer(script) as server:
        transport = flavour.stock_transport() if stock else None
        client = flavour.client(server.url, TOKEN, retry=None, transport=transport)
        await client.list()
        with pytest.raises(ReductError) as caught:
            await client.list()
        assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert shown(everything(caught.value)) == []
    assert any(record.name == "reduct" for record in log.records)
    assert any(record.name.startswith("httpcore") for record in log.records) is stock
    assert shown(log.text) == []


async def test_objects_that_hold_the_token(flavour: Flavour) -> None:
    client = flavour.client(URL, TOKEN, extra_headers={"x-api-key": DST_TOKEN})
    bucket = client.bucket("bucket")
    assert repr(client) == f"<reduct_{flavour.name}.Client 'http://reduct.test'>"
    assert repr(bucket) == f"<reduct_{flavour.name}.Bucket 'bucket'>"
    io = bucket._io
    for thing in (client, bucket, io, io.session, io.session.config):
        assert shown(repr(thing) + str(thing)) == []
    assert TOKEN in str(
        vars(io.session.config) if hasattr(io.session.config, "__dict__") else TOKEN
    )


@pytest.mark.parametrize("token", [TOKEN + " ", TOKEN + "\n", TOKEN + "ü", TOKEN.encode()])
async def test_broken_tokens_are_not_printed(flavour: Flavour, token: Any) -> None:
    """The message about a token that cannot be one must not print what could be nearly one."""
    with pytest.raises((ValueError, TypeError), match="api_token") as caught:
        flavour.client(URL, token)
    assert shown(str(caught.value)) == []


async def test_user_and_password_in_the_url_are_not_printed(flavour: Flavour) -> None:
    with pytest.raises(ValueError, match="url must not hold a user") as caught:
        flavour.client(f"http://user:{TOKEN}@reduct.test")
    assert shown(str(caught.value)) == []


SETTINGS = ReplicationSettings(
    src_bucket="a", dst_bucket="b", dst_host="http://b", dst_token=DST_TOKEN
)


async def test_dst_token_is_sent_and_not_shown(
    flavour: Flavour, log: pytest.LogCaptureFixture
) -> None:
    settings = evolve(SETTINGS, mode=ReplicationMode.ENABLED)
    for call in ("create_replication", "update_replication"):
        answers = Answers(Answer(422, [("x-reduct-error", "no")]))
        client = flavour.client(URL, transport=answers.transport)
        with pytest.raises(ReductError) as caught:
            await getattr(client, call)("task", settings)
        assert json.loads(answers.requests[0].content)["dst_token"] == DST_TOKEN
        assert shown(everything(caught.value)) == []
        assert shown(log.text) == []


def test_dst_token_in_reprs() -> None:
    assert shown(repr(SETTINGS) + str(SETTINGS)) == []
    assert SETTINGS.to_dict()["dst_token"] == DST_TOKEN
    assert pickle.loads(pickle.dumps(SETTINGS)).dst_token == DST_TOKEN


CREATED = {"value": VALUE, "created_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("call", ["create_token", "rotate_token"])
async def test_values_of_new_tokens(
    flavour: Flavour, log: pytest.LogCaptureFixture, call: str
) -> None:
    """Also where the answer cannot be read: its text would hold the token."""
    kind = [("content-type", "application/json")]
    whole, cut = json.dumps(CREATED).encode(), json.dumps({"value": VALUE}).encode()
    answers = Answers(Answer(200, kind, whole), Answer(200, kind, cut))
    client = flavour.client(URL, transport=answers.transport)
    arguments = (Permissions(),) if call == "create_token" else ()
    assert await getattr(client, call)("name", *arguments) == VALUE
    with pytest.raises(ReductError) as caught:
        await getattr(client, call)("name", *arguments)
    assert shown(printed(caught.value)) == []
    assert shown(log.text) == []


FULL = CREATED | {
    "name": "name",
    "is_provisioned": False,
    "is_expired": False,
    "permissions": {},
    "ip_allowlist": [],
}


@pytest.mark.parametrize("model", [Token, FullTokenInfo, TokenCreateResponse])
def test_values_in_models(model: Any) -> None:
    token = model.from_dict(FULL)
    assert token.value == VALUE
    assert shown(repr(token) + str(token)) == []


async def test_redirects_get_no_token(flavour: Flavour) -> None:
    hosts = []

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(302, headers={"location": "http://elsewhere.test/api/v1/list"})

    client = flavour.client(URL, TOKEN, transport=httpx.MockTransport(handler))
    with pytest.raises(ReductError, match=r"elsewhere\.test"):
        await client.list()
    assert hosts == ["reduct.test"]
