"""Both sides of the comparison: candidate and baseline answer the same items, and one judge scores them without knowing whose.

Fair means here: the judge sees nothing but the conversation and what an answer says or does; the two answers to an item come one
after the other, in an order that a seed decides, so that a judge that changes or money that runs out favours neither side; one
answer that both give is judged once and counts for both; and an item that has no score on one side has none on the other. A model
that gives no answer scores 0, since that is its failure; a judgement that fails is nobody's, and the item is left out.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.errors import JudgeError
from continuum.guard.baseline import PRODUCTION
from continuum.guard.pairs import CHECKS, Arm
from continuum.judging.evaluation import criteria_asked, judge_answers, scores_of
from continuum.judging.judge import Judgement
from continuum.judging.measures import Measures
from continuum.models.asking import Asking, blinded
from continuum.models.budget import Budget
from continuum.progress import Progress, silent
from continuum.records import Checkpoint, Message

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenItem
    from continuum.store.database import Store

Answers = list[Message | None]

STRANGER_SHARE = 0.1
"""What share of one side's judgements a model must have given, and none of the other's, to be worth a word."""


async def both_arms(
    items: "Sequence[GoldenItem]",
    candidate: Checkpoint,
    champion: Checkpoint | None,
    *,
    measures: Measures,
    asking: Asking,
    budget: Budget | None = None,
    seed: int = 0,
    concurrency: int = 8,
    on_note: Callable[[str], object] | None = None,
    on_progress: Progress = silent,
) -> tuple[Arm, Arm]:
    """Let both sides answer the items and score them; broken off and begun again, nothing is asked or judged twice.

    With a judge that `Measures.kept_in` keeps, judgements are found again too, also those that another process is making at this
    moment. Items with a checker get the metric `checks`, 1 or 0. What a model answered to an interaction that is erased
    meanwhile is dropped from both arms, with all its scores.

    Args:
        items: what is asked.
        candidate: the model in question.
        champion: what it is compared with; None for the answers that production gave.
        measures: the metrics, and who scores them.
        asking: asks the models.
        budget: what pays for the judge. Once it has run out no further item is judged on either side.
        seed: decides the order in which the judge sees the answers.
        concurrency: judgements under way at once.
        on_note: told, in a sentence, what a reader of the verdict has to know.
        on_progress: told how far it is.

    Returns:
        The baseline's arm and the candidate's, in the order of the items.

    Raises:
        ConfigurationError: the answerer or the judge cannot be asked; what was answered before is kept.
        JudgeError: not one judgement succeeded, or the judge became another while it judged.
    """
    steps = _Steps(on_progress, len(items), answering=2 if champion else 1, judging=measures.judge_name is not None)
    owners = [item.interaction_id for item in items]
    seen = await asyncio.to_thread(asking.store.golden_answers.there, owners)
    conversations = [item.messages for item in items]

    async def answers_of(model: Checkpoint) -> Answers:
        said = await asking.answers(
            model, model.base_model, conversations, interaction_ids=owners, on_progress=steps.of(len(items))
        )
        return [blinded(answer) for answer in said]

    new = await answers_of(candidate)
    old = [blinded(item.production) for item in items] if champion is None else await answers_of(champion)

    gone = await _erased(asking.store, owners, seen)
    cases = _shuffled(items, old, new, gone, seed)
    judgements = await _judge(items, cases, measures, budget, concurrency, on_note, steps.of(2 * len(items)))
    if on_note is not None and (note := _two_servers(cases, judgements)):
        on_note(note)

    gone |= await _erased(asking.store, owners, seen)
    before, after = ([None if n in gone else answer for n, answer in enumerate(side)] for side in (old, new))
    scores = _scores(items, (before, after), cases, judgements, measures, gone)
    baseline = Arm(champion.name if champion else PRODUCTION, champion.id if champion else PRODUCTION, tuple(before), scores[0])
    return baseline, Arm(candidate.name, candidate.id, tuple(after), scores[1])


@dataclass(frozen=True)
class _Case:
    """An answer that the judge sees, and for whom its judgement counts: 0 is the baseline, 1 the candidate."""

    item: int
    answer: Message | None
    sides: tuple[int, ...]


def _shuffled(items: "Sequence[GoldenItem]", old: Answers, new: Answers, gone: set[int], seed: int) -> list[_Case]:
    """Every answer in the one order in which the judge sees them, the two of an item side by side."""
    rng = random.Random(seed)
    order = list(range(len(items)))
    rng.shuffle(order)
    cases: list[_Case] = []
    for n in order:
        # Drawn for every item, so that the order does not hang on what was answered.
        sides = (0, 1) if rng.random() < 0.5 else (1, 0)
        if n in gone:
            continue
        if old[n] == new[n]:
            cases.append(_Case(n, new[n], (0, 1)))
        else:
            cases += [_Case(n, (old, new)[side][n], (side,)) for side in sides]
    return cases


async def _judge(
    items: "Sequence[GoldenItem]",
    cases: Sequence[_Case],
    measures: Measures,
    budget: Budget | None,
    concurrency: int,
    on_note: Callable[[str], object] | None,
    on_progress: Progress,
) -> list[Judgement | None]:
    judge = measures.judge
    criteria = criteria_asked(measures.metrics, measures.criteria)
    if judge is None or not criteria:
        return [None] * len(cases)
    version = judge.version

    def told(words: str) -> None:
        if on_note is not None:
            on_note(f"{words}; their items count for neither model")

    judgements = await judge_answers(
        [items[case.item] for case in cases],
        [case.answer for case in cases],
        criteria,
        judge,
        concurrency=concurrency,
        budget=budget,
        on_missing=told,
        on_progress=on_progress,
    )
    if judge.version != version:
        raise JudgeError(
            f"judge {judge.name!r} was version {version} when it began and is {judge.version} now; both sides must be scored by "
            "one version: evaluate again, what the new version has said already is kept"
        )
    return judgements


def _scores(
    items: "Sequence[GoldenItem]",
    sides: tuple[Answers, Answers],
    cases: Sequence[_Case],
    judgements: Sequence[Judgement | None],
    measures: Measures,
    gone: set[int],
) -> tuple[dict[str, list[float | None]], dict[str, list[float | None]]]:
    said: tuple[list[Judgement | None], ...] = ([None] * len(items), [None] * len(items))
    for case, judgement in zip(cases, judgements, strict=True):
        for side in case.sides:
            said[side][case.item] = judgement
    judged = measures.judge is not None
    baseline, candidate = (
        scores_of(items, answers, judged_side, measures.metrics, judged=judged) | _checked(items, answers)
        for answers, judged_side in zip(sides, said, strict=True)
    )
    for metric in baseline:
        pairs = list(zip(baseline[metric], candidate[metric], strict=True))
        for n, pair in enumerate(pairs):
            if n in gone or None in pair:
                baseline[metric][n] = candidate[metric][n] = None
    return baseline, candidate


def _checked(items: "Sequence[GoldenItem]", answers: Answers) -> dict[str, list[float | None]]:
    """What the items' own checks say, where any item has one; no answer passes none."""
    if not any(item.checker for item in items):
        return {}
    return {CHECKS: [_passes(item, answer) for item, answer in zip(items, answers, strict=True)]}


def _passes(item: "GoldenItem", answer: Message | None) -> float | None:
    if item.checker is None:
        return None
    done = "" if answer is None else answer.action if answer.tool_calls else answer.text
    return float(bool(done.strip()) and item.checker.passes(item.prompt, done))


async def _erased(store: "Store", owners: Sequence[str], seen: set[str]) -> set[int]:
    """The places of the items whose interaction was in the store when the evaluation began, and is not any more."""
    gone = seen - await asyncio.to_thread(store.golden_answers.there, seen)
    return {n for n, owner in enumerate(owners) if owner in gone}


def _two_servers(cases: Sequence[_Case], judgements: Sequence[Judgement | None]) -> str | None:
    """What to say where one side was scored by a model, by its own account, that the other side never met.

    Of judgements made together that cannot be, for they alternate; of kept ones it can, when a provider has put another model
    behind the same name since.
    """
    met: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for case, judgement in zip(cases, judgements, strict=True):
        if judgement is not None and judgement.served_by:
            for side in case.sides:
                met[side][judgement.served_by] += 1
    for one, other in (met, met[::-1]):
        # A server that is met now and then, among several that take turns, may miss one side by chance.
        strangers = [name for name, times in one.items() if name not in other and times >= STRANGER_SHARE * one.total()]
        if strangers and other:
            said = " and ".join(", ".join(sorted(side)) for side in met)
            return (
                "the judge's provider had different models behind its name when it scored the baseline and when it scored the "
                f"candidate ({said}): part of the difference may be theirs; name a dated model as judge"
            )
    return None


class _Steps:
    """How far an evaluation is: an answer is a step, and so is a judgement."""

    def __init__(self, on_progress: Progress, items: int, *, answering: int, judging: bool) -> None:
        self._tell = on_progress
        self._total = items * (answering + 2 * judging)
        self._done = 0

    def of(self, steps: int) -> Progress:
        """The progress of one part that makes up so many steps, after all parts before it."""
        before = self._done
        self._done += steps

        def tell(done: int, total: int, note: str) -> None:
            self._tell(before + (steps * done // total if total else steps), self._total, note)

        return tell
