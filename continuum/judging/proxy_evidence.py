"""What a proxy judge is admitted on: how far its predictions of dialogues that it has not seen agree with people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from continuum.errors import NotEnoughData
from continuum.judging.proxy_labels import Labelled
from continuum.statistics.ranking import Ranking

LABELS_NEEDED = 50
GROUPS_NEEDED = 10
"""Dialogues that the labels come from at least: within fewer nothing can be told of a dialogue that was not learned from."""


@dataclass(frozen=True)
class ProxyEvidence:
    """How far a proxy's predictions of dialogues that it had not seen agree with people."""

    task: str
    labels: int
    good: int
    """Labels of `GOOD_SCORE` or better."""
    groups: int
    """Dialogues they come from, as the splits tie them together."""
    spearman: Ranking
    """Of prediction and label, out of fold."""
    auroc: Ranking | None
    """Of good answers among all, out of fold; None where all labels are on one side."""
    error: float
    """Mean absolute error out of fold."""
    constant_error: float
    """That of always predicting the mean."""
    embedder: str
    kind: str
    """Which features won, see `ridge.Design`."""
    penalty: float
    seed: int
    fitted_at: datetime
    left_out: dict[str, int] = field(default_factory=dict)
    """Labels that were not learned from, by reason."""

    def words(self) -> str:
        """The figures in a line."""
        figures = f"Spearman {self.spearman.value:.2f} ({_interval(self.spearman)})"
        if self.auroc is not None:
            figures += f", AUROC {self.auroc.value:.2f} ({_interval(self.auroc)})"
        return f"{figures} out of fold, from {self.labels} labels, {self.good} of them good, in {self.groups} dialogues"


def require_enough(labels: Sequence[Labelled], task: str, left_out: Mapping[str, int]) -> None:
    """Refuse to fit to labels that no honest estimate could come from.

    Raises:
        NotEnoughData: there are too few, they come from too few dialogues, or they are all the same.
    """
    groups, found = len({label.group for label in labels}), len(labels)
    apart = "".join(f"; {count} more are left out ({why})" for why, count in sorted(left_out.items()))
    collect = f"collect more with: continuum label {task} --queue useful"
    if found < LABELS_NEEDED:
        raise NotEnoughData(
            f"task {task!r} has {found} verdicts of people to learn from{apart}; a proxy needs {LABELS_NEEDED}; {collect}",
            available=found,
            needed=LABELS_NEEDED,
        )
    if groups < GROUPS_NEEDED:
        raise NotEnoughData(
            f"the {found} verdicts on task {task!r} come from {groups} dialogues{apart}; a proxy needs "
            f"{GROUPS_NEEDED}; {collect}",
            available=groups,
            needed=GROUPS_NEEDED,
        )
    if len({label.score for label in labels}) < 2:
        raise NotEnoughData(
            f"all {found} verdicts on task {task!r} are {labels[0].score:g}; a proxy learns from the difference between better "
            f"and worse answers; {collect}"
        )


def require_better_than_chance(evidence: ProxyEvidence) -> None:
    """Refuse a proxy that does not rank dialogues it has not seen better than a coin.

    The whole 95% interval must lie above chance: the one-sided bound would let more sets of shuffled labels pass than it says
    where dialogues are few.

    Raises:
        NotEnoughData: the message has the figures.
    """
    chances = [("Spearman's correlation", evidence.spearman, 0.0), ("AUROC", evidence.auroc, 0.5)]
    for name, found, chance in chances:
        if found is not None and (found.low is None or found.low <= chance):
            raise NotEnoughData(
                f"people's verdicts on task {evidence.task!r} cannot be predicted: {evidence.words()}; the interval of {name} "
                f"must lie above {chance:g}, which is chance. Collect more verdicts with: continuum label {evidence.task} "
                "--queue useful, or leave it to a model judge",
                available=evidence.labels,
            )


def _interval(found: Ranking) -> str:
    return "no interval" if found.low is None or found.high is None else f"95% {found.low:.2f} to {found.high:.2f}"
