"""The server object: its life, its address, what it raises."""

import gc
import logging
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import reduct_local
from reduct_local import Clock, ConfigError, ManualClock, Server
from tests.local.wire_calls import call, connect, read_all, read_until, status

ALIVE = "/api/v1/alive"


def test_server_in_memory_needs_no_token() -> None:
    with Server() as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.token is None
        assert call(server.port, "GET", "/api/v1/info").status == 200
    with pytest.raises(ConnectionRefusedError):
        connect(server.port)


def test_start_imports_nothing_and_derives_one_key() -> None:
    # What would make a start slow, without a clock: the benchmark measures the time.
    program = """
import hashlib, sys
import reduct_local
keys = []
scrypt = hashlib.scrypt
hashlib.scrypt = lambda *given, **named: keys.append(1) or scrypt(*given, **named)
before = set(sys.modules)
for token in (None, "secret"):
    with reduct_local.Server(token=token):
        added = set(sys.modules) - before - {"uvicorn.lifespan", "uvicorn.lifespan.off"}
        print(len(keys), sorted(added))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.splitlines() == ["0 []", "1 []"]


def test_servers_run_side_by_side_with_data_of_their_own() -> None:
    servers = [Server().start() for _ in range(5)]
    try:
        for server in servers:
            assert call(server.port, "POST", "/api/v1/b/same").status == 200
        assert len({server.port for server in servers}) == 5
    finally:
        for server in servers:
            server.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_async_with(anyio_backend: str) -> None:
    async with Server() as server:
        reply = await anyio.to_thread.run_sync(call, server.port, "GET", ALIVE)
    assert reply.status == 200
    with pytest.raises(ConnectionRefusedError):
        connect(server.port)


def test_data_file_keeps_everything(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    with Server(data=file, token="secret") as server:
        call(server.port, "POST", "/api/v1/b/x", token="secret")
        call(server.port, "POST", "/api/v1/b/x/e?ts=5", b"data", token="secret")
        made = call(server.port, "POST", "/api/v1/tokens/t", '{"read": ["x"]}', token="secret")
    with Server(data=str(file), token="secret") as server:
        reply = call(server.port, "GET", "/api/v1/b/x/e?ts=5", token=made.json["value"])
        assert reply.body == b"data"


def test_folder_gets_a_data_file(tmp_path: Path) -> None:
    with Server(data=tmp_path):
        pass
    assert (tmp_path / "reduct.sqlite").is_file()


def test_data_file_in_use_is_told(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    with Server(data=file), pytest.raises(RuntimeError, match=r"store\.sqlite"):
        Server(data=file).start()
    with Server(data=file) as server:
        assert call(server.port, "GET", ALIVE).status == 200


def test_data_file_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises((RuntimeError, sqlite3.DatabaseError)):
        Server(data=file).start()


def test_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            Server(port=port).start()


def test_port_is_free_again_after_the_end() -> None:
    with Server() as first:
        port = first.port
        with connect(port) as connection:
            connection.sendall(b"GET /api/v1/alive HTTP/1.1\r\nhost: x\r\n\r\n")
            read_until(connection, b"\r\n\r\n")
    with Server(port=port) as second:
        assert second.port == port


def test_server_runs_once() -> None:
    server = Server()
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url
    server.close()
    with server:
        pass
    server.close()
    with pytest.raises(RuntimeError, match="runs once"):
        server.start()


def test_environment_of_the_process_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RS_API_TOKEN", "secret")
    monkeypatch.setenv("RS_API_BASE_PATH", "/elsewhere")
    with Server() as server:
        assert call(server.port, "GET", "/api/v1/info").status == 200


def test_env_means_what_it_means_to_the_real_server() -> None:
    with Server(env={"RS_API_TOKEN": "secret", "RS_API_BASE_PATH": "store"}) as server:
        assert server.token == "secret"
        assert server.url.endswith(f":{server.port}/store")
        assert call(server.port, "GET", "/store/api/v1/info").status == 401
        assert call(server.port, "GET", "/store/api/v1/info", token="secret").status == 200
        assert call(server.port, "GET", ALIVE).status == 404


def test_arguments_win_over_env() -> None:
    env = {"RS_API_TOKEN": "other", "RS_PORT": "1", "RS_DISABLE_AUTH": "true"}
    with Server(token="mine", port=0, env=env) as server:
        assert server.token == "mine"
        assert call(server.port, "GET", "/api/v1/info", token="other").status == 401
        assert call(server.port, "GET", "/api/v1/info", token="mine").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_no_other_address_without_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match="without a token"):
        Server(host=host)
    with pytest.raises(ConfigError, match="without a token"):
        Server(env={"RS_HOST": host, "RS_DISABLE_AUTH": "true"})
    Server(host=host, token="secret")


def test_every_address_with_a_token() -> None:
    with Server(host="0.0.0.0", token="secret") as server:
        assert server.url == f"http://localhost:{server.port}"
        assert call(server.port, "GET", "/api/v1/me", token="secret").status == 200


def test_clock_is_the_given_one() -> None:
    clock = ManualClock(1_700_000_000_000_000)
    with Server(clock=clock, token="secret") as server:
        me = call(server.port, "GET", "/api/v1/me", token="secret").json
        assert me["created_at"] == "2023-11-14T22:13:20Z"
        clock.advance(0.5)
        made = call(server.port, "POST", "/api/v1/tokens/t", "{}", token="secret").json
        assert made["created_at"] == "2023-11-14T22:13:20.500Z"
    assert issubclass(ManualClock, Clock)


def test_close_lets_a_request_end() -> None:
    server = Server().start()
    call(server.port, "POST", "/api/v1/b/x")
    with connect(server.port) as connection:
        connection.sendall(b"POST /api/v1/b/x/e?ts=1 HTTP/1.1\r\ncontent-length: 4\r\n\r\nda")
        # A call on another connection: the first request has certainly begun.
        call(server.port, "GET", ALIVE)
        closing = threading.Thread(target=server.close)
        closing.start()
        time.sleep(0.1)
        connection.sendall(b"ta")
        assert status(read_until(connection, b"\r\n\r\n")) == 200
        closing.join()


def test_close_does_not_wait_for_idle_connections() -> None:
    server = Server().start()
    with connect(server.port) as connection:
        connection.sendall(b"GET /api/v1/alive HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(connection, b"\r\n\r\n")
        server.close()
        assert read_all(connection) == b""


def test_close_wakes_readers_that_wait() -> None:
    server = Server().start()
    call(server.port, "POST", "/api/v1/b/x")
    call(server.port, "POST", "/api/v1/b/x/e?ts=1", b"data")
    query = '{"query_type": "QUERY", "start": 1, "continuous": true, "ttl": 600}'
    number = call(server.port, "POST", "/api/v1/b/x/e/q", query).json["id"]
    batch = f"/api/v1/b/x/e/batch?q={number}"
    assert call(server.port, "GET", batch).body == b"data"
    with connect(server.port) as connection:
        connection.sendall(f"GET {batch} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        call(server.port, "GET", ALIVE)
        server.close()
        assert status(read_all(connection)) == 404


def test_close_ends_a_request_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    server = Server().start()
    call(server.port, "POST", "/api/v1/b/x")
    with caplog.at_level(logging.INFO), connect(server.port) as connection:
        connection.sendall(b"POST /api/v1/b/x/e?ts=1 HTTP/1.1\r\ncontent-length: 4\r\n\r\nda")
        call(server.port, "GET", ALIVE)
        server.close()
        assert read_all(connection) == b""
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_nothing_is_left_behind() -> None:
    before = threading.active_count()
    for _ in range(3):
        with Server() as server:
            call(server.port, "GET", ALIVE)
    gc.collect()
    assert threading.active_count() == before


def test_program_ends_though_the_server_was_not_closed() -> None:
    program = "import reduct_local; print(reduct_local.Server().start().url)"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0
    assert ended.stdout.startswith("http://127.0.0.1:")
    assert ended.stderr == ""


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "zstandard", "cryptography"])
def test_missing_extra_is_told_with_the_command(package: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "try: import reduct_local\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'reduct-httpx[local]'" in ended.stdout
    assert package in ended.stdout


def test_repr_names_the_address_and_no_secret() -> None:
    server = Server(token="hush-hush")
    assert "hush-hush" not in repr(server)
    with server:
        assert server.url in repr(server)
        assert "hush-hush" not in repr(server)


def test_connections_accepted_at_the_end_are_closed() -> None:
    for _ in range(20):
        with Server() as server:
            connect(server.port).close()
        # A socket that was left open warns when it is collected, and warnings are errors.
        gc.collect()


def test_removal_in_work_is_finished_by_the_next_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        with Server(data=tmp_path) as server:
            call(server.port, "POST", "/api/v1/b/x")
            assert call(server.port, "DELETE", "/api/v1/b/x").status == 200
    with Server(data=tmp_path) as server:
        deadline = time.monotonic() + 20
        while call(server.port, "GET", "/api/v1/list").json["buckets"]:
            assert time.monotonic() < deadline
        assert call(server.port, "POST", "/api/v1/b/x").status == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("number", [0, 1])
def test_examples_of_the_readme_run(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    readme = Path(reduct_local.__file__).with_name("README.md").read_text()
    examples = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    exec(examples[number], {})
    assert capsys.readouterr().out == ["b'42'\n", ""][number]
