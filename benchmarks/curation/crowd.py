"""Traffic of a busy application, made up: many subjects, several turns, regulars, greetings, verdicts and scores."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from continuum.records import Annotation, Feedback, Interaction, Message

TASK = "support"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
VERBS = (
    "cancel", "move", "find", "pay for", "change", "return", "track", "confirm", "share", "print", "insure", "repeat", "pause",
    "upgrade", "shorten", "translate", "review", "export",
)  # fmt: skip
THINGS = (
    "subscription", "invoice", "parcel", "booking", "seat", "password", "address", "voucher", "contract", "report", "refund",
    "delivery", "warranty", "account", "payment", "newsletter", "calendar", "ticket", "repair", "insurance", "licence", "recipe",
)  # fmt: skip
ASPECTS = (
    "for the garden house", "of last winter", "in the other currency", "without calling anybody", "from my old telephone",
    "with two colleagues", "before the holidays", "that my sister made", "on the second floor", "at half the price",
    "after the outage", "for the whole team", "from abroad", "in large print", "by courier", "under a new name",
)  # fmt: skip
OPENERS = (
    "how do i",
    "can you help me",
    "i need to",
    "please",
    "is it possible to",
    "what does it cost to",
    "who can",
    "why can i not",
)
REASONS = (
    "the page says it is too late", "my manager asked for it", "nothing happened since monday", "the button is grey",
    "i lost the letter", "it was promised by mail", "the app closes itself", "the number is wrong",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """Some of the traffic, with all that is said of it."""

    interactions: list[Interaction]
    feedback: list[Feedback]
    annotations: list[Annotation]


def crowd(count: int, seed: int, size: int = 5000) -> Iterator[Piece]:
    """So many interactions, in pieces: a third of the dialogues are one question, the others have up to five turns."""
    chance = random.Random(seed)
    made = 0
    number = 0
    while made < count:
        piece = Piece([], [], [])
        while len(piece.interactions) < min(size, count - made):
            for row in _dialogue(chance, number)[: count - made - len(piece.interactions)]:
                piece.interactions.append(row)
                _opinions(chance, row, piece)
            number += 1
        made += len(piece.interactions)
        yield piece


def _dialogue(chance: random.Random, number: int) -> list[Interaction]:
    thing = THINGS[min(int(chance.expovariate(0.15)), len(THINGS) - 1)]
    at = FIRST + timedelta(seconds=40 * number)
    user = f"user {chance.randrange(20_000)}" if chance.random() < 0.5 else None
    questions = [_question(chance, thing) for _ in range(1 if chance.random() < 0.33 else chance.randint(2, 5))]
    if chance.random() < 0.08:
        questions.insert(0, "hello")
    said: list[Message] = [Message(role="system", content="You answer for a shop. Be brief and kind.")]
    rows = []
    for turn, question in enumerate(questions):
        said.append(Message(role="user", content=question))
        answer = Message(role="assistant", content=_answer(chance, question, thing))
        rows.append(
            Interaction(
                id=f"i{number:07}-{turn}",
                task=TASK,
                started_at=at + timedelta(seconds=9 * turn),
                messages=tuple(said),
                response=answer,
                conversation_id=f"c{number}",
                user_id=user,
                model="production",
                latency_ms=400.0,
            )
        )
        said.append(answer)
    return rows


def _question(chance: random.Random, thing: str) -> str:
    words = [chance.choice(OPENERS), chance.choice(VERBS), "the", thing, chance.choice(ASPECTS)]
    if chance.random() < 0.6:
        words += ["because", chance.choice(REASONS)]
    if chance.random() < 0.3:
        words += ["number", str(chance.randint(100, 99_999))]
    return " ".join(words)


def _answer(chance: random.Random, question: str, thing: str) -> str:
    step = chance.choice(("open the settings", "write to the desk", "choose the second entry", "wait for our letter"))
    return f"To {question.split(' ', 2)[-1]}, {step} and pick the {thing}; it takes about {chance.randint(1, 30)} minutes."


def _opinions(chance: random.Random, row: Interaction, piece: Piece) -> None:
    if chance.random() < 0.1:
        corrected = chance.random() < 0.1
        piece.feedback.append(
            Feedback(
                id=f"f{row.id}",
                interaction_id=row.id,
                score=float(chance.randint(1, 5)),
                correction=f"Better: {row.response.text}" if corrected and row.response else None,
                user_id=row.user_id,
                recorded_at=row.started_at + timedelta(minutes=1),
            )
        )
    if chance.random() < 0.9:
        piece.annotations.append(
            Annotation(
                id=f"a{row.id}",
                interaction_id=row.id,
                task=TASK,
                judge="judge",
                rubric="rubric",
                scores={"helpfulness": 4.0},
                reasons={"helpfulness": "It names the steps."},
                overall=chance.choice((2.0, 3.0, 3.5, 4.0, 4.5, 5.0)),
                created_at=row.started_at + timedelta(hours=1),
            )
        )
