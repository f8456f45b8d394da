"""What a text does to a judge who reads it: hidden characters, the frames of chats, words to the judge, no words at all."""

import re
import unicodedata
from collections.abc import Sequence

from continuum.judging.openers import EMPTY_FRAMES, only_announces
from continuum.records import Message

TEMPLATE_TOKENS = re.compile(r"<\|[^|<>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>")
"""Marks that frame the turns in the chat templates of common models."""
# C0 and C1 controls but tab and newline, soft hyphen, zero-width characters, bidirectional marks and overrides, the tag block.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
SURROGATES = re.compile("[\ud800-\udfff]")

ADDRESSED_TO_A_JUDGE = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|rubrics?|criteria|guidelines)\b",
        r"\b(?:score|rate|grade|mark|give|award|assign)\b.{0,30}\b(?:this|the|my) (?:answer|response|reply)\b"
        r".{0,60}\b(?:[45]|four|five|full|maximum|max|highest|top|perfect)\b",
        r"\b(?:dear|attention|note (?:to|for)|message (?:to|for)|hello|hey)\W+(?:the |all )?"
        r"(?:judge|grader|evaluator|annotator)s?\b",
        r"\b(?:the|this|as an?) (?:judge|grader|evaluator|annotator|llm judge) (?:must|should|shall|will|has to|is to)\b",
        r"\[\[\s*[1-5](?:\.0)?\s*\]\]",
        r"[\"'](?:score|rating|grade)[\"']\s*:\s*[\"']?[1-5]\b",
    )
)


def suspicious(conversation: Sequence[Message], response: Message) -> bool:
    """Whether something in the content talks to a judge, or imitates the frame of a chat; the application's own prompt may."""
    spoken = [message for message in (*conversation, response) if message.role not in {"system", "developer"}]
    texts = [HIDDEN.sub("", message.text) for message in spoken]
    texts += [call.function.arguments for message in spoken for call in message.tool_calls or ()]
    return any(TEMPLATE_TOKENS.search(text) or any(p.search(text) for p in ADDRESSED_TO_A_JUDGE) for text in texts)


def degenerate(response: Message, conversation: Sequence[Message] = ()) -> str | None:
    """Why there is nothing in an answer that could be judged; None where there is something.

    A tool call is an answer, and so is "Yes.", "42" or an emoji.

    Args:
        response: the answer.
        conversation: what it answers: a lone "Solution" is an answer where a word was asked for.
    """
    if response.tool_calls:
        return None
    text = cleaned(response.text)
    if not text.strip():
        return "empty"
    if not any(c.isalnum() or unicodedata.category(c) == "So" for c in EMPTY_FRAMES.sub("", text)):
        return "punctuation only"
    asked = next((message.text for message in reversed(conversation) if message.role == "user"), "")
    return "an opener only" if only_announces(text, asked) else None


def has_content(response: Message | None, conversation: Sequence[Message] = ()) -> bool:
    """Whether there is an answer that could be judged."""
    return response is not None and degenerate(response, conversation) is None


def cleaned(text: str) -> str:
    """The text without hidden characters, template marks, and what no JSON or database takes."""
    # A space in place of a mark: without one, what is left could close up to a new mark.
    return TEMPLATE_TOKENS.sub(" ", SURROGATES.sub("\N{REPLACEMENT CHARACTER}", HIDDEN.sub("", text)))
