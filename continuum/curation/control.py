"""A random control: as many rows as were selected, drawn blindly from the same eligible ones.

A later turn can train on either and say whether selecting helped; the comparison here says what the two look like before.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from continuum.curation.coverage import share_covered


def draw_control(eligible: Sequence[str], chosen: Sequence[str], seed: int, split: Mapping[str, str]) -> list[str]:
    """As many eligible ids as were chosen, and as many of each split, in the order of a salted hash.

    Neither the order of `eligible` nor the reasons of the choice have a say; a row may be in both.

    Args:
        eligible: ids that could have been chosen.
        chosen: ids that were, some of the eligible.
        seed: salt of the hash.
        split: id to the side it is on; those without one are drawn together.

    Returns:
        The ids of the control, sorted.
    """
    wanted = Counter(split.get(one, "") for one in chosen)
    drawn: list[str] = []
    for one in sorted(set(eligible), key=lambda one: (_hash(one, seed), one)):
        side = split.get(one, "")
        if wanted[side] > 0:
            wanted[side] -= 1
            drawn.append(one)
    return sorted(drawn)


def _hash(one: str, seed: int) -> bytes:
    return sha256(f"control:{seed}:{one}".encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class Sampled:
    """What a set of rows looks like."""

    rows: int
    coverage: float
    """Share of the classes with a row, 0 to 1."""
    mean_quality: float | None
    """1 to 5; None of no rows."""
    mean_uncertainty: float | None
    """0 to 1; None of no rows."""


@dataclass(frozen=True)
class Comparison:
    """A selection beside its random control."""

    selection: Sampled
    control: Sampled
    shared: int
    """Rows that are in both."""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return asdict(self)


def compare(
    selection: Sequence[int],
    control: Sequence[int],
    classes: Sequence[str | None],
    scores: np.ndarray,
    uncertainty: np.ndarray,
) -> Comparison:
    """Coverage, quality and uncertainty of a selection beside those of its control.

    Args:
        selection: positions of the chosen rows.
        control: positions of the control.
        classes: the intent or cluster of each eligible row.
        scores: 1 to 5, one an eligible row.
        uncertainty: 0 to 1, one an eligible row.
    """

    def sampled(rows: Sequence[int]) -> Sampled:
        at = list(rows)
        return Sampled(len(at), share_covered(classes, at), _mean(scores[at]), _mean(uncertainty[at]))

    return Comparison(sampled(selection), sampled(control), len(set(selection) & set(control)))


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None
