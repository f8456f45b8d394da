"""What another thousand examples would buy, and what they would cost at the prices measured so far.

The gain is the projection's, with its interval. The cost is that of judging as many interactions as curation would need to
choose so many examples from, at the mean price of this task's judgements, and of training on them, at the newest version's time
an example. What people would be paid for labelling is not in it: the store knows no such price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from continuum.analytics.arms import Contender, Point
from continuum.analytics.projection import Ahead, project_gain
from continuum.store.judging_costs import JudgingCosts

if TYPE_CHECKING:
    from continuum.store.database import Store

MORE = 1000


@dataclass(frozen=True)
class Bill:
    """What more examples would cost; a part that is None is unknown, and `why` says so."""

    examples: int
    selected_share: float | None = None
    """Share of the interactions it looked at that the newest curation chose for training."""
    interactions: int | None = None
    """That would have to be judged."""
    usd_each: float | None = None
    """Mean price of judging one interaction of this task, those that cost nothing among them."""
    judging_usd: float | None = None
    training_s: float | None = None
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Worth:
    """What more examples would buy on one metric."""

    metric: str
    gain: Ahead | str
    """On the scale from 0 to 1, with a 90% interval; or why it cannot be said."""
    usd_per_point: float | None = None
    """US$ of judging for each point (0.01) at the expected gain; None where either is unknown or no gain is expected."""
    least_usd_per_point: float | None = None
    """At the upper end of the interval."""
    most_usd_per_point: float | None = None
    """At its lower end; None where that is no gain, so that there is no limit."""


def bill_of(store: "Store", task: str, contenders: Sequence[Contender], more: int = MORE) -> Bill:
    """What `more` examples would cost."""
    why = []
    versions = sorted((c.checkpoint for c in contenders if c.checkpoint), key=lambda one: one.version)
    newest = next((one for one in reversed(versions)), None)
    dataset = store.datasets.get(newest.dataset_id) if newest else None
    trained = sum(item.split == "train" for item in store.datasets.items(dataset.id)) if dataset else 0
    looked_at = int(dataset.manifest.get("source_interactions", 0)) if dataset else 0
    share = trained / looked_at if trained and looked_at else None
    if share is None:
        why.append("no version's dataset says how many interactions it was chosen from")
    spent = JudgingCosts(store.engine).of(task)
    each = spent.cost_usd / spent.interactions if spent.interactions else None
    if each is None:
        why.append("nothing was judged yet, so judging has no price")
    elif not each:
        why.append(
            f"the {spent.interactions} judgements so far cost nothing (people, a judge on this machine, or one without a price)"
        )
    seconds = newest.metrics.get("seconds") if newest else None
    if not seconds or not trained:
        why.append("the newest training kept no time")
    needed = ceil(more / share) if share else None
    return Bill(
        examples=more,
        selected_share=share,
        interactions=needed,
        usd_each=each,
        judging_usd=None if needed is None or each is None else needed * each,
        training_s=more * seconds / trained if seconds and trained else None,
        why=tuple(why),
    )


def worth_of(points: Sequence[Point], metrics: Sequence[str], errors: Mapping[str, Sequence[float]], bill: Bill) -> list[Worth]:
    """What the examples of a bill would buy, metric by metric.

    Args:
        points: the models of the curve; the versions are those that have learned from examples.
        metrics: which.
        errors: metric to the standard error of each version's mean, in the order of the points that have one.
        bill: what they cost.
    """
    found = []
    for metric in metrics:
        versions = [point for point in points if point.examples and metric in point.means]
        means = [point.means[metric].mean for point in versions]
        gain = project_gain([point.examples for point in versions], means, errors[metric], more=bill.examples)
        if isinstance(gain, str) or bill.judging_usd is None:
            found.append(Worth(metric, gain))
            continue
        each = [bill.judging_usd / (100 * one) if one > 0 else None for one in (gain.mean, gain.high, gain.low)]
        found.append(Worth(metric, gain, *each))
    return found
