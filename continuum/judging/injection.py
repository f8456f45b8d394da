"""What a text does to a judge who reads it: hidden characters, the frames of chats, words to the judge, no words at all."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from continuum.judging.concepts import concepts_in, folded
from continuum.judging.frames import TEMPLATE_TOKENS, forged_frame, forged_verdict
from continuum.judging.obfuscation import readings
from continuum.judging.openers import EMPTY_FRAMES, only_announces
from continuum.judging.telltales import ASKS_FOR_A_GRADE, ENOUGH, NAMES_THE_GRADE, Findings, stand_together, telltales_in, total
from continuum.records import Message

# C0 and C1 controls but tab and newline, soft hyphen, zero-width characters, bidirectional marks and overrides, the tag block.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
SURROGATES = re.compile("[\ud800-\udfff]")

DECODED_IS = 2.0
"""Points that are enough in what had to be decoded: ordinary text has no reason to hide so much."""
LONGEST = 40_000
"""Characters of a text that are read, half from each end; a judge reads fewer."""


def suspicious(conversation: Sequence[Message], response: Message) -> bool:
    """Whether something in the content talks to a judge, or imitates the frame of a chat; the application's own prompt may."""
    return bool(suspicion(conversation, response))


def suspicion(conversation: Sequence[Message], response: Message) -> tuple[str, ...]:
    """What in the content talks to a judge or imitates the frame of a chat, by name; empty where nothing does.

    The application's own prompt may do either. Where it, or the user, asks for something to be graded, scores are what the
    conversation is about: then only what addresses a judge, sets rules aside or forges a frame counts.
    """
    explained = about_grading(conversation)
    found: dict[str, None] = {}
    for message in (*conversation, response):
        if message.role in {"system", "developer"}:
            continue
        spoken = message.role != "tool"
        texts = [(message.text, spoken)] + [(call.function.arguments, False) for call in message.tool_calls or ()]
        for text, said in texts:
            found |= dict.fromkeys(_found_in(text, said, explained))
    return tuple(found)


def _found_in(text: str, spoken: bool, explained: bool) -> tuple[str, ...]:
    if not text or text.isspace():
        return ()
    if len(text) > LONGEST:
        text = text[: LONGEST // 2] + "\n" + text[-LONGEST // 2 :]
    whole, telling = _judged(text, spoken)
    names = names_of(whole, explained=explained)
    for how, found in telling:
        if how not in names and names_of(found, explained=explained, enough=DECODED_IS):
            names += (how,)
    return names


@lru_cache(maxsize=2048)
def _judged(text: str, spoken: bool) -> tuple[Findings, tuple[tuple[str, Findings], ...]]:
    # Conversations share their beginnings, and a jury reads the same content more than once.
    shown = HIDDEN.sub("", text)
    whole = _findings(shown, spoken)
    points = total(whole)
    hidden = []
    for reading in readings(text):
        found = _findings(reading.text, spoken)
        # What is only another spelling holds the whole text: it must say more than the text did.
        if total(found) >= points + DECODED_IS:
            hidden.append((reading.how, found))
    return whole, tuple(hidden)


def _findings(text: str, spoken: bool) -> Findings:
    found = telltales_in(concepts_in(folded(text)))
    if points := forged_frame(text):
        found["forges a frame"] = (points, True)
    if points := forged_verdict(text, spoken=spoken):
        found["forges a verdict"] = (points, False)
    return found


def names_of(found: Findings, *, explained: bool, enough: float = ENOUGH) -> tuple[str, ...]:
    counted = {name: points for name, (points, hard) in found.items() if points > 0 and (hard or not explained)}
    return tuple(counted) if sum(counted.values()) >= enough else ()


def about_grading(conversation: Sequence[Message]) -> bool:
    """Whether the application's prompt or the user asks for something to be graded, and does not say with which score."""
    for message in conversation:
        if message.role not in {"system", "developer", "user"}:
            continue
        concepts = concepts_in(folded(message.text[:LONGEST]))
        if message.role == "user":
            if stand_together(ASKS_FOR_A_GRADE, concepts) and not stand_together(NAMES_THE_GRADE, concepts):
                return True
        elif stand_together(ASKS_FOR_A_GRADE, concepts):
            return True
    return False


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
