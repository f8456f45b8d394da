"""What can be counted about an answer and what came before it: the measured half of what a proxy judge goes by.

Nothing here knows an application. An answer is long or short, repeats itself or its question, speaks of what was said or of
something else, calls a tool with values that somebody gave or that it made up. People's verdicts say which of it matters.
"""

import json
import re
from collections.abc import Iterable, Sequence
from math import log1p

from continuum.constitution.checks import REFUSAL
from continuum.records import Message, ToolCall
from continuum.similarity.normalise import INSTRUCTIONS, canonical

FEATURE_VERSION = 1
"""Grows with every change of what is counted: weights of another version fit nothing here."""

MESSAGES_READ = 80
"""An answer is compared with this many messages before it."""
CHARACTERS_READ = 4_000
"""Of each message."""
VALUES_READ = 100
"""Of each JSON text."""

WORD = re.compile(r"\w+(?:['’]\w+)?")
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
NAME = re.compile(r"(?<=[a-z,;:] )[A-Z]\w+")
HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|might|not sure|unsure|i think|i believe|it seems|as far as i|i guess)\b", re.IGNORECASE
)
APOLOGY = re.compile(r"\b(?:sorry|apologi[sz]e|apologies|unfortunately|i'm afraid)\b", re.IGNORECASE)
NOTHING_FOUND = re.compile(
    r"\b(?:no|not|none|nothing|never|empty|error|errors|fail|fails|failed|failure|invalid|unknown|unavailable|missing|null|denied)\b",
    re.IGNORECASE,
)
OBJECTION = re.compile(
    r"^\W*(?:no|nope|not|that's not|that is not|wrong|incorrect|actually|but|i said|i meant|i already)\b", re.IGNORECASE
)
COMMON = frozenset(
    WORD.findall(
        "a an and are as at be but by can do for from has have he her his how i if in is it its me my no not of on or our she so "
        "that the their them there they this to was we were what when where which who will with would yes you your"
    )
)
"""Words that any two texts share."""


class Reading:
    """One message, read once."""

    def __init__(self, message: Message) -> None:
        self.role = message.role
        self.text = message.text[:CHARACTERS_READ]
        self.line = canonical(self.text)
        self.calls = message.tool_calls or ()
        self.actions = frozenset(map(_action, self.calls))
        self.names = frozenset(call.function.name for call in self.calls)
        spoken = self.text + " " + " ".join(call.function.arguments[:CHARACTERS_READ] for call in self.calls)
        self.words = frozenset(word for word in WORD.findall(canonical(spoken)) if word not in COMMON)
        self.numbers = frozenset(NUMBER.findall(spoken))


def measured(conversation: Sequence[Message], response: Message) -> dict[str, float]:
    """What was counted, by name; always the same names in the same order."""
    spoken = [message for message in conversation if message.role not in INSTRUCTIONS][-MESSAGES_READ:]
    before, answer = [Reading(message) for message in spoken], Reading(response)
    return {**_place(before), **_form(answer), **_ties(before, answer), **_calls(before, answer), **_repeats(before, answer)}


def question_text(conversation: Sequence[Message]) -> str:
    """What the answer answers: what was said last, the user's last words before it."""
    spoken = [message for message in conversation if message.role not in INSTRUCTIONS][-MESSAGES_READ:]
    user = next((message for message in reversed(spoken) if message.role == "user"), None)
    ends = [message for message in (user, spoken[-1] if spoken else None) if message is not None]
    return "\n".join(dict.fromkeys(f"{message.role}: {canonical(message.action[:CHARACTERS_READ])}" for message in ends))


def answer_text(response: Message) -> str:
    """What the answer does, as it is compared."""
    return canonical(response.action[:CHARACTERS_READ])


def _place(before: Sequence[Reading]) -> dict[str, float]:
    """Where in a conversation the answer stands, and how that conversation goes."""
    last = before[-1] if before else None
    users = [message for message in before if message.role == "user"]
    results = [message for message in before if message.role == "tool"]
    since_user = next((n for n, message in enumerate(reversed(before)) if message.role == "user"), len(before))
    return {
        "messages": log1p(len(before)),
        "user_turns": log1p(len(users)),
        "tool_results": log1p(len(results)),
        "since_user": log1p(since_user),
        "answers_user": float(last is not None and last.role == "user"),
        "answers_tool": float(last is not None and last.role == "tool"),
        "last_words": log1p(len(last.words)) if last else 0.0,
        "last_found_nothing": float(last is not None and last.role == "tool" and _is_empty(last)),
        "results_found_nothing": _share([_is_empty(result) for result in results]),
        "user_asks": float(bool(users) and "?" in users[-1].text),
        "user_objects": float(bool(users) and OBJECTION.search(users[-1].text) is not None),
        "objections": _share([OBJECTION.search(user.text) is not None for user in users]),
        "user_repeats": max((_overlap(users[-1].words, user.words) for user in users[:-1]), default=0.0),
    }


def _form(answer: Reading) -> dict[str, float]:
    """The answer by itself."""
    text = answer.text
    return {
        "text_length": log1p(len(text)),
        "text_words": log1p(len(WORD.findall(text))),
        "text_lines": log1p(text.count("\n")),
        "asks": float("?" in text),
        "ends_asking": float(text.rstrip().endswith("?")),
        "exclaims": float("!" in text),
        "refuses": float(REFUSAL.search(text) is not None),
        "hedges": float(HEDGE.search(text) is not None),
        "apologises": float(APOLOGY.search(text) is not None),
        "denies": float(NOTHING_FOUND.search(text) is not None),
        "looks_like_json": float(text.lstrip()[:1] in {"{", "["}),
        "numbers": log1p(len(answer.numbers)),
        "variety": len(answer.words) / max(1, len(WORD.findall(text))),
    }


def _ties(before: Sequence[Reading], answer: Reading) -> dict[str, float]:
    """How far the answer speaks of what was said: by the user, by the tools, by anybody."""
    user = next((message for message in reversed(before) if message.role == "user"), None)
    result = next((message for message in reversed(before) if message.role == "tool"), None)
    fresh = before[-1].words if before else frozenset()
    said = frozenset().union(*(message.words for message in before))
    numbers = frozenset().union(*(message.numbers for message in before))
    names = {name.casefold() for name in NAME.findall(answer.text)}
    return {
        "of_user": _covered(answer.words, user.words if user else frozenset()),
        "user_taken_up": _covered(user.words if user else frozenset(), answer.words),
        "of_result": _covered(answer.words, result.words if result else frozenset()),
        "result_taken_up": _covered(result.words if result else frozenset(), answer.words),
        "of_last": _covered(answer.words, fresh),
        "last_taken_up": _covered(fresh, answer.words),
        "of_anything": _covered(answer.words, said),
        "new_words": log1p(len(answer.words - said)),
        "numbers_known": _covered(answer.numbers, numbers, empty=1.0),
        "numbers_of_last": _covered(answer.numbers, before[-1].numbers if before else frozenset(), empty=1.0),
        "names_known": _covered(frozenset(names), said, empty=1.0),
    }


def _calls(before: Sequence[Reading], answer: Reading) -> dict[str, float]:
    """The tool calls of the answer: whether they can be read, what their values come from, whether they were made before."""
    arguments = [_arguments(call) for call in answer.calls]
    values = [value for found in arguments for value in _values(found)][:VALUES_READ]
    earlier = [message for message in before if message.calls]
    lines = {role: "\n".join(m.line for m in before if m.role == role) for role in ("user", "tool", "assistant")}
    used = "\n".join(canonical(call.function.arguments[:CHARACTERS_READ]) for message in earlier for call in message.calls)
    last = before[-1].line if before else ""
    same = [message for message in earlier if message.names & answer.names]
    return {
        "calls": float(len(answer.calls)),
        "calls_and_speaks": float(bool(answer.calls) and bool(answer.line)),
        "unreadable": float(any(found is None for found in arguments)),
        "arguments": log1p(len(values)),
        "values_of_user": _share([value in lines["user"] for value in values]),
        "values_of_tool": _share([value in lines["tool"] for value in values]),
        "values_of_assistant": _share([value in lines["assistant"] for value in values]),
        "values_of_last": _share([bool(last) and value in last for value in values]),
        "values_used": _share([value in used for value in values]),
        "values_invented": _share([not any(value in line for line in (*lines.values(), used)) for value in values]),
        "tool_known": float(bool(same)),
        "tool_used": log1p(len(same)),
        "call_repeated": float(any(message.actions & answer.actions for message in earlier)),
        "last_call_repeated": float(bool(earlier) and bool(earlier[-1].actions & answer.actions)),
        "same_tool_again": float(bool(earlier) and bool(earlier[-1].names & answer.names)),
        "speaks_after_result": float(bool(before) and before[-1].role == "tool" and not answer.calls),
        "calls_after_result": float(bool(before) and before[-1].role == "tool" and bool(answer.calls)),
        "calls_after_user": float(bool(before) and before[-1].role == "user" and bool(answer.calls)),
    }


def _repeats(before: Sequence[Reading], answer: Reading) -> dict[str, float]:
    """Whether the answer was given before, in these words or others."""
    own = [message for message in before if message.role == "assistant" and message.line]
    nearest = max((_overlap(answer.words, message.words) for message in own), default=0.0) if answer.line else 0.0
    asked = [message for message in own if message.line.endswith("?")]
    return {
        "said_before": float(bool(answer.line) and any(message.line == answer.line for message in own)),
        "like_before": nearest,
        "like_last": _overlap(answer.words, own[-1].words) if own and answer.line else 0.0,
        "asked_before": max((_overlap(answer.words, m.words) for m in asked), default=0.0) if answer.line.endswith("?") else 0.0,
    }


def _action(call: ToolCall) -> str:
    return f"{call.function.name}({canonical(call.function.arguments[:CHARACTERS_READ])})"


def _arguments(call: ToolCall) -> object:
    try:
        return json.loads(call.function.arguments)
    except (ValueError, RecursionError):
        return None


def _values(found: object) -> Iterable[str]:
    if isinstance(found, dict):
        for value in found.values():
            yield from _values(value)
    elif isinstance(found, list):
        for value in found:
            yield from _values(value)
    elif found is not None:
        yield canonical(str(found))


def _is_empty(result: Reading) -> bool:
    return len(result.words) < 2 or NOTHING_FOUND.search(result.text[:200]) is not None


def _share(marks: Sequence[bool]) -> float:
    return sum(marks) / len(marks) if marks else 0.0


def _covered(these: frozenset[str], by: frozenset[str], *, empty: float = 0.0) -> float:
    return len(these & by) / len(these) if these else empty


def _overlap(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right) if left and right else 0.0
