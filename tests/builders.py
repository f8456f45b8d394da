"""Records to test with: every argument has a default, so that a test shows only what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from continuum.records import Example, Interaction, Message

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def user(text: str) -> Message:
    """A user's message."""
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    """A model's answer."""
    return Message(role="assistant", content=text)


def an_interaction(question: str = "Where is my order?", answer: str = "It arrives on Monday.", **fields: Any) -> Interaction:
    """An answered question of the task `support`."""
    values = {
        "task": "support",
        "messages": (user(question),),
        "response": assistant(answer),
        "model": "gpt-4",
        "started_at": NOON,
    }
    return Interaction(**(values | fields))


def interactions(count: int, **fields: Any) -> list[Interaction]:
    """Different questions, each in its own conversation, a minute apart."""
    return [
        an_interaction(
            f"Question number {n}: how long does parcel {n * 7} take to town {n * 13}?",
            f"Parcel {n * 7} takes {n % 9 + 1} days.",
            **{"conversation_id": f"conversation-{n}", "started_at": NOON + timedelta(minutes=n)} | fields,
        )
        for n in range(count)
    ]


def an_example(question: str = "Where is my order?", answer: str = "It arrives on Monday.", **fields: Any) -> Example:
    """A training example with the judge's score of 5."""
    values = {
        "interaction_id": question,
        "messages": (user(question),),
        "response": assistant(answer),
        "score": 5.0,
        "score_source": "judge",
        "group": question,
        "reason": "made for a test",
    }
    return Example(**(values | fields))


def safetensors_bytes(content: bytes) -> bytes:
    """The bytes of a safetensors file that holds one tensor with these bytes."""
    header = b'{"weight":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(content), len(content))
    return len(header).to_bytes(8, "little") + header + content
