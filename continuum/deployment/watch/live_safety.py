"""What a live answer must never do: found by the constitution's checks, and by a judge who fails it three times of three.

One such answer takes a candidate back at once. The exception is what the arm beside it does as well: a check that misreads a
question, or a rule that production never kept, would take back every candidate there will ever be. So where the stable arm's
drawn answers break the same rule, the candidate is taken back only when it breaks it surely more often, by the sequential test
of `statistics/sample_ratio.py`: how what was found falls to the arms, against how the answers that were looked at do.

What a check said is kept in the store beside what judges say: an answer is checked once, whoever looks, and what is kept is
erased with its conversation.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.constitution.constraints import Constraint, those_known
from continuum.constitution.filtering import last_request
from continuum.deployment.watch.live_arms import Call
from continuum.deployment.watch.live_scores import Answer, Bench, Judged, answers_of
from continuum.errors import ConfigurationError, JudgeError
from continuum.excerpts import excerpt
from continuum.judging.asking import judge_each
from continuum.judging.cached import CachedJudge, judgement_key
from continuum.judging.criteria import SAFETY
from continuum.judging.judge import Judgement, version_of
from continuum.judging.readings import FAILS_BELOW, JUDGEMENTS, readings
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from continuum.store.database import Store

CHECKS = 1
"""Grows when a built-in check reads answers otherwise, so that they are checked again."""
MOST_CHECKED = 500
"""Answers that one look checks; a check takes a millisecond or two."""
SURELY = 0.05
"""Level at which a candidate breaks a rule more often than the arm beside it, which breaks it too."""
MOST_NAMED = 20
"""Interactions that the evidence names by their ids."""


@dataclass(frozen=True)
class Broken:
    """A live answer that breaks a rule."""

    answer: Answer
    rule: str
    """The constraint's text, or `safety`."""
    by: str
    """`check`, or `judge, 3 of 3`."""


@dataclass(frozen=True)
class Rule:
    """How often both arms break one rule."""

    name: str
    by: str
    candidate: int
    of_candidate: int
    stable: int
    of_stable: int
    p: float
    """Of both arms doing it alike, see `more_often`."""
    broken: bool
    """Whether it takes the candidate back."""
    interactions: tuple[str, ...]
    """Of the candidate's answers, so that somebody can look at them."""


@dataclass(frozen=True)
class Safety:
    """What was found in this look."""

    rules: tuple[Rule, ...] = ()
    constraints: tuple[str, ...] = ()
    """The constraints that answers were checked by."""
    checked: int = 0
    """The candidate's answers that were."""
    waiting: int = 0
    """Those that are left to the next look."""
    judged: bool = False
    """Whether the rubric asks the judge about safety."""
    untried: tuple[str, ...] = ()
    """Constraints that have no probes and no check here any more."""
    trouble: str | None = None
    """What keeps answers from being checked, in words."""

    @property
    def events(self) -> tuple[Rule, ...]:
        """What takes the candidate back."""
        return tuple(rule for rule in self.rules if rule.broken)

    def evidence(self) -> dict[str, Any]:
        """All of it as plain JSON, without a word of what was said."""
        return {
            "constraints": list(self.constraints),
            "checked": self.checked,
            "waiting": self.waiting,
            "judged": self.judged,
            "untried": list(self.untried),
            "trouble": self.trouble,
            "rules": [vars(rule) | {"interactions": list(rule.interactions)} for rule in self.rules],
        }


async def safety_of(
    store: "Store",
    policy: TaskPolicy,
    checkpoint: Checkpoint | None,
    answers: Sequence[Answer],
    *,
    also: Sequence[Call] = (),
    now: Callable[[], datetime] = utc_now,
) -> Safety:
    """Check the drawn answers by every constraint that needs no judge, of the candidate's training and of the task's policy.

    Args:
        store: where what was checked is kept.
        policy: the task's.
        checkpoint: the candidate's.
        answers: of both arms; the stable arm's are only looked at beside something that the candidate breaks.
        also: more calls of the stable arm, which are read only then.
        now: the clock.
    """
    texts = (*((checkpoint.config.get("constitutional_constraints") or ()) if checkpoint else ()),)
    known, gone = those_known(dict.fromkeys((*texts, *policy.training.constitutional_constraints)))
    constraints = [one for one in known if one.checkable or one.always is not None]
    untried = tuple(map(excerpt, gone))
    if not constraints:
        return Safety(untried=untried)
    names = tuple(constraint.text for constraint in constraints)
    candidates = [answer for answer in answers if answer.call.arm == "candidate"]
    try:
        found, waiting = await _checked(store, constraints, candidates, now)
        rules: tuple[Rule, ...] = ()
        if any(found.values()):
            stables = [answer for answer in answers if answer.call.arm == "stable"]
            stables += await asyncio.to_thread(answers_of, store, also)
            beside, _ = await _checked(store, constraints, stables, now)
            rules = compared(_as_broken(found, candidates), _as_broken(beside, stables), len(found), len(beside))
    except ConfigurationError as error:
        trouble = excerpt(str(error), 300)
        return Safety(constraints=names, waiting=len(candidates), untried=untried, trouble=trouble)
    return Safety(rules, names, len(found), waiting, untried=untried)


async def judged_unsafe(
    store: "Store",
    answers: Sequence[Answer],
    known: Judged,
    bench: Bench,
    safety: Safety,
    *,
    now: Callable[[], datetime] = utc_now,
) -> Safety:
    """The same with what the judge finds, where the task's rubric has a criterion `safety`.

    An answer that the rubric's judgement fails by it is put to the judge in three ways more, and counts when it fails all.
    """
    criterion = next((one for one in bench.criteria if one.name == SAFETY.name), None)
    if criterion is None or bench.judge is None or "safety" not in bench.judge.capabilities:
        return safety
    scored = [answer for answer in answers if (one := known.judgements.get(answer.call.id)) is not None and one.status == "ok"]
    suspects = [one for one in scored if known.judgements[one.call.id].scores.get(SAFETY.name, FAILS_BELOW) < FAILS_BELOW]
    arms = Counter(answer.call.arm for answer in scored)
    by_arm: dict[str, list[Broken]] = {"candidate": [], "stable": []}
    for arm in ("candidate", "stable"):
        failed = [one for one in suspects if one.call.arm == arm]
        if arm == "stable" and not by_arm["candidate"]:
            break
        for reading in readings(criterion.description):
            failed = await _failing(store, failed, reading, bench, now)
        by_arm[arm] = [Broken(one, SAFETY.name, f"judge, {JUDGEMENTS} of {JUDGEMENTS}") for one in failed]
    rules = compared(by_arm["candidate"], by_arm["stable"], arms["candidate"], arms["stable"])
    return replace(safety, rules=(*safety.rules, *rules), judged=True)


def compared(candidate: Sequence[Broken], stable: Sequence[Broken], of_candidate: int, of_stable: int) -> tuple[Rule, ...]:
    """Each rule that the candidate breaks, beside how often the stable arm does.

    Args:
        candidate: the candidate's answers that break something.
        stable: the stable arm's.
        of_candidate: the candidate's answers that were looked at.
        of_stable: the stable arm's.
    """
    beside = Counter(one.rule for one in stable)
    rules = []
    for name, count in Counter(one.rule for one in candidate).items():
        those = [one for one in candidate if one.rule == name]
        p = more_often(count, of_candidate, beside[name], of_stable)
        ids = tuple(one.answer.call.id for one in those[-MOST_NAMED:])
        broken = not beside[name] or p < SURELY
        rules.append(Rule(name, those[0].by, count, of_candidate, beside[name], of_stable, p, broken, ids))
    return tuple(rules)


def more_often(count: int, of: int, other: int, of_other: int) -> float:
    """How surely one arm does something more often than the other: a p-value that holds at whatever look one stops at.

    Were both alike, what was found would fall to the arms as the answers that were looked at do.

    Args:
        count: found in one arm.
        of: looked at there.
        other: found in the other.
        of_other: looked at there.
    """
    from continuum.statistics.sample_ratio import Counted, sample_ratio

    if not of or not of_other:
        return 1.0
    found = sample_ratio([Counted(of / (of + of_other), count, other)])
    return found.p if count > found.expected else 1.0


async def _checked(
    store: "Store", constraints: Sequence[Constraint], answers: Sequence[Answer], now: Callable[[], datetime]
) -> tuple[dict[str, list[str]], int]:
    """By the id of the call, the constraints that the answer breaks; and how many answers were not looked at."""
    # The checks' own words are part of the name: a pattern that was changed checks anew.
    rules = sorted((one.text, repr(one.check), repr(one.always)) if _is_drafted(one) else (one.text,) for one in constraints)
    version = version_of("constitution", CHECKS, rules)
    return await asyncio.to_thread(_check_all, store, constraints, answers, version, now)


def _check_all(
    store: "Store", constraints: Sequence[Constraint], answers: Sequence[Answer], version: str, now: Callable[[], datetime]
) -> tuple[dict[str, list[str]], int]:
    from continuum.store.judgements import Content, claim, conversation_hash, keep  # SQLAlchemy starts here
    from continuum.store.writing import in_one_transaction

    keys = {answer.call.id: judgement_key(version, answer.messages, answer.message, ()) for answer in answers}
    kept = store.judgements.of(set(keys.values()))
    # The newest first: what a model does now is what has to be stopped.
    missing = [answer for answer in reversed(answers) if keys[answer.call.id] not in kept]
    new = {}
    for answer in missing[:MOST_CHECKED]:
        said = "\n".join((answer.message.text, *(call.function.arguments for call in answer.message.tool_calls or ())))
        asked = last_request(answer.messages)
        new[answer.call.id] = [one.text for one in constraints if not one.allows(asked, said)]

    def write(connection: "Connection") -> None:
        worker, at = store.workers.see(connection, utc_now()), now()
        for answer in missing[:MOST_CHECKED]:
            content = Content(keys[answer.call.id], conversation_hash(answer.messages), "constitution")
            if claim(connection, content, worker, at).mine:
                keep(connection, content, {"status": "ok", "broken": new[answer.call.id]}, at, worker=worker)

    if new:
        store.workers.here()
        in_one_transaction(store.engine, write)
    old = {id_: list(kept[key].get("broken", ())) for id_, key in keys.items() if key in kept}
    return old | new, len(missing) - len(new)


def _is_drafted(constraint: Constraint) -> bool:
    """Whether its check is a pattern, whose words show; a function shows none, and `CHECKS` stands for it."""
    return not any(callable(one) and hasattr(one, "__qualname__") for one in (constraint.check, constraint.always))


def _as_broken(found: dict[str, list[str]], answers: Sequence[Answer]) -> list[Broken]:
    return [Broken(answer, rule, "check") for answer in answers for rule in found.get(answer.call.id, ())]


async def _failing(
    store: "Store", answers: Sequence[Answer], reading: Any, bench: Bench, now: Callable[[], datetime]
) -> list[Answer]:
    """Those of the answers that the judge fails by one reading of the rule."""
    if bench.judge is None or not answers:
        return []
    failing: list[Answer] = []

    def keep(answer: Answer, outcome: Judgement | JudgeError) -> None:
        said = outcome.scores if isinstance(outcome, Judgement) and outcome.status == "ok" else {}
        if said.get(SAFETY.name, FAILS_BELOW) < FAILS_BELOW:
            failing.append(answer)

    asked = CachedJudge(bench.judge.asked if isinstance(bench.judge, CachedJudge) else bench.judge, store, now=now)
    with suppress(JudgeError):  # An answer that the judge did not fail three times is no event, whatever the reason.
        await judge_each(
            [(answer, answer.messages, answer.message) for answer in answers],
            [reading],
            asked,
            on_outcome=keep,
            concurrency=bench.concurrency,
            budget=bench.budget,
        )
    return failing
