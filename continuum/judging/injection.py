"""What a text does to a judge who reads it: hidden characters, the frames of chats, words to the judge, no words at all."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from continuum.judging.concepts import folded, near, passages
from continuum.judging.frames import TEMPLATE_TOKENS
from continuum.judging.obfuscation import readings
from continuum.judging.openers import EMPTY_FRAMES, only_announces
from continuum.judging.telltales import Weighed, weigh
from continuum.records import Message

# C0 and C1 controls but tab and newline, soft hyphen, zero-width characters, bidirectional marks and overrides, the tag block.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
SURROGATES = re.compile("[\ud800-\udfff]")

EXPLAINED = 4.0
"""What a text must score where the conversation is about grading; 0 elsewhere."""
EARLIER = 1.0
"""What a message before the answer must score more: there are many of them, and a judge is not asked about them."""
DATA = 4.0
"""What the arguments and the result of a tool must score more: fields with scores and reasons are at home in them."""
MORE = 2.0
"""By how much a disguised text must sound more suspicious read rightly than as it stands."""
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
            needed = EXPLAINED * explained + EARLIER * (message is not response) + DATA * (not said)
            found |= dict.fromkeys(_found_in(text, said, needed))
    return tuple(found)


SETS_ASIDE = re.compile(
    r"\b(?:ignor\w+|disregard\w*|forget|override|bypass|discard) "
    r"(?:all |any |every |each )?(?:of )?(?:the |your |my |these |those )?"
    r"(?:rubrics?|(?:previous|prior|above|earlier|preceding|foregoing|original|other|existing|system|grading|scoring|judging) "
    r"(?:\w+ )?(?:instructions?|prompts?|rules|guidelines?|directives?|criteria|rubrics?))\b",
    re.IGNORECASE,
)
"""The plainest of all attacks, which is one without a word about scores, too."""


def _found_in(text: str, spoken: bool, needed: float) -> tuple[str, ...]:
    if not text or text.isspace():
        return ()
    if len(text) > LONGEST:
        text = text[: LONGEST // 2] + "\n" + text[-LONGEST // 2 :]
    plain, hidden = _weighed(text, spoken)
    names = _names(plain, needed) + (("sets rules aside",) if spoken and SETS_ASIDE.search(" ".join(text.split())) else ())
    # What is only another spelling holds the whole text: it must say more than the text did.
    return names + tuple(how for how, found in hidden if found.score > max(needed, plain.score + MORE) or found.frame >= 3)


def _names(found: Weighed, needed: float) -> tuple[str, ...]:
    names = ("forged frame",) if found.frame >= 3 else ()
    if found.score > needed:
        names += ("forged verdict",) if found.verdict >= 3 else ("talks to a judge",)
    return names


@lru_cache(maxsize=2048)
def _weighed(text: str, spoken: bool) -> tuple[Weighed, tuple[tuple[str, Weighed], ...]]:
    # Conversations share their beginnings, and a jury reads the same content more than once.
    plain = weigh(HIDDEN.sub("", text), spoken=spoken)
    hidden = {reading.how: weigh(reading.text, spoken=spoken) for reading in readings(text)}
    return plain, tuple(hidden.items())


def about_grading(conversation: Sequence[Message]) -> bool:
    """Whether the application's prompt or the user asks for something to be graded, and does not say with which score."""
    for message in conversation:
        if message.role in {"system", "developer", "user"}:
            for passage in passages(folded(message.text[:LONGEST])):
                asked = near(passage, "score", ("answer", "work", "rubric", "range"), 6)
                named = near(passage, "score", ("top", "topnumber"), 7) or near(passage, "grader", ("top", "topnumber"), 9)
                if asked and (message.role != "user" or not named):
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
    text = TEMPLATE_TOKENS.sub(" ", SURROGATES.sub("\N{REPLACEMENT CHARACTER}", HIDDEN.sub("", text)))
    # One mark inside another: what is left of both may be a mark again, and no mark begins with a space.
    return re.sub(r"[<\[]", r"\g<0> ", text) if TEMPLATE_TOKENS.search(text) else text
