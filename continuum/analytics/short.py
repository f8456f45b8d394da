"""A learning curve in the few sentences that a person reads first: is the newest version better, and than what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.analytics.arms import PRODUCTION
from continuum.analytics.bounded import LEAST_GROUPS
from continuum.analytics.gains import Gain, Word

if TYPE_CHECKING:
    from continuum.analytics.curve import LearningCurve
    from continuum.analytics.projection import Ahead


@dataclass(frozen=True)
class Finding:
    """One sentence, what it is about, and the word on it."""

    about: str
    said: str
    word: Word


def findings(curve: "LearningCurve") -> Iterator[Finding]:
    """What the newest version is worth, metric by metric, and what more examples would buy.

    It is compared with production, with the model that gains are measured from, and with the version before it, as far as they
    are compared at all.
    """
    newest = newest_of(curve)
    for metric in curve.metrics if newest else ():
        for other, gain in _compared(curve, newest, metric).items():
            yield Finding(f"{metric}: {newest} and {other}", _said(newest, other, gain), gain.word)
    for one in curve.worth:
        if curve.bill is not None and not isinstance(one.gain, str):
            usd = curve.bill.judging_usd
            price = "" if usd is None else f"; judging them would cost about ${usd:.2f}"
            said = f"{ahead_words(one.gain)}{price}"
            word: Word = "better" if one.gain.low > 0 else "worse" if one.gain.high < 0 else "open"
            yield Finding(f"{one.metric}: another {curve.bill.examples} examples", said, word)


def ahead_words(gain: "Ahead") -> str:
    """What more examples would gain, and whether that may be nothing."""
    said = f"about {gain.mean:+.3f} (90% {gain.low:+.3f} to {gain.high:+.3f})"
    return said if gain.low > 0 else f"{said}, a loss" if gain.high < 0 else f"{said}, which may be nothing"


def newest_of(curve: "LearningCurve") -> str:
    """The version that learned last; empty where no version is compared."""
    if curve.turns:
        return curve.turns[-1].model
    learned = [point for point in curve.points if point.examples]
    return max(learned, key=lambda point: point.examples).model if learned else ""


def _compared(curve: "LearningCurve", newest: str, metric: str) -> dict[str, Gain]:
    """Whom the newest version stands beside, and its difference from them."""
    found: dict[str, Gain] = {}
    if metric in curve.over_production and newest != PRODUCTION:
        found[PRODUCTION] = curve.over_production[metric]
    own = next(point for point in curve.points if point.model == newest)
    if metric in own.gains:
        found.setdefault(curve.reference, own.gains[metric])
    last = next((one for one in curve.turns if one.model == newest), None)
    if last is not None and metric in last.gains:
        found.setdefault(last.before, last.gains[metric])
    return found


def _said(newest: str, other: str, gain: Gain) -> str:
    if gain.low is None or gain.high is None:
        return f"{gain.mean:+.3f} on {gain.items} items, too few to say more ({LEAST_GROUPS} independent groups are needed)"
    measured = f"(95% {gain.low:+.3f} to {gain.high:+.3f}, {gain.items} items{'' if gain.paired else ', unpaired'})"
    if gain.word == "open":
        return f"no difference is shown: {gain.mean:+.3f} {measured}"
    return f"{newest} is {gain.word} than {other}: {gain.mean:+.3f} {measured}"
