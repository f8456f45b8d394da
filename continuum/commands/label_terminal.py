"""Labelling in the terminal: an item, a key, what the judge said, the next item.

On a terminal single keys are read; where the answers are piped in, each line is one: `4`, `4 and why`, `c the right answer`,
`s`. Captured text is printed as text alone: no markup is read in it, and nothing in it steers the terminal.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from continuum.annotation.labelling import AlreadyAnswered, Labelling, Voted
from continuum.annotation.questions import Question, ShownMessage, visible
from continuum.errors import ConfigurationError, ContinuumError

CUT = 1500
"""Characters of a message that are shown before `f` shows all."""
COLOURS = {"user": "cyan", "assistant": "green", "tool": "yellow"}
KEYS = "1-5 score · c correct · n comment · s pass · f all of it · u undo · q quit"


class Answers(Protocol):
    """Where a person's answers come from."""

    forgiving: bool
    """Whether the person sees an error and can do otherwise; a script cannot."""

    def key(self) -> tuple[str, str]:
        """The next key, and what was said with it."""
        ...

    def comment(self) -> str:
        """A line of text."""
        ...

    def correction(self, draft: str) -> str:
        """The draft, as the person leaves it."""
        ...


class PressedKeys:
    """A person at a terminal."""

    forgiving = True

    def __init__(self, console: Console) -> None:
        self.console = console

    def key(self) -> tuple[str, str]:
        """The key that is pressed; the end of input is `q`."""
        try:
            pressed = typer.getchar()
        except EOFError:
            return "q", ""
        return ("s" if pressed == " " else pressed.lower()), ""

    def comment(self) -> str:
        """A line of text."""
        return self.console.input(Text("comment: ", style="bold"))

    def correction(self, draft: str) -> str:
        """The draft from the person's editor, or typed here where EDITOR names none."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        if editor:
            return edited(draft, shlex.split(editor))
        self.console.print("The answer that should have been given; a line with only a dot ends it.", style="dim")
        lines = []
        while (line := self.console.input("> ")) != ".":
            lines.append(line)
        return "\n".join(lines)


class PipedLines:
    """Answers from a file or another program, one a line."""

    forgiving = False

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.rest = ""

    def key(self) -> tuple[str, str]:
        """The first letter of the next line, and the rest; the end of input is `q`."""
        line = self.stream.readline()
        key, _, self.rest = line.strip().partition(" ")
        return ("q", "") if not line else (key.lower(), self.rest.strip())

    def comment(self) -> str:
        """What stands behind the key."""
        return self.rest

    def correction(self, draft: str) -> str:
        """What stands behind the key."""
        return self.rest


@dataclass
class Said:
    """What was typed of the item and not yet sent."""

    comment: str | None = None
    correction: str | None = None


class LabelTerminal:
    """One person at a terminal."""

    def __init__(self, labelling: Labelling, console: Console, answers: Answers | None = None) -> None:
        self.labelling = labelling
        self.console = console
        if answers is None:
            answers = PressedKeys(console) if sys.stdin.isatty() else PipedLines(sys.stdin)
        self.answers = answers

    def run(self) -> None:
        """Ask until nothing is left or the person ends it."""
        question, said = self.labelling.next(), Said()
        while question is not None:
            self._ask(question, said)
            try:
                done = self._answer(question, said)
            except AlreadyAnswered as error:
                self._say(f"{error}; here is the next", "yellow")
                done = "elsewhere"
            if done == "quit":
                return
            back = self.labelling.undo() if done == "undo" else None
            if back is not None:
                question, said = back.question, Said(back.comment, back.correction)
            elif done == "undo":
                self._say("there is nothing to take back", "yellow")
            else:
                question, said = self.labelling.next(), Said()

    def _answer(self, question: Question, said: Said) -> str:
        """Read keys until the item is answered."""
        while True:
            key, rest = self.answers.key()
            try:
                done = self._do(key, rest, question, said)
            except AlreadyAnswered:
                raise
            except ContinuumError as error:
                if not self.answers.forgiving:
                    raise
                # What was typed stays: the same key tries again.
                self._say(f"error: {error}", "red")
                continue
            if done:
                return done

    def _do(self, key: str, rest: str, question: Question, said: Said) -> str | None:
        if key in ("1", "2", "3", "4", "5"):
            comment = rest or said.comment
            self._tell(self.labelling.vote(question.review_id, int(key), comment or None, said.correction))
            return "vote"
        if key == "s":
            self.labelling.skip(question.review_id)
            self._say("passed", "dim")
            return "pass"
        if key in ("u", "q"):
            return "undo" if key == "u" else "quit"
        if key == "c" and question.answer is not None:
            said.correction = self.answers.correction(said.correction or question.editable).strip() or None
            kept = "correction kept" if said.correction else "no correction"
            self._say(f"{kept}; now score the answer as it was given", "dim")
        elif key == "n":
            said.comment = self.answers.comment().strip() or None
        elif key == "f":
            self._show(question, whole=True)
        elif self.answers.forgiving:
            self._say(KEYS, "dim")
        elif key:
            raise ConfigurationError(f"{key!r:.40} is no answer; a line is one of: {KEYS}")
        return None

    def _ask(self, question: Question, said: Said) -> None:
        counts = self.labelling.progress()
        mine = counts.verdicts.get(self.labelling.labeller, 0) + counts.passes.get(self.labelling.labeller, 0)
        title = f"{mine + 1} of {mine + counts.left} · {question.queue} · {self.labelling.labeller}"
        self.console.print(Rule(Text(title, style="bold"), align="left", style="dim"))
        self._show(question, whole=False)
        for name, text in (("comment", said.comment), ("correction", said.correction)):
            if text:
                self._say(f"your {name} so far: {visible(text)}", "dim")
        self._say(KEYS, "dim")

    def _show(self, question: Question, *, whole: bool) -> None:
        for message in question.conversation:
            self.console.print(Padding(shown(message, whole=whole), (0, 0, 1, 0)))
        if question.answer is None:
            self.console.print(
                Panel(Text("the call ended without an answer", style="italic"), title="answer", title_align="left")
            )
        else:
            self.console.print(
                Panel(said_in(question.answer, whole=True), title="answer", title_align="left", border_style="blue")
            )

    def _tell(self, voted: Voted) -> None:
        opinion = voted.opinion
        line = f"you {voted.score:g}"
        if opinion is None:
            self._say(f"{line}; no judge has looked at this one", "bold")
        else:
            overall = "gave no score" if opinion.overall is None else f"{opinion.overall:.1f}"
            self._say(f"{line}, judge {opinion.judge} {overall}{f': {opinion.note}' if opinion.note else ''}", "bold")
            for name, score, reason in opinion.scores:
                self._say(f"  {name} {score:g}  {reason}", "dim")
        if voted.correction:
            self._say(f"  correction: {voted.correction}", "dim")
        if voted.reason:
            self._say(f"  in this queue because: {voted.reason}", "dim")

    def _say(self, text: str, style: str) -> None:
        self.console.print(Text(text, style=style))


def shown(message: ShownMessage, *, whole: bool) -> Group:
    """A message with who said it."""
    who = f"{message.role} {message.name}".strip()
    return Group(Text(who, style=f"bold {COLOURS.get(message.role, 'magenta')}"), said_in(message, whole=whole))


def said_in(message: ShownMessage, *, whole: bool) -> Group:
    """The words of a message and its tool calls."""
    parts = [Text(cut(message.text, whole=whole))] if message.text else []
    for call in message.calls:
        parts.append(Text(f"{call.name}({cut(call.arguments, whole=whole)})", style="yellow"))
    return Group(*(parts or [Text("nothing", style="italic dim")]))


def cut(text: str, *, whole: bool) -> str:
    """The beginning of a long text, and how much more there is."""
    return text if whole or len(text) <= CUT else f"{text[:CUT]} … {len(text) - CUT:,} more characters: f"


def edited(draft: str, command: list[str]) -> str:
    """The draft, as the person leaves it in an editor.

    Raises:
        ConfigurationError: the editor cannot be started, or failed.
    """
    handle, name = tempfile.mkstemp(prefix="correction-", suffix=".txt", text=True)
    path = Path(name)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(draft)
        subprocess.run([*command, name], check=True)  # noqa: S603 - the person's own EDITOR
        return path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigurationError(f"the editor {command[0]!r} failed: {error}; set EDITOR to another, or to nothing") from error
    finally:
        path.unlink(missing_ok=True)
