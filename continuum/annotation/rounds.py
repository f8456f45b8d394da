"""One round of annotation: all that a task's policy asks of its judges at a time, in the order in which one step needs the other.

    batches that ended -> the backlog, live or as a batch -> the second judge's sample, and what was referred to it
    -> the draws for people -> anchors, if due

The first judge's scores are what the round is for. What only watches him may fail without taking them away: it says so.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from continuum.annotation.annotator import AnnotationStats, Annotator
from continuum.annotation.audit import Drawn, draw_for_people
from continuum.config import load_settings
from continuum.errors import ConfigurationError, ContinuumError, NotEnoughData
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.judge import Judge, must_be_priced
from continuum.judging.model_judge import EndpointJudge
from continuum.judging.referred import OpenReferral, open_referrals
from continuum.models.budget import Budget, period_of
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.annotation.batch_stats import BatchStats
    from continuum.store.anchors import AnchorRound
    from continuum.store.database import Store

USEFUL_AT_ONCE = 25
"""The most useful queue is filled up to this many that nobody has answered: what teaches most changes with each label. As many
that curation referred may wait before them."""


@dataclass(frozen=True)
class Round:
    """What a round of annotation came to."""

    stats: AnnotationStats | None
    """How the backlog stands; None where all of it was left to a batch."""
    collected: "tuple[BatchStats, ...]"
    """The task's open batches, as they are now."""
    submitted: "BatchStats | None"
    """What was left to the batch endpoint this time."""
    second: AnnotationStats | None
    """How the second judge's sample stands."""
    drawn: Drawn
    useful: int
    """Interactions that were put before people because their labels teach most."""
    anchors: "AnchorRound | None"
    """None where the anchors were not due."""
    troubles: tuple[str, ...]
    """What did not come about, and why."""
    priced: bool = True
    """Whether the judge's price is known; else what it cost is not."""
    referred: AnnotationStats | None = None
    """What the second judge did about what curation referred to it."""

    @property
    def cost_usd(self) -> float:
        """US dollars spent on it."""
        parts = (self.stats, self.second, self.referred, self.submitted, *self.collected)
        return sum(stats.cost_usd for stats in parts if stats is not None)

    def words(self) -> str:
        """One line on what came of it."""
        told = [f"{stats.total} of a batch judged for ${stats.cost_usd:.4f}" for stats in self.collected if stats.total]
        waits = [stats for stats in self.collected if stats.state not in ("closed", "ended")]
        told += [f"batch {', '.join(stats.batches)} is {stats.state.replace('_', ' ')} at its endpoint" for stats in waits]
        if self.submitted is not None and (self.submitted.requests or not told):
            told.append(f"{self.submitted.requests} left to the batch endpoint, ${self.submitted.reserved_usd:.4f} set aside")
        if self.stats is not None:
            ended = "; the budget ended it" if self.stats.budget_exhausted else ""
            if ended and not self.stats.judged:
                ended += ": the share for annotation must cover a new judge's test and a call (judge.budget_usd, judge.shares)"
            cost = (
                f"for ${self.stats.cost_usd:.4f}"
                if self.priced
                else "at a cost that is not known: there is no price for the judge"
            )
            told.append(f"{self.stats.judged} judged {cost}{ended}")
        if self.second is not None and self.second.judged:
            told.append(f"{self.second.judged} by the second judge for ${self.second.cost_usd:.4f}")
        if self.referred is not None and self.referred.judged:
            told.append(f"{self.referred.judged} that curation referred to it for ${self.referred.cost_usd:.4f}")
        if self.anchors is not None:
            told.append(f"{len(self.anchors.scores)} anchors judged again")
        return ", ".join(told)


async def annotate(
    store: "Store",
    policy: TaskPolicy,
    *,
    since: str | None = None,
    mode: Literal["live", "batch", "collect"] | None = None,
    api_key: SecretStr | None = None,
    on_progress: Progress = silent,
    now: Callable[[], datetime] = utc_now,
) -> Round:
    """Do what a task's policy asks of its judges now; safe to repeat, and at any time in several processes.

    Args:
        store: where the task is.
        policy: the task's.
        since: only interactions of the last such span, like "7d"; None for all.
        mode: `live`, `batch`, or `collect` to look at open batches only; None for what the policy says.
        api_key: the judge's key; None for the one of the environment.
        on_progress: told how far it is.
        now: the clock.

    Raises:
        ConfigurationError: the task has no judge, or it cannot be asked.
        JudgeNotAdmitted: the judge does not withstand the attack texts, and the policy requires that it does.
        JudgeError: not one judgement succeeded.
    """
    annotator = Annotator.for_task(policy, store=store, api_key=api_key)
    troubles: list[str] = []
    collected = await _collected(store, policy, on_progress, now)
    stats = submitted = None
    chosen = mode or policy.judge.mode
    if chosen == "batch":
        submitted = await _submitted(store, policy, annotator, since, on_progress, now)
        # What a batch brought no readable answer for is asked live, where the judge can be told to answer again.
        left = store.batches.left_to_live(policy.task, annotator.judge.name, rubric_fingerprint(annotator.criteria))
        if left:
            stats = await annotator.annotate_backlog(policy.task, since, only=left, on_progress=on_progress, now=now)
    elif chosen == "live":
        stats = await annotator.annotate_backlog(policy.task, since, on_progress=on_progress, now=now)
    second = referred = None
    if policy.judge.second.model and chosen != "collect":
        try:
            second = await _second(store, policy, api_key, since, None, on_progress, now)
            if waiting := [one.interaction_id for one in _waiting_for_second(store, policy)]:
                referred = await _second(store, policy, api_key, since, waiting, on_progress, now)
        except ContinuumError as error:
            troubles.append(f"the second judge scored nothing: {error}")
    drawn = await asyncio.to_thread(draw_for_people, store, policy, now=now)
    useful = await asyncio.to_thread(_useful, store, policy, annotator.judge, now)
    anchors = None
    try:
        anchors = await _anchors(store, policy, annotator, on_progress, now) if chosen != "collect" else None
    except ContinuumError as error:
        troubles.append(f"the anchors were not judged again: {error}")
    troubles += [stats.error for stats in (*collected, *((submitted,) if submitted else ())) if stats.error]
    return Round(
        stats, collected, submitted, second, drawn, useful, anchors, tuple(troubles), is_priced(annotator.judge), referred
    )


def is_priced(judge: Judge) -> bool:
    """Whether it is known what the judge costs."""
    try:
        must_be_priced(judge)
    except ConfigurationError:
        return False
    return True


async def _collected(
    store: "Store", policy: TaskPolicy, on_progress: Progress, now: Callable[[], datetime]
) -> "tuple[BatchStats, ...]":
    from continuum.annotation.batches import collect_batches

    mine = [row.id for row in store.batches.open() if row.task == policy.task]
    return tuple(await collect_batches(store, only=mine, on_progress=on_progress, now=now)) if mine else ()


async def _submitted(
    store: "Store",
    policy: TaskPolicy,
    annotator: Annotator,
    since: str | None,
    on_progress: Progress,
    now: Callable[[], datetime],
) -> "BatchStats":
    from continuum.annotation.batches import submit_backlog

    judge = annotator.judge
    if not isinstance(judge, EndpointJudge):
        raise ConfigurationError(
            f"{judge.name!r} has no batch endpoint: a batch takes one model at an endpoint; set judge.mode=live, or judge.jury=[]"
        )
    await annotator.admit(policy, on_progress=on_progress, now=now)
    store.annotations.select_by(policy.task, judge=judge.name, rubric=rubric_fingerprint(annotator.criteria), now=now)
    return await submit_backlog(store, policy, judge, annotator.criteria, since=since, on_progress=on_progress, now=now)


async def _second(
    store: "Store",
    policy: TaskPolicy,
    api_key: SecretStr | None,
    since: str | None,
    only: list[str] | None,
    on_progress: Progress,
    now: Callable[[], datetime],
) -> AnnotationStats:
    watcher = Annotator(
        policy.judge.second.model,
        policy.judge.criteria,
        cost_budget_usd=None if only is None else half_of_what_is_left(store, policy, now),
        store=store,
        base_url=policy.judge.second.base_url or policy.judge.base_url,
        api_key=api_key,
        concurrency=policy.judge.concurrency,
        role="second",
    )
    return await watcher.annotate_backlog(policy.task, since, only=only, on_progress=on_progress, now=now)


def _waiting_for_second(store: "Store", policy: TaskPolicy) -> list[OpenReferral]:
    """What curation referred to the second judge and it has not scored."""
    found = open_referrals(store, policy.task, policy.curation.min_quality_score)
    return [one for one in found if one.second is None]


def half_of_what_is_left(store: "Store", policy: TaskPolicy, now: Callable[[], datetime]) -> float | None:
    """US dollars that referrals may cost in one go: the random sample, which alone is a witness, must never run dry for them."""
    judge = policy.judge
    if judge.budget_usd is None:
        return None
    spent = store.accounts.balance(policy.task, purpose="second", period=period_of(judge.budget_period, now()))
    return max(judge.budget_usd * judge.shares.second - spent.spent_micro_usd / 1_000_000, 0.0) / 2


def _useful(store: "Store", policy: TaskPolicy, judge: Judge, now: Callable[[], datetime]) -> int:
    """Keep the most useful queue filled, with the help of a proxy where people's verdicts carry one."""
    from continuum.annotation.useful import queue_useful
    from continuum.embedding.cache import cached_embedder  # numpy starts here
    from continuum.judging.proxy import fit_proxy

    asked = [one.review.interaction_id for one in store.reviews.of(policy.task, "useful") if not one.labels]
    referred = store.reviews.ids(policy.task, "referred")
    ahead = sum(one in referred for one in asked)
    joined = 0
    if referred and ahead < USEFUL_AT_ONCE:
        joined = len(queue_useful(store, policy.task, USEFUL_AT_ONCE - ahead, judge=judge, only_referred=True, now=now))
    waiting = len(asked) - ahead
    if waiting >= USEFUL_AT_ONCE:
        return joined
    try:
        proxy = fit_proxy(store, policy.task, embedder=cached_embedder(load_settings()), now=now)
    except NotEnoughData:
        proxy = None
    return joined + len(queue_useful(store, policy.task, USEFUL_AT_ONCE - waiting, proxy=proxy, judge=judge, now=now))


async def _anchors(
    store: "Store", policy: TaskPolicy, annotator: Annotator, on_progress: Progress, now: Callable[[], datetime]
) -> "AnchorRound | None":
    from continuum.annotation.anchors import anchors_due, rejudge_anchors

    judge, criteria = annotator.judge, annotator.criteria
    if not store.reviews.ids(policy.task, "anchor") or not anchors_due(
        store, policy.task, judge, rubric_fingerprint(criteria), now=now
    ):
        return None
    budget = Budget.of_task(store, policy, "probes", now=now)
    return await rejudge_anchors(store, policy.task, judge, criteria, budget=budget, now=now, on_progress=on_progress)
