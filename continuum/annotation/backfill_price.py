"""What a backfill will cost before anything is asked: how much is missing, the most that it can cost, what the budget allows."""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING, Any

from continuum.annotation.backfill import Opinion, Window, drawn, shown
from continuum.annotation.trust import spending
from continuum.judging.admission import ATTACKS_VERSION, answers_of_the_test, members_to_test
from continuum.judging.judge import Judge, floor_of
from continuum.judging.jury import Jury
from continuum.judging.model_judge import ModelJudge, most_tokens
from continuum.judging.prompt import answer_form, judge_messages
from continuum.records import Message
from continuum.rubric import Criterion
from continuum.splits.sides import unit_hash
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from pydantic import SecretStr

    from continuum.store.database import Store

PRICED = 200
"""Calls that are priced one by one; of more, so many drawn by a hash stand for all."""
SALT = "continuum backfill price"


@dataclass(frozen=True)
class Quote:
    """The price of a backfill."""

    task: str
    judge: str
    rubric: str
    window: Window
    bound_usd: float | None
    """The most that judging what is missing costs if each answer is read at the first asking; None where no price is known."""
    priced: int
    """Calls that the bound was worked out from; all of them, or so many that stand for all."""
    usual_usd: float | None
    """What it costs going by what this judge's judgements of this task have cost; None where it has made none that cost."""
    test_calls: int
    """Calls of the judge's test by this rubric, which comes first; 0 where it has passed, or none is required."""
    test_bound_usd: float | None
    left_usd: float | None
    """What the task's budget leaves for annotation in this period; None without a budget."""

    @property
    def may_not_suffice(self) -> bool:
        """Whether the budget may end it before everything is judged."""
        return self.left_usd is not None and (self.bound_usd or 0) + (self.test_bound_usd or 0) > self.left_usd

    def as_dict(self) -> dict[str, Any]:
        """For a report."""
        return {**asdict(self), "missing": self.window.missing, "may_not_suffice": self.may_not_suffice}

    def words(self) -> str:
        """In a few sentences."""
        window = self.window
        told = [
            f"{window.wanted} answers, {window.judged} judged by {self.judge} and rubric {self.rubric}, {window.missing} missing"
        ]
        if window.missing and self.bound_usd is None:
            told.append("what they cost is not known: there is no price for the judge")
        elif window.missing and self.bound_usd is not None:
            basis = "" if self.priced == window.missing else f", reckoned from {self.priced} of them"
            told.append(f"at most ${self.bound_usd:.4f}{basis}")
            if self.usual_usd is not None:
                told.append(f"usually ${self.usual_usd:.4f}")
        if self.test_calls and window.missing:
            most = "" if self.test_bound_usd is None else f", at most ${self.test_bound_usd:.4f}"
            told.append(f"the judge's test by this rubric comes first: {self.test_calls} calls{most}")
        if self.left_usd is not None:
            may = ", which may not suffice: what it does not cover is left for --retry" if self.may_not_suffice else ""
            told.append(f"the budget leaves ${self.left_usd:.4f} for annotation{may}")
        return "; ".join(told)


def quote(
    store: "Store",
    opinion: Opinion,
    since: datetime | None,
    until: datetime | None,
    *,
    api_key: "SecretStr | None" = None,
    now: Callable[[], datetime] = utc_now,
) -> Quote:
    """Price a backfill; nothing is asked and nothing is written.

    Raises:
        ConfigurationError: the judge has neither an endpoint nor a key.
    """
    policy = opinion.policy
    judge = opinion.annotator(store, api_key).judge
    wanted = judged = 0
    sample: list[tuple[float, str]] = []
    for id_, has in drawn(store, opinion, since, until):
        wanted, judged = wanted + 1, judged + has
        if has:
            continue
        place = (-unit_hash(SALT, id_), id_)
        if len(sample) < PRICED:
            heapq.heappush(sample, place)
        else:
            heapq.heappushpop(sample, place)
    window = Window(wanted, judged)
    found = store.interactions.get_many(id_ for _, id_ in sample).values()
    cases = [(one.messages, one.response) for one in found if one.response is not None]
    tested = [] if policy.judge.admission == "off" or not window.missing else _untested(store, judge, opinion.rubric)
    probes = list(answers_of_the_test()) if tested else []
    return Quote(
        policy.task,
        opinion.judge,
        opinion.rubric,
        window,
        _scaled(bound_usd([judge], cases, opinion.criteria), len(cases), window.missing),
        len(cases),
        _usual_usd(store, opinion, window.missing),
        len(tested) * len(probes),
        bound_usd(tested, probes, opinion.criteria) if tested else 0.0,
        _left_usd(store, opinion, now),
    )


def window_words(opinion: Opinion, since: datetime | None, until: datetime | None) -> str:
    """Both ends of a window as the task's people read their clocks."""
    begin = shown(since, opinion.policy) if since else "the beginning"
    return f"from {begin} to {shown(until, opinion.policy) if until else 'now'}"


def bound_usd(
    judges: Sequence[Judge], cases: Sequence[tuple[Sequence[Message], Message]], criteria: Sequence[Criterion]
) -> float | None:
    """The most that one call of each judge for each case costs; None where some price is not known."""
    from continuum.models.endpoint import EndpointModel

    total = 0.0
    for judge in judges:
        if isinstance(judge, Jury):
            of_jury = bound_usd(judge.judges, cases, criteria)
            if of_jury is None:
                return None
            total += of_jury
        elif isinstance(judge, ModelJudge) and isinstance(judge.model, EndpointModel):
            for conversation, response in cases:
                if floor_of(conversation, response, criteria) is not None:
                    continue
                messages, ordered = judge_messages(conversation, response, criteria)
                _, bound = judge.model.asked(messages, max_tokens=most_tokens(ordered), schema=answer_form(ordered))
                if bound is None:
                    return None
                total += bound
    return total


def _scaled(bound: float | None, priced: int, missing: int) -> float | None:
    return bound if bound is None or not priced else bound / priced * missing


def _untested(store: "Store", judge: Judge, rubric: str) -> list[Judge]:
    """The members of a judge that have yet to be tested by a rubric."""
    left = []
    for member in members_to_test(judge):
        outcome = store.admissions.latest(member.version, rubric)
        if outcome is None or outcome.evidence.get("attacks_version") != ATTACKS_VERSION:
            left.append(member)
    return left


def _usual_usd(store: "Store", opinion: Opinion, missing: int) -> float | None:
    from continuum.store.windows import Windows

    costs = Windows(store.engine).last_costs(opinion.policy.task, judge=opinion.judge)
    return fmean(costs) * missing if costs and math.isfinite(sum(costs)) else None


def _left_usd(store: "Store", opinion: Opinion, now: Callable[[], datetime]) -> float | None:
    money = next(one for one in spending(store, opinion.policy, now=now) if one.purpose == "annotation")
    return None if money.limit_usd is None else max(money.limit_usd - money.spent_usd - money.reserved_usd, 0.0)
