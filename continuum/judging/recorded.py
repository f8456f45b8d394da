"""Judgements that are replayed from a file."""

import json
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.judge import Capability, Judge, Judgement, checked, content_key, held_open, must_be_priced, version_of
from continuum.models.budget import Budget
from continuum.records import Message
from continuum.rubric import Criterion


@dataclass(frozen=True)
class RecordedLine:
    """One line of a file of recorded judgements."""

    key: str
    judge: str
    judgement: Judgement
    version: str = ""
    """The judge's, when it said so; another version of it is another judge."""
    capabilities: tuple[Capability, ...] = ("criteria", "reasons", "safety", "approval")


RECORDED = TypeAdapter(RecordedLine)


class RecordedJudge:
    """Judgements from a file, one a line; what is not in it is asked of another judge, if there is one, and added.

    A file may hold the judgements of several judges, or of several versions of one: those count that the judge to ask would
    give today, or with nobody to ask those of the last line's judge. One process at a time writes to a file. A last line that
    a killed process left half written is passed over, and cut off by the next that is added.

    Args:
        path: the JSON lines file; it need not exist yet.
        judge: whom to ask for what is not recorded; None to replay only.

    Raises:
        ConfigurationError: a line is no recorded judgement.
    """

    def __init__(self, path: Path | str, judge: Judge | None = None) -> None:
        self._path = Path(path)
        self._judge = judge
        self._open: list[AsyncExitStack] = []
        lines, self._whole = read_lines(self._path)
        last = lines[-1] if lines else None
        self.name = judge.name if judge else last.judge if last else "recorded"
        self._version = judge.version if judge else last.version if last else ""
        self._capabilities = judge.capabilities if judge else frozenset(last.capabilities if last else ())
        own = [line for line in lines if (line.judge, line.version) == (self.name, self._version)]
        self._recorded = {line.key: line.judgement for line in own}

    @property
    def asked(self) -> Judge | None:
        """Who is asked for what is not recorded."""
        return self._judge

    @property
    def version(self) -> str:
        """That of the judge who is recorded."""
        return self._version or version_of("recorded", self.name)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the judge who is recorded, but for comparing two answers, which is not recorded."""
        return self._capabilities - {"pairwise"}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(held_open(self._judge))
            self._open.append(stack.pop_all())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.pop().aclose()

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept.

        Raises:
            ConfigurationError: no price is known for the judge who is asked for what is not recorded.
        """
        if self._judge is not None:
            must_be_priced(self._judge)

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
            return replace(self._recorded[key], cost_usd=0.0, cached=True)
        if self._judge is None:
            raise JudgeError(f"{self._path} holds no judgement of this answer by this rubric, and there is no judge to ask")
        judgement = await self._judge.judge(conversation, response, criteria, budget=budget)
        self._add(RecordedLine(key, self.name, judgement, self._version, tuple(sorted(self.capabilities))))
        return judgement

    def _add(self, line: RecordedLine) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            if self._whole is not None:
                os.truncate(file.fileno(), self._whole)
                self._whole = None
            file.write(json.dumps(asdict(line)).encode() + b"\n")
        self._recorded[line.key] = line.judgement


def read_lines(path: Path) -> tuple[list[RecordedLine], int | None]:
    """The lines of a recording, and how many bytes of it are whole where its last line was left half written.

    Raises:
        ConfigurationError: another line is no recorded judgement.
    """
    content = path.read_bytes() if path.exists() else b""
    rows = content.split(b"\n")
    torn = rows.pop()  # What stands behind the last line's end; nothing, where the last line is whole.
    lines = []
    for number, row in enumerate(rows, start=1):
        try:
            line = RECORDED.validate_json(row)
            checked(line.judgement.scores)
            checked({} if line.judgement.overall is None else {"overall": line.judgement.overall})
        except (ValidationError, JudgeError) as error:
            raise ConfigurationError(f"line {number} of {path} is no recorded judgement; take it out") from error
        lines.append(line)
    return lines, len(content) - len(torn) if torn else None
