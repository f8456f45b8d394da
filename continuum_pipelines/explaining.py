"""Why a sensor or a schedule has started nothing, in few words however much it looked at."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from continuum.excerpts import excerpt

MOST = 10
"""So many are told one by one, the nearest first; the others are counted by their kind."""
LONGEST = 200
"""Characters of one reason: what a provider or an error says may be long."""
END = 110
"""So many of its last ones are kept where it is cut: what is to be done stands at the end."""


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
    words = [both_ends(reason.words) for reason in told]
    if rest:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(reason.kind for reason in rest).most_common())
        words.append(f"and {len(rest)} more: {kinds}")
    return "; ".join(words)


def both_ends(words: str) -> str:
    """A reason in one line of `LONGEST` characters at most; of a longer one the middle is left out."""
    if excerpt(words, LONGEST) == excerpt(words, LONGEST + 1):
        return excerpt(words, LONGEST)
    end = excerpt(words[-END:], END)
    return f"{excerpt(words, LONGEST - len(end))}{end}"
