"""Fingerprints: equal texts, equal short hashes, on any machine and in any process."""

from collections.abc import Sequence
from hashlib import blake2b

from continuum.records import Message
from continuum.similarity.normalise import canonical_lines


def fingerprint(*parts: str) -> str:
    """128 bits in hex over the parts and the places where they meet."""
    digest = blake2b(digest_size=16)
    for part in parts:
        # Captured text may hold half of a surrogate pair, which plain UTF-8 refuses.
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    return digest.hexdigest()


def context_fingerprint(messages: Sequence[Message]) -> str:
    """Fingerprint of everything a model was given."""
    return fingerprint(*canonical_lines(messages))
