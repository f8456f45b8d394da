"""Conversations as the text a language model reads, and what it writes as a message.

Tool calls travel in the Hermes form, `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, which Hermes, Qwen and many
other open models share. A tokenizer brings its own chat template; the one here belongs to the models that are built from scratch.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from continuum.errors import ConfigurationError
from continuum.records import FunctionCall, Message, ToolCall

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Turn = tuple[Sequence[Message], Message]
"""A conversation and the answer to it."""

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("system", "user", "assistant", "tool")
SPECIAL_TOKENS = (PAD, END, *(f"<|{role}|>" for role in ROLES))
CALL_MARKS = ("<tool_call>", "</tool_call>")

# Every message is its role's token, its words and the end token, so the tokens of a prompt are always a prefix of the tokens
# of the prompt with its answer. The generation marks tell other trainers which tokens are the assistant's.
CHAT_TEMPLATE = """
{%- for message in messages -%}
<|{{ message['role'] }}|>
{%- if message['role'] == 'assistant' -%}
{%- generation -%}
{{ message['content'] }}
{%- for call in message['tool_calls'] or [] -%}
<tool_call>{{ call['function'] | tojson }}</tool_call>
{%- endfor -%}
<|end|>
{%- endgeneration -%}
{%- else -%}
{{ message['content'] }}<|end|>
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
""".strip()

OTHER_ROLES = {"developer": "system", "function": "tool"}
CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
IGNORED = -100
"""The label of a token that no loss is taken on."""


@dataclass(frozen=True)
class EncodedTurn:
    """A conversation with its answer as token ids; labels are -100 everywhere but on the answer."""

    input_ids: list[int]
    labels: list[int]


def render(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], *, answer_next: bool) -> str:
    """The conversation as text; `answer_next` ends it where the assistant is to speak.

    Raises:
        ConfigurationError: the tokenizer has no chat template, or its template refuses the conversation.
    """
    if not tokenizer.chat_template:
        raise ConfigurationError(
            f"the tokenizer of {tokenizer.name_or_path!r} has no chat template; use an instruction-tuned base model"
        )
    control = control_tokens(tokenizer)
    plain = [as_template_message(message, control) for message in messages]
    try:
        return str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=answer_next))
    except Exception as error:
        # Templates refuse what their model was not trained on, such as an assistant who speaks first.
        if type(error).__module__.partition(".")[0] != "jinja2":
            raise
        roles = " ".join(message["role"] for message in plain)
        raise ConfigurationError(
            f"the chat template of {tokenizer.name_or_path!r} refuses a conversation of the roles {roles}: {error}"
        ) from error


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    """The tokens that steer the model and that nobody may write into a message, longest first."""
    tokens = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return tuple(sorted(tokens, key=lambda token: (-len(token), token)))


def as_template_message(message: Message, control: Iterable[str] = ()) -> dict[str, Any]:
    """A message as chat templates take it: words as one string, arguments of tool calls as objects."""
    role = message.role if message.role in ROLES else OTHER_ROLES.get(message.role, "user")
    fields: dict[str, Any] = {"role": role, "content": defused(message.text, control)}
    if message.tool_calls:
        fields["tool_calls"] = [_template_call(call, control) for call in message.tool_calls]
    if message.tool_call_id:
        fields["tool_call_id"] = defused(message.tool_call_id, control)
    return fields


def defused(text: str, control: Iterable[str]) -> str:
    """The text with a space inside every control token, so that words of a message stay words."""
    for token in control:
        if token and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def encode_prompts(
    tokenizer: "PreTrainedTokenizerBase", conversations: Iterable[Sequence[Message]], limit: int | None = None
) -> list[list[int]]:
    """Each conversation as token ids that end where the answer begins; only the last `limit` tokens are kept."""
    texts = [render(tokenizer, messages, answer_next=True) for messages in conversations]
    return [ids[-limit:] if limit else ids for ids in encode_texts(tokenizer, texts)]


def encode_turns(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn], limit: int | None = None) -> list[EncodedTurn]:
    """Each conversation with its answer; a longer one keeps its last `limit` tokens."""
    prompts = encode_prompts(tokenizer, (messages for messages, _ in turns))
    whole = encode_texts(tokenizer, [render(tokenizer, (*messages, response), answer_next=False) for messages, response in turns])
    end = tokenizer.eos_token_id if isinstance(tokenizer.eos_token_id, int) else None
    return [_encoded(prompt, ids, end, limit) for prompt, ids in zip(prompts, whole, strict=True)]


def encode_texts(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str]) -> list[list[int]]:
    """Texts as token ids, with nothing added: a chat template has put its own marks in."""
    if not texts:
        return []
    # A tokenizer refuses half a surrogate pair, which captured text may hold.
    whole = [text.encode("utf-8", "replace").decode() for text in texts]
    # Not verbose: a text longer than the model reads is cut by whoever asked, and is nothing to warn of.
    return tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"]  # pyright: ignore[reportReturnType]


def parse_answer(text: str) -> Message:
    """The message that a model's text stands for; a call that is not well formed stays words."""
    calls: list[ToolCall] = []
    words: list[str] = []
    end = 0
    for found in CALL.finditer(text):
        call = _parsed_call(found[1], len(calls))
        if call is not None:
            calls.append(call)
            words.append(text[end : found.start()])
            end = found.end()
    content = "".join([*words, text[end:]]).strip()
    return Message(role="assistant", content=None if calls and not content else content, tool_calls=tuple(calls) or None)


def _template_call(call: ToolCall, control: Iterable[str]) -> dict[str, Any]:
    arguments = defused(call.function.arguments, control)
    try:
        parsed = json.loads(arguments)
    except ValueError:
        parsed = arguments
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": defused(call.function.name, control), "arguments": parsed},
    }


def _encoded(prompt: list[int], whole: list[int], end: int | None, limit: int | None) -> EncodedTurn:
    # Some templates write the prompt alone in other words than the prompt with its answer: the answer starts where they part.
    start = next((n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), min(len(prompt), len(whole)))
    answer = whole[start:]
    if end is not None:
        # What a template writes after the end token is the next message's business; without one the model would never stop.
        last = next((n for n in range(len(answer) - 1, -1, -1) if answer[n] == end), None)
        answer = [*answer, end] if last is None else answer[: last + 1]
    ids = [*whole[:start], *answer]
    labels = [IGNORED] * start + answer
    return EncodedTurn(ids[-limit:], labels[-limit:]) if limit else EncodedTurn(ids, labels)


def _parsed_call(text: str, index: int) -> ToolCall | None:
    try:
        call = json.loads(text)
        arguments = call.get("arguments", {})
        if not isinstance(call["name"], str):
            return None
    except (ValueError, KeyError, RecursionError):
        return None
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=f"call_{index}", function=FunctionCall(name=call["name"], arguments=written))
