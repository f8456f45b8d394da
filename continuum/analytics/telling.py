"""A learning curve as sections of words and tables: what the summary, the page and the Dagster UI all say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.analytics.beside import Reading, shown, together
from continuum.analytics.gains import Gain, Word, as_gain, word_of
from continuum.analytics.short import ahead_words, findings
from continuum.excerpts import excerpt
from continuum.statistics.selected import METHOD

if TYPE_CHECKING:
    from continuum.analytics.attribution import Attribution, ClusterGain
    from continuum.analytics.curve import LearningCurve
    from continuum.analytics.fresh import Retold
    from continuum.analytics.frontier import Standing
    from continuum.analytics.turns import Turn
    from continuum.analytics.worth import Worth
    from continuum.statistics.means import Estimate
    from continuum.statistics.selected import GivenSelection

SHORT = "short"
"""The key of the section that says it all in a few lines."""
INTENTS_SHOWN = 12
CLUSTERS_SHOWN = 3
EXAMPLES_SHOWN = 2
SHAPES = "these intervals are for curves that follow a power law; curves of other shapes leave them more often than they say"
LABEL = 60
REASON = 300


@dataclass(frozen=True)
class Cell:
    """One cell: its words, and the word on the gain in it, where it is one."""

    text: str
    word: Word | None = None


@dataclass(frozen=True)
class Section:
    """A part of the report; any of it may be empty."""

    key: str
    """A name that stays the same: `models`, `turns`, `frontier`, `beside`, `fresh`, `projection`, `worth` and so on."""
    title: str
    words: str = ""
    """How to read it."""
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    lines: tuple[str, ...] = ()
    wordy: bool = False
    """Whether the last column holds sentences."""


def title_of(curve: "LearningCurve") -> str:
    """The one sentence over all."""
    judged = f", judged by {excerpt(curve.judge, LABEL)}" if curve.judge else ""
    return f"Learning curve of {curve.task}: {curve.items} items of {curve.golden}{judged}; scores from 0 to 1, 95% intervals"


def sections(curve: "LearningCurve") -> list[Section]:
    """All parts that have something to say, in the order in which they are read."""
    found = [
        Section(SHORT, "In short", lines=tuple(f"{one.about}: {one.said}" for one in findings(curve))),
        _models(curve),
        _turns(curve),
        _fresh(curve),
        *_frontiers(curve),
        _beside(curve),
        Section("projection", "Projection", lines=tuple(_projections(curve))),
        _worth(curve),
        *(_attributed(one) for one in curve.attributions),
        _intents(curve),
        Section("notes", "To keep in mind", lines=curve.notes),
    ]
    return [one for one in found if one.rows or one.lines]


def mean_words(found: "Estimate | GivenSelection | None", digits: int = 3, *, signed: bool = False) -> str:
    """A mean with its interval; a dash where there is none."""
    if found is None:
        return "-"
    sign = "+" if signed else ""
    ends = max(0, digits - 1)
    interval = "" if found.low is None or found.high is None else f" [{found.low:{sign}.{ends}f}, {found.high:{sign}.{ends}f}]"
    return f"{found.mean:{sign}.{digits}f}{interval}"


def gain_cell(gain: Gain | None, digits: int = 3) -> Cell:
    """A difference with its interval and the word on it; that it is not paired is said."""
    if gain is None:
        return Cell("-")
    word = word_of(gain)
    unpaired = "" if gain.paired else ", unpaired"
    return Cell(f"{mean_words(gain, digits, signed=True)} {word}{unpaired}", word)


def seconds_words(seconds: float | None) -> str:
    """A time as people read it."""
    if seconds is None:
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _models(curve: "LearningCurve") -> Section:
    rows = []
    for metric in curve.metrics:
        for point in curve.points:
            mean, gain = point.means.get(metric), point.gains.get(metric)
            items = _items(mean) if mean else "0"
            cost = "unknown" if point.cost_usd is None else f"${point.cost_usd:.5f}"
            # A model may have been asked more than the one it is compared with.
            fewer = f" ({gain.items})" if gain and mean and gain.items != mean.items else ""
            cells = (point.model, metric, str(point.examples), mean_words(mean), items + fewer)
            rows.append((*map(Cell, cells), gain_cell(gain), Cell(cost)))
    heads = ("model", "metric", "examples", "mean", "items", f"against {curve.reference}", "cost per query")
    return Section("models", "Models", heads=heads, rows=tuple(rows))


def _items(found: "Estimate") -> str:
    return f"{found.items}" if found.groups == found.items else f"{found.items} in {found.groups} groups"


def _turns(curve: "LearningCurve") -> Section:
    heads = ("version", "less", "metric", "gain", "items", "$ a point", "examples", "judged", "judging", "training")
    rows = []
    for one in curve.turns:
        spent = (f"{one.examples:+d}", str(one.judged), f"${one.judging_usd:.2f}", seconds_words(one.training_s))
        for n, metric in enumerate(curve.metrics):
            gain = one.gains.get(metric)
            cells = (Cell(one.model), Cell(one.before), Cell(metric), gain_cell(gain), Cell(_items(gain) if gain else "0"))
            # What a turn cost is said once.
            rows.append((*cells, Cell(_point_price(one, metric)), *(Cell(words if n == 0 else "") for words in spent)))
    return Section(
        "turns",
        "Trajectory: what each turn gained over the one before, and what it cost",
        "A point is 0.01; its price is that of judging alone, and is said only of a gain that is shown.",
        heads,
        tuple(rows),
        () if rows else (f"{', '.join(curve.metrics)}: one model is no trajectory",),
    )


def _point_price(turn: "Turn", metric: str) -> str:
    price = turn.usd_per_point(metric)
    return "-" if price is None else f"${price:.3g}"


def _fresh(curve: "LearningCurve") -> Section:
    return Section(
        "fresh",
        "Promoted gains: as claimed, and without the winner's curse",
        "A version is promoted for a large measured gain, so the claim is too large on average. Fresh: golden items that had no "
        f"say in the promotion. Corrected, where those are too few: {METHOD}; selected is what the guard let through, and the "
        "largest claim of those that it did.",
        ("version", "metric", "less", "claimed", "fresh or corrected", "shrinks by", "basis"),
        tuple(_retold(one) for one in curve.retold),
        wordy=True,
    )


def _retold(one: "Retold") -> tuple[Cell, ...]:
    if one.fresh is not None:
        second, basis = gain_cell(one.fresh), f"{one.fresh.items} fresh items in {one.fresh.groups} groups"
    elif one.corrected is not None:
        second, basis = Cell(mean_words(one.corrected, signed=True)), f"corrected for selection: {one.why}"
    else:
        second, basis = Cell("-"), one.why
    shrinks = "-" if one.shrinkage is None else f"{one.shrinkage:+.3f}"
    return (Cell(one.model), Cell(one.metric), Cell(one.baseline), gain_cell(one.claimed), second, Cell(shrinks), Cell(basis))


def _frontiers(curve: "LearningCurve") -> Iterator[Section]:
    items = curve.frontier[0].items if curve.frontier else 0
    yield Section(
        "frontier",
        "Cost and quality",
        f"Quality is the mean of the metrics on the {items} of {curve.items} items that all of these have every score for. A "
        "model is on the frontier unless another is at least as good and at most as dear, and better in one; the chance is its "
        "share of resamples of the golden groups.",
        ("model", "quality", "US$ a query", "on the frontier", "chance"),
        tuple(_standing(one) for one in curve.frontier),
        () if curve.frontier else ("no model has both a cost and a quality",),
    )
    if curve.frontier_with_latency:
        yield Section(
            "frontier with latency",
            "Cost, quality and latency",
            "The same where a model must also be at least as quick to beat another, of the models whose latency is known.",
            ("model", "quality", "US$ a query", "ms", "on the frontier", "chance"),
            tuple(_standing(one) for one in curve.frontier_with_latency),
        )


def _standing(one: "Standing") -> tuple[Cell, ...]:
    interval = "" if one.low is None or one.high is None else f" [{one.low:.2f}, {one.high:.2f}]"
    slow = () if one.latency_ms is None else (f"{one.latency_ms:.0f}",)
    place = "yes" if one.on_frontier else "beaten"
    cells = (one.model, f"{one.quality:.3f}{interval}", f"{one.cost_usd:.5f}", *slow, place, f"{one.probability:.0%}")
    return tuple(map(Cell, cells))


def _beside(curve: "LearningCurve") -> Section:
    rows = [_reading(some) for metric in curve.beside for some in together(shown(curve.readings, metric))]
    return Section(
        "beside",
        "Beside the golden answers",
        "Of costs, latencies and losses less is better. human_agreement is the share of answers that the judge and people both "
        "call good, or both do not; human_score what people give, 0 to 1. What has no data is no good sign.",
        ("what", "model", "value", "difference", "against", "measured on"),
        tuple(rows),
        wordy=True,
    )


def _reading(some: list[Reading]) -> tuple[Cell, ...]:
    one = some[0]
    value = "no data" if one.value is None else mean_words(one.value, one.digits)
    return (
        Cell(excerpt(one.name, LABEL)),
        Cell(", ".join(reading.model for reading in some)),
        Cell(value),
        gain_cell(one.gain, one.digits),
        Cell(one.against or "-"),
        Cell(excerpt(one.on, REASON)),
    )


def _projections(curve: "LearningCurve") -> Iterator[str]:
    for metric, found in curve.projections.items():
        if isinstance(found, str):
            yield f"{metric}: no projection: {found}"
        else:
            yield (
                f"{metric}: about {found.mean:.3f} (90% {found.low:.3f} to {found.high:.3f}) at {found.examples} examples, "
                f"if they are like those so far; the fitted curve levels off at {found.ceiling:.3f}"
            )


def _worth(curve: "LearningCurve") -> Section:
    bill = curve.bill
    if bill is None:
        return Section("worth", "")
    parts = []
    if bill.judging_usd is not None and bill.usd_each is not None and bill.selected_share is not None:
        parts.append(
            f"about ${bill.judging_usd:.2f} to judge {bill.interactions} interactions at ${bill.usd_each:.5f} each, of which "
            f"curation selected {bill.selected_share:.0%} last time"
        )
    if bill.training_s is not None:
        parts.append(f"{seconds_words(bill.training_s)} more of training on the machine that trained the newest version")
    cost = f"they would cost {', and '.join(parts)}" if parts else "what they would cost is unknown"
    lines = [cost, *bill.why, *(_bought(one, bill.examples) for one in curve.worth)]
    if any(not isinstance(one.gain, str) for one in curve.worth):
        lines.append(SHAPES)
    return Section("worth", f"Another {bill.examples} examples", lines=tuple(lines))


def _bought(one: "Worth", more: int) -> str:
    if isinstance(one.gain, str):
        return f"{one.metric}: what {more} more would gain cannot be said: {one.gain}"
    found = f"{one.metric}: {ahead_words(one.gain)}"
    if one.usd_per_point is None:
        return found
    most = "no limit" if one.most_usd_per_point is None else f"${one.most_usd_per_point:.3g}"
    least = "" if one.least_usd_per_point is None else f" (${one.least_usd_per_point:.3g} to {most})"
    return f"{found}: ${one.usd_per_point:.3g} of judging a point{least}"


def _attributed(one: "Attribution") -> Section:
    rows = [
        *(_cluster(cluster, "more") for cluster in one.helped(CLUSTERS_SHOWN)),
        *(_cluster(cluster, "less") for cluster in one.hurt(CLUSTERS_SHOWN)),
    ]
    return Section(
        f"why {one.candidate}",
        f"What made {excerpt(one.candidate, LABEL)} better than {excerpt(one.baseline, LABEL)}, and what worse",
        "Clusters of newly learned examples, and the gain on the golden questions nearest to them: those that gained more and "
        f"those that gained less than what all clusters have in common, which is {one.common:+.3f}. One that gained less need "
        "not have lost: the chance of harm is the chance that its own gain is below 0. Such as: asked → learned, the nearest "
        "to what changed first.",
        ("beside the rest", "cluster", "gain", "items", "chance of harm", "examples", "such as"),
        tuple(rows),
        tuple(excerpt(note, REASON) for note in one.notes),
        wordy=True,
    )


def _cluster(cluster: "ClusterGain", way: str) -> tuple[Cell, ...]:
    taught = [
        f"{excerpt(one.asked, LABEL)} → {excerpt(one.learned, LABEL)} ({excerpt(one.interaction_id, LABEL)})"
        for one in cluster.first[:EXAMPLES_SHOWN]
    ]
    word = word_of(as_gain(cluster.gain))
    return (
        Cell(way),
        Cell(excerpt(cluster.cluster, LABEL)),
        Cell(f"{mean_words(cluster.gain, signed=True)} {word}", word),
        Cell(str(cluster.items)),
        Cell(f"{cluster.probability_harmful:.0%}"),
        Cell(str(cluster.examples)),
        Cell("; ".join(taught) or "-"),
    )


def _intents(curve: "LearningCurve") -> Section:
    names = sorted({intent for point in curve.points for intent in point.intents})
    rows = [
        (
            Cell(excerpt(name, LABEL)),
            Cell(str(max(point.intents[name].items for point in curve.points if name in point.intents))),
            *(Cell(mean_words(point.intents.get(name), 2)) for point in curve.points),
        )
        for name in names[:INTENTS_SHOWN]
    ]
    left = len(names) - INTENTS_SHOWN
    return Section(
        "intents",
        "By intent, mean of the metrics",
        "An intent with items of fewer than ten independent groups has a mean and no interval.",
        heads=("intent", "items", *(point.model for point in curve.points)),
        rows=tuple(rows),
        lines=(f"and {left} more intents",) if left > 0 else (),
    )


def texts(cells: Iterable[Cell]) -> list[str]:
    """The words of some cells."""
    return [cell.text for cell in cells]
