"""The judged quality of live answers: what judges said of them before, and else what the task's judge says now.

A conversation's score is the mean of its judged answers, from 0 to 1. Whatever the judge could not score has no score: it is
never counted as a bad answer.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from continuum.config import load_settings
from continuum.deployment.watch.live_arms import ArmName, Call
from continuum.errors import ConfigurationError, JudgeError
from continuum.excerpts import excerpt
from continuum.judging.admission import JudgeNotAdmitted, ensure_admitted
from continuum.judging.asking import judge_each
from continuum.judging.cached import CachedJudge, UnderWayElsewhere, judgement_kept, judgement_key
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.judge import Judge, Judgement, floor_of
from continuum.judging.model_judge import judge_for_task
from continuum.models.budget import Budget, BudgetExhausted
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Message
from continuum.rubric import Criterion, normalised
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

MOST_A_LOOK = 200
"""Judgements that one look asks for; the next look goes on where it stopped."""
MOST_FAILED = 0.2
"""Share of the drawn answers that the judge may fail on before it is taken to give no signal."""


@dataclass(frozen=True)
class Answer:
    """A live answer that was drawn to be judged."""

    call: Call
    messages: tuple[Message, ...]
    message: Message


@dataclass
class Judged:
    """What is known of the drawn answers after a look."""

    judgements: dict[str, Judgement] = field(default_factory=dict)
    """By the id of the call; with those that have no score."""
    trouble: str | None = None
    """Why the judge gives no signal, in words that stay the same from look to look; None where it does."""
    detail: str = ""
    """The same with whatever was found."""
    waiting: int = 0
    """Answers that were drawn and are not judged yet."""
    failed: int = 0
    """Judgements of this look that failed."""
    judge: str | None = None
    version: str | None = None
    rubric: str | None = None

    def score(self, answer: Answer) -> float | None:
        """The answer's score, from 0 to 1; None where it has none that counts."""
        found = self.judgements.get(answer.call.id)
        return None if found is None or found.status != "ok" or found.overall is None else (found.overall - 1) / 4

    def evidence(self) -> dict[str, Any]:
        """How it stands with the judge, as plain JSON."""
        return {
            "name": self.judge,
            "version": self.version,
            "rubric": self.rubric,
            "statuses": dict(sorted(Counter(one.status for one in self.judgements.values()).items())),
            "waiting": self.waiting,
            "failed": self.failed,
            "trouble": self.trouble,
            "detail": excerpt(self.detail, 300),
        }


@dataclass(frozen=True, slots=True)
class Conversation:
    """A unit's judged answers of one arm, in one number."""

    unit: str
    arm: ArmName
    phase: int
    """In which its first judged answer fell."""
    at: datetime
    """When that was."""
    score: float
    """Mean of its judged answers, from 0 to 1."""
    answers: int


@dataclass(frozen=True)
class Bench:
    """Who judges, by what, and who pays; `trouble` says why nobody does."""

    judge: Judge | None
    criteria: tuple[Criterion, ...]
    budget: Budget
    concurrency: int = 8
    trouble: str | None = None
    detail: str = ""


async def bench_of(
    store: "Store",
    policy: TaskPolicy,
    *,
    judge: Judge | None = None,
    on_progress: Progress = silent,
    now: Callable[[], datetime] = utc_now,
) -> Bench:
    """The judge of a task who may decide over a deployment, admitted, with the watch's share of the task's budget.

    Args:
        store: where judgements and accounts are.
        policy: the task's.
        judge: who judges; None for the policy's judge, or that of the environment.
        on_progress: told while the judge is tested.
        now: the clock.
    """
    store.tasks.ensure(policy.task)  # Its account, where the spending is booked.
    await asyncio.to_thread(store.workers.settle_dead)
    criteria, calls = normalised(policy.judge.criteria), policy.judge.concurrency
    budget = Budget.of_task(store, policy, "watch", calls=calls, now=now)

    def without(trouble: str, error: Exception | None = None) -> Bench:
        return Bench(None, criteria, budget, calls, trouble, "" if error is None else str(error))

    try:
        chosen = judge or judge_for_task(policy, load_settings())
        if chosen is None:
            return without("the task has no judge")
        if "approval" not in chosen.capabilities:
            return without(f"judge {chosen.name!r} may not decide over a deployment alone")
        await ensure_admitted(
            store,
            chosen,
            criteria,
            require=policy.judge.admission,
            budget=budget,
            concurrency=calls,
            on_progress=on_progress,
            now=now,
        )
    except JudgeNotAdmitted as error:
        return without("the judge is not admitted", error)
    except BudgetExhausted as error:
        return without("the watch's share of the budget is spent", error)
    except (JudgeError, ConfigurationError) as error:
        return without("the judge cannot be asked", error)
    return Bench(chosen, criteria, budget, calls)


async def judged(
    store: "Store",
    answers: Sequence[Answer],
    bench: Bench,
    *,
    most: int = MOST_A_LOOK,
    on_progress: Progress = silent,
    now: Callable[[], datetime] = utc_now,
) -> Judged:
    """What judges say of answers: what is kept of the judge's version first, then at most `most` new judgements, oldest first.

    The same answer to the same question is judged once. What is asked is kept as it comes: a look that is interrupted is paid
    for once.

    Args:
        store: where judgements are kept.
        answers: in the order in which they were given, so that neither arm is judged ahead of the other.
        bench: who judges; without a judge nothing is known.
        most: new judgements of this look.
        on_progress: told after each.
        now: the clock.
    """
    if bench.judge is None:
        return Judged(trouble=bench.trouble, detail=bench.detail, waiting=len(answers))
    judge, criteria = bench.judge, bench.criteria
    result = Judged(judge=judge.name, version=judge.version, rubric=rubric_fingerprint(criteria))
    result.judgements, missing = await asyncio.to_thread(known_judgements, store, answers, judge.version, criteria)
    asked = dict(islice(missing.items(), most))
    failed: list[Answer] = []
    heard = succeeded = 0

    def keep(key: str, outcome: Judgement | JudgeError) -> None:
        nonlocal heard, succeeded
        heard, succeeded = heard + 1, succeeded + isinstance(outcome, Judgement)
        if isinstance(outcome, Judgement):
            result.judgements |= dict.fromkeys((answer.call.id for answer in asked[key]), outcome)
        elif not isinstance(outcome, UnderWayElsewhere | BudgetExhausted):
            failed.extend(asked[key])
            result.detail = str(outcome)
        on_progress(heard, len(asked), f"{judge.name} judges live answers")

    cached = CachedJudge(judge.asked if isinstance(judge, CachedJudge) else judge, store, wait=False, now=now)
    try:
        with suppress(JudgeError):  # Not one judgement may have succeeded: every outcome was told.
            await judge_each(
                [(key, alike[0].messages, alike[0].message) for key, alike in asked.items()],
                criteria,
                cached,
                on_outcome=keep,
                concurrency=bench.concurrency,
                budget=bench.budget,
            )
    except ConfigurationError as error:
        result.trouble, result.detail = "the judge cannot be asked", str(error)
    result.failed = len(failed)
    result.waiting = sum(answer.call.id not in result.judgements for answer in answers)
    if result.trouble is None and bench.budget.exhausted:
        result.trouble = "the watch's share of the budget is spent"
    elif result.trouble is None and judge.version != result.version:
        result.trouble = "the judge became another while it judged"
    elif result.trouble is None and failed:
        # Where nothing succeeds the rest is not tried, and has failed as well.
        unheard = failed if succeeded else [answer for alike in asked.values() for answer in alike]
        result.trouble = "the judge fails" if _fails(result, unheard, answers) else None
    return result


def known_judgements(
    store: "Store", answers: Sequence[Answer], version: str, criteria: Sequence[Criterion]
) -> tuple[dict[str, Judgement], dict[str, list[Answer]]]:
    """What needs no asking, for nothing that could be judged was said, or it was judged before; and the rest, alike together.

    Args:
        store: where judgements are kept.
        answers: what is looked up.
        version: the judge's.
        criteria: by which it judged.

    Returns:
        Judgements by the id of the call, and the other answers by the key under which each would be judged.
    """
    found: dict[str, Judgement] = {}
    keys: dict[str, list[Answer]] = {}
    for answer in answers:
        floor = floor_of(answer.messages, answer.message, criteria)
        if floor is not None:
            found[answer.call.id] = floor
        else:
            key = judgement_key(version, answer.messages, answer.message, criteria)
            keys.setdefault(key, []).append(answer)
    for key, said in store.judgements.of(keys).items():
        found |= dict.fromkeys((answer.call.id for answer in keys.pop(key)), judgement_kept(said))
    return found, keys


def _fails(result: Judged, failed: Sequence[Answer], answers: Iterable[Answer]) -> bool:
    """Whether the judge is down, and not only at a loss with an answer now and then, which it is asked about at each look."""
    newest = max((answer.call.at for answer in answers if answer.call.id in result.judgements), default=None)
    many = len(failed) > MOST_FAILED * (len(failed) + len(result.judgements))
    return many or newest is None or all(answer.call.at > newest for answer in failed)


def conversations(answers: Iterable[Answer], known: Judged) -> list[Conversation]:
    """The units with a score, each once for each arm that answered it, in the order of their first judged answers."""
    found: dict[tuple[str, ArmName], list[tuple[Call, float]]] = {}
    for answer in answers:
        score = known.score(answer)
        if score is not None:
            found.setdefault((answer.call.unit, answer.call.arm), []).append((answer.call, score))
    scored = []
    for (unit, arm), parts in found.items():
        first = min((call for call, _ in parts), key=lambda call: (call.at, call.id))
        # A mean of equal scores may round to just past them.
        mean = min(1.0, max(0.0, sum(score for _, score in parts) / len(parts)))
        scored.append(Conversation(unit, arm, first.phase, first.at, mean, len(parts)))
    return sorted(scored, key=lambda one: (one.at, one.unit, one.arm))


def answers_of(store: "Store", calls: Sequence[Call]) -> list[Answer]:
    """The calls with what was said in them; those that were erased meanwhile, or hold no answer, are left out."""
    found = store.interactions.get_many(call.id for call in calls)
    return [
        Answer(call, one.messages, one.response)
        for call in calls
        if (one := found.get(call.id)) is not None and one.response is not None
    ]


def spending(store: "Store", policy: TaskPolicy, budget: Budget) -> dict[str, Any]:
    """What judging costs, for the evidence."""
    limit = None if budget.account is None or budget.account.limit is None else budget.account.limit / 1e6
    period = None if budget.account is None else budget.account.key.period
    balance = store.accounts.balance(policy.task, purpose="watch", period=period)
    return {
        "this_look_usd": budget.spent_usd,
        "period": period,
        "period_usd": balance.spent_micro_usd / 1e6,
        "limit_usd": limit,
    }


def as_steps(scored: Iterable[Conversation]) -> Mapping[int, tuple[list[float], list[float]]]:
    """By phase the candidate's and the stable arm's scores."""
    steps: dict[int, tuple[list[float], list[float]]] = {}
    for one in scored:
        steps.setdefault(one.phase, ([], []))[one.arm == "stable"].append(one.score)
    return steps
