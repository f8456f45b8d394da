"""Why a sensor or a schedule has started nothing, in few words however much it looked at."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from continuum.excerpts import excerpt

MOST = 10
"""So many are told one by one, the nearest first; the others are counted by their kind."""
LONGEST = 200
"""Characters of one reason: what a provider or an error says may be long."""


@dataclass(frozen=True)
class Reason:
    """Why nothing was started for one thing."""

    words: str
    """All of it, with its numbers."""
    kind: str
    """What the others of its kind are counted as: "below their threshold"."""
    nearness: float = 0.0
    """How close it came to starting something; the closest are told one by one."""


def explained(reasons: Iterable[Reason], *, nothing: str) -> str:
    """The reasons in one line.

    Args:
        reasons: in any order.
        nothing: what is said where there is none.
    """
    ordered = sorted(reasons, key=lambda reason: -reason.nearness)
    if not ordered:
        return nothing
    told, rest = ordered[:MOST], ordered[MOST:]
    words = [excerpt(reason.words, LONGEST) for reason in told]
    if rest:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(reason.kind for reason in rest).most_common())
        words.append(f"and {len(rest)} more: {kinds}")
    return "; ".join(words)
