"""What people preferred: pairs of answers for DPO (Rafailov et al. 2023) and rated answers for KTO (Ethayarajh et al. 2024).

Only people's word makes such a row, never a judge's. A correction is preferred to the answer it corrects. Two answers to one
context make a pair where people called the one good and the other bad. Where people contradict each other about an answer, the
middle of what they say counts, and an answer that is then neither good nor bad makes no row.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, TypeVar

from continuum.curation.quality import Rated, given_answer
from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.records import Message
from continuum.similarity.fingerprints import context_fingerprint, fingerprint
from continuum.similarity.normalise import INSTRUCTIONS, canonical
from continuum.splits.ratings import BAD_SCORE, GOOD_SCORE
from continuum.splits.sides import Sides

PER_CONTEXT = 4
"""Pairs of one context, and good and bad answers of it: a question that is asked a thousand times does not flood the rest."""
DIGITS = re.compile(r"\d+")

Split = Literal["train", "validation"]
Row = TypeVar("Row")


@dataclass(frozen=True)
class Preferences:
    """The rows for preference training, and what was left out."""

    pairs: list[PreferencePair]
    """By the ids of the chosen and of the rejected answer."""
    answers: list[RatedAnswer]
    """By interaction id, the good before the bad."""
    counts: dict[str, int]
    """`contexts` that people spoke of, `pairs` and `answers` by their source, `undecided` answers that people called good and
    bad or neither, and what `PER_CONTEXT` left out."""


def spoken_of(rated: Iterable[Rated]) -> list[Rated]:
    """The interactions that people scored or corrected: those that preferences come from."""
    return [one for one in rated if one.score_source == "correction" or one.verdict is not None]


def preferences_of(rated: Iterable[Rated], sides: Sides) -> Preferences:
    """The preference rows of a task; of training and validation rows only, and no row crosses from one to the other.

    Within a context, each correction is paired with what it corrects; then the good answers are paired with those called bad,
    each once before any is paired again, the best and the worst first. The same two answers make one pair, however often they
    were given, and never one each way.

    Args:
        rated: what may be learned from, whatever its score: no anchor, nothing suspected of talking to the judge, nothing that
            repeats a golden question.
        sides: the side and the group of each interaction.
    """
    contexts: dict[tuple[Split, str], _Context] = {}
    for one in sorted(spoken_of(rated), key=lambda one: one.preference):
        side = sides.side[one.interaction.id]
        if side == "train" or side == "validation":
            contexts.setdefault((side, _context_key(one.interaction.messages)), _Context(side)).hear(one)
    counts: Counter[str] = Counter(contexts=len(contexts))
    pairs: list[PreferencePair] = []
    answers: list[RatedAnswer] = []
    for context in contexts.values():
        pairs += _first([_pair(*found, context.split, sides) for found in context.pairs()], counts, "pairs_over_cap")
        for desirable in (True, False):
            found = [answer for answer in context.answers.values() if answer.standing is desirable]
            rows = [_rated_answer(answer, desirable, context.split, sides) for answer in found]
            answers += _first(rows, counts, "answers_over_cap")
        counts["undecided"] += sum(answer.standing is None for answer in context.answers.values())
    counts.update(f"pairs_{pair.source}" for pair in pairs)
    counts.update(f"answers_{'good' if answer.desirable else 'bad'}" for answer in answers)
    pairs.sort(key=lambda pair: (pair.interaction_id, pair.rejected_id))
    answers.sort(key=lambda answer: (answer.interaction_id, not answer.desirable))
    return Preferences(pairs, answers, dict(sorted(counts.items())))


@dataclass
class _Answer:
    """One answer to a context, however often it was given, with all that people said of it."""

    message: Message
    best: Rated
    """The most preferred of the interactions that gave it or asked for it."""
    written: bool = False
    """A person wrote it."""
    corrected: bool = False
    """A person wrote another in its place."""
    verdicts: list[float] = field(default_factory=list)

    @property
    def score(self) -> float | None:
        """The middle of what people said; None where nobody scored it."""
        return median(self.verdicts) if self.verdicts else None

    @property
    def standing(self) -> bool | None:
        """Good, bad, or None for neither."""
        if self.score is None:
            return self.written if self.written != self.corrected else None
        if self.score <= BAD_SCORE:
            return None if self.written else False
        return True if self.written or self.score >= GOOD_SCORE else None

    @property
    def source(self) -> Literal["correction", "verdict"]:
        """Which word of people it rests on."""
        return "correction" if self.written or not self.verdicts else "verdict"


class _Context:
    """The answers to one context on one side, as people spoke of them."""

    def __init__(self, split: Split) -> None:
        self.split: Split = split
        self.answers: dict[str, _Answer] = {}
        """By what they say or do, the most preferred first."""
        self._corrections: list[tuple[_Answer, _Answer, Rated]] = []

    def hear(self, one: Rated) -> None:
        """Take in what people said of an interaction."""
        given = given_answer(one.interaction)
        own = self._answer(given, one) if given is not None else None
        if own is not None and one.verdict is not None:
            own.verdicts.append(one.verdict)
        if one.score_source != "correction":
            return
        wanted = self._answer(one.response, one)
        wanted.written = True
        if own is not None and own is not wanted:
            own.corrected = True
            self._corrections.append((wanted, own, one))

    def pairs(self) -> "Iterator[tuple[_Answer, _Answer, Rated, Rated]]":
        """The better and the worse answer, each with the interaction it stands for."""
        seen: set[frozenset[str]] = set()

        def is_new(better: _Answer, worse: _Answer) -> bool:
            both = frozenset((better.message.action, worse.message.action))
            return both not in seen and not seen.add(both)

        for better, worse, one in self._corrections:
            if is_new(better, worse):
                yield better, worse, one, one
        good = [answer for answer in self.answers.values() if answer.standing is True]
        bad = [answer for answer in self.answers.values() if answer.standing is False and answer.verdicts]
        bad.sort(key=lambda answer: answer.score or 0.0)
        for better, worse in _each_once_before_again(good, bad):
            if is_new(better, worse):
                yield better, worse, better.best, worse.best

    def _answer(self, message: Message, one: Rated) -> _Answer:
        return self.answers.setdefault(message.action, _Answer(message, one))


def _each_once_before_again(good: list[_Answer], bad: list[_Answer]) -> Iterator[tuple[_Answer, _Answer]]:
    few, many = sorted((good, bad), key=len)
    for turn in range(len(few)):
        for place, one in enumerate(many):
            other = few[(place + turn) % len(few)]
            yield (one, other) if many is good else (other, one)


def _first(rows: list[Row], counts: Counter[str], left_out: str) -> list[Row]:
    counts[left_out] += max(len(rows) - PER_CONTEXT, 0)
    return rows[:PER_CONTEXT]


def _pair(better: _Answer, worse: _Answer, chosen: Rated, rejected: Rated, split: Split, sides: Sides) -> PreferencePair:
    return PreferencePair(
        interaction_id=chosen.interaction.id,
        rejected_id=rejected.interaction.id,
        messages=chosen.interaction.messages,
        chosen=better.message,
        rejected=worse.message,
        source="correction" if better.written else "verdicts",
        split=split,
        group=sides.group[chosen.interaction.id],
    )


def _rated_answer(answer: _Answer, desirable: bool, split: Split, sides: Sides) -> RatedAnswer:
    interaction = answer.best.interaction
    return RatedAnswer(
        interaction_id=interaction.id,
        messages=interaction.messages,
        response=answer.message,
        desirable=desirable,
        source=answer.source,
        split=split,
        group=sides.group[interaction.id],
    )


def _context_key(messages: tuple[Message, ...]) -> str:
    """Equal for one context: the same words, the same instructions but for numbers, the same pictures."""
    instructions = [DIGITS.sub("0", canonical(message.text)) for message in messages if message.role in INSTRUCTIONS]
    other = [
        json.dumps(part, sort_keys=True)
        for message in messages
        if isinstance(message.content, list)
        for part in message.content
        if not isinstance(part.get("text"), str)
    ]
    return fingerprint(context_fingerprint(messages), *instructions, "", *other)
