"""`continuum label` as it is typed: at a terminal, with answers piped in, and asked how far people are."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum.annotation.labelling import Labelling
from continuum.cli import app
from continuum.records import Annotation, Interaction, Message, Review
from continuum.store.database import Store
from tests.builders import an_interaction, interactions, user

HOSTILE = "[bold red]loud[/bold red] \x1b[2J\x1b]0;owned\x07 \x9b31m \u202eturned \r gone"


def label(*options: str, answers: str = "") -> str:
    result = CliRunner().invoke(app, ["label", "support", "--as", "Ada", *options], input=answers, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def asked(store: Store, rows: list[Interaction], queue: str = "audit") -> None:
    store.tasks.ensure("support")
    store.interactions.add(rows)
    ids = [f"01900000-0000-7000-8000-{n:012x}" for n in range(len(rows))]
    pairs = zip(ids, rows, strict=True)
    store.reviews.add(Review(id=one, task="support", interaction_id=row.id, queue=queue) for one, row in pairs)


def judged(store: Store, rows: list[Interaction], overall: float = 2.5) -> None:
    store.annotations.add(
        Annotation(
            interaction_id=row.id, task="support", judge="model-a", rubric="r", overall=overall, scores={"tone": 2.0},
            reasons={"tone": "It is curt."},
        )
        for row in rows
    )  # fmt: skip


def verdicts(store: Store, rows: list[Interaction]) -> list[tuple]:
    said = store.feedback.of(rows)
    return [(one.score, one.comment, one.correction) for row in rows for one in said.get(row.id, [])]


def test_answers_may_be_piped_in_one_a_line(store: Store) -> None:
    rows = interactions(6)
    asked(store, rows)
    judged(store, rows)

    told = label(answers="4\n2 not what was asked\ns\nc The right one.\nn in short\n1\n5\nu\n3\nq\n")

    assert verdicts(store, rows) == [
        (4, None, None),
        (2, "not what was asked", None),
        (1, "in short", "The right one."),
        (3, None, None),
    ]
    assert "ada: 4 verdicts in the audit queue, 1 left; 4 of 6 items have a verdict" in told
    assert "4" in label(answers="4\n")
    assert len(verdicts(store, rows)) == 5


def test_what_the_judge_said_comes_after_the_vote(store: Store) -> None:
    rows = interactions(1)
    asked(store, rows)
    judged(store, rows)

    told = label(answers="4\n")

    before, after = told.split("you 4")
    assert "It is curt" not in before
    assert ", judge model-a 2.5" in after
    assert "tone 2  It is curt." in after
    assert "Question number 0" in before
    assert "Parcel 0 takes 1 days." in before


def test_a_line_that_is_no_answer_ends_it_before_it_is_taken_for_one(store: Store) -> None:
    rows = interactions(2)
    asked(store, rows)

    result = CliRunner().invoke(app, ["label", "support", "--as", "ada"], input="what?\n4\n")

    assert result.exit_code == 1
    assert "is no answer" in str(result.exception)
    assert verdicts(store, rows) == []


def test_captured_text_steers_no_terminal_and_is_no_markup(store: Store) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f\x1b[1m", "arguments": HOSTILE}}
    rows = [
        an_interaction(
            messages=(user(HOSTILE), Message.model_validate({"role": "assistant", "content": None, "tool_calls": [call]})),
            answer=HOSTILE,
        )
    ]
    asked(store, rows)
    store.annotations.add([
        Annotation(interaction_id=rows[0].id, task="support", judge=HOSTILE, rubric="r", overall=1.0, scores={"a": 1.0},
                   reasons={"a": HOSTILE})
    ])  # fmt: skip

    told = label(answers=f"3 {HOSTILE.splitlines()[0]}\n")

    assert not {sign for sign in told if ord(sign) < 32 and sign != "\n"} | {"\x9b", "\u202e"} & set(told)
    assert told.count("[bold red]loud[/bold red]") >= 3
    assert "⟨U+001B⟩[2J" in told


def test_a_long_message_is_cut_and_can_be_seen_whole(store: Store) -> None:
    asked(store, [an_interaction("word " * 400 + "the end", "fine")])

    assert "the end" not in label(answers="q\n")
    assert "the end" in label(answers="f\nq\n")


def test_an_empty_queue_says_how_to_fill_it(store: Store) -> None:
    store.tasks.ensure("support")
    assert "the audit queue of support is empty; a random share" in label()
    assert "continuum annotate support" in label("--queue", "useful")


def test_show_tells_how_far_people_are_and_how_far_they_agree(store: Store) -> None:
    rows = interactions(12)
    asked(store, rows)
    judged(store, rows)
    for name in ("Ada", "Ben"):
        labelling = Labelling(store, "support", labeller=name)
        while question := labelling.next():
            labelling.vote(question.review_id, 1 + len(labelling.progress().verdicts) + labelling.progress().left % 3)

    told = label("--show")

    assert "ada 12, ben 12" in told
    assert "audit: 12 items scored by two people or more; Krippendorff's alpha" in told
    assert "audit: the judge, 12 items: " in told
    assert "Cohen's kappa, quadratic weights" in told
    assert "useful is empty" in told


def test_a_task_that_is_not_there_is_refused(store: Store) -> None:
    result = CliRunner().invoke(app, ["label", "nowhere", "--as", "ada"])
    assert result.exit_code == 1
    assert "there is no task 'nowhere'" in str(result.exception)


class Terminal:
    """A real terminal with the command running in it."""

    def __init__(self, *options: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        command = [str(Path(sys.executable).with_name("continuum")), "label", "support", "--as", "ada", *options]
        variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "EDITOR": "", "VISUAL": "", **environment}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=variables, start_new_session=True)
        os.close(slave)
        self.seen = ""

    def until(self, words: str, seconds: float = 60) -> None:
        """Read until the words have come; what is read is not looked at again."""
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < deadline, f"{words!r} did not come: {self.seen}"
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"{words!r} did not come: {self.seen}") from error
        self.seen = self.seen.split(words, 1)[1]

    def press(self, keys: str) -> None:
        """Press keys once the command waits for them: what is pressed before an item is shown does not count."""
        deadline = time.monotonic() + 60
        while termios.tcgetattr(self.master)[3] & termios.ICANON:
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.01)
        self.type(keys)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def ends_with(self, code: int) -> None:
        assert self.process.wait(30) == code

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.mark.slow
def test_a_person_at_a_terminal_presses_keys(store: Store) -> None:
    rows = interactions(5)
    asked(store, rows)
    judged(store, rows)
    with Terminal() as terminal:
        terminal.until("Parcel 0 takes")
        terminal.until("q quit")
        terminal.press("4")
        terminal.until("you 4, judge")
        terminal.until("Parcel 7 takes")
        terminal.until("q quit")
        terminal.press("n")
        terminal.until("comment: ")
        terminal.type("half right\r")
        terminal.press("c")
        terminal.until("a line with only a dot ends it")
        terminal.type("First line.\rSecond line.\r.\r")
        terminal.until("correction kept")
        terminal.press("2")
        terminal.until("you 2, judge")
        terminal.until("Parcel 14 takes")
        terminal.until("q quit")
        terminal.press(" ")
        terminal.until("passed")
        terminal.until("Parcel 21 takes")
        terminal.until("q quit")
        terminal.press("u")
        terminal.until("Parcel 14 takes")
        terminal.until("q quit")
        terminal.press("x")
        terminal.until("q quit")
        terminal.press("5")
        terminal.until("you 5, judge")
        terminal.until("q quit")
        terminal.press("q")
        terminal.until("3 verdicts in the audit queue, 2 left")
        terminal.ends_with(0)
    assert verdicts(store, rows) == [(4, None, None), (2, "half right", "First line.\nSecond line."), (5, None, None)]


@pytest.mark.slow
def test_a_correction_is_written_in_the_persons_editor(store: Store, tmp_path: Path) -> None:
    rows = interactions(1)
    asked(store, rows)
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\nsed -i "s/takes/needs/" "$1"\n')
    editor.chmod(0o700)
    with Terminal(EDITOR=f"'{editor}'") as terminal:
        terminal.until("q quit")
        terminal.press("c")
        terminal.until("correction kept")
        terminal.press("2")
        terminal.until("correction: Parcel 0 needs 1 days.")
        terminal.until("0 left")
        terminal.ends_with(0)
    assert verdicts(store, rows) == [(2, None, "Parcel 0 needs 1 days.")]


@pytest.mark.slow
def test_an_editor_that_fails_and_ctrl_c_lose_nothing(store: Store) -> None:
    rows = interactions(3)
    asked(store, rows)
    with Terminal(EDITOR="/no/such/editor") as terminal:
        terminal.until("q quit")
        terminal.press("4")
        terminal.until("q quit")
        terminal.press("c")
        terminal.until("error: the editor '/no/such/editor' failed")
        terminal.press("3")
        terminal.until("q quit")
        terminal.press("\x03")
        terminal.until("interrupted; what was finished is kept")
        terminal.ends_with(130)
    assert [score for score, *_ in verdicts(store, rows)] == [4, 3]


@pytest.mark.slow
def test_a_page_for_other_machines_comes_with_a_warning(store: Store) -> None:
    asked(store, interactions(1))
    with Terminal("--page", "--host", "0.0.0.0", "--port", "0") as terminal:  # noqa: S104
        terminal.until("warning: listening on 0.0.0.0")
        terminal.until("http://127.0.0.1:")
        terminal.process.terminate()
        terminal.ends_with(0)
