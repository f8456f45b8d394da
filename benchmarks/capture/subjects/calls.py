"""The calls that every subject makes: a conversation of about 1.5 KB goes in, an answer of about 0.5 KB comes out.

Each call carries a token of its own, by which it is found again at the other end, whoever carried it there.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

TOKEN = r"call-[0-9a-f]{6}-\d{7}"  # noqa: S105  a pattern, not a password


class Said:
    """What is said in the n-th call, put together from pieces.

    Args:
        file: JSON object of the lists "system", "first", "second" and "reply".
    """

    def __init__(self, file: str) -> None:
        pieces = json.loads(Path(file).read_text("utf-8"))
        self._system, self._first, self._second, self._reply = (pieces[name] for name in ("system", "first", "second", "reply"))

    def system(self, number: int) -> str:
        """What the system prompt says."""
        return self._system[number % len(self._system)]

    def user(self, token: str, number: int) -> str:
        """What the user says."""
        return f"{token} {self._first[number % len(self._first)]} {self._second[number % len(self._second)]}"

    def reply(self, number: int) -> str:
        """What is answered."""
        return self._reply[number % len(self._reply)]


class Calls:
    """Makes the messages of one call after the other.

    Args:
        file: of what is said.
        run: six hexadecimal digits that no other run has.
    """

    def __init__(self, file: str, run: str) -> None:
        self._said = Said(file)
        self._run = run
        self._made = 0

    def next(self) -> tuple[str, list[dict[str, str]]]:
        """The token of the next call, and its messages."""
        number = self._made
        token = f"call-{self._run}-{number:07d}"
        self._made += 1
        user = self._said.user(token, number)
        return token, [{"role": "system", "content": self._said.system(number)}, {"role": "user", "content": user}]

    def functions(self) -> tuple[Callable[[Any], str], Callable[[Any], Awaitable[str]]]:
        """The function to capture, plain and asynchronous; it stands for the call of a model, and takes no time."""
        said = self._said

        def answer(messages: Any) -> str:
            return said.reply(number_of(messages[1]["content"]))

        async def answer_later(messages: Any) -> str:
            return said.reply(number_of(messages[1]["content"]))

        return answer, answer_later


def number_of(text: str) -> int:
    """The number in the token that a text begins with."""
    return int(text[12:19])
