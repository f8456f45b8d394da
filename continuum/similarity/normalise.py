"""Text brought to one form before it is compared: what differs in case, spacing or typography only is the same."""

import unicodedata
from collections.abc import Sequence

from continuum.records import Message

INSTRUCTIONS = frozenset({"system", "developer"})
"""Roles whose words come from the application, often with the time of day in them, and say nothing of who is talking."""

TAIL_MESSAGES = 4
"""How many messages before an answer are its immediate question.

Whole contexts would be the wrong thing to compare: consecutive turns of one dialogue share nearly all of theirs.
"""

TYPOGRAPHY = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
    }
)


def canonical(text: str) -> str:
    """The text without case, spare space, typographic quotes and half surrogate pairs, in Unicode's compatibility form."""
    if text.isascii():
        return " ".join(text.lower().split())
    valid = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join(unicodedata.normalize("NFKC", valid).translate(TYPOGRAPHY).casefold().split())


def canonical_lines(messages: Sequence[Message]) -> list[str]:
    """One canonical line a message, instructions of the application left out."""
    return [f"{message.role}: {canonical(message.action)}" for message in messages if message.role not in INSTRUCTIONS]


def prompt_tail(messages: Sequence[Message]) -> str:
    """The last few messages before an answer, in canonical form: the question as it is compared."""
    return "\n".join(canonical_lines(messages[-2 * TAIL_MESSAGES :])[-TAIL_MESSAGES:])
