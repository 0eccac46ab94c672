"""What other clients of this API get wrong: configuration, typing and documentation: B40, B41."""

import ast
import inspect
import logging
import re
import ssl
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import httpx
import pytest
import trustme

import reduct_async
import reduct_core
import reduct_sync
from reduct_async import Bucket, TransportError
from tests.flavours import Flavour
from tests.front import front
from tests.recording import Recorder
from tests.servers import Server
from tests.stored import payloads

PACKAGES = [pytest.param(reduct_async, id="async"), pytest.param(reduct_sync, id="sync")]


# --- B40: configuration --------------------------------------------------------------------


class Authority(typing.NamedTuple):
    """Certificates of one authority, for a server and for a client."""

    bundle: Path
    client_pair: tuple[Path, Path]
    client_file: Path
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody knows, and a TLS server of its own."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    bundle, certificate, key = (folder / name for name in ("ca.pem", "client.pem", "client.key"))
    ca.cert_pem.write_to_path(bundle)
    client = ca.issue_cert("client@example.org")
    client.cert_chain_pems[0].write_to_path(certificate)
    client.private_key_pem.write_to_path(key)
    both = folder / "both.pem"
    client.private_key_and_cert_chain_pem.write_to_path(both)
    return Authority(bundle, (certificate, key), both, context)


async def test_b40_certificates_are_verified(
    flavour: Flavour, bucket: Bucket, server: Server, authority: Authority
) -> None:
    async with front(server.port, authority.context) as port:
        url = f"https://127.0.0.1:{port}"
        with pytest.raises(TransportError, match=r"Cannot connect.*CERTIFICATE_VERIFY_FAILED"):
            await flavour.client(url, retry=None).info()
        for arguments in ({"ca_cert": authority.bundle}, {"verify_ssl": False}):
            known: Any = arguments
            handle = flavour.client(url, **known).bucket(bucket.name)
            await handle.write("entry", bytes(300_000))
        assert list((await payloads(bucket.query("entry"))).values()) == [bytes(300_000)] * 2


async def test_b40_client_certificates(
    flavour: Flavour, server: Server, authority: Authority
) -> None:
    authority.context.verify_mode = ssl.CERT_REQUIRED
    try:
        async with front(server.port, authority.context) as port:
            url = f"https://127.0.0.1:{port}"
            for certificate in (authority.client_pair, authority.client_file):
                client = flavour.client(
                    url, ca_cert=authority.bundle, client_cert=certificate, retry=None
                )
                assert await client.is_ready()
            with pytest.raises(TransportError):
                await flavour.client(url, ca_cert=authority.bundle, retry=None).info()
    finally:
        authority.context.verify_mode = ssl.CERT_NONE


def test_b40_certificate_files_are_read_at_once(flavour: Flavour, tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    for name in ("ca_cert", "client_cert"):
        arguments: Any = {name: absent}
        with pytest.raises(OSError, match=r"absent\.pem|No such file"):
            flavour.package.Client("https://127.0.0.1", **arguments)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
async def test_b40_proxies_of_the_environment(
    flavour: Flavour, server: Server, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    seen: list[bytes] = []
    async with front(server.port, seen=seen) as port:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        client = flavour.client("http://reduct.invalid:8383")
        assert (await client.info()).version
        assert seen[0].startswith(b"GET http://reduct.invalid:8383/api/v1/info HTTP/1.1\r\n")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert (await flavour.client(server.url).info()).version
        assert len(seen) == 1
        await client.close()


async def test_b40_proxies_as_a_transport(flavour: Flavour, server: Server) -> None:
    seen: list[bytes] = []
    async with front(server.port, seen=seen) as port:
        kind = httpx.HTTPTransport if flavour.name == "sync" else httpx.AsyncHTTPTransport
        proxied = kind(proxy=f"http://127.0.0.1:{port}")
        client = flavour.client("http://reduct.invalid", transport=proxied)
        assert (await client.info()).version
        assert len(seen) == 1
        await client.close()


async def test_b40_headers_of_the_client(flavour: Flavour, server: Server) -> None:
    recorder = Recorder(flavour)
    client = flavour.client(
        server.url,
        extra_headers={"X-Client": "line-7"},
        user_agent="line/7",
        transport=recorder.transport,
    )
    await client.info()
    (request,) = recorder.requests
    assert request.headers["x-client"] == "line-7"
    assert request.headers["user-agent"] == "line/7"
    recorder = Recorder(flavour)
    await flavour.client(server.url, transport=recorder.transport).info()
    version = flavour.package.__version__
    assert recorder.requests[0].headers["user-agent"] == f"reduct-httpx/{version}"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"url": "127.0.0.1:8383"}, ValueError),
        ({"url": "ftp://host"}, ValueError),
        ({"url": "http://"}, ValueError),
        ({"url": "http://host/?a=b"}, ValueError),
        ({"url": "http://user:hunter2@host"}, ValueError),
        ({"url": None}, TypeError),
        ({"url": b"http://host"}, TypeError),
        ({"api_token": ""}, ValueError),
        ({"api_token": "a b"}, ValueError),
        ({"api_token": "a\nb"}, ValueError),
        ({"api_token": 5}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": "5"}, (ValueError, TypeError)),
        ({"extra_headers": {"a b": "1"}}, ValueError),
        ({"extra_headers": {"a": "1\r\nb: 2"}}, ValueError),
        ({"extra_headers": {"a": 1}}, TypeError),
        ({"extra_headers": {f"x-{n}": "1" for n in range(9)}}, ValueError),
        ({"retry": 3}, TypeError),
        ({"transport": "http"}, TypeError),
        ({"session": object()}, TypeError),
        ({"tokn": "secret"}, TypeError),
    ],
)
def test_b40_arguments_are_checked(
    flavour: Flavour, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        flavour.package.Client(**{"url": "http://127.0.0.1"} | arguments)
    assert next(iter(arguments)) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_b40_a_transport_of_the_other_flavour_is_refused(flavour: Flavour) -> None:
    other = httpx.AsyncHTTPTransport() if flavour.name == "sync" else httpx.HTTPTransport()
    with pytest.raises(TypeError, match="transport must be an httpx"):
        flavour.package.Client("http://127.0.0.1", transport=other)


async def test_b40_logs_tell_what_happens_and_no_secrets(
    flavour: Flavour, auth_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    assert auth_server.token is not None
    with caplog.at_level(logging.DEBUG, "reduct"):
        client = flavour.client(auth_server.url, auth_server.token)
        await client.info()
        with pytest.raises(reduct_async.NotFoundError):
            await client.get_bucket("no-such")
    lines = [record.getMessage() for record in caplog.records if record.name == "reduct"]
    assert re.fullmatch(r"GET /api/v1/info: 200, [0-9.]+ ms", lines[0])
    assert re.fullmatch(r"HEAD /api/v1/b/no-such: 404, [0-9.]+ ms", lines[1])
    assert auth_server.token not in caplog.text


# --- B41: typing and documentation ---------------------------------------------------------


def public_functions(package: ModuleType) -> Iterator[tuple[type, str, Any]]:
    """Yield class, name and function of every public method that is written out."""
    for name in package.__all__:
        cls = getattr(package, name)
        if not inspect.isclass(cls) or issubclass(cls, BaseException):
            continue
        for member in dir(cls):
            function = inspect.getattr_static(cls, member)
            function = getattr(function, "fget", function)
            # Constructors of models come from attrs, which checkers know by itself.
            wanted = (member == "__init__" and not attrs.has(cls)) or not member.startswith("_")
            if wanted and inspect.isfunction(function) and ours(function):
                yield cls, member, function


def ours(function: Any) -> bool:
    """Tell whether a function is defined in this project."""
    return str(function.__module__).startswith("reduct")


@pytest.mark.parametrize("package", PACKAGES)
def test_b41_everything_is_typed(package: ModuleType) -> None:
    assert (Path(str(package.__file__)).parent / "py.typed").exists()
    assert (Path(str(reduct_core.__file__)).parent / "py.typed").exists()
    functions = list(public_functions(package))
    assert len(functions) > 60
    for cls, name, function in functions:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters
        missing = {p for p in parameters if p != "self"} - hints.keys()
        assert not missing, f"{cls.__name__}.{name}: {missing}"
        assert "return" in hints or name == "__init__", f"{cls.__name__}.{name}"


def test_b41_reading_is_a_plain_call() -> None:
    hints = typing.get_type_hints(reduct_async.Record.read_all)
    assert hints == {"return": bytes}
    assert list(inspect.signature(reduct_async.Record.read_all).parameters) == ["self"]


def test_b41_labels_may_be_numbers(flavour: Flavour) -> None:
    for batch in (flavour.package.Batch(), flavour.package.RecordBatch()):
        arguments = (1,) if isinstance(batch, flavour.package.Batch) else ("entry", 1)
        batch.add(*arguments, b"", labels={"score": 10, "ok": True})
        ((_, record),) = batch.items()
        assert flavour.show(record).labels == {"score": "10", "ok": "true"}


def examples(package: ModuleType) -> Iterator[tuple[str, ast.Module]]:
    """Yield the examples in the docstrings of a flavour, as syntax trees."""
    documented = [(cls.__name__, cls) for cls, _, _ in public_functions(package)]
    documented += [(f"{c.__name__}.{n}", f) for c, n, f in public_functions(package)]
    for name, thing in dict(documented).items():
        lines = re.findall(r"^\s*(?:>>>|\.\.\.) ?(.*)$", inspect.getdoc(thing) or "", re.MULTILINE)
        if lines:
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
            tree = compile("\n".join(lines), name, "exec", flags)
            assert isinstance(tree, ast.Module)
            yield name, tree


def wrong_calls(package: ModuleType, tree: ast.AST) -> list[str]:
    """Return the calls on clients, buckets and records that do not exist or lack their await."""
    kinds = {"client": package.Client, "bucket": package.Bucket, "record": package.Record}
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    wrong = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        kind = kinds.get(owner.id) if isinstance(owner, ast.Name) else None
        if kind is None:
            continue
        method = getattr(kind, node.func.attr, None)
        if method is None or inspect.iscoroutinefunction(method) != (id(node) in awaited):
            wrong.append(ast.unparse(node))
    return wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_b41_examples_in_docstrings_are_right(package: ModuleType) -> None:
    found = dict(examples(package))
    assert {"Client", "Bucket.read", "Bucket.query", "Bucket.write"} <= found.keys()
    assert {
        name: wrong for name, tree in found.items() if (wrong := wrong_calls(package, tree))
    } == {}


def test_b41_wrong_examples_are_seen() -> None:
    bad = ast.parse(
        "async def f():\n    record.read_all()\n    bucket.subscribes('a')\n    await x"
    )
    assert wrong_calls(reduct_async, bad) == ["record.read_all()", "bucket.subscribes('a')"]
    awaited = ast.parse("async def f():\n    await bucket.query('a')\n    await record.read_all()")
    assert wrong_calls(reduct_async, awaited) == ["bucket.query('a')"]
    assert wrong_calls(reduct_sync, awaited) == ["bucket.query('a')", "record.read_all()"]
