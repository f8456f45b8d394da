"""Dialogues of a shop's assistant as a log holds them: every turn a row of its own, with the whole context so far.

Rows of one dialogue carry different conversation ids, some people come back, many begin with the same greeting, some
dialogues are told again with a typing error, and others end alike.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from continuum.records import Interaction, Message

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
TURNS = 4
THINGS = [
    "lamp",
    "kettle",
    "carpet",
    "mirror",
    "blanket",
    "teapot",
    "candle",
    "basket",
    "drawer",
    "cushion",
    "ladder",
    "bucket",
    "hammer",
    "pillow",
    "saddle",
    "wallet",
]
TROUBLES = (
    "arrived broken", "never arrived", "is the wrong colour", "is too small", "smells of paint", "has no manual",
    "was charged twice", "does not fit the shelf", "makes a noise", "lost a screw",
)  # fmt: skip
PLACES = [
    "Oslo",
    "Rome",
    "Lima",
    "Cairo",
    "Paris",
    "Delhi",
    "Quito",
    "Accra",
    "Perth",
    "Turin",
    "Osaka",
    "Bergen",
    "Lyon",
    "Porto",
    "Malmo",
    "Ghent",
]
WISHES = ("my money back", "another one", "a discount", "somebody to call me", "it picked up", "a receipt for it")
GREETED = 0.3
"""Share of the dialogues that begin with nothing but a greeting."""
RETOLD = 0.1
"""Share of them that tell an earlier one again, with a typing error."""
ENDED_ALIKE = 0.1
"""Share of them that end as an earlier one, whatever came before."""
RETURNING = 0.2
"""Share of them whose user has been there before."""


@dataclass(frozen=True)
class Told:
    """A row, the dialogue it truly belongs to, and the cycle in which it reaches the store."""

    row: Interaction
    dialogue: int
    cycle: int


def dialogues(count: int, cycles: int, seed: int, task: str = "shop") -> list[Told]:
    """All rows in the order they arrive; a fifth of them come up to three cycles late, and so do whole old dialogues."""
    chance = random.Random(seed)
    scripts: list[list[tuple[str, str]]] = []
    users: list[str] = []
    told: list[Told] = []
    for number in range(count):
        scripts.append(_script(chance, scripts))
        users.append(chance.choice(users) if users and chance.random() < RETURNING else f"user {number}")
        begins = chance.randrange(cycles)
        # Some dialogues are from before everything else: old logs, imported later.
        at = FIRST + timedelta(days=begins if chance.random() < 0.9 else -30, minutes=number)
        said: list[Message] = []
        for turn, (question, answer) in enumerate(scripts[-1]):
            said.append(Message(role="user", content=question))
            row = Interaction(
                id=f"{number:04}-{turn}",
                task=task,
                started_at=at + timedelta(seconds=20 * turn),
                messages=tuple(said),
                response=Message(role="assistant", content=answer),
                conversation_id=f"call {number}-{turn}",
                user_id=users[-1] if number % 3 else None,
            )
            said.append(Message(role="assistant", content=answer))
            late = chance.randint(1, 3) if chance.random() < 0.2 else 0
            told.append(Told(row, number, min(cycles - 1, begins + late)))
    return sorted(told, key=lambda one: (one.cycle, chance.random()))


def _script(chance: random.Random, earlier: Sequence[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    if earlier and chance.random() < RETOLD:
        again = chance.choice(earlier)
        return [(_mistyped(chance, question), answer) for question, answer in again]
    thing, place, order = chance.choice(THINGS), chance.choice(PLACES), chance.randint(10_000, 99_999)
    told = f"The {thing} of order {order} for {place} {chance.choice(TROUBLES)} and I want {chance.choice(WISHES)}"
    script = [
        (told, f"I am sorry to hear that about the {thing}. Which street in {place} was it for?"),
        (f"It was for {chance.choice(PLACES)} street {chance.randint(1, 400)}", f"Thank you, I found order {order}."),
        (f"And when will the {thing} be settled then?", f"It takes {chance.randint(2, 9)} days from {place}."),
        (f"Then write to me at box {chance.randint(1, 9999)}", f"I will write to you about order {order} today."),
    ]
    if chance.random() < GREETED:
        script = [("Hello", "Hello! How can I help you?"), *script][:TURNS]
    if earlier and chance.random() < ENDED_ALIKE:
        script = script[:1] + chance.choice(earlier)[1:]
    return script


def _mistyped(chance: random.Random, text: str) -> str:
    words = text.split()
    long = [position for position, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    if not long:
        return text
    position = chance.choice(long)
    word = words[position]
    at = chance.randrange(1, len(word) - 2)
    words[position] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
