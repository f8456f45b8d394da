"""Signing proofs: Ed25519 (RFC 8032), by the `cryptography` package.

A proof shows that nothing it names was altered since it was made. Who can write the store, the files and the proof can make
another one; what keeps them from it is a key that they do not hold. The private key is read when something is signed and is
never kept, logged or shown.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from continuum.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNED = b"continuum proof\n"
"""Stands before what is signed, so that a signature of anything else never passes for one of a proof."""
READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Signature:
    """A signature, and the key that it checks with."""

    key: str
    """The public key, 32 bytes in hex."""
    value: str
    """64 bytes in hex."""


def new_key(file: str | Path) -> str:
    """Make a key pair: the private key goes into a new file that only its owner can read; returns the public key in hex.

    Raises:
        ConfigurationError: the file is there already, or cannot be written.
        MissingExtra: the package `cryptography` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    except ImportError as error:
        raise MissingExtra.of(error, "signing proofs") from error
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"{file} is there already, and no key is written over; name a file that is not") from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key.public_key().public_bytes_raw().hex()


def sign(head: str, key_file: str | Path) -> Signature:
    """Sign the head of a proof with the private key in a file.

    Raises:
        ConfigurationError: the file holds no Ed25519 private key, or others may read it.
        MissingExtra: the package `cryptography` is not installed.
    """
    key = _private_key(Path(key_file))
    return Signature(key.public_key().public_bytes_raw().hex(), key.sign(SIGNED + head.encode()).hex())


def is_of(signature: Signature, head: str) -> bool:
    """Whether a signature is the one of its key under this head.

    Raises:
        MissingExtra: the package `cryptography` is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise MissingExtra.of(error, "checking a signed proof") from error
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key)).verify(
            bytes.fromhex(signature.value), SIGNED + head.encode()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(file: Path) -> "Ed25519PrivateKey":
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise MissingExtra.of(error, "signing proofs") from error
    try:
        open_to_others = os.name == "posix" and file.stat().st_mode & READABLE_BY_OTHERS
        held = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the signing key {file} cannot be read: {error.strerror}") from error
    if open_to_others:
        raise ConfigurationError(f"the signing key {file} can be read by others; run: chmod 600 {file}")
    try:
        key = load_pem_private_key(held, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without its cause: nothing of what the file holds goes further.
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            f"{file} holds no Ed25519 private key without a password; make one with: continuum proof --new-key FILE"
        )
    return key
