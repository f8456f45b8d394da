"""What each turn of the wheel gained over the one before, and what it cost: judging in US$, training in seconds.

Machines have no price here, so a training costs time. Judging is what the store's judgements say that it cost, whoever judged,
from one version to the next; judgements that were kept and asked for again cost nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.analytics.arms import BASE, Contender
from continuum.analytics.gains import Gain, gain_of
from continuum.splits.golden import GoldenItem
from continuum.store.judging_costs import JudgingCosts

if TYPE_CHECKING:
    from continuum.store.database import Store


@dataclass(frozen=True)
class Turn:
    """One version beside the one it was continued from."""

    model: str
    before: str
    """The model it is measured from: its parent, or the base where that is not compared or there is none."""
    examples: int
    """That it learned from and the one before did not."""
    gains: Mapping[str, Gain]
    """Metric to the difference on the items that both have a score for."""
    judged: int
    """Interactions that were judged since the version before it."""
    judging_usd: float
    training_s: float | None
    """None where its training kept no time."""

    def usd_per_point(self, metric: str) -> float | None:
        """US$ of judging for each point (0.01) that was gained; None where it cost none, or no gain is shown."""
        gain = self.gains.get(metric)
        return None if gain is None or gain.word != "better" or not self.judging_usd else self.judging_usd / (100 * gain.mean)


def turns_of(
    store: "Store",
    task: str,
    contenders: Sequence[Contender],
    items: Sequence[GoldenItem],
    scores: Mapping[str, Mapping[str, Sequence[float | None]]],
) -> list[Turn]:
    """The turns of all versions among the models, oldest first; one with nothing before it that was compared is left out."""
    groups, costs = [item.group for item in items], JudgingCosts(store.engine)
    versions = sorted((c for c in contenders if c.checkpoint), key=lambda c: c.checkpoint.version if c.checkpoint else 0)
    by_id = {c.checkpoint.id: c for c in versions if c.checkpoint}
    made = {one.version: one.created_at for one in store.checkpoints.of(task)}
    found = []
    for contender in versions:
        checkpoint = contender.checkpoint
        if checkpoint is None:
            continue
        parent = by_id.get(checkpoint.parent_id or "")
        before = parent.name if parent else BASE
        if before not in scores or (parent is None and checkpoint.parent_id):
            continue
        ours, theirs = scores[contender.name], scores[before]
        gains = {metric: gain_of(values, theirs[metric], groups) for metric, values in ours.items() if metric in theirs}
        earlier = [at for version, at in made.items() if version < checkpoint.version]
        spent = costs.of(task, after=max(earlier, default=None), until=checkpoint.created_at)
        found.append(
            Turn(
                contender.name,
                before,
                contender.examples - (parent.examples if parent else 0),
                {metric: gain for metric, gain in gains.items() if gain is not None},
                spent.interactions,
                spent.cost_usd,
                checkpoint.metrics.get("seconds"),
            )
        )
    return found
