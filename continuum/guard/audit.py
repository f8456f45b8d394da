"""The audit of the guard's judge: people score both models' answers to items drawn at random, not knowing whose is whose.

Where people have scored both answers of an item, the difference they see stands beside the difference the judge sees, and a
prediction-powered estimate corrects the judge by it (`statistics/corrected.py`). That is right only while the items are a random
sample, and so three things do not count as people's word:

- What people volunteered. Who rates, and what, is no random draw.
- A verdict on production's answer where the candidate gave the same words. The difference is 0 whatever the verdict was, so it
  says nothing about the judge; and counting such items beside the drawn ones would fill the sample with items on which the judge
  cannot be wrong. Where the candidate said something else, nobody has scored the candidate.
- Scores of the two answers by two different people: one may be the sterner.

A drawn item to which both gave the same answer is written once, and counts as 0 when somebody has read it: without such items the
sample would hold too many that differ. The same seed draws the same items for every candidate, and more of them where more are
asked for, so that what people said of the champion's answers is not asked again.
"""

import hashlib
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.guard.audit_files import SCORE, cell, read_rows, unit, write_rows
from continuum.guard.pairs import BINARY, Arm
from continuum.judging.injection import has_content
from continuum.models.asking import blinded, said_hash
from continuum.records import Message
from continuum.splits.golden_items import OWN
from continuum.splits.sides import unit_hash
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenItem
    from continuum.store.database import Store
    from continuum.store.golden_answers import AnswerLabel

AUDIT_ITEMS = 40
"""Items that are drawn where nobody says how many: somewhat more than the thirty pairs that a correction takes."""
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
ROW = re.compile(r"answer-([0-9a-f]{64})-([0-9a-f]{12})-(.+)", re.DOTALL)


@dataclass(frozen=True)
class AuditDrawn:
    """What was put before people."""

    items: int
    answers: int
    """Lines to score: two an item, one where both models said the same, or one of them nothing."""
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class AuditRead:
    """What came of a file that people filled in."""

    answers: int
    """Answers of which something was said."""
    labels: int
    """Scores that are in the store now."""
    blank: int
    """Lines nobody scored. Left out because they are hard, they make the sample one of easy items."""
    refused: tuple[str, ...] = ()
    """What is wrong with each other line, with its number; nothing of it is stored."""


def write_audit(
    path: str | Path,
    task: str,
    items: "Sequence[GoldenItem]",
    baseline: Arm,
    candidate: Arm,
    metrics: Sequence[str],
    *,
    size: int = AUDIT_ITEMS,
    seed: int = 0,
) -> AuditDrawn:
    """Write both answers to items drawn at random into a file for people: JSON lines, or CSV for a spreadsheet.

    Each line has an id, the question, an answer and an empty score for each metric, from 1 to 5. Nothing in it tells whose
    answer it is. It holds what users said: it can be read by its owner alone, and is to be deleted when it has been read back.

    Args:
        path: ends in `.jsonl` or `.csv`; there must be nothing yet.
        task: whose items.
        items: what was asked.
        baseline: the answers of what is compared with.
        candidate: the answers of what is compared.
        metrics: what people score; what is matched or checked without a judge is left out.
        size: items that are drawn, each as likely as any other.
        seed: decides which, and which answer comes first.

    Raises:
        ConfigurationError: the file is there already or of another kind, nothing is to be scored, or nothing was answered.
    """
    columns = [SCORE + metric for metric in metrics if metric not in BINARY]
    if not columns or size < 1:
        raise ConfigurationError(
            f"an audit of {size} items by {', '.join(metrics) or 'no metric'} has nothing for people to score; "
            "ask for at least one item and one metric that a judge scores"
        )
    answered = [n for n, item in enumerate(items) if any(_contents(item, baseline.answers[n], candidate.answers[n]))]
    if not answered:
        raise ConfigurationError("neither model has answered any of the items; there is nothing for people to score")
    drawn = sorted(answered, key=lambda n: unit_hash(f"{seed}:audit of the guard", items[n].interaction_id))[:size]
    rows: dict[str, dict[str, Any]] = {}
    for n in drawn:
        said = {said_hash([one]): one for one in _contents(items[n], baseline.answers[n], candidate.answers[n]) if one}
        lines = [_line(task, items[n], said[key]) for key in sorted(said)]
        # Neither the order of the hashes nor the seed knows who gave which answer.
        random.Random(f"{seed} {items[n].interaction_id}").shuffle(lines)
        rows |= {line["id"]: line | dict.fromkeys(columns) for line in lines}
    write_rows(path, list(rows.values()))
    return AuditDrawn(len(drawn), len(rows), tuple(column.removeprefix(SCORE) for column in columns))


def read_audit(path: str | Path, store: "Store", task: str, labeller: str, *, now: Callable[[], datetime] = utc_now) -> AuditRead:
    """Store what a person has written into an audit file; read again, it stands for what that person said before.

    Args:
        path: the file, as it was written or as a spreadsheet has saved it, with any separator.
        store: where the scores are kept, until the interaction is erased.
        task: whose items they are.
        labeller: who scored; the same person, the same name.
        now: the clock.

    Returns:
        What was stored, and what was refused and why: scores out of range, lines whose text and id do not belong together any
        more, items that were erased meanwhile. One bad line spoils none of the others.

    Raises:
        ConfigurationError: the file cannot be read, is of another kind, has no column to score by, or nobody is named.
        StoreError: the database failed.
    """
    if not labeller.strip():
        raise ConfigurationError("nobody is named as the one who scored; name the person, so that two people are told apart")
    labels: dict[int, list[AnswerLabel]] = {}
    refused: dict[int, str] = {}
    lines: dict[str, int] = {}
    blank = 0
    for number, line in read_rows(path, refused):
        try:
            found = _read_line(line, task, labeller, now())
            if found and (first := lines.setdefault(found[0].answer, number)) != number:
                raise ValueError(f"the same answer stands on {unit(path)} {first} already")
        except ValueError as error:
            refused[number] = str(error)
            continue
        labels[number] = found
        blank += not found
    brought = {one.interaction_id for found in labels.values() for one in found if one.interaction_id.startswith(OWN)}
    gone = store.golden_labels.put((one for found in labels.values() for one in found), brought=brought)
    for number in [number for number, found in labels.items() if found and found[0].interaction_id in gone]:
        refused[number] = "its interaction was erased"
        del labels[number]
    return AuditRead(
        answers=sum(bool(found) for found in labels.values()),
        labels=sum(len(found) for found in labels.values()),
        blank=blank,
        refused=tuple(f"{unit(path)} {number}: {why}" for number, why in sorted(refused.items())),
    )


def people_differences(
    store: "Store", items: "Sequence[GoldenItem]", baseline: Arm, candidate: Arm, metric: str
) -> tuple[float | None, ...]:
    """For each item what people see as candidate minus baseline, from -1 to 1; None where nobody has scored both answers.

    Of several people who did, the mean. An answer that is none, or says nothing, is the worst there is without being scored.
    """
    pairs = [_contents(item, *sides) for item, *sides in zip(items, baseline.answers, candidate.answers, strict=True)]
    names = [
        tuple(said_hash([*item.messages, answer]) if answer else None for answer in pair)
        for item, pair in zip(items, pairs, strict=True)
    ]
    scores = store.golden_labels.of({name for pair in names for name in pair if name}, metric)

    def difference(before: str | None, after: str | None) -> float | None:
        old, new = (scores.get(name, {}) if name else None for name in (before, after))
        if old is None and new is None:
            return None
        people = sorted((old if new is None else new if old is None else old.keys() & new.keys()) or ())
        return fmean((new[one] if new else 0.0) - (old[one] if old else 0.0) for one in people) if people else None

    return tuple(difference(*pair) for pair in names)


def _contents(item: "GoldenItem", *answers: Message | None) -> tuple[Message | None, ...]:
    """The answers as people see them; None for one in which there is nothing to score."""
    return tuple(blinded(answer) if has_content(answer, item.messages) else None for answer in answers)


def _line(task: str, item: "GoldenItem", answer: Message) -> dict[str, Any]:
    question = cell("\n".join(f"{_role(message)}: {_words(message)}" for message in item.messages))
    said = cell(f"answer: {_words(answer)}")
    name = said_hash([*item.messages, answer])
    return {
        "id": f"answer-{name}-{_check(task, name, question, said)}-{item.interaction_id}",
        "question": question,
        "answer": said,
    }


def _role(message: Message) -> str:
    return message.role if message.role in ROLES else "other"


def _words(message: Message) -> str:
    return "\n".join(part for part in (message.text, message.action if message.tool_calls else "") if part)


def _check(task: str, name: str, question: str, answer: str) -> str:
    """Tells whether a line's text is still what was written: not edited, nor sorted away from its id."""
    # A spreadsheet may write other ends of lines.
    shown = [" ".join(text.split()) for text in (question, answer)]
    return hashlib.sha256(json.dumps([task, name, *shown]).encode()).hexdigest()[:12]


def _read_line(line: dict[str, Any], task: str, labeller: str, at: datetime) -> "list[AnswerLabel]":
    """The scores that stand on a line; none where it was left blank.

    Raises:
        ValueError: something on it is wrong, in words.
    """
    from continuum.store.golden_answers import AnswerLabel  # SQLAlchemy starts here

    match = ROW.fullmatch(str(line.get("id") or ""))
    if match is None:
        raise ValueError("it has no id that an audit was written with")
    name, check, interaction_id = match.groups()
    if check != _check(task, name, str(line.get("question") or ""), str(line.get("answer") or "")):
        raise ValueError(f"its text is not what was written beside this id for task {task!r}; write the audit anew")
    scores = {column.removeprefix(SCORE): value for column, value in line.items() if column.startswith(SCORE)}
    if not scores:
        raise ValueError(f"it has nothing that begins with {SCORE!r}, which is what an audit is filled in at")
    return [
        AnswerLabel(name, metric, labeller, task, interaction_id, (_score(metric, value) - 1) / 4, at)
        for metric, value in scores.items()
        if value is not None and str(value).strip()
    ]


def _score(metric: str, value: Any) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 1 <= score <= 5:
        raise ValueError(f"{metric} is {excerpt(str(value), 40)!r}; scores run from 1 to 5")
    return score
