"""TLS: verified unless the user says otherwise; private authorities, client certificates."""

import hashlib
import re
import ssl
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from reduct_async import Client, TransportError
from tests.flavours import Flavour
from tests.scripted_server import REQUEST, Script, ScriptedServer, Tls, answer

EMPTY_LIST = answer(b'{"buckets": []}')


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that no system trusts."""
    return trustme.CA()


@pytest.fixture
def ca_cert(authority: trustme.CA, tmp_path: Path) -> Path:
    """The file with its certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def script_of(certificate: trustme.LeafCert, clients: trustme.CA | None = None) -> Script:
    """Return the script of a server with `certificate`; `clients` are asked for one of theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return [Tls(context), REQUEST, EMPTY_LIST, REQUEST, EMPTY_LIST]


@pytest.fixture
def script(authority: trustme.CA) -> Script:
    """A server on loopback whose certificate is in order."""
    return script_of(authority.issue_cert("127.0.0.1"))


def https(server: ScriptedServer) -> str:
    return server.url.replace("http", "https")


async def fails(client: Client, text: str | None = None) -> None:
    """Check that a call ends with one clear error."""
    with pytest.raises(TransportError, match=text) as caught:
        await client.list()
    assert caught.value.message.startswith("Cannot connect to https://127.0.0.1:")


async def test_unknown_authorities_are_refused(flavour: Flavour, script: Script) -> None:
    """By default; the server sees neither the request nor its token."""
    with ScriptedServer(script) as server:
        client = flavour.client(https(server), "token", retry=None)
        await fails(client, "certificate verify failed")
    assert server.requests == []
    assert len(server.tls_failures) == 1


async def test_private_authority(flavour: Flavour, script: Script, ca_cert: Path) -> None:
    for path in (ca_cert, str(ca_cert)):
        with ScriptedServer(script) as server:
            client = flavour.client(https(server), ca_cert=path)
            assert await client.list() == []
            assert await client.list() == []
            assert server.connections == 1


async def test_folder_of_authorities(flavour: Flavour, script: Script, ca_cert: Path) -> None:
    """Named by the hash of their subject, as OpenSSL looks for them."""
    folder = ca_cert.parent / "authorities"
    folder.mkdir()
    with ScriptedServer(script) as server:
        await fails(flavour.client(https(server), ca_cert=folder, retry=None), "verify failed")
    (folder / f"{subject_hash(ca_cert.read_bytes())}.0").write_bytes(ca_cert.read_bytes())
    with ScriptedServer(script) as server:
        assert await flavour.client(https(server), ca_cert=folder).list() == []


def subject_hash(pem: bytes) -> str:
    """Return OpenSSL's hash of a subject, all of whose attributes are text."""
    subject = x509.load_pem_x509_certificate(pem).subject
    canonical = b""
    for attribute in subject:
        text = re.sub(r"\s+", " ", str(attribute.value).strip().lower()).encode()
        oid = x509.Name([x509.NameAttribute(attribute.oid, "XX", _validate=False)]).public_bytes()
        # Name > RDN > attribute > type: two bytes of tag and length each.
        kind = oid[6 : 8 + oid[7]]
        pair = kind + bytes([0x0C, len(text)]) + text
        sequence = bytes([0x30, len(pair)]) + pair
        canonical += bytes([0x31, len(sequence)]) + sequence
    digest = hashlib.sha1(canonical).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


PAST = datetime(2020, 1, 1, tzinfo=UTC)
WRONG: dict[str, tuple[Sequence[str], dict[str, Any], str]] = {
    "host": (["localhost"], {}, "IP address mismatch"),
    "address": (["127.0.0.2"], {}, "IP address mismatch"),
    "time": (
        ["127.0.0.1"],
        {"not_before": PAST, "not_after": PAST.replace(year=2021)},
        "certificate has expired",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_wrong_certificates(
    flavour: Flavour, authority: trustme.CA, ca_cert: Path, what: str
) -> None:
    identities, dates, text = WRONG[what]
    script = script_of(authority.issue_cert(*identities, **dates))
    with ScriptedServer(script) as server:
        await fails(flavour.client(https(server), ca_cert=ca_cert, retry=None), text)
        assert server.requests == []
    with ScriptedServer(script) as server:
        assert await flavour.client(https(server), verify_ssl=False).list() == []


async def test_another_authority_is_no_help(
    flavour: Flavour, script: Script, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with ScriptedServer(script) as server:
        await fails(flavour.client(https(server), ca_cert=other, retry=None), "verify failed")


@pytest.fixture
def client_files(authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A client's certificate, its key, and both in one file."""
    leaf = authority.issue_cert("client@reduct.test")
    paths = (tmp_path / "client.pem", tmp_path / "client.key", tmp_path / "both.pem")
    leaf.cert_chain_pems[0].write_to_path(paths[0])
    leaf.private_key_pem.write_to_path(paths[1])
    leaf.private_key_and_cert_chain_pem.write_to_path(paths[2])
    return paths


async def test_client_certificate(
    flavour: Flavour,
    authority: trustme.CA,
    ca_cert: Path,
    client_files: tuple[Path, Path, Path],
) -> None:
    script = script_of(authority.issue_cert("127.0.0.1"), authority)
    certificate, key, both = client_files
    for given in ((certificate, key), (str(certificate), str(key)), both, str(both)):
        with ScriptedServer(script) as server:
            client = flavour.client(https(server), ca_cert=ca_cert, client_cert=given)
            assert await client.list() == []


async def test_without_the_client_certificate(
    flavour: Flavour, authority: trustme.CA, ca_cert: Path, tmp_path: Path
) -> None:
    """A server may refuse the handshake or, with TLS 1.3, the first request."""
    stranger = tmp_path / "stranger.pem"
    trustme.CA().issue_cert("client@reduct.test").private_key_and_cert_chain_pem.write_to_path(
        stranger
    )
    script = script_of(authority.issue_cert("127.0.0.1"), authority)
    for given in (None, stranger):
        with ScriptedServer(script) as server:
            client = flavour.client(https(server), ca_cert=ca_cert, client_cert=given, retry=None)
            with pytest.raises(TransportError):
                await client.list()
        assert server.requests == []
        assert len(server.tls_failures) == 1


@pytest.mark.parametrize("name", ["ca_cert", "client_cert"])
async def test_files_that_cannot_be_used(flavour: Flavour, tmp_path: Path, name: str) -> None:
    """Told when the client is made, and which file it is."""
    url = "https://reduct.test"
    missing, broken = tmp_path / "missing.pem", tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(FileNotFoundError, match=re.escape(str(missing))):
        flavour.client(url, **{name: missing})
    with pytest.raises(ssl.SSLError, match=re.escape(str(broken))):
        flavour.client(url, **{name: broken})
    with pytest.raises(TypeError, match=name):
        flavour.client(url, **{name: 5})


ENCRYPTED = """
import sys
from reduct_sync import Client
try:
    Client("https://reduct.test", client_cert=sys.argv[1])
except OSError as error:
    print(error)
"""


def test_encrypted_keys_do_not_ask_for_a_password(authority: trustme.CA, tmp_path: Path) -> None:
    """OpenSSL would ask at the terminal, and a service would wait for ever."""
    leaf = authority.issue_cert("client@reduct.test")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    path = tmp_path / "encrypted.pem"
    path.write_bytes(
        leaf.cert_chain_pems[0].bytes()
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            BestAvailableEncryption(b"password"),
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-c", ENCRYPTED, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Without a terminal OpenSSL asks standard input, which nobody answers or closes here.
        start_new_session=True,
    )
    try:
        process.wait(30)
        assert process.stdout is not None
        assert b"password" in process.stdout.read()
    finally:
        process.kill()
        process.communicate()


async def test_https_to_a_plain_server(flavour: Flavour) -> None:
    with ScriptedServer([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as server:
        await fails(flavour.client(https(server), retry=None))


async def test_http_to_a_tls_server(flavour: Flavour, script: Script) -> None:
    with ScriptedServer(script) as server:
        with pytest.raises(TransportError, match=f"Connection to {server.url} was lost"):
            await flavour.client(server.url, retry=None).list()
    assert len(server.tls_failures) == 1
