"""The calls that every subject makes: a conversation of about 1.5 KB goes in, an answer of about 0.5 KB comes out.

Each call carries a token of its own, by which it is found again at the other end, whoever carried it there.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TOKEN = r"call-[0-9a-f]{6}-\d{7}"  # noqa: S105  a pattern, not a password


class Calls:
    """Makes the messages of the n-th call and the answer to them, from texts that repeat only after some hundred calls.

    Args:
        file: JSON list of {"system", "user", "reply"}.
        run: six hexadecimal digits that no other run has.
    """

    def __init__(self, file: str, run: str) -> None:
        self._texts = [(text["system"], text["user"], text["reply"]) for text in json.loads(Path(file).read_text("utf-8"))]
        self._run = run
        self._made = 0

    def next(self) -> tuple[str, list[dict[str, str]]]:
        """The token of the next call, and its messages."""
        token = f"call-{self._run}-{self._made:07d}"
        system, user, _ = self._texts[self._made % len(self._texts)]
        self._made += 1
        return token, [{"role": "system", "content": system}, {"role": "user", "content": f"{token} {user}"}]

    def functions(self) -> tuple[Callable[[Any], str], Callable[[Any], Awaitable[str]]]:
        """The function to capture, plain and asynchronous; it stands for the call of a model, and takes no time."""
        replies = [reply for _, _, reply in self._texts]

        def answer(messages: Any) -> str:
            return replies[int(messages[1]["content"][12:19]) % len(replies)]

        async def answer_later(messages: Any) -> str:
            return replies[int(messages[1]["content"][12:19]) % len(replies)]

        return answer, answer_later
