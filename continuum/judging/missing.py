"""Why answers got no judgement, in words: how many of them, and the commonest causes, without anything that is secret."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from continuum.errors import ConfigurationError, JudgeError
from continuum.excerpts import excerpt
from continuum.judging.judge import Judge, Judgement
from continuum.models.budget import BudgetExhausted
from continuum.records import Message

UNPAID = "the budget does not pay for a judgement"
UNREADABLE = {
    "suspected_injection": "something in the answer, or in a captured question, talks to the judge",
    "unparseable": "the judge gave no readable score",
    "not_applicable": "the judge says that no criterion applies",
}
"""By the status of a judgement without a score."""
NAMED = 3
"""Causes that are told, the commonest first."""
CAUSE = 240
"""Characters of a cause."""
OWN_WORDS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
"""What two messages of one cause may differ in."""


def missing_words(judge: str, outcomes: Sequence[Judgement | JudgeError | None]) -> str | None:
    """How many answers have no score, and why, in a sentence; None where all have one.

    Args:
        judge: its name.
        outcomes: of every answer that there was something to judge in; None for one that was not taken up any more.
    """
    without = sum(_why(outcome) is not None for outcome in outcomes)
    told = causes(outcomes)
    return None if told is None else f"{without} of {len(outcomes)} answers got no score from judge {judge!r}: {told}"


def causes(outcomes: Iterable[Judgement | JudgeError | None]) -> str | None:
    """The commonest causes of missing scores, each with how often it was one; None where no score is missing."""
    counted: Counter[str] = Counter()
    first: dict[str, str] = {}
    for outcome in outcomes:
        if (why := _why(outcome)) is not None:
            cause = OWN_WORDS.sub("…", why)
            first.setdefault(cause, why)
            counted[cause] += 1
    if not counted:
        return None
    told = [f"{first[cause]} ({count})" for cause, count in counted.most_common(NAMED)]
    told += [f"other causes ({rest})"] if (rest := counted.total() - sum(n for _, n in counted.most_common(NAMED))) else []
    return "; ".join(told)


def judge_broke(judge: Judge, error: Exception, conversation: Sequence[Message], response: Message) -> ConfigurationError:
    """What to say of a judge that raises what no judge raises: whose fault it is, and on which answer."""
    asked = next((message.text for message in reversed(conversation) if message.role == "user" and message.text), "")
    return ConfigurationError(
        f"judge {judge.name!r} failed with {type(error).__name__}: {shown(str(error))} on the answer "
        f"{excerpt(response.action)!r} to {excerpt(asked)!r}; mend the judge, which has to score any answer, or to raise "
        "JudgeError where it cannot"
    )


def shown(cause: str) -> str:
    """The words of an error in a line, without addresses of people, keys and the like."""
    from continuum.spool.patterns import PatternRedactor

    return excerpt(PatternRedactor().redact(cause[: 8 * CAUSE]), CAUSE)


def _why(outcome: Judgement | JudgeError | None) -> str | None:
    if outcome is None or isinstance(outcome, BudgetExhausted):
        return UNPAID
    if isinstance(outcome, JudgeError):
        return shown(str(outcome))
    return UNREADABLE.get(outcome.status)
