"""What a turn would do and cost, before it is paid for: read from the store, with nothing asked and nothing written."""

import math
from collections.abc import Callable
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.needs import needs_of
from continuum.policy import TaskPolicy
from continuum.records import Record
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

LAST_TRAININGS = 5
"""Trainings whose seconds a step stand for the next one's."""


class Judging(Record):
    """What the backlog would cost. US dollars; None where no price is known."""

    answers: int
    """Answers without a judgement of the task's judge by the task's rubric."""
    bound_usd: float | None
    """The most they can cost if each judgement is readable at the first asking."""
    expected_usd: float | None
    """Going by what this judge's judgements of this task have cost; None where it has made none that cost."""
    test_calls: int
    """Calls of a new judge's test, which comes first; 0 where it has passed, or none is required."""
    test_bound_usd: float | None


class Training(Record):
    """How large a training would be at most."""

    examples: int
    """At most so many: what the newest considered, and `curation.target_size`."""
    steps: int
    """At most so many optimizer steps."""
    expected_seconds: float | None
    """By the median seconds a step of this task's last trainings; None before there is one."""


class Guarding(Record):
    """What the guard would ask at most, of golden items that there are."""

    items: int
    judge_calls: int
    """At most so many: both models' answers to each item, by each judge; what was judged before is not asked again."""
    bound_usd: float | None
    """As if answers were as long as those that production gave. None where no price is known."""


class Forecast(Record):
    """What a turn of a task would do, what it would cost, and where it would stop."""

    task: str
    new_interactions: int
    judging: Judging | None
    """None where nobody judges by itself."""
    training: Training
    guarding: Guarding | None
    """None before there is a golden set, which the turn itself makes."""
    left_usd: dict[str, float] | None
    """What the budget of this period leaves, by purpose; None without a budget."""
    stops: tuple[str, ...]
    """Where the turn would stop, or do less, and for lack of what."""

    @property
    def bound_usd(self) -> float | None:
        """The most that judging and guarding cost together; None where a price is not known."""
        judging = (self.judging.bound_usd, self.judging.test_bound_usd) if self.judging else (0.0,)
        parts = [*judging, self.guarding.bound_usd if self.guarding else 0.0]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def lines(self) -> list[str]:
        """All of it, a line each."""
        told = [f"{self.task}: {self.new_interactions} new interactions"]
        if self.judging is not None:
            one = self.judging
            expected = "" if one.expected_usd is None else f", {_usd(one.expected_usd)} going by what they have cost"
            test = f"; the judge's test before it: {one.test_calls} calls, {_most(one.test_bound_usd)}" if one.test_calls else ""
            told.append(f"annotate: {one.answers} answers, {_most(one.bound_usd)}{expected}{test}")
        one = self.training
        time = "nothing was trained here yet, so how long is unknown"
        if one.expected_seconds is not None:
            time = f"about {one.expected_seconds:.0f} s, going by the last trainings"
        told.append(f"train: at most {one.examples} examples in {one.steps} steps; {time}")
        if self.guarding is None:
            told.append("guard: unknown, for there is no golden set yet; the turn holds one out")
        else:
            found = self.guarding
            told.append(f"guard: {found.items} golden items, at most {found.judge_calls} judge calls, {_most(found.bound_usd)}")
        if self.left_usd is not None:
            told.append("the budget leaves " + ", ".join(f"{_usd(left)} for {name}" for name, left in self.left_usd.items()))
        told.append(f"{self._in_all()}; nothing was asked and nothing is spent")
        return told + [f"stops: {words}" for words in self.stops]

    def _in_all(self) -> str:
        """The bound in words, with what is not in it."""
        if self.judging is None and any(words.startswith("annotate: ") for words in self.stops):
            return "in all: what judging would cost is not known"
        return f"in all {_most(self.bound_usd)}" + (
            ", and what the guard will ask for beside it" if self.guarding is None else ""
        )

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return self.model_dump(mode="json") | {"bound_usd": self.bound_usd}


def forecast(store: "Store", task: str, *, now: Callable[[], datetime] = utc_now) -> Forecast:
    """What a turn of a task would do now.

    Raises:
        ConfigurationError: there is no such task.
    """
    at = now()
    state = store.tasks.get(task)
    policy = state.policy
    stops = [one.words for one in needs_of(store, state, now=lambda: at) if one.of != "driver"]
    new = store.interactions.count(task, after=state.trained_through) + store.reopenings.count(task)
    judging = None
    if policy.judge.model and policy.auto_annotate:
        try:
            judging = _judging(store, policy, now)
        except ConfigurationError as error:
            stops.append(f"annotate: {error}")
    guarding, left = _guarding(store, policy), _left(store, policy, now)
    if new < policy.curation.min_examples:
        stops.append(f"curate: {new} new interactions, of which {policy.curation.min_examples} good ones are needed")
    if left is not None:
        stops += _beyond(judging, guarding, left)
    return Forecast(
        task=task,
        new_interactions=new,
        judging=judging,
        training=_training(store, policy, new),
        guarding=guarding,
        left_usd=left,
        stops=tuple(stops),
    )


def _judging(store: "Store", policy: TaskPolicy, now: Callable[[], datetime]) -> Judging:
    from continuum.annotation.backfill import opinion_of
    from continuum.annotation.backfill_price import quote

    found = quote(store, opinion_of(policy), None, None, api_key=_key(), now=now)
    return Judging(
        answers=found.window.missing,
        bound_usd=found.bound_usd,
        expected_usd=found.usual_usd,
        test_calls=found.test_calls,
        test_bound_usd=found.test_bound_usd,
    )


def _key() -> SecretStr:
    """The judge's key; where none is set another in its place, for a price is known without one and nobody is asked."""
    return load_settings().judge_api_key or SecretStr("none is set")


def _training(store: "Store", policy: TaskPolicy, new: int) -> Training:
    """As many steps as the new rows fill, beside the shares of each batch that others take."""
    config = policy.training
    examples = min(new, policy.curation.target_size)
    others = config.general_share
    others += config.replay_share if store.checkpoints.of(policy.task) else 0
    others += config.probe_share if config.constitutional_constraints else 0
    per_step = max(1, math.floor(config.batch_size * (1 - others)))
    steps = math.ceil(math.ceil(examples / per_step) * config.epochs)
    rates = [
        metrics["seconds"] / metrics["steps"]
        for metrics in (one.metrics for one in store.checkpoints.of(policy.task)[-LAST_TRAININGS:])
        if metrics.get("seconds") and metrics.get("steps")
    ]
    return Training(examples=examples, steps=steps, expected_seconds=median(rates) * steps if rates else None)


def _guarding(store: "Store", policy: TaskPolicy) -> Guarding | None:
    from continuum.annotation.backfill import opinion_of
    from continuum.annotation.backfill_price import bound_usd
    from continuum.splits.golden import GoldenDataset

    golden = GoldenDataset.latest(policy.task, store=store)
    if golden is None:
        return None
    items = min(len(golden), policy.splits.max_golden)
    if policy.judge.model is None:
        return Guarding(items=items, judge_calls=0, bound_usd=0.0)
    calls = 2 * items * (1 + len(policy.judge.jury))
    answers = [(item.messages, item.reference or item.production) for item in golden]
    cases = [(asked, answer) for asked, answer in answers if answer is not None]
    try:
        opinion = opinion_of(policy)
        bound = bound_usd([opinion.annotator(store, _key()).judge], cases, opinion.criteria)
    except ConfigurationError:
        bound = None
    scaled = None if bound is None or not cases else bound / len(cases) * 2 * items
    return Guarding(items=items, judge_calls=calls, bound_usd=scaled)


def _left(store: "Store", policy: TaskPolicy, now: Callable[[], datetime]) -> dict[str, float] | None:
    from continuum.annotation.trust import spending

    rows = spending(store, policy, now=now)
    left = {one.purpose: one.limit_usd - one.spent_usd - one.reserved_usd for one in rows if one.limit_usd is not None}
    return {purpose: max(0.0, amount) for purpose, amount in left.items()} or None


def _beyond(judging: Judging | None, guarding: Guarding | None, left: dict[str, float]) -> list[str]:
    """What the budget may end early, or cannot be kept for."""
    told = []
    if judging is not None and judging.answers and judging.bound_usd is None:
        told.append("annotate: no price is known for the judge, so its budget cannot be kept; leave judge.budget_usd out")
    wanted = {
        "annotation": (judging.bound_usd or 0) + (judging.test_bound_usd or 0) if judging else 0.0,
        "guard": (guarding.bound_usd or 0) if guarding else 0.0,
    }
    for purpose, most in wanted.items():
        if most > left[purpose]:
            told.append(
                f"{purpose}: the budget leaves {_usd(left[purpose])}, at most {_usd(most)} are needed; what it does not "
                "cover waits (judge.budget_usd, judge.shares)"
            )
    return told


def _usd(amount: float) -> str:
    return f"${amount:.4f}"


def _most(amount: float | None) -> str:
    return "at a cost that is not known: there is no price" if amount is None else f"at most {_usd(amount)}"
