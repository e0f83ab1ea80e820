"""Signing keys: Ed25519 (RFC 8032) in PEM files, as openssl reads and writes them. They need the extra ``audit``.

The private key is not encrypted: what protects it is its file's mode (0600) and where it is kept.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from memorygraph.events.errors import InputError, StoreError

if TYPE_CHECKING:
    from types import ModuleType

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_KEY_BYTES: Final = 32
PUBLIC_SUFFIX: Final = ".pub"
_KEY_FILE_BYTES_MAX: Final = 1 << 16
_PEM: Final = b"-----BEGIN"


class Signer(Protocol):
    """What signs: a key in this process, or one that is kept elsewhere (an agent, a hardware module)."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the Ed25519 public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        ...


class SigningKey:
    """A private key in this process."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the operating system's random source."""
        return cls(_ed25519().Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: str | Path) -> SigningKey:
        """Read a private key from a PEM file that has no password.

        Raises:
            InputError: the file cannot be read or holds something else.
        """
        ed25519 = _ed25519()
        from cryptography.hazmat.primitives import serialization

        data = _read(path)
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError) as error:  # TypeError: it is encrypted
            raise InputError(
                f"{path} is not an Ed25519 private key in PEM form without a password", path=str(path)
            ) from error
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise InputError(f"{path} is a private key of another kind than Ed25519", path=str(path))
        return cls(key)

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(message)

    def write(self, path: str | Path) -> None:
        """Write the key to ``path`` (mode 0600) and its public half to ``path.pub``; neither is ever overwritten.

        Raises:
            InputError: one of the files is there already; nothing was written.
            StoreError: they cannot be written.
        """
        from cryptography.hazmat.primitives import serialization

        private = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        beside = f"{path}{PUBLIC_SUFFIX}"
        _create(beside, public, 0o644)
        try:
            _create(str(path), private, 0o600)
        except (InputError, StoreError):
            Path(beside).unlink(missing_ok=True)
            raise


def signer_of(given: Signer | str | Path) -> Signer:
    """Return a signer, read from its file if it is given by path.

    Raises:
        InputError: the file is no private key.
    """
    return SigningKey.load(given) if isinstance(given, str | Path) else given


def load_public_key(given: str | Path) -> bytes:
    """Return the 32 bytes of a public key, given as a PEM file or as 64 hexadecimal digits.

    Raises:
        InputError: it is neither.
    """
    with suppress(ValueError):
        key = bytes.fromhex(str(given))
        if len(key) == PUBLIC_KEY_BYTES:
            return key
    data = _read(given)
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives import serialization

    try:
        loaded = serialization.load_pem_public_key(data)
    except ValueError as error:
        is_private = data.startswith(_PEM) and b"PRIVATE" in data
        what = f"a private key; give {given}{PUBLIC_SUFFIX}" if is_private else "not a public key in PEM form"
        raise InputError(f"{given} is {what}", path=str(given)) from error
    if not isinstance(loaded, ed25519.Ed25519PublicKey):
        raise InputError(f"{given} is a public key of another kind than Ed25519", path=str(given))
    raw: bytes = loaded.public_bytes_raw()
    return raw


def is_signed_by(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature of a message is that key's."""
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id(public_key: bytes) -> str:
    """Return the name by which people tell keys apart: the first 16 hexadecimal digits of the SHA-256 of the key."""
    return sha256(public_key).hexdigest()[:16]


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ImportError(
            'signed heads need the extra "audit"; install it with: pip install "memorygraph[audit]"'
        ) from error
    return ed25519


def _read(path: str | Path) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_KEY_FILE_BYTES_MAX)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise InputError(f"the key {path} cannot be read: {reason}", path=str(path)) from error


def _create(path: str, data: bytes, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise InputError(
            f"{path} is there already; keys are never overwritten: name another file", path=path
        ) from error
    except OSError as error:
        raise StoreError(f"{path}: cannot write the key: {error.strerror}", path=path) from error
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
