"""Judgements that are replayed from a file."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.judge import Capability, Judge, Judgement, content_key, held_open, version_of
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion


class RecordedJudge:
    """Judgements from a file, one a line; what is not in it is asked of another judge, if there is one, and added.

    Args:
        path: the JSON lines file; it need not exist yet.
        judge: whom to ask for what is not recorded; None to replay only.
    """

    def __init__(self, path: Path | str, judge: Judge | None = None) -> None:
        self._path = Path(path)
        self._judge = judge
        self._recorded: dict[str, Judgement] = {}
        self._open: list[AsyncExitStack] = []
        self.name = judge.name if judge else "recorded"
        for number, line in enumerate(self._path.read_text("utf-8").splitlines() if self._path.exists() else (), start=1):
            try:
                row = RECORDED.validate_json(line)
            except ValidationError as error:
                raise ConfigurationError(f"line {number} of {self._path} is no recorded judgement; take it out") from error
            self._recorded[row.key] = row.judgement
            self.name = judge.name if judge else row.judge

    @property
    def version(self) -> str:
        """That of the judge who is recorded."""
        return self._judge.version if self._judge else version_of("recorded", self.name)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the judge who is recorded."""
        return self._judge.capabilities if self._judge else frozenset({"criteria", "reasons", "safety", "approval"})

    async def __aenter__(self) -> Self:
        stack = AsyncExitStack()
        await stack.enter_async_context(held_open(self._judge))
        self._open.append(stack)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.pop().aclose()

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """The recorded judgement, at no cost, or else a new one."""
        key = content_key(conversation, response, criteria)
        if key in self._recorded:
            return self._recorded[key]
        if self._judge is None:
            raise JudgeError(f"{self._path} holds no judgement of this answer by this rubric, and there is no judge to ask")
        judgement = await self._judge.judge(conversation, response, criteria, budget=budget)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        free = Judgement(judgement.status, judgement.scores, judgement.reasons, judgement.overall)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "judge": self.name, "judgement": asdict(free)}) + "\n")
        self._recorded[key] = free
        return judgement


@dataclass(frozen=True)
class RecordedLine:
    """One line of a file of recorded judgements."""

    key: str
    judge: str
    judgement: Judgement


RECORDED = TypeAdapter(RecordedLine)
