"""How far one model differs from another on one metric: paired where they share items, else unpaired, and called so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from continuum.analytics.bounded import LEAST_GROUPS, bounded_difference, bounded_mean
from continuum.statistics.means import Estimate

Word = Literal["better", "worse", "open", "no data"]
"""What an interval of 95% says of a difference. Without an interval nothing is shown, so nothing is ever passed by default."""


@dataclass(frozen=True)
class Gain(Estimate):
    """A model less another one, with its two-sided 95% interval."""

    paired: bool = True
    """Whether both have a value for the same items; else the two samples are taken as independent."""
    lower_is_better: bool = False

    @property
    def word(self) -> Word:
        """Whether the difference is real: better or worse only where the whole interval is on that side of none."""
        return word_of(self)


def word_of(gain: "Gain | None") -> Word:
    """The word on a difference; `no data` where there is none."""
    if gain is None or gain.low is None or gain.high is None:
        return "no data"
    if gain.low <= 0 <= gain.high:
        return "open"
    return "better" if (gain.mean > 0) is not gain.lower_is_better else "worse"


def gain_of(
    values: Sequence[float | None],
    reference: Sequence[float | None],
    groups: Sequence[str],
    *,
    lower_is_better: bool = False,
) -> Gain | None:
    """The difference of two models' scores of items, of which either may lack some.

    Paired on the items that both have a value for. Where those are of fewer than ten groups and each has a value in as many,
    unpaired, of all that either has. Its interval is that of `bounded.py`: none below ten groups, and never without a width.

    Args:
        values: the model's score of each item, 0 to 1; None where it has none.
        reference: the other model's.
        groups: the group of each item.
        lower_is_better: whether less is better.

    Returns:
        None where one of them has no value at all.
    """
    rows = list(zip(values, reference, groups, strict=True))
    shared = [(a - b, group) for a, b, group in rows if a is not None and b is not None]
    ours = [(a, group) for a, _, group in rows if a is not None]
    theirs = [(b, group) for _, b, group in rows if b is not None]
    if not ours or not theirs:
        return None
    paired, least = len({group for _, group in shared}), min(len({group for _, group in side}) for side in (ours, theirs))
    if not paired or paired < LEAST_GROUPS <= least:
        found = bounded_difference(*zip(*ours, strict=True), *zip(*theirs, strict=True))
        return as_gain(found, paired=False, lower_is_better=lower_is_better)
    return as_gain(bounded_mean(*zip(*shared, strict=True), least=-1.0), lower_is_better=lower_is_better)


def as_gain(found: Estimate, *, paired: bool = True, lower_is_better: bool = False) -> Gain:
    """An estimated difference as a gain."""
    return Gain(found.mean, found.low, found.high, found.items, found.groups, paired, lower_is_better)
