"""What the calls say: pieces, made up or taken from a folder of real conversations, that are put together anew for each call."""

import json
import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

SYSTEM_LENGTH, HALF_LENGTH, REPLY_LENGTH = 400, 540, 500
SYSTEMS, FIRST_HALVES, SECOND_HALVES, REPLIES = 7, 499, 503, 491
"""How many there are of each piece. They have no common divisor, so that no two calls of a run ask and answer the same."""
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
        "parcel",
    ),
    *("shipping", "coffee", "theatre", "seat", "price", "total", "late", "broken", "change", "cancel", "confirm", "thanks"),
    *("again", "before", "after", "which", "where", "street", "open", "close", "hours", "week", "month", "plan", "upgrade"),
    *(
        "support",
        "agent",
        "question",
        "because",
        "never",
        "always",
        "something",
        "morning",
        "table",
        "window",
        "garden",
        "letter",
    ),
    *("friend", "family", "travel", "train", "station", "airport", "flight", "luggage", "hotel", "room", "breakfast", "kitchen"),
    *("dinner", "menu", "soup", "bread", "butter", "cheese", "apple", "orange", "banana", "market", "shop", "store", "basket"),
    *("size", "colour", "blue", "green", "yellow", "small", "large", "medium", "heavy", "light", "quick", "slow", "early"),
    *("music", "concert", "film", "book", "chapter", "page", "story", "author", "reader", "school", "teacher", "student"),
    *("doctor", "weather", "rain", "snow", "wind", "summer", "winter", "spring", "autumn", "holiday", "weekend", "journey"),
    *("engine", "wheel", "battery", "screen", "keyboard", "printer", "cable", "router", "signal", "picture", "video", "sound"),
)


def texts(data: Path | None, seed: int = 0) -> dict[str, list[str]]:
    """The pieces: {"system", "first", "second", "reply"}.

    Args:
        data: a folder with JSONL files of {"messages", "response"}; None, or a folder without any, for made-up ones.
        seed: of what is made up.
    """
    sentences = made_up(random.Random(seed))
    found = real(data)
    asked, answered = (cycle(found[0]), cycle(found[1])) if found else (sentences, sentences)
    return {
        "system": [filled(sentences, SYSTEM_LENGTH) for _ in range(SYSTEMS)],
        "first": [filled(asked, HALF_LENGTH) for _ in range(FIRST_HALVES)],
        "second": [filled(asked, HALF_LENGTH) for _ in range(SECOND_HALVES)],
        "reply": [filled(answered, REPLY_LENGTH) for _ in range(REPLIES)],
    }


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
                if len(answered) >= 10 * REPLIES:
                    break
    asked = [text for text in asked if text]
    return (asked, answered) if asked and answered else None
