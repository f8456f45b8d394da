"""What is measured of a model beside the scores of its golden answers: cost, latency, forgetting, what people say.

Each figure says what it was measured on. A figure without data says why, and never counts as good.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.analytics.gains import Gain, Word, word_of

if TYPE_CHECKING:
    from continuum.statistics.means import Estimate


@dataclass(frozen=True)
class Reading:
    """One model on one such metric."""

    metric: str
    """One of `arms.BESIDE`."""
    name: str
    """What exactly: `latency_ms p95`, `general text, nats a token`."""
    model: str
    on: str
    """What it was measured on; where there is no value, why not."""
    value: "Estimate | None" = None
    """With its 95% interval where the spread is known."""
    gain: Gain | None = None
    against: str = ""
    """The model that the gain is measured from; empty without a gain."""
    digits: int = 3
    """Decimals that mean something."""

    @property
    def word(self) -> Word:
        """Whether the gain is real; `no data` where there is none."""
        return word_of(self.gain)


def shown(readings: Sequence[Reading], metric: str) -> list[Reading]:
    """The readings of one metric, those of one name together, in the order in which names came up."""
    names = list(dict.fromkeys(one.name for one in readings if one.metric == metric))
    return [one for name in names for one in readings if one.metric == metric and one.name == name]


def together(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Readings that are told in one line: each by itself, but those of one name without data for the same reason together."""
    found: dict[tuple[object, ...], list[Reading]] = {}
    for place, one in enumerate(readings):
        key = (one.name, one.on) if one.value is None else (place,)
        found.setdefault(key, []).append(one)
    return list(found.values())
