"""A support bot: it answers questions on stdin, remembers the conversation, and takes a verdict on its last answer."""

import os
import sys
from collections.abc import Iterable
from uuid import uuid4

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

import continuum
from continuum import feedback, interaction

MODEL = os.environ.get("SUPPORT_BOT_MODEL", "gpt-4o-mini")
HOUSE_RULES = "You answer for a parcel service. Be brief, and say when you do not know."


def talk(client: OpenAI, lines: Iterable[str]) -> None:
    """Answer each line; `+`, `-` and `=TEXT` are verdicts on the answer before them."""
    said: list[ChatCompletionMessageParam] = [{"role": "system", "content": HOUSE_RULES}]
    for line in map(str.strip, lines):
        if line in ("+", "-"):
            feedback.record_sync(interaction.id, score=5 if line == "+" else 1)
        elif line.startswith("="):
            feedback.record_sync(interaction.id, correction=line[1:].strip())
        elif line:
            said.append({"role": "user", "content": line})
            answer = client.chat.completions.create(model=MODEL, messages=said).choices[0].message.content or ""
            said.append({"role": "assistant", "content": answer})
            print(f"bot: {answer}", flush=True)


def main() -> None:
    """One conversation, until the input ends."""
    continuum.instrument_openai(task="support")
    with continuum.context(conversation_id=uuid4(), user_id=os.environ.get("USER", "guest")):
        talk(OpenAI(), sys.stdin)


if __name__ == "__main__":
    main()
