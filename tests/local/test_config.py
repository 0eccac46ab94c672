"""Settings of the embedded server: environment variables, options, refusals."""

import logging
from pathlib import Path

import pytest

from reduct_local.auth import GivenToken
from reduct_local.config import Config, ConfigError, read_config
from reduct_local.limits import Rate
from reduct_local.token_model import Permissions


def test_defaults() -> None:
    config = read_config({})
    assert (config.host, config.port, config.data) == ("127.0.0.1", 0, None)
    assert config.tokens is None
    assert config.base_path == "/"
    assert config.header_lines == 100
    assert config.instance_name
    assert (config.io.batch_max_records, config.io.batch_max_size) == (85, 8_000_000)
    assert (config.io.batch_max_metadata_size, config.operation_timeout) == (512_000, 30.0)


def test_every_variable() -> None:
    config = read_config(
        {
            "RS_HOST": "::1",
            "RS_PORT": "8383",
            "RS_DATA_PATH": "/nowhere/store.sqlite",
            "RS_API_BASE_PATH": "a/b",
            "RS_PUBLIC_URL": "https://example.org/a/b/",
            "RS_INSTANCE_NAME": "cellar",
            "RS_CORS_ALLOW_ORIGIN": "http://a, http://b ,",
            "RS_RATE_LIMIT_API": "100req/s",
            "RS_RATE_LIMIT_INGRESS": "10MB/m",
            "RS_RATE_LIMIT_EGRESS": "4096",
            "RS_IO_BATCH_MAX_RECORDS": "10",
            "RS_IO_BATCH_MAX_METADATA_SIZE": "1KiB",
            "RS_IO_BATCH_MAX_SIZE": "2KB",
            "RS_IO_BATCH_TIMEOUT": "7",
            "RS_IO_BATCH_RECORDS_TIMEOUT": "3",
            "RS_IO_OPERATION_TIMEOUT": "9",
            "RS_IO_MAX_WRITERS_IN_FLIGHT": "4",
            "RS_ENGINE_MAX_STORAGE_SIZE": "1GB",
            "RS_REPLICATION_TIMEOUT": "2",
            "RS_REPLICATION_LOG_SIZE": "55",
            "RS_LOG_LEVEL": "DEBUG",
        }
    )
    assert (config.host, config.port) == ("::1", 8383)
    assert config.data == Path("/nowhere/store.sqlite")
    assert config.base_path == "/a/b/"
    assert config.public_url == "https://example.org/a/b/"
    assert config.instance_name == "cellar"
    assert config.cors_allow_origin == ("http://a", "http://b")
    assert config.api_limit == Rate(100, 1_000_000)
    assert config.ingress_limit == Rate(10_000_000, 60_000_000)
    assert config.egress_limit == Rate(4096, 3_600_000_000)
    assert (config.io.batch_max_records, config.header_lines) == (10, 25)
    assert (config.io.batch_max_metadata_size, config.io.batch_max_size) == (1024, 2000)
    assert (config.io.batch_timeout_s, config.io.batch_records_timeout_s) == (7.0, 3.0)
    assert config.operation_timeout == 9.0
    assert (config.max_writers, config.max_storage) == (4, 10**9)
    assert (config.replication_retry, config.replication_log_size) == (2.0, 55)


@pytest.mark.parametrize("text", ["", "/", "//", "a", "/a", "a/", "/a/"])
def test_base_path_begins_and_ends_with_a_slash(text: str) -> None:
    assert read_config({"RS_API_BASE_PATH": text}).base_path == ("/a/" if "a" in text else "/")


@pytest.mark.parametrize("text", ["", " "])
def test_empty_variables_are_as_good_as_none(text: str) -> None:
    names = ["RS_HOST", "RS_PORT", "RS_DATA_PATH", "RS_API_TOKEN", "RS_RATE_LIMIT_API"]
    names += ["RS_IO_BATCH_MAX_SIZE", "RS_DISABLE_AUTH", "RS_BUCKET_A_NAME"]
    assert read_config(dict.fromkeys(names, text)) == read_config({})


def test_options_win() -> None:
    env = {"RS_HOST": "0.0.0.0", "RS_PORT": "x", "RS_DATA_PATH": "a", "RS_API_TOKEN": "b"}
    config = read_config(env, host="localhost", port=5, data=Path("c"), token="d")
    assert (config.host, config.port, config.data) == ("localhost", 5, Path("c"))
    assert config.tokens == (GivenToken("init-token", "d"),)


def test_folder_stands_for_a_file_in_it(tmp_path: Path) -> None:
    assert read_config({"RS_DATA_PATH": str(tmp_path)}).data == tmp_path / "reduct.sqlite"


def test_token_of_the_start() -> None:
    assert read_config({"RS_API_TOKEN": "t"}).tokens == (GivenToken("init-token", "t"),)
    first = GivenToken("init-token", "t", is_provisioned=False)
    assert read_config({"RS_INIT_API_TOKEN": "t"}).tokens == (first,)
    assert read_config({"RS_API_TOKEN": "t", "RS_DISABLE_AUTH": "true"}).tokens is None


def test_provisioned_tokens() -> None:
    tokens = read_config(
        {
            "RS_API_TOKEN": "t",
            "RS_TOKEN_1_NAME": "reader",
            "RS_TOKEN_1_VALUE": "r",
            "RS_TOKEN_1_READ": "a,b*,",
            "RS_TOKEN_1_EXPIRES_AT": "2030-01-01T00:00:00Z",
            "RS_TOKEN_x_y_NAME": "writer",
            "RS_TOKEN_x_y_VALUE": "w",
            "RS_TOKEN_x_y_WRITE": "c",
            "RS_TOKEN_x_y_FULL_ACCESS": "true",
        }
    ).tokens
    assert tokens is not None
    assert tokens[1:] == (
        GivenToken("reader", "r", Permissions(read=("a", "b*")), 1_893_456_000_000_000),
        GivenToken("writer", "w", Permissions(full_access=True, write=("c",))),
    )


def test_provisioned_buckets() -> None:
    config = read_config(
        {
            "RS_BUCKET_1_NAME": "first",
            "RS_BUCKET_1_QUOTA_TYPE": "FIFO",
            "RS_BUCKET_1_QUOTA_SIZE": "1GB",
            "RS_BUCKET_1_MAX_BLOCK_SIZE": "1MiB",
            "RS_BUCKET_1_MAX_BLOCK_RECORDS": "10",
            "RS_BUCKET_2_NAME": "second",
            "RS_DEFAULTS_BUCKET_QUOTA_SIZE": "5",
        }
    )
    settings = {
        "quota_type": "FIFO",
        "quota_size": 10**9,
        "max_block_size": 2**20,
        "max_block_records": 10,
    }
    assert config.buckets == (("first", settings), ("second", {}))
    assert config.defaults.quota_size == 5


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RS_PORT", "x", "a number"),
        ("RS_PORT", "-1", "a number"),
        ("RS_PORT", "65536", "more than 65535"),
        ("RS_RATE_LIMIT_API", "10MB/s", "a rate such as 100req/s"),
        ("RS_RATE_LIMIT_API", "10/0s", "a rate"),
        ("RS_RATE_LIMIT_INGRESS", "fast", "a rate such as 10MB/m"),
        ("RS_IO_BATCH_MAX_SIZE", "big", "a size"),
        ("RS_IO_BATCH_TIMEOUT", "soon", "seconds"),
        ("RS_DISABLE_AUTH", "yes", "true or false"),
        ("RS_DEFAULTS_BUCKET_QUOTA_TYPE", "fifo", "NONE, FIFO or HARD"),
        ("RS_CERT_PATH", "x", "TLS"),
        ("RS_INSTANCE_ROLE", "REPLICA", "STANDALONE"),
        ("RS_HOST", "0.0.0.0", "without a token"),
        ("RS_HOST", "example.org", "without a token"),
    ],
)
def test_unusable_values_are_told(name: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        read_config({name: value})
    assert value in str(caught.value) or name in str(caught.value)


def test_contradictions_are_told() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        read_config({"RS_API_TOKEN": "a", "RS_INIT_API_TOKEN": "b"})
    with pytest.raises(ConfigError, match="RS_TOKEN_1_VALUE is missing"):
        read_config({"RS_API_TOKEN": "a", "RS_TOKEN_1_NAME": "t"})
    with pytest.raises(ConfigError, match="needs RS_API_TOKEN"):
        read_config({"RS_TOKEN_1_NAME": "t", "RS_TOKEN_1_VALUE": "v"})
    with pytest.raises(ConfigError, match="empty"):
        read_config({}, token="")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.0.1", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert read_config({}, host=host).host == host


def test_what_has_no_effect_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_config({"RS_LICENSE_PATH": "x", "RS_PORT": "1", "PATH": "y"}, port=2)
    assert [record.message for record in caplog.records] == [
        "RS_LICENSE_PATH has no effect on the embedded server"
    ]


def test_no_secret_shows() -> None:
    config = read_config(
        {"RS_API_TOKEN": "hush", "RS_TOKEN_1_NAME": "n", "RS_TOKEN_1_VALUE": "hum"}
    )
    assert isinstance(config, Config)
    assert "hush" not in repr(config)
    assert "hum" not in repr(config.tokens)
