"""Requests past any client: bytes on a socket, and plain calls of `http.client`."""

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT = 20.0
"""Seconds; against hangs only."""


@dataclass(frozen=True)
class Reply:
    """An answer; header names are lower-case, of a repeated one the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error in the API's format; both places must agree."""
        message = self.headers["x-reduct-error"]
        assert self.json["detail"] == message.replace('"', "'")
        return message


def call(
    port: int,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    token: str | None = None,
) -> Reply:
    """Send one request to 127.0.0.1 on a connection of its own and return the answer."""
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, found, answer.read())
    finally:
        connection.close()


def exchange(port: int, data: bytes) -> bytes:
    """Send bytes and return what comes until the server closes the connection."""
    with connect(port) as connection:
        try:
            connection.sendall(data)
        except ConnectionError:
            # Refused before all was sent: the answer is there already.
            pass
        return read_all(connection)


def connect(port: int) -> socket.socket:
    """Return a connection to the server."""
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the server closes or resets the connection."""
    return read_to_end(connection)[0]


def read_to_end(connection: socket.socket) -> tuple[bytes, OSError | None]:
    """Return what comes, and the error that ends it; None for an orderly end."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except OSError as error:
        return received, error
    return received, None


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Return what comes until some bytes came, those included."""
    received = b""
    while end not in received:
        piece = connection.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    return received


def status(answer: bytes) -> int:
    """Return the status of an answer's first line."""
    return int(answer.split(b" ", 2)[1])
