"""How scores move from one rubric to another: both opinions of the same answers, side by side."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.annotation.annotator import HISTOGRAM_BINS, nearest_score
from continuum.annotation.backfill import Opinion
from continuum.excerpts import excerpt
from continuum.judging.criteria import rubric_fingerprint
from continuum.rubric import normalised

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.scores import JudgedBy, Scored
    from continuum.store.windows import Windows

MOST_FOR_AN_INTERVAL = 20_000
"""Of more answers the rank correlation is told without its interval, which would take long and say little."""


@dataclass(frozen=True)
class Moved:
    """An answer of which the two rubrics say something else."""

    interaction_id: str
    question: str
    """The beginning of the last thing the user said, in one line without anything that cannot be seen."""
    before: float
    after: float


@dataclass(frozen=True)
class RubricChange:
    """Two opinions of the same answers; scores run from 1 to 5."""

    task: str
    judge_before: str
    rubric_before: str
    judge_after: str
    rubric_after: str
    items: int
    """Answers that both scored."""
    groups: int
    """Conversations that they are from; means are over these."""
    mean_before: float
    mean_after: float
    delta: float
    """The mean of the differences, after minus before."""
    low: float | None
    """Of its 95% interval; None with a single conversation."""
    high: float | None
    histogram_before: dict[str, int]
    histogram_after: dict[str, int]
    rank_correlation: float | None
    """Spearman's; None where one side says the same of all."""
    rank_low: float | None
    rank_high: float | None
    changed: int
    """Answers whose nearest whole score is another one."""
    moved: tuple[Moved, ...]
    """Those whose scores differ most, the most first."""

    def as_dict(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a person."""
        interval = "" if self.low is None else f" (95%: {self.low:+.2f} to {self.high:+.2f})"
        ranks = "one side says the same of all" if self.rank_correlation is None else f"{self.rank_correlation:.2f}"
        if self.rank_low is not None:
            ranks += f" (95%: {self.rank_low:.2f} to {self.rank_high:.2f})"
        told = [
            f"{self.items} answers scored by both rubrics: mean {self.mean_before:.2f} -> {self.mean_after:.2f}, "
            f"{self.delta:+.2f}{interval}; rank correlation {ranks}; {self.changed} with another whole score",
            f"  before ({self.judge_before}, {self.rubric_before}): {_bins(self.histogram_before)}",
            f"  after  ({self.judge_after}, {self.rubric_after}): {_bins(self.histogram_after)}",
        ]
        told += [f"  {one.before:.1f} -> {one.after:.1f}  {one.interaction_id}  {one.question}" for one in self.moved]
        return told


def rubric_change(
    store: "Store",
    opinion: Opinion,
    since: datetime | None,
    until: datetime | None,
    *,
    most: int = 5,
    seed: int = 0,
) -> RubricChange | None:
    """Compare an opinion with the one that a window was judged by before.

    That is the task's own rubric where another one is tried, else the one that judged the window last.

    Args:
        store: where the scores are.
        opinion: the new one.
        since: the first moment of the window; None for all.
        until: the first moment after it.
        most: answers that are named.
        seed: of the drawings for the interval of the rank correlation.

    Returns:
        None where the window was judged by nothing else, or both have no scored answer in common.
    """
    from continuum.store.scores import Scores
    from continuum.store.windows import Windows

    before = _before(Windows(store.engine), opinion, since, until)
    if before is None:
        return None
    scores, task = Scores(store.engine), opinion.policy.task
    old = scores.of(task, judge=before.judge, rubric=before.rubric, since=since, until=until)
    new: dict[str, Scored] = {}
    for role in ("trial", "selecting"):
        found = scores.of(task, judge=opinion.judge, rubric=opinion.rubric, role=role, since=since, until=until)
        new |= {one.interaction_id: one for one in found}
    pairs = [
        (one.interaction_id, one.group, one.overall, other.overall)
        for one in old
        if one.overall is not None and (other := new.get(one.interaction_id)) is not None and other.overall is not None
    ]
    return _compared(store, opinion, before, pairs, most, seed) if pairs else None


def _before(windows: "Windows", opinion: Opinion, since: datetime | None, until: datetime | None) -> "JudgedBy | None":
    mine = (opinion.judge, opinion.rubric)
    others = [one for one in windows.judged_by(opinion.policy.task, since=since, until=until) if (one.judge, one.rubric) != mine]
    own = (opinion.judge, rubric_fingerprint(normalised(opinion.policy.judge.criteria)))
    return next((one for one in others if (one.judge, one.rubric) == own), others[0] if others else None)


def _compared(
    store: "Store",
    opinion: Opinion,
    before: "JudgedBy",
    pairs: Sequence[tuple[str, str, float, float]],
    most: int,
    seed: int,
) -> RubricChange:
    from continuum.statistics.means import estimate  # numpy starts here
    from continuum.statistics.ranking import ranked_spearman, spearman

    groups = [group for _, group, _, _ in pairs]
    old, new = [one for _, _, one, _ in pairs], [one for _, _, _, one in pairs]
    delta = estimate([after - was for was, after in zip(old, new, strict=True)], groups)
    rank = low = high = None
    if len(set(old)) > 1 and len(set(new)) > 1:
        if len(pairs) > MOST_FOR_AN_INTERVAL:
            rank = spearman(old, new)
        else:
            ranking = ranked_spearman(old, new, groups, seed=seed)
            rank, low, high = ranking.value, ranking.low, ranking.high
    far = sorted(pairs, key=lambda pair: (-abs(pair[3] - pair[2]), pair[0]))[:most]
    said = store.interactions.get_many(id_ for id_, _, was, after in far if was != after)
    return RubricChange(
        opinion.policy.task,
        before.judge,
        before.rubric,
        opinion.judge,
        opinion.rubric,
        len(pairs),
        delta.groups,
        estimate(old, groups).mean,
        estimate(new, groups).mean,
        delta.mean,
        delta.low,
        delta.high,
        _histogram(old),
        _histogram(new),
        rank,
        low,
        high,
        sum(nearest_score(was) != nearest_score(after) for was, after in zip(old, new, strict=True)),
        tuple(
            Moved(id_, _question(said[id_].messages), was, after) for id_, _, was, after in far if was != after and id_ in said
        ),
    )


def _question(messages: Sequence[Any]) -> str:
    return excerpt(next((message.text for message in reversed(messages) if message.role == "user" and message.text), ""))


def _histogram(scores: Sequence[float]) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(HISTOGRAM_BINS, 0)
    for score in scores:
        counts[nearest_score(score)] += 1
    return counts


def _bins(histogram: dict[str, int]) -> str:
    return "  ".join(f"{score}: {count}" for score, count in histogram.items())
