"""Ed25519 keys: private ones in files, public ones as base64 text.

A public key is always its 32 raw bytes (RFC 8032) in standard base64 with padding: 44 characters.
"""

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runner_core.errors import ConfigError, SignatureError


def decode_base64(text: object, size: int, name: str) -> bytes:
    """Decode `size` bytes of base64. Raises SignatureError missing_field:<name> or invalid_encoding:<name>.

    Only the canonical encoding is accepted. Different padding bits could otherwise spell one key in several ways, and
    a nonce that was used under one spelling would count as new under another.
    """
    if text is None or text == "":
        raise SignatureError(f"missing_field:{name}", f"{name} is missing.")
    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != size or base64.b64encode(raw).decode() != text:
        raise SignatureError(f"invalid_encoding:{name}", f"{name} must be {size} bytes in standard base64.")
    return raw


def load_public_key(text: object) -> Ed25519PublicKey:
    """Return the key object of a base64 public key. Raises SignatureError like decode_base64."""
    return _public_key(decode_base64(text, 32, "public_key"))


@lru_cache(maxsize=1024)  # making the object costs as much as half a verification
def _public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def key_id(public_key: str) -> str:
    """Return a key's default short name: the first 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(decode_base64(public_key, 32, "public_key")).hexdigest()[:16]


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """An Ed25519 private key. Its repr shows only the public key."""

    key: Ed25519PrivateKey
    public_key: str

    @classmethod
    def of(cls, key: Ed25519PrivateKey) -> "PrivateKey":
        """Wrap a key of the cryptography library."""
        return cls(key, base64.b64encode(key.public_key().public_bytes_raw()).decode())

    @classmethod
    def generate(cls) -> "PrivateKey":
        """Return a new random key."""
        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "PrivateKey":
        """Return the key of a 32-byte seed (RFC 8032, 5.1.5)."""
        return cls.of(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: str | Path) -> "PrivateKey":
        """Read a PEM file. Raises ConfigError when it is unreadable, readable by others, or not an Ed25519 key."""
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                pem = file.read()
        except OSError as error:
            raise ConfigError([f"The key file {path} can't be read: {error.strerror}."]) from None
        if mode & 0o077:
            raise ConfigError([f"The key file {path} may be read by others (mode {mode:04o}): chmod 600 {path}"])
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            key = None  # the library's message could quote the file, so it is dropped
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError([f"The key file {path} is not an Ed25519 private key in PEM without a password."])
        return cls.of(key)

    @cached_property
    def kid(self) -> str:
        """Return the short name of this key."""
        return key_id(self.public_key)

    def save(self, path: str | Path) -> None:
        """Write a PEM file (PKCS 8, mode 0600). Raises FileExistsError if the file exists."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)

    def sign(self, message: bytes) -> str:
        """Return the signature of `message`, 64 bytes in base64."""
        return base64.b64encode(self.key.sign(message)).decode()

    def __repr__(self) -> str:
        return f"PrivateKey(public_key={self.public_key!r})"
