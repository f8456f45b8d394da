"""The scores of many answers to one set of questions, item by item: what the guard and the learning curve compare."""

from collections.abc import Callable, Sequence
from typing import Protocol

from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.asking import judge_each
from continuum.judging.criteria import OVERALL
from continuum.judging.injection import has_content
from continuum.judging.judge import Judge, Judgement
from continuum.judging.missing import missing_words
from continuum.models.budget import Budget
from continuum.progress import Progress, silent
from continuum.records import Message
from continuum.rubric import Criterion

ACTION_MATCH = "action_match"


class Question(Protocol):
    """What an answer is scored against; golden items are such."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that was answered."""
        ...

    @property
    def reference(self) -> Message | None:
        """The answer that is known to be good, where there is one."""
        ...


async def score_answers(
    golden: Sequence[Question],
    answers: Sequence[Message | None],
    metrics: Sequence[str],
    *,
    judge: Judge | None,
    criteria: Sequence[Criterion],
    concurrency: int = 8,
    budget: Budget | None = None,
) -> dict[str, list[float | None]]:
    """Score each answer by each metric on a scale from 0 to 1.

    A criterion's score s counts as (s - 1) / 4, and so does `overall`, the weighted mean over all criteria that are given.
    `action_match` is 1 where the answer does what the reference does, else 0. None stands where there is nothing to score: no
    reference, no judge, a criterion that does not apply, a judgement that failed or was not valid, or no money left for one.
    An answer that is None, or that says nothing which could be judged, is a failure and scores 0.

    Args:
        golden: what was asked.
        answers: one for each question; None where the model failed.
        metrics: names of criteria, `overall`, or `action_match`.
        judge: who scores the criteria.
        criteria: what the names of the metrics mean; with `overall` all of them are asked for.
        concurrency: judgements under way at once.
        budget: what pays for them.

    Raises:
        ConfigurationError: a metric is none of the criteria, or the answers do not fit the questions.
        JudgeError: not one judgement succeeded.
    """
    asked = criteria_asked(metrics, criteria)
    if len(golden) != len(answers):
        raise ConfigurationError(f"{len(answers)} answers do not fit {len(golden)} questions; give one for each")
    judgements: list[Judgement | None] = [None] * len(golden)
    if judge is not None and asked:
        judgements = await judge_answers(golden, answers, asked, judge, concurrency=concurrency, budget=budget)
    return scores_of(golden, answers, judgements, metrics, judged=judge is not None)


def criteria_asked(metrics: Sequence[str], criteria: Sequence[Criterion]) -> list[Criterion]:
    """What a judge is asked about for these metrics: with `overall` all criteria, else those that are named.

    Raises:
        ConfigurationError: a metric is none of the criteria.
    """
    known = {criterion.name: criterion for criterion in criteria}
    if unknown := [name for name in metrics if name not in known and name not in {ACTION_MATCH, OVERALL}]:
        raise ConfigurationError(f"metric {unknown[0]!r} is not among the criteria {sorted(known)}; give its Criterion")
    whole = OVERALL in metrics and OVERALL not in known
    return list(criteria) if whole else [known[name] for name in metrics if name in known]


def scores_of(
    golden: Sequence[Question],
    answers: Sequence[Message | None],
    judgements: Sequence[Judgement | None],
    metrics: Sequence[str],
    *,
    judged: bool = True,
) -> dict[str, list[float | None]]:
    """What judgements come to on the scale from 0 to 1, metric by metric, as `score_answers` says.

    Args:
        golden: what was asked.
        answers: one for each question.
        judgements: one for each answer; None where there is none.
        metrics: names of criteria, `overall`, or `action_match`.
        judged: whether there is a judge at all; without one even an answer that says nothing has no score by a criterion.
    """
    return {
        name: [
            _match(question, answer) if name == ACTION_MATCH else _score(question, answer, judgement, name, judged)
            for question, answer, judgement in zip(golden, answers, judgements, strict=True)
        ]
        for name in metrics
    }


async def judge_answers(
    golden: Sequence[Question],
    answers: Sequence[Message | None],
    criteria: Sequence[Criterion],
    judge: Judge,
    *,
    concurrency: int = 8,
    budget: Budget | None = None,
    on_missing: Callable[[str], object] | None = None,
    on_progress: Progress = silent,
) -> list[Judgement | None]:
    """A judgement for each answer; None where there is no answer, no money for its judgement, or the judge failed on it.

    They are taken up in the order in which they stand, and none any more once the money has run out.

    Args:
        golden: what was asked.
        answers: one for each question; None where the model failed.
        criteria: what to judge by.
        judge: whom to ask.
        concurrency: judgements under way at once.
        budget: what pays for them.
        on_missing: told, in a sentence, how many answers got no score and why, where any did.
        on_progress: told how many were judged.

    Raises:
        ConfigurationError: the judge's endpoint refuses the key, the model or the address; or the judge itself is broken.
        JudgeError: not one judgement succeeded.
    """
    judgements: list[Judgement | None] = [None] * len(golden)

    cases = [
        (place, question.messages, answer)
        for place, (question, answer) in enumerate(zip(golden, answers, strict=True))
        if answer is not None and has_content(answer, question.messages)
    ]
    outcomes: dict[int, Judgement | JudgeError] = {}

    def keep(place: int, outcome: Judgement | JudgeError) -> None:
        outcomes[place] = outcome
        judgements[place] = outcome if isinstance(outcome, Judgement) else None
        on_progress(len(outcomes), len(cases), f"{judge.name} judges")

    await judge_each(cases, criteria, judge, on_outcome=keep, concurrency=concurrency, budget=budget)
    words = missing_words(judge.name, [outcomes.get(place) for place, _, _ in cases])
    if on_missing is not None and words is not None:
        on_missing(words)
    return judgements


def _match(question: Question, answer: Message | None) -> float | None:
    if question.reference is None:
        return None
    return float(answer is not None and answer.action == question.reference.action)


def _score(question: Question, answer: Message | None, judgement: Judgement | None, name: str, judged: bool) -> float | None:
    if not judged:
        return None
    if not has_content(answer, question.messages):
        return 0.0
    if judgement is None or judgement.status != "ok":
        return None
    score = judgement.scores.get(name, judgement.overall if name == OVERALL else None)
    return None if score is None else (score - 1) / 4
