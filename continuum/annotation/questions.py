"""An interaction as a person is shown it: who said what, what was called, and nothing that the text hides or does to a screen.

Captured text is hostile. Characters that steer a terminal, turn the direction of writing round or cannot be seen are shown by
their number; what the judge said, why an interaction was chosen and which model answered is told after the vote.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from continuum.records import Annotation, Interaction, Message, Review

UNSEEN = re.compile(
    # Controls but tab and newline, bidirectional overrides and isolates, zero-width marks, the tag block, lone surrogates. The
    # joiners and the plain marks of direction stay: emoji, Persian and Hebrew are written with them.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
BREAKS = re.compile("\r\n?|[\u2028\u2029]")


@dataclass(frozen=True)
class ShownCall:
    """A tool call."""

    name: str
    arguments: str
    """Indented JSON; as the model wrote it where that is none."""


@dataclass(frozen=True)
class ShownMessage:
    """A message."""

    role: str
    name: str
    """Who speaks, or which tool, where the message says it."""
    text: str
    calls: tuple[ShownCall, ...]


@dataclass(frozen=True)
class Question:
    """What a person is asked about."""

    review_id: str
    queue: Literal["audit", "useful", "anchor", "golden", "referred"]
    asked_at: datetime
    """When the interaction began."""
    conversation: tuple[ShownMessage, ...]
    answer: ShownMessage | None
    """None where the call ended without one."""
    editable: str
    """The words of the answer, to be corrected in place: without what cannot be seen."""


@dataclass(frozen=True)
class JudgeOpinion:
    """What a judge said, shown after the vote."""

    judge: str
    overall: float | None
    note: str
    """Why there is no overall score; empty where there is one."""
    scores: tuple[tuple[str, float, str], ...]
    """Criterion, score and reason."""


NOTES = {
    "unparseable": "its answer could not be read",
    "suspected_injection": "something in the text talks to the judge, so what it gave does not count",
    "not_applicable": "none of the criteria applies",
}


def visible(text: str) -> str:
    """The text with everything in it that cannot be seen, or does something to a screen, shown as its number."""
    return UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", BREAKS.sub("\n", text))


def editable(text: str) -> str:
    """The text without what cannot be seen."""
    return UNSEEN.sub("", BREAKS.sub("\n", text))


def question_of(review: Review, interaction: Interaction) -> Question:
    """The question that a review asks."""
    answer = interaction.response
    return Question(
        review_id=review.id,
        queue=review.queue,
        asked_at=interaction.started_at,
        conversation=tuple(map(shown_message, interaction.messages)),
        answer=None if answer is None else shown_message(answer),
        editable="" if answer is None else editable(answer.text),
    )


def shown_message(message: Message) -> ShownMessage:
    """A message as it is shown."""
    extra = message.model_extra or {}
    name = extra.get("name")
    text = "\n".join(_texts(message, extra))
    return ShownMessage(
        role=visible(message.role),
        name=visible(name) if isinstance(name, str) else "",
        # What a tool answers is mostly JSON.
        text=visible(pretty(text) if message.role == "tool" and text.lstrip().startswith(("{", "[")) else text),
        calls=tuple(
            ShownCall(visible(call.function.name), visible(pretty(call.function.arguments))) for call in message.tool_calls or ()
        ),
    )


def pretty(arguments: str) -> str:
    """JSON, indented; text that is not JSON as it is."""
    try:
        return json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


def opinion_of(annotation: Annotation) -> JudgeOpinion:
    """What a judge said, as it is shown."""
    names = sorted(annotation.scores.keys() | annotation.reasons.keys())
    return JudgeOpinion(
        judge=visible(annotation.judge),
        overall=annotation.overall,
        note=NOTES.get(annotation.status, ""),
        scores=tuple(
            (visible(name), annotation.scores[name], visible(annotation.reasons.get(name, "")))
            for name in names
            if name in annotation.scores
        ),
    )


def _texts(message: Message, extra: dict[str, Any]) -> Iterable[str]:
    """What is said, with a word for each part that is no text: images are never fetched."""
    if isinstance(message.content, list):
        for part in message.content:
            text = part.get("text")
            yield text if isinstance(text, str) else f"[{part.get('type', 'a part')!s:.40}]"
    elif message.content:
        yield message.content
    refusal = extra.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield refusal
