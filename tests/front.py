"""What may stand between a client and a real server: TLS, or a proxy that clients are told of.

async with front(server.port, context) as port:
    client = flavour.client(f"https://127.0.0.1:{port}", ca_cert=...)
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, Listener
from anyio.streams.tls import TLSListener

SEEN_BYTES = 65_536


@asynccontextmanager
async def front(
    port: int, context: ssl.SSLContext | None = None, seen: list[bytes] | None = None
) -> AsyncIterator[int]:
    """Yield a port of this machine that leads to `port`.

    With `context` it speaks TLS. `seen` gets the first bytes of each connection.
    """
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    number: int = plain.extra(anyio.abc.SocketAttribute.local_port)
    listener: Listener[ByteStream] = plain
    if context is not None:
        listener = TLSListener(plain, context, standard_compatible=False)

    async def serve(client: ByteStream) -> None:
        async with client, await anyio.connect_tcp("127.0.0.1", port) as server:
            first = await client.receive(SEEN_BYTES)
            if seen is not None:
                seen.append(first)
            await server.send(first)
            async with anyio.create_task_group() as both:
                both.start_soon(pipe, client, server)
                both.start_soon(pipe, server, client)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield number
        tasks.cancel_scope.cancel()


async def pipe(source: ByteStream, target: ByteStream) -> None:
    """Pass on what comes until one side closes."""
    try:
        async for chunk in source:
            await target.send(chunk)
        await target.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, NotImplementedError):
        # TLS has no end in one direction alone.
        await target.aclose()
