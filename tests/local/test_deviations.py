"""Every line of `## Deviations` in the README is true, and held by a test."""

import gzip
import importlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

import reduct_local
from reduct_local import ConfigError, ManualClock, Server
from reduct_local.auth import Auth, GivenToken
from reduct_local.config import read_config
from reduct_local.engine import Engine
from reduct_local.token_model import parse_token_request
from tests.local.wire_calls import call, connect, exchange, read_until, status

README = Path(reduct_local.__file__).with_name("README.md")

ELSEWHERE: dict[str, str] = {
    (
        "A record that is removed between the creation of a query and its delivery ends the GET "
        "with 404; the real server delivers it or closes the connection, as chance has it."
    ): "tests.local.test_api_batches::test_record_that_is_removed_before_its_delivery",
    (
        "Sizes in listings and quotas count each record as the real server does when it is "
        "written; the real server counts some dozen bytes more for a block that it has saved "
        "(when it is full, after removals, from time to time)."
    ): "tests.local.test_engine_buckets::test_sizes_are_those_of_the_records",
    (
        "A timestamp that is taken is refused (409) among late records, too; the real server "
        "overlooks it in overlapping blocks and stores two."
    ): "tests.local.test_engine_quotas::test_late_records",
    (
        "An attachment takes the place of the one with the same key, whatever the key looks "
        "like; the real server keeps both for keys such as `1`, `true`, `5s` or `&k`."
    ): "tests.local.test_engine_records::test_attachment_takes_the_place_of_its_key",
    (
        "Records that were unfinished when the server ended are gone after a restart; on the "
        "real server they stay unfinished."
    ): "tests.local.test_engine_file::test_started_records_leave_nothing",
    (
        "The data file does not shrink; the space of removed records is used again."
    ): "tests.local.test_engine_file::test_space_of_removed_records_is_used_again",
    (
        "Time zones in conditions are those of the installed package tzdata; the real server "
        "carries tables of its own version (2025b in 1.21.4)."
    ): "tests.local.test_conditions_operators::test_zones_are_those_of_tzdata",
    (
        "Conditions that end the real server are 422, and told in the log."
    ): "tests.local.test_conditions_values::test_arithmetic_that_ends_the_real_server",
    (
        "A replication keeps what waits after every broken connection; the real server drops "
        "a batch when the connection breaks after the request was sent."
    ): "tests.local.test_replication_trouble::test_what_cannot_be_sent_now_is_sent_later",
    (
        "A record that is written and updated before it is forwarded arrives; the real server"
        " sends it twice in one batch, which the destination refuses."
    ): "tests.local.test_replication_trouble::test_written_and_updated_before_it_is_sent",
    (
        "Batches of replications never have more than 85 records or 400,000 bytes of heads, "
        "so that destinations with default limits take them; a record that no batch header "
        "can carry is dropped and counted alone, not with its batch."
    ): "tests.local.test_replication_trouble::test_sizes_of_batches",
    (
        "A destination token that no header can carry is refused (422); it ends the real server."
    ): "tests.local.test_replication_trouble::test_a_token_that_no_header_can_carry",
    (
        "The modes of lifecycle policies act at once; on the real server a running policy "
        "goes on deleting after a change to `dry_run`."
    ): "tests.local.test_lifecycles::test_a_change_of_mode_acts_at_once",
    (
        "Lifecycle policies of type `compress` are accepted and change nothing: contents are "
        "never compressed here."
    ): "tests.local.test_lifecycles::test_compress_changes_nothing",
    (
        "GET of a query with `only_metadata` gets 422 where its records have content; the "
        "real server takes the records and closes the connection without an answer."
    ): "tests.local.test_api_batches::test_get_of_a_query_without_contents",
    (
        "A single read or link of a record with a label that no header can name (`a b`, `@x`)"
        " gets 422, and so does a v1 batch with label names that are not ASCII; the real "
        "server ends."
    ): "tests.local.test_api_records::test_label_that_no_header_can_name",
    (
        "Control characters in the messages of failed records are shown as `?`; the real "
        "server ends."
    ): "tests.local.test_api_batches::test_control_characters_in_the_report",
    (
        "Ranges of links are clamped to the record, as RFC 9110 says; the real server pads "
        "them with zero bytes, answers 416 to `-n` beyond the size, or closes the connection."
        " A `Range` of another unit is ignored; the real server ends."
    ): "tests.local.test_links::test_range_is_clamped",
    (
        "Links show changes and removals of their record at once; the real server may deliver"
        " it from a cache for ten minutes."
    ): "tests.local.test_links::test_removed_record_is_gone_at_once",
    (
        "A link over a continuous query gets 404 when its record does not come; the real "
        "server searches for ever."
    ): "tests.local.test_links::test_continuous_query_without_the_record",
    (
        "A link with a salt or nonce of a wrong length gets 422; the real server ends. Links "
        "of one server cannot be opened by the other, which derives the key differently."
    ): "tests.local.test_links::test_lengths_are_logged",
}
"""Lines that tests of other modules hold: line -> `module::test`."""

HELD: dict[str, str] = dict(ELSEWHERE)

Test = TypeVar("Test", bound=Callable[..., Any])


def holds(line: str) -> Callable[[Test], Test]:
    """Mark the test that holds a line of the README."""

    def mark(test: Test) -> Test:
        HELD[line] = f"{__name__}::{test.__name__}"
        return test

    return mark


def deviations(readme: str) -> list[str]:
    """Return the lines of the list, each as one line of text."""
    section = readme.split("## Deviations\n")[1].split("\n## ")[0]
    items = re.findall(r"^- (.*(?:\n  .*)*)", section, re.MULTILINE)
    return [re.sub(r"\s+", " ", item) for item in items]


def unheld(lines: list[str], held: dict[str, str]) -> tuple[set[str], set[str]]:
    """Return the lines without a test, and the tests without a line."""
    return set(lines) - set(held), set(held) - set(lines)


def test_every_line_is_held() -> None:
    lines = deviations(README.read_text())
    assert len(lines) > 10
    assert len(set(lines)) == len(lines)
    assert unheld(lines, HELD) == (set(), set())


def test_named_tests_exist() -> None:
    for place in HELD.values():
        module, name = place.split("::")
        assert name.startswith("test_")
        assert callable(getattr(importlib.import_module(module), name))


def test_missing_and_surplus_lines_are_seen() -> None:
    readme = "# x\n## Deviations\n\nText.\n\n- one\n  line\n- two\n\n## Next\n\n- none\n"
    assert deviations(readme) == ["one line", "two"]
    assert unheld(["one line", "two"], {"two": "", "three": ""}) == ({"one line"}, {"three"})


# -- HTTP ---------------------------------------------------------------------


@holds("HTTP/1.1 only: no HTTP/2, and no TLS (`RS_CERT_PATH` is refused).")
def test_http_1_only() -> None:
    with Server() as server:
        assert status(exchange(server.port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) == 400
    with pytest.raises(ConfigError, match="TLS"):
        read_config({"RS_CERT_PATH": "x"})


@holds(
    "Requests are parsed strictly: methods that HTTP does not know (the real server: 405), raw "
    "bytes beyond ASCII in a path, a repeated `Content-Length`, one beside `Transfer-Encoding`, "
    "and lines that end without CR get 400."
)
def test_strict_parsing() -> None:
    with Server() as server:
        for data in [
            b"X /api/v1/alive HTTP/1.1\r\n\r\n",
            b"get /api/v1/alive HTTP/1.1\r\n\r\n",
            "GET /api/v1/b/é HTTP/1.1\r\n\r\n".encode(),
            b"POST /api/v1/b/x HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}",
            b"POST /api/v1/b/x HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\n\r\n",
            b"GET /api/v1/alive HTTP/1.1\nhost: x\n\n",
        ]:
            assert status(exchange(server.port, data)) == 400


@holds(
    "After an answer that came before the end of the request's body, the rest is read and dropped "
    "(up to 64 MiB) and the connection stays open; the real server closes it."
)
def test_rest_of_a_body_is_read() -> None:
    with Server() as server, connect(server.port) as connection:
        connection.sendall(b"POST /api/v1/nope HTTP/1.1\r\ncontent-length: 100000\r\n\r\n")
        assert status(read_until(connection, b"\r\n\r\n")) == 405
        connection.sendall(b"x" * 100_000 + b"GET /api/v1/alive HTTP/1.1\r\n\r\n")
        assert status(read_until(connection, b"\r\n\r\n")) == 200


@holds("Answers with status 204 have no `content-length`.")
def test_204_has_no_length() -> None:
    with Server() as server:
        call(server.port, "POST", "/api/v1/b/x")
        call(server.port, "POST", "/api/v1/b/x/e?ts=1", b"data")
        query = '{"query_type": "QUERY", "start": 5, "stop": 9}'
        made = call(server.port, "POST", "/api/v1/b/x/e/q", query)
        reply = call(server.port, "GET", f"/api/v1/b/x/e/batch?q={made.json['id']}")
        assert (reply.status, reply.body) == (204, b"")
        assert "content-length" not in reply.headers


@holds(
    "A gzip body whose checksum is cut off is refused (400); the real server stores the record "
    "when its content is whole."
)
def test_gzip_without_its_end() -> None:
    with Server() as server:
        call(server.port, "POST", "/api/v1/b/x")
        headers = {"content-encoding": "gzip", "x-reduct-content-length": "4"}
        body = gzip.compress(b"data")[:-1]
        assert call(server.port, "POST", "/api/v1/b/x/e?ts=1", body, headers).status == 400
        assert call(server.port, "GET", "/api/v1/b/x/e?ts=1").status != 200


# -- JSON ---------------------------------------------------------------------


@holds(
    'JSON bodies: an array in place of an object (`["FIFO", 1, 2, 3]`) is refused, of a '
    "repeated field the last counts (the real server: 422), and lone surrogates, text that is"
    " not UTF-8, numbers out of range and nesting beyond 127 levels are refused in ignored "
    "fields too."
)
def test_json() -> None:
    with Server() as server:

        def create(name: str, body: str | bytes) -> int:
            return call(server.port, "POST", f"/api/v1/b/{name}", body).status

        assert create("array", '["FIFO", 1, 2, 3]') == 422
        assert create("twice", '{"quota_size": 1, "quota_size": 2}') == 200
        shown = call(server.port, "GET", "/api/v1/b/twice").json
        assert shown["settings"]["quota_size"] == 2
        assert create("surrogate", '{"ignored": "\\ud800"}') == 422
        assert create("text", b'{"ignored": "\xff"}') == 422
        assert create("number", '{"ignored": 1e999}') == 422
        assert create("text", b'{"ignored": "\xff"}') == 422
        assert create("number", '{"ignored": 1e400}') == 422
        assert create("deep", '{"ignored": ' + "[" * 127 + "]" * 127 + "}") == 422


@holds(
    "JSON bodies of an entry's `/q` and `/rename`, which the real server does not limit, are at "
    "most 64 MiB."
)
def test_largest_json() -> None:
    with Server() as server:
        call(server.port, "POST", "/api/v1/b/x")
        call(server.port, "POST", "/api/v1/b/x/e?ts=1", b"data")
        query = '{"query_type": "QUERY"}'

        def ask(size: int) -> int:
            return call(server.port, "POST", "/api/v1/b/x/e/q", query.ljust(size)).status

        assert ask(64 * 2**20) == 200
        assert ask(64 * 2**20 + 1) == 422


@holds("Statuses agree; the wording of messages does not always.")
def test_wording() -> None:
    with Server() as server:
        reply = call(server.port, "POST", "/api/v1/b/x", '{"quota_type": "fifo"}')
        assert reply.status == 422
        # The real server: unknown variant `fifo`, expected one of `NONE`, `FIFO`, `HARD` ...
        assert "variant" not in reply.error


# -- Tokens and the system bucket ---------------------------------------------


@holds(
    "There is no bucket `$system`: no audit, usage or log records. The time of a token's last use "
    "is kept without it."
)
def test_no_system_bucket() -> None:
    clock = ManualClock()
    with Server(token="secret", clock=clock) as server:
        call(server.port, "POST", "/api/v1/b/x", token="secret")
        clock.advance(10)
        me = call(server.port, "GET", "/api/v1/me", token="secret").json
        assert me["last_access"] is not None
        listed = call(server.port, "GET", "/api/v1/list", token="secret").json["buckets"]
        assert [bucket["name"] for bucket in listed] == ["x"]


@holds(
    "Token values are kept as SHA-256 (generated ones) or scrypt hashes, not Argon2, and times of "
    "tokens have microseconds, not nanoseconds."
)
def test_hashes_and_times() -> None:
    with Server(token="secret") as server:
        reply = call(server.port, "POST", "/api/v1/tokens/t", "{}", token="secret")
        assert re.fullmatch(r"[^.]+(\.\d{3}|\.\d{6})?Z", reply.json["created_at"])
    methods = {secret.partition("$")[0] for secret in _stored_secrets()}
    assert methods == {"scrypt", "sha256"}


def _stored_secrets() -> list[str]:
    clock = ManualClock()
    engine = Engine(None, clock=clock)
    auth = Auth(engine, clock, [GivenToken("init-token", "secret")])
    auth.create("t", parse_token_request({}))
    return [str(token["secret"]) for token in engine.documents("token").values()]


# -- Settings -----------------------------------------------------------------


@holds(
    "Without settings it listens on 127.0.0.1, keeps data in memory and asks for no token; the "
    "real server listens everywhere, on port 8383, and does not start without a decision on "
    "authentication. Listening elsewhere than on loopback needs a token here."
)
def test_defaults() -> None:
    config = read_config({})
    assert (config.host, config.data, config.tokens) == ("127.0.0.1", None, None)
    with pytest.raises(ConfigError, match="without a token"):
        read_config({"RS_HOST": "0.0.0.0", "RS_DISABLE_AUTH": "true"})


@holds("A setting that cannot be used is an error; the real server falls back to the default.")
def test_unusable_settings() -> None:
    with pytest.raises(ConfigError):
        read_config({"RS_PORT": "many"})


@holds(
    "`RS_DATA_PATH` names one SQLite file, or the folder for it; a real server's data folder "
    "cannot be opened."
)
def test_data_file(tmp_path: Path) -> None:
    with Server(env={"RS_DATA_PATH": str(tmp_path)}):
        pass
    with sqlite3.connect(tmp_path / "reduct.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@holds(
    "`RS_INSTANCE_ROLE` is STANDALONE only, and the server is ready from its first answer on: "
    "there is no 503 of a start."
)
def test_role() -> None:
    with pytest.raises(ConfigError, match="STANDALONE"):
        read_config({"RS_INSTANCE_ROLE": "REPLICA"})
    with Server() as server:
        assert call(server.port, "GET", "/api/v1/ready").status == 200
        assert call(server.port, "GET", "/api/v1/info").json["instance_role"] == "STANDALONE"


@holds(
    "Replications and lifecycles are not provisioned by environment variables; these, and all "
    "others that have no effect, are named in the log."
)
def test_not_provisioned(caplog: pytest.LogCaptureFixture) -> None:
    with Server(env={"RS_REPLICATION_1_NAME": "r", "RS_LIFECYCLE_1_NAME": "l"}) as server:
        assert call(server.port, "GET", "/api/v1/replications").json == {"replications": []}
        assert call(server.port, "GET", "/api/v1/lifecycles").json == {"lifecycles": []}
    assert [record.message.partition(" ")[0] for record in caplog.records] == [
        "RS_LIFECYCLE_1_NAME",
        "RS_REPLICATION_1_NAME",
    ]
