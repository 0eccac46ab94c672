"""The limit: fixed bytes over a blocking socket or an asyncio protocol; nothing is parsed.

python -m benchmarks.workers.raw_worker {socket | protocol} URL

It uses the protocol and the options of this client's queries (batch protocol v1, large answers),
looks for the length of a body and for the end of a query, and makes no records.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.workers.measure import (
    Measurement,
    answer,
    expect,
    failure,
    imports_done,
    orders,
    stamps,
)
from benchmarks.workers.raw_connections import Answer, Connection, Protocol

QUERY = {
    "query_type": "QUERY",
    "start": 0,
    "stop": 2**63 - 1,
    "when": {"#batch_records": 1000, "#batch_metadata_size": 500_000},
}


class Request(NamedTuple):
    """The bytes of a request, and whether its answer has no body (HEAD)."""

    data: bytes
    bodiless: bool = False


Operation = Generator[Request, Answer, None]
"""One turn of a row: yields its requests and is sent their answers."""


def request(method: str, path: str, headers: str = "", body: bytes = b"") -> Request:
    """Return a request to the bucket of the rows."""
    head = f"{method} /api/v1/b/bench/{path} HTTP/1.1\r\nhost: bench\r\n"
    length = "" if "content-length" in headers else f"content-length: {len(body)}\r\n"
    return Request(f"{head}{length}{headers}\r\n".encode() + body, method == "HEAD")


def query(order: dict[str, Any], turn: Measurement) -> Operation:
    """Read all records of one entry, again until the time is over."""
    entry = order["entries"][0]
    document: dict[str, Any] = QUERY | {"only_metadata": bool(order.get("head"))}
    document["when"] = order.get("when") or QUERY["when"]
    method = "HEAD" if order.get("head") else "GET"
    while turn.seconds < order["seconds"]:
        ticket = yield request("POST", f"{entry}/q", body=json.dumps(document).encode())
        ask = request(method, f"{entry}/batch?q={json.loads(ticket.body)['id']}")
        found = 0
        last = False
        while not last:
            part = yield ask
            found += part.head.count(b"x-reduct-time-")
            turn.bytes += part.length
            last = b"x-reduct-last: true" in part.head or part.head.startswith(b"HTTP/1.1 204")
        turn.units += found
        turn.stop()
        turn.start()
        expect(found, order["count"], "records")


def read(order: dict[str, Any], turn: Measurement) -> Operation:
    """Read single records, one after the other."""
    wanted = stamps(order)
    end = time.perf_counter() + order["seconds"]
    while time.perf_counter() < end:
        part = yield request("GET", f"{order['entries'][0]}?ts={next(wanted)}")
        turn.bytes += part.length
        turn.units += 1


def write(order: dict[str, Any], turn: Measurement) -> Operation:
    """Write single records, one after the other."""
    data = b"x" * order["size"]
    end = time.perf_counter() + order["seconds"]
    while time.perf_counter() < end:
        yield request("POST", f"{order['entry']}?ts={order['first'] + turn.units}", body=data)
        turn.units += 1


def write_batches(order: dict[str, Any], turn: Measurement) -> Operation:
    """Write batches to one entry, one after the other."""
    size, count = order["size"], order["batch"]
    data = b"x" * size * count
    end = time.perf_counter() + order["seconds"]
    while time.perf_counter() < end:
        first = order["first"] + turn.units
        headers = "".join(f"x-reduct-time-{first + n}: {size},\r\n" for n in range(count))
        yield request("POST", f"{order['entry']}-0/batch", headers, data)
        turn.units += count


OPERATIONS: dict[str, Callable[[dict[str, Any], Measurement], Operation]] = {
    "query": query,
    "read": read,
    "write": write,
    "write_batches": write_batches,
}


def upload(order: dict[str, Any], connection: Connection) -> int:
    """Send one file as a record; return its size."""
    path = Path(order["path"])
    size = path.stat().st_size
    target = f"{order['entry']}?ts={order['first']}"
    with path.open("rb") as file:
        connection.send(request("POST", target, f"content-length: {size}\r\n").data)
        connection.send_file(file)
        connection.receive()
    return size


def download(order: dict[str, Any], connection: Connection) -> int:
    """Receive one record into a file; return its size."""
    path = Path(order["path"])
    with path.open("wb") as file:
        connection.send(request("GET", f"{order['entry']}?ts={order['first']}").data)
        size = connection.receive(file=file).length
    expect(size, order["size"], "bytes")
    return size


FILES: dict[str, Callable[[dict[str, Any], Connection], int]] = {
    "upload": upload,
    "download": download,
}


def by_socket(order: dict[str, Any], connection: Connection, turn: Measurement) -> None:
    """Perform one turn on a blocking socket."""
    turn.start()
    operation = OPERATIONS[order["op"]](order, turn)
    wanted = next(operation, None)
    while wanted is not None:
        connection.send(wanted.data)
        wanted = proceed(operation, connection.receive(bodiless=wanted.bodiless))
    turn.stop()


def by_file(order: dict[str, Any], connection: Connection, turn: Measurement) -> None:
    """Move one file over a blocking socket."""
    turn.start()
    turn.units = turn.bytes = FILES[order["op"]](order, connection)
    turn.stop()
    if order["op"] == "download":
        Path(order["path"]).unlink()


async def by_protocol(order: dict[str, Any], protocol: Protocol, turn: Measurement) -> None:
    """Perform one turn on an asyncio connection."""
    turn.start()
    operation = OPERATIONS[order["op"]](order, turn)
    wanted = next(operation, None)
    while wanted is not None:
        wanted = proceed(operation, await protocol.exchange(wanted.data, wanted.bodiless))
    turn.stop()


def proceed(operation: Operation, part: Answer) -> Request | None:
    """Give an operation its answer; return its next request, or None at its end."""
    if not part.head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204")):
        raise RuntimeError(part.head.decode("latin-1"))
    try:
        return operation.send(part)
    except StopIteration:
        return None


def serve_by_socket(host: str, port: int) -> None:
    """Serve the orders of the run on one blocking socket."""
    connection = Connection(host, port)
    for order in orders():
        turn = Measurement()
        perform = by_file if order["op"] in FILES else by_socket
        try:
            perform(order, connection, turn)
        except Exception as error:
            answer(failure(error))
        else:
            answer(turn.result())


async def serve_by_protocol(host: str, port: int) -> None:
    """Serve the orders of the run on one asyncio connection."""
    _, protocol = await asyncio.get_running_loop().create_connection(Protocol, host, port)
    for order in orders():
        turn = Measurement()
        try:
            await by_protocol(order, protocol, turn)
        except Exception as error:
            answer(failure(error))
        else:
            answer(turn.result())


def main() -> None:
    """Serve the orders of the run."""
    address = urlsplit(sys.argv[2])
    host, port = address.hostname or "127.0.0.1", address.port or 80
    imports_done()
    if sys.argv[1] == "socket":
        serve_by_socket(host, port)
    else:
        asyncio.run(serve_by_protocol(host, port))


if __name__ == "__main__":
    main()
