"""The answers of all models to the same questions, and their scores: asked once, judged once, kept in the store.

A comparison that is broken off goes on where it was, and one that is asked for again asks and pays for nothing: answers are kept
by the files of the model, judgements by what was judged. The guard keeps its own in the same places.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.analytics.arms import NEAREST, PRODUCTION, Contender
from continuum.judging.evaluation import score_answers
from continuum.judging.measures import Measures
from continuum.models.asking import Asking, blinded
from continuum.models.budget import Budget
from continuum.progress import Progress
from continuum.records import Message
from continuum.splits.golden import GoldenItem

if TYPE_CHECKING:
    from continuum.store.database import Store

Answers = Mapping[str, Message | None]
"""Interaction id of a golden item to a model's answer."""


@dataclass(frozen=True)
class Scored:
    """What every model answered and what that is worth, in the order of the items."""

    answers: Mapping[str, Sequence[Message | None]]
    scores: Mapping[str, Mapping[str, Sequence[float | None]]]
    """Model to metric to scores from 0 to 1; None where there is none."""


async def score_all(
    store: "Store",
    task: str,
    contenders: Sequence[Contender],
    items: Sequence[GoldenItem],
    *,
    measures: Measures,
    asking: Asking,
    base_model: str,
    budget: Budget,
    ready: Mapping[str, Answers],
    on_progress: Progress,
) -> Scored:
    """Let every model answer, and score the answers.

    Args:
        store: where training examples are looked up for `nearest`.
        task: whose.
        contenders: the models.
        items: what they are asked.
        measures: the metrics, and who scores them.
        asking: asks the models.
        base_model: what the base is.
        budget: what pays for the judge.
        ready: answers that are there already, by model.
        on_progress: told of each model.
    """
    there = dict(ready)
    if any(contender.name == NEAREST for contender in contenders) and NEAREST not in there:
        from continuum.analytics.lookup import looked_up  # faiss starts here

        found = await asyncio.to_thread(looked_up, store, task, [item.messages for item in items])
        there[NEAREST] = {item.interaction_id: answer for item, answer in zip(items, found, strict=True)}
    answers, scores = {}, {}
    for step, contender in enumerate(contenders):
        on_progress(step, len(contenders), f"{contender.name}: {len(items)} golden items")
        given = there.get(contender.name)
        answers[contender.name] = await _answers(contender, items, asking, base_model, given)
        asked = _asked(contender, items, given)
        scores[contender.name] = await _scores(asked, items, answers[contender.name], measures, budget)
    on_progress(len(contenders), len(contenders), "comparing")
    return Scored(answers, scores)


async def _answers(
    contender: Contender, items: Sequence[GoldenItem], asking: Asking, base_model: str, ready: Answers | None
) -> list[Message | None]:
    """One answer for each item; of production only those that it gave."""
    if contender.name == PRODUCTION:
        said = [item.production for item in items]
    elif ready is not None:
        said = [ready.get(item.interaction_id) for item in items]
    else:
        model = contender.checkpoint
        said = await asking.answers(
            model,
            model.base_model if model else base_model,
            [item.messages for item in items],
            interaction_ids=[item.interaction_id for item in items],
        )
    return [blinded(answer) for answer in said]


def silences(found: Scored) -> list[str]:
    """Which models left questions unanswered that they were asked, in words: these count as 0."""
    said = []
    for model, answers in found.answers.items():
        scored = [n for n in range(len(answers)) if any(column[n] is not None for column in found.scores[model].values())]
        silent = sum(answers[n] is None for n in scored)
        if silent:
            said.append(f"{model} gave no answer to {silent} of {len(scored)} questions; these count as 0")
    return said


def _asked(contender: Contender, items: Sequence[GoldenItem], ready: Answers | None) -> list[int]:
    """The items that a model was asked: of production those that it answered, of given answers those that were given."""
    if contender.name == PRODUCTION:
        return [n for n, item in enumerate(items) if item.production is not None]
    return [n for n, item in enumerate(items) if ready is None or item.interaction_id in ready]


async def _scores(
    asked: Sequence[int],
    items: Sequence[GoldenItem],
    answers: Sequence[Message | None],
    measures: Measures,
    budget: Budget,
) -> dict[str, list[float | None]]:
    """Metric to the scores of one model's answers; None where it was never asked."""
    scored = await score_answers(
        [items[n] for n in asked],
        [answers[n] for n in asked],
        measures.metrics,
        judge=measures.judge,
        criteria=measures.criteria,
        budget=budget,
    )
    spread: dict[str, list[float | None]] = {}
    for metric, values in scored.items():
        spread[metric] = [None] * len(items)
        for n, value in zip(asked, values, strict=True):
            spread[metric][n] = value
    return spread
