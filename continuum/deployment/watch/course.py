"""The course of a deployment for people: how the comparison of the arms went as conversations came in, and how traffic was split.

It is read from what the watch has judged; nothing is asked of a judge, and nothing is decided by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from continuum.deployment.watch.deciding import TIGHTEST
from continuum.deployment.watch.live_arms import counted
from continuum.deployment.watch.live_scores import Conversation, Judged, as_steps, conversations, known_judgements
from continuum.deployment.watch.live_traffic import Traffic, traffic_of
from continuum.judging.criteria import rubric_fingerprint
from continuum.policy import TaskPolicy
from continuum.rubric import normalised
from continuum.serving_policy import WatchPolicy
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from continuum.statistics.sequences import Difference
    from continuum.store.database import Store

MOST_POINTS = 24
"""Places at which the comparison is worked out."""


@dataclass(frozen=True)
class Point:
    """What was known after so many conversations."""

    at: datetime
    conversations: int
    """Of both arms, that were judged by then."""
    difference: "Difference"


@dataclass(frozen=True)
class Split:
    """A time in which the split of the traffic stood still."""

    begins: datetime
    share: float
    """The candidate's, 0 to 1, as configured."""
    candidate: int
    """Conversations that it was asked for first."""
    stable: int

    @property
    def served(self) -> float | None:
        """The candidate's share of the conversations; None where there were none."""
        return self.candidate / (self.candidate + self.stable) if self.candidate + self.stable else None


@dataclass(frozen=True)
class Course:
    """One deployment from its beginning."""

    points: tuple[Point, ...] = ()
    """By the number of conversations, the last one over all of them; empty while no step has both arms."""
    splits: tuple[Split, ...] = ()
    """Oldest first."""


def course_of(store: "Store", record: DeploymentRecord, policy: TaskPolicy, *, most: int = MOST_POINTS) -> Course:
    """Work out the course of a deployment's trial, be it under way or over.

    Args:
        store: where its traffic and the judgements are.
        record: the deployment, in any state.
        policy: of its task: the rubric, and how the watch compares.
        most: points at most.

    Raises:
        StoreError: the store cannot be read.
    """
    events = store.deployments.events(record.id)
    watch = policy.deployment.watch
    # A trial that is over is read as it was: both arms, while the traffic was split.
    traffic = traffic_of(store, record.model_copy(update={"state": DeploymentState.CANARY}), events, watch)
    criteria, known = normalised(policy.judge.criteria), Judged()
    version = judge_of(events) or _admitted(store, policy)
    if version is not None:
        known.judgements, _ = known_judgements(store, traffic.answers, version, criteria)
    compared = {call.id for call in traffic.compared}
    scored = conversations((answer for answer in traffic.answers if answer.call.id in compared), known)
    return Course(tuple(_points(scored, watch, most)), tuple(_splits(traffic)))


def judge_of(events: Sequence[DeploymentEvent]) -> str | None:
    """The version of the judge that was asked last; None where no look was written down that had one."""
    found = (event.evidence.get("judge") or {} for event in reversed(events))
    return next((judge["version"] for judge in found if judge.get("version")), None)


def _admitted(store: "Store", policy: TaskPolicy) -> str | None:
    """The version of the task's judge that was tested last: of a young trial no look may have been written down."""
    rubric = rubric_fingerprint(normalised(policy.judge.criteria))
    found = store.admissions.newest(policy.judge.model, rubric) if policy.judge.model else None
    return found.version if found else None


def _points(scored: Sequence[Conversation], watch: WatchPolicy, most: int) -> list[Point]:
    from continuum.statistics.sequences import Step, difference_of, summary

    points = []
    for place in range(1, min(most, len(scored)) + 1):
        count = round(place * len(scored) / min(most, len(scored)))
        steps = as_steps(scored[:count])
        pairs = [Step(summary(candidate), summary(stable)) for _, (candidate, stable) in sorted(steps.items())]
        found = difference_of(pairs, alpha=watch.alpha, planned=max(1, round(TIGHTEST * watch.max_conversations)))
        if found is not None:
            points.append(Point(scored[count - 1].at, count, found))
    return points


def _splits(traffic: Traffic) -> list[Split]:
    counts = counted(traffic.trial, traffic.phases)
    return [
        Split(phase.begins, phase.share, found.candidate, found.stable)
        for phase, found in zip(traffic.phases, counts, strict=True)
    ]
