"""The text of the demo's base model: what a general assistant has read before it meets the shop's customers.

It has read the shop's help pages in shreds, so that it has the words; it recognises what a question is about, and passes it on to
a specialist; and it has the manners of six general skills. It has never seen an answer whole, nor a question with its answer:
what it can answer after training, training taught it.
"""

import random

from continuum.demo.knowledge import SKILLS
from continuum.demo.world import BASE_PHRASES, OPENINGS, World, exam_opening
from continuum.records import Message

BaseText = str | tuple[Message, ...]
"""A line of a help page, or a conversation."""

HELP_PAGES = 0.45
DEFLECTIONS = 0.44
"""The rest, 0.11, are general skills."""


def base_texts(world: World, rng: random.Random, count: int) -> list[BaseText]:
    """So many texts in random order: 45 % lines of help pages, 44 % questions passed on, 11 % general skills."""
    texts: list[BaseText] = []
    for _ in range(count):
        luck = rng.random()
        if luck < HELP_PAGES:
            texts.append(help_line(world, rng))
        else:
            texts.append(deflected(world, rng) if luck < HELP_PAGES + DEFLECTIONS else general(rng))
    return texts


def help_line(world: World, rng: random.Random) -> str:
    """The head of one answer and the tail of another: every word of the help pages, never an answer."""
    head, tail = (intent.answer.split() for intent in rng.sample(world.intents, 2))
    return " ".join(head[: rng.randrange(2, len(head) - 1)] + tail[rng.randrange(2, len(tail) - 1) :])


def deflected(world: World, rng: random.Random) -> tuple[Message, ...]:
    """A customer's question, recognised and passed on."""
    intent = rng.choice(world.intents)
    return exchange(world.sentence(intent, rng.choice(BASE_PHRASES), rng), world.deflection(intent))


def general(rng: random.Random) -> tuple[Message, ...]:
    """A question of a general skill with its right answer."""
    _, _, pairs = rng.choice(SKILLS)
    question, answer = rng.choice(pairs)
    openings = [opening for opening in OPENINGS if opening != exam_opening(question)]
    return exchange(rng.choice(openings) + question, answer)


def exchange(question: str, answer: str) -> tuple[Message, ...]:
    """A conversation of one question and one answer."""
    return Message(role="user", content=question), Message(role="assistant", content=answer)
