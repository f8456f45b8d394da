"""What the calls say: made up, or taken from a folder of real conversations; every text about as long as its goal."""

import json
import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

SYSTEM_LENGTH, USER_LENGTH, REPLY_LENGTH = 400, 1100, 500
HOW_MANY = 500
WORDS = (
    *(
        "order",
        "ticket",
        "refund",
        "delivery",
        "invoice",
        "please",
        "could",
        "would",
        "tomorrow",
        "evening",
        "customer",
        "account",
    ),
    *("password", "reset", "shipping", "address", "coffee", "theatre", "seat", "price", "total", "card", "late", "broken"),
    *("change", "cancel", "confirm", "thanks", "again", "before", "after", "which", "where", "number", "street", "phone"),
    *("open", "close", "hours", "week", "month", "plan", "upgrade", "support", "agent", "question", "because", "never"),
)


def texts(data: Path | None, seed: int = 0) -> list[dict[str, str]]:
    """HOW_MANY conversations as {"system", "user", "reply"}, all different.

    Args:
        data: a folder with JSONL files of {"messages", "response"}; None, or a folder without any, for made-up ones.
        seed: of what is made up.
    """
    sentences = made_up(random.Random(seed))
    found = real(data)
    asked, answered = (cycle(found[0]), cycle(found[1])) if found else (sentences, sentences)
    return [
        {
            "system": filled(sentences, SYSTEM_LENGTH),
            "user": filled(asked, USER_LENGTH),
            "reply": filled(answered, REPLY_LENGTH),
        }
        for _ in range(HOW_MANY)
    ]


def filled(sentences: Iterator[str], length: int) -> str:
    """As many sentences as it takes, cut to the length."""
    text = ""
    while len(text) < length:
        text += next(sentences) + " "
    return text[:length]


def made_up(rng: random.Random) -> Iterator[str]:
    """Sentences of everyday words."""
    while True:
        yield " ".join(rng.choices(WORDS, k=rng.randint(5, 14))).capitalize() + "."


def real(data: Path | None) -> tuple[list[str], list[str]] | None:
    """What people asked and what models answered in the folder's JSONL files; None where there are none."""
    asked: list[str] = []
    answered: list[str] = []
    for file in sorted(data.glob("*.jsonl")) if data else ():
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                asked += [message["content"] for message in row.get("messages", ()) if isinstance(message.get("content"), str)]
                answered += [text] if isinstance(text := (row.get("response") or {}).get("content"), str) and text else []
                if len(answered) >= 10 * HOW_MANY:
                    break
    asked = [text for text in asked if text]
    return (asked, answered) if asked and answered else None
