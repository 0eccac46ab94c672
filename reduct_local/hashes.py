"""Hashes of token values: what is stored, and how a value is held against it."""

import hashlib
import hmac
import secrets

_SALT_BYTES = 16
_SCRYPT_N = 2**14
_SCRYPT_R = 8


def hash_random(value: str) -> str:
    """Return the hash of a value with 128 random bits, which nobody can guess: fast."""
    salt = secrets.token_hex(_SALT_BYTES)
    return f"sha256${salt}${_sha256(value, salt)}"


def hash_chosen(value: str) -> str:
    """Return the hash of a value that a person may have chosen: scrypt, about 50 ms."""
    salt = secrets.token_hex(_SALT_BYTES)
    return f"scrypt${salt}${_scrypt(value, salt)}"


def is_slow(stored: str) -> bool:
    """Tell whether holding a value against this hash takes long (scrypt)."""
    return stored.startswith("scrypt$")


def matches(stored: str, value: str) -> bool:
    """Tell whether a hash was made of this value; takes the same time for every wrong one."""
    _method, salt, digest = stored.split("$")
    made = _scrypt(value, salt) if is_slow(stored) else _sha256(value, salt)
    return hmac.compare_digest(made, digest)


def _sha256(value: str, salt: str) -> str:
    return hashlib.sha256(_bytes(salt + value)).hexdigest()


def _scrypt(value: str, salt: str) -> str:
    return hashlib.scrypt(
        _bytes(value), salt=bytes.fromhex(salt), n=_SCRYPT_N, r=_SCRYPT_R, p=1, dklen=32
    ).hex()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
