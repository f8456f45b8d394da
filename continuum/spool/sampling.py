"""Which calls are captured: whole conversations, by a hash, so that every process and every door decides alike."""

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from continuum.ids import new_id

RATES = "sample_rates.json"
"""In the spool's folder: the rates as the store gave them last, so that a process samples from its first call on."""


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


def remembered_rates(folder: Path) -> dict[str, float]:
    """Task to sample rate, as they were remembered; empty where nothing was."""
    try:
        found = json.loads((folder / RATES).read_bytes())
        return {task: float(rate) for task, rate in found.items() if 0 < rate <= 1}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember_rates(folder: Path, rates: Mapping[str, float]) -> None:
    """Remember the rates for the processes to come; a disk that does not take them is no matter."""
    partial = {task: rate for task, rate in rates.items() if rate < 1}
    if partial == remembered_rates(folder):
        return
    fresh = folder / f"{RATES}.{new_id()}"
    with suppress(OSError):
        fresh.write_text(json.dumps(partial))
        fresh.replace(folder / RATES)
