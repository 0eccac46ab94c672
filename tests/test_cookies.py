"""Sticky cookies: a load balancer sets them to keep a client, and so its queries, on one node."""

import pytest

from reduct_async import Client, NotFoundError
from tests.calls import CALLS, URL, Answer, Answers, trouble_of
from tests.flavours import Flavour
from tests.scripted_server import REQUEST, Script, ScriptedServer, answer

LIST = b'{"buckets": []}'
STICKY = "node=a1; Path=/; HttpOnly"


def setting(*cookies: str, status: int = 200, body: bytes = LIST) -> Answer:
    """Return an answer that sets cookies."""
    return Answer(status, [("set-cookie", cookie) for cookie in cookies], body)


async def second_cookie(flavour: Flavour, first: Answer, url: str = URL) -> str | None:
    """Return the cookies that a client sends after it got `first`."""
    answers = Answers(first, Answer(body=LIST))
    client = flavour.client(url, transport=answers.transport)
    await trouble_of(CALLS["list"], client, flavour)
    assert "cookie" not in answers.requests[0].headers
    await client.list()
    sent: str | None = answers.requests[1].headers.get("cookie")
    return sent


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8383",
        "http://[::1]:8383",
        "http://localhost",
        "http://balancer.test",
        "https://balancer.test:444/base",
    ],
)
async def test_b24_cookies_are_kept(flavour: Flavour, url: str) -> None:
    """Also those of hosts that are addresses, which aiohttp drops."""
    assert await second_cookie(flavour, setting(STICKY), url) == "node=a1"


async def test_b24_cookies_over_the_wire(flavour: Flavour) -> None:
    """A query stays on its node, and so does all that follows, also on another connection."""
    last = {"x-reduct-time-1": "4,", "x-reduct-last": "true"}
    script: Script = [
        REQUEST,
        answer(b'{"id": 1}', headers={"set-cookie": STICKY}),
        REQUEST,
        answer(b"data", headers=last),
        REQUEST,
        answer(status=404, headers={"set-cookie": "node=b2; Path=/"}),
    ]
    with ScriptedServer(script, [REQUEST, answer(LIST)]) as server:
        client = flavour.client(server.url)
        await CALLS["query"](client, flavour)
        with pytest.raises(NotFoundError):
            await CALLS["write"](client, flavour)
        await client.list()
        sent = [request.headers.get("cookie") for request in server.requests]
        assert sent == [None, "node=a1", "node=a1", "node=b2"]


@pytest.mark.parametrize("status", [204, 302, 401, 404, 500])
async def test_cookies_of_every_answer_count(flavour: Flavour, status: int) -> None:
    assert await second_cookie(flavour, setting(STICKY, status=status, body=b"")) == "node=a1"


async def test_several_cookies(flavour: Flavour) -> None:
    sent = await second_cookie(flavour, setting("a=1; Path=/", "b=2; Path=/; Max-Age=3600"))
    assert sent is not None
    assert sorted(sent.split("; ")) == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "cookie",
    [
        "node=a1; Domain=elsewhere.test; Path=/",
        "node=a1; Path=/another/place",
        "node=a1; Path=/; Secure",
        "node=a1; Path=/; Max-Age=0",
        "node=a1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "",
        ";;;=",
    ],
)
async def test_cookies_that_are_not_for_the_server(flavour: Flavour, cookie: str) -> None:
    """Another host, another path, only for https, over, or nonsense."""
    assert await second_cookie(flavour, setting(cookie)) is None


async def test_cookies_change_and_end(flavour: Flavour) -> None:
    answers = Answers(
        setting("node=a1; Path=/"),
        setting("node=b2; Path=/"),
        setting("node=; Path=/; Max-Age=0"),
        Answer(body=LIST),
    )
    client = flavour.client(URL, transport=answers.transport)
    for _ in range(4):
        await client.list()
    sent = [request.headers.get("cookie") for request in answers.requests]
    assert sent == [None, "node=a1", "node=b2", None]


async def test_every_client_has_its_own_cookies(flavour: Flavour) -> None:
    answers = Answers(setting(STICKY), Answer(body=LIST))
    first: Client = flavour.client(URL, transport=answers.transport)
    second = flavour.client(URL, transport=answers.transport)
    await first.list()
    await second.list()
    assert "cookie" not in answers.requests[1].headers


async def test_a_cookie_header_of_the_user_is_sent_as_it_is(flavour: Flavour) -> None:
    answers = Answers(setting(STICKY), Answer(body=LIST))
    client = flavour.client(URL, extra_headers={"Cookie": "mine=1"}, transport=answers.transport)
    await client.list()
    await client.list()
    sent = [request.headers.get_list("cookie") for request in answers.requests]
    assert sent == [["mine=1"], ["mine=1"]]


@pytest.mark.parametrize("expires", ["Thu, 99 Foo 99999999999 00:00:00 GMT", "never", "0", "-1"])
async def test_broken_dates_are_no_trouble(flavour: Flavour, expires: str) -> None:
    """A date that cannot be read does not count."""
    cookie = f"node=a1; Path=/; Expires={expires}"
    assert await second_cookie(flavour, setting(cookie)) == "node=a1"
