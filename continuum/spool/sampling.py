"""Which calls are captured: whole conversations, by a hash, so that every process and every door decides alike."""

from hashlib import blake2b


def is_sampled(unit: str, rate: float) -> bool:
    """Whether the calls of a unit are captured.

    Args:
        unit: the conversation's id where there is one, else the interaction's.
        rate: share of units to capture, 0 to 1; what is captured at one rate is captured at every higher one.
    """
    if rate >= 1:
        return True
    digest = blake2b(unit.encode(errors="replace"), digest_size=8, key=b"continuum-sampling").digest()
    return int.from_bytes(digest, "big") < rate * 2**64
