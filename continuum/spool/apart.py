"""Draining in a process of its own: one process captures, and another interpreter brings the captures into the store.

In a thread beside what it captures, draining would take turns at the interpreter with it, and each would wait for the other at
every step. So the spool's thread only asks, and its child reads the segment, makes the records and writes them. The child ends
when its questions do, however its parent ended, and takes no notice of the signals that end both: it has work then. Where the
child ends before its time another one takes its place, and what of the batch in its hands was stored is known by the offset.

A question is a line of JSON, with the lines that waited in memory behind it, and an answer is one line.
"""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from continuum.config import load_settings
from continuum.spool.draining import Drain, Drained, Outage
from continuum.spool.segments import Opened, Segment, read_lines
from continuum.store import store_at

PROGRAM = "from continuum.spool.apart import work; work()"
END_S = 5.0
"""How long the child may go on with its last batch."""
APART_LINES = 2048
"""Lines of a batch: each has a price of its own, and here it keeps nobody waiting."""
YOUNG_GARBAGE = 20_000
"""New objects before the collector looks for cycles: the rows of a batch are no garbage, and records have none."""


class DrainApart:
    """Asks a child to drain to the default store; as `Drain` to whoever calls it, from one thread."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def begin(self, segment: str) -> int:
        """As `Drain.begin`."""
        return self._asked({"do": "begin", "segment": segment})["offset"]

    def step(self, segment: Segment | Opened, offset: int, end: int) -> tuple[int, Drained]:
        """As `Drain.step`."""
        piece = {"segment": segment.name, "offset": offset}
        told = self._asked({"do": "step", "path": str(segment.path), "end": end} | piece)
        if "gone" in told:
            # Somebody has removed the file, or moved it; whoever has it open can still read it.
            read = read_lines(segment, offset, end, most=APART_LINES)
            told = self._written(read.lines, piece | {"end": read.offset})
        return told["offset"], Drained(**told["drained"])

    def write(self, lines: Sequence[bytes]) -> Drained:
        """As `Drain.write`."""
        return Drained(**self._written(lines, {"segment": None, "offset": 0, "end": 0})["drained"])

    def _written(self, lines: Sequence[bytes], piece: dict[str, Any]) -> dict[str, Any]:
        content = b"\n".join(lines)
        return self._asked({"do": "write", "bytes": len(content)} | piece, content)

    def forget(self, segment: str) -> None:
        """As `Drain.forget`."""
        self._asked({"do": "forget", "segment": segment})

    def sample_rates(self) -> dict[str, float]:
        """As `Drain.sample_rates`."""
        return self._asked({"do": "rates"})["rates"]

    def close(self) -> None:
        """Have the child end."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.stdin is not None:
            with suppress(OSError):  # it has ended, and what it was to be told with it
                child.stdin.close()
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()

    def _asked(self, question: dict[str, Any], content: bytes = b"") -> dict[str, Any]:
        child = self._child
        if child is None:
            child = self._child = _started()
        asked, told = cast("tuple[BinaryIO, BinaryIO]", (child.stdin, child.stdout))
        said = b""
        with suppress(OSError):
            asked.write(orjson.dumps(question, option=orjson.OPT_APPEND_NEWLINE) + content)
            asked.flush()
            said = told.readline()
        if not said.endswith(b"\n"):
            self.close()
            raise Outage(f"the process that stores captures has ended with {child.returncode}; another takes its place")
        answer = orjson.loads(said)
        if "outage" in answer:
            raise Outage(answer["outage"])
        return answer


def _started() -> "subprocess.Popen[bytes]":
    try:
        command = [sys.executable, "-c", PROGRAM]
        # In a group of its own: what ends the others at the terminal must not reach it before it has learned to take no notice.
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)  # noqa: S603 - ourselves
    except OSError as error:
        raise Outage(f"the process that stores captures cannot be started: {error.strerror}") from error


def work() -> None:
    """What the child does: the program of its process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    asked, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a redactor or a library prints must not be taken for an answer.
    os.dup2(2, 1)
    gc.set_threshold(YOUNG_GARBAGE, 20, 20)
    url = load_settings().database_url.get_secret_value()
    drain, settled = Drain(lambda: store_at(url), batch_lines=APART_LINES), False
    with suppress(BrokenPipeError):
        while line := asked.readline():
            question = orjson.loads(line)
            answer = _answered(drain, question, asked)
            told.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
            told.flush()
            if not settled and "drained" in answer:
                # By the first batch all is loaded; what was stays, and the collector need not walk through it again and again.
                gc.freeze()
                settled = True


def _answered(drain: Drain, question: dict[str, Any], asked: BinaryIO) -> dict[str, Any]:
    content = asked.read(question.get("bytes", 0))
    try:
        match question["do"]:
            case "begin":
                return {"offset": drain.begin(question["segment"])}
            case "step":
                return _stepped(drain, question)
            case "write":
                lines, piece = content.split(b"\n"), (question["segment"], question["offset"], question["end"])
                return _told(*drain.write_piece(lines, *piece))
            case "forget":
                drain.forget(question["segment"])
                return {}
            case _:
                return {"rates": drain.sample_rates()}
    except Outage as outage:
        return {"outage": str(outage)}


def _stepped(drain: Drain, question: dict[str, Any]) -> dict[str, Any]:
    try:
        segment = Opened.at(Path(question["path"]))
    except OSError as error:
        return {"gone": error.strerror}
    with segment:
        reached, drained = drain.step(segment, question["offset"], question["end"])
    return _told(reached, drained)


def _told(reached: int, drained: Drained) -> dict[str, Any]:
    return {"offset": reached, "drained": asdict(drained)}
