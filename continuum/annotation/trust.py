"""How far a task's judge can be believed, and what it costs: all of it read from the store."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, get_args

from continuum.annotation.jurors import jury_alpha
from continuum.annotation.watch import GoodhartReport, goodhart
from continuum.judging.calibration import Calibration, calibrate
from continuum.judging.criteria import rubric_fingerprint
from continuum.models.budget import period_of
from continuum.policy import Purpose, TaskPolicy
from continuum.rubric import normalised
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.records import Admission
    from continuum.statistics.agreement import Agreement
    from continuum.store.anchors import AnchorRound
    from continuum.store.database import Store


@dataclass(frozen=True)
class Trust:
    """What the store knows of the judge who scored a task last."""

    judge: str | None
    """None where nobody has judged, as is all else but the admission then."""
    admission: "Admission | None" = None
    """None for a judge that was never tested: its version is not among those that were."""
    calibration: Calibration | None = None
    round: "AnchorRound | None" = None
    gamed: GoodhartReport | None = None
    jury: "dict[str, Agreement]" = field(default_factory=dict)
    """Krippendorff's alpha of a jury's judges, by criterion and under `overall`; empty where a single judge scored."""

    @classmethod
    def of(cls, store: "Store", task: str, *, now: Callable[[], datetime] = utc_now) -> Self:
        """Read and work it out."""
        from continuum.store.scores import Scores

        newest = Scores(store.engine).newest_judge(task)
        if newest is None:
            policy = store.tasks.get(task).policy
            rubric = rubric_fingerprint(normalised(policy.judge.criteria))
            return cls(None, store.admissions.newest(policy.judge.model, rubric) if policy.judge.model else None)
        judge, rubric = newest.judge, newest.rubric
        return cls(
            judge,
            store.admissions.newest(judge, rubric),
            calibrate(store, task, judge=judge, rubric=rubric),
            store.anchors.latest(task, judge=judge, rubric=rubric),
            goodhart(store, task, judge=judge, rubric=rubric, now=now),
            jury_alpha(store, store.tasks.get(task).policy),
        )


@dataclass(frozen=True)
class Spending:
    """What one purpose has cost a task in the current period, in US dollars."""

    purpose: str
    spent_usd: float
    unknown_usd: float
    """Of it: booked for calls whose outcome nobody knows."""
    reserved_usd: float
    limit_usd: float | None

    def as_dict(self) -> dict[str, Any]:
        """For a report."""
        return asdict(self)


def spending(store: "Store", policy: TaskPolicy, *, now: Callable[[], datetime] = utc_now) -> list[Spending]:
    """A task's money of this period by what it is for."""
    period, budget = period_of(policy.judge.budget_period, now()), policy.judge.budget_usd
    rows = []
    for purpose in get_args(Purpose):
        balance = store.accounts.balance(policy.task, purpose=purpose, period=period)
        limit = None if budget is None else budget * getattr(policy.judge.shares, purpose)
        rows.append(
            Spending(
                purpose,
                balance.spent_micro_usd / 1e6,
                balance.unknown_micro_usd / 1e6,
                balance.reserved_micro_usd / 1e6,
                limit,
            )
        )
    return rows
