"""Large bodies from streams: the server is asked before they are sent (T20, T21)."""

from collections.abc import AsyncIterator

import pytest

from reduct_async import ApiError, Bucket, Client, NotFoundError
from reduct_core.transport import ASKING_BYTES
from tests.flavours import Flavour
from tests.scripted_server import FINISH, HEAD, REQUEST, ScriptedServer, answer
from tests.stored import payloads


async def pieces(count: int, sent: list[int] | None = None) -> AsyncIterator[bytes]:
    """Yield `count` bytes in small pieces; note in `sent` how many were asked for."""
    for _ in range(0, count, 65536):
        if sent is not None:
            sent.append(65536)
        yield b"x" * 65536


@pytest.mark.parametrize("status", [401, 404, 413, 431])
async def test_a_refusal_comes_instead_of_a_broken_upload(flavour: Flavour, status: int) -> None:
    """Nothing of the body is sent but what was read to see whether there is any."""
    refusal = answer(status=status, headers={"x-reduct-error": "no"})
    sent: list[int] = []
    with ScriptedServer([HEAD, refusal, FINISH]) as server:
        bucket = flavour.client(server.url).bucket("bucket")
        size = 4 * ASKING_BYTES
        with pytest.raises(ApiError) as caught:
            await bucket.write("entry", pieces(size, sent), 1, content_length=size)
        assert caught.value.status_code == status
        (request,) = server.requests
        assert (request.headers["expect"], request.body) == ("100-continue", b"")
        assert sum(sent) < ASKING_BYTES


async def test_small_bodies_and_those_in_memory_are_sent_at_once(flavour: Flavour) -> None:
    with ScriptedServer([REQUEST, answer(), REQUEST, answer()]) as server:
        bucket = flavour.client(server.url).bucket("bucket")
        await bucket.write("entry", bytes(2 * ASKING_BYTES), 1)
        await bucket.write("entry", pieces(65536), 2, content_length=65536)
        assert all("expect" not in request.headers for request in server.requests)


async def test_a_server_that_knows_no_question_gets_the_body(flavour: Flavour) -> None:
    """After a second."""
    with ScriptedServer([REQUEST, answer()]) as server:
        bucket = flavour.client(server.url).bucket("bucket")
        await bucket.write("entry", pieces(ASKING_BYTES), 1, content_length=ASKING_BYTES)
        (request,) = server.requests
        assert (request.headers["expect"], request.complete) == ("100-continue", True)
        assert len(request.body) == ASKING_BYTES


async def test_the_server_gives_leave(bucket: Bucket) -> None:
    size = 3 * ASKING_BYTES
    await bucket.write("entry", pieces(size), 1, content_length=size)
    found = await payloads(bucket.query("entry"))
    assert found == {1: b"x" * size}


async def test_a_missing_bucket_is_told_before_the_body_is_sent(client: Client) -> None:
    sent: list[int] = []
    size = 64 * ASKING_BYTES
    with pytest.raises(NotFoundError, match="no-such-bucket"):
        await client.bucket("no-such-bucket").write(
            "entry", pieces(size, sent), 1, content_length=size
        )
    assert sum(sent) < ASKING_BYTES
