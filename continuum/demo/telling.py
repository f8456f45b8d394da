"""How the demo tells its story on a terminal: a line a chapter while it works, tables at the end."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from continuum.progress import Progress

if TYPE_CHECKING:
    from continuum.demo.exam import Exam, Result
    from continuum.errors import DeploymentError
    from continuum.flywheel import Stopwatch, TurnReport
    from continuum.records import Verdict

SAMPLES = (("shop", 0), ("shop", 7), ("speaker", 0))
"""Group and number of the exam questions whose answers are shown."""


class Teller:
    """Writes the story to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def open(self, home: Path, seed: int) -> None:
        """Say what is about to happen, and what in it is not real."""
        self.console.print("[bold]Continuum turns the wheel twice[/bold] on made-up support traffic.")
        self.console.print(
            f"Simulated: the customers, the support staff, the production model and the judge. Seed {seed}, home {home}\n",
            highlight=False,
            soft_wrap=True,
        )

    @contextlib.contextmanager
    def phase(self, title: str, clock: "Stopwatch", name: str) -> Iterator[Progress]:
        """A chapter: a bar while it works, a line with its seconds when it is done."""
        before = clock.seconds.get(name, 0.0)
        columns = (TextColumn("  {task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
        # In a log a bar would only leave empty lines.
        hidden = not self.console.is_terminal
        with Bar(*columns, console=self.console, transient=True, disable=hidden) as shown, clock.phase(name):
            row = shown.add_task(title, total=None)
            yield lambda done, total, note: shown.update(row, completed=done, total=total or None, description=note or title)
        self.console.print(f"[green]✓[/green] {title} [dim]{clock.seconds[name] - before:.1f} s[/dim]", highlight=False)

    def turned(self, name: str, report: "TurnReport") -> None:
        """What a turn came to."""
        checkpoint, verdict = report.checkpoint, report.verdict
        if checkpoint is None or verdict is None:
            return
        deltas = ", ".join(f"{metric} {delta:+.2f}" for metric, delta in verdict.deltas.items())
        self.console.print(
            f"  {checkpoint.name}: {verdict.status} against {_baseline(verdict)} ({deltas}) → {report.outcome}, {report.reason}",
            highlight=False,
            soft_wrap=True,
        )

    def corrected(self, asked: int, corrected: int, praised: int) -> None:
        """What the staff did."""
        self.console.print(
            f"  staff corrected {corrected} of {asked} answers, {praised} got a thumb up (simulated)", highlight=False
        )

    def refused(self, refusal: "DeploymentError") -> None:
        """A step that the evidence does not carry."""
        self.console.print(f"  not promoted: {refusal}", highlight=False, soft_wrap=True)

    def close(self, exam: "Exam", results: "list[Result]", blocked: "Verdict", figures: dict[str, Any], home: Path) -> None:
        """The tables, and where to look next."""
        self.console.print()
        self.console.print(_quality(results))
        self._verdict_on_the_plain(blocked)
        self.console.print(_samples(exam, results))
        self.console.print(_traffic(figures["traffic"]))
        self.console.print(
            f"Figures: {home / 'demo.json'} ({figures['seconds']['total']:.0f} s in all)", highlight=False, soft_wrap=True
        )
        self.console.print(
            "\nLook at what it did:\n  make ui       Dagster, http://127.0.0.1:3000"
            "\n  make mlflow   MLflow,  http://127.0.0.1:5000, the runs under Model training"
        )

    def _verdict_on_the_plain(self, verdict: "Verdict") -> None:
        self.console.print(f"\n[bold]The plain LoRA was offered to the guard: {verdict.status.upper()}[/bold]")
        for check in verdict.failed_checks:
            self.console.print(f"  {check}", highlight=False, soft_wrap=True)
        for worst in verdict.evidence["worst"][:1]:
            damned = {"asked": "question", "the champion said": "baseline_answer", "the candidate said": "candidate_answer"}
            self.console.print("  the answer that damned it:")
            for name, key in damned.items():
                self.console.print(f"    {name}: {worst[key]}", highlight=False, markup=False, soft_wrap=True)
        self.console.print()


def _baseline(verdict: "Verdict") -> str:
    return "production" if verdict.baseline == "production" else "the champion"


def _quality(results: "list[Result]") -> Table:
    caption = (
        "quality of the answers to customers by the simulated judge, 1-5, with its 95% interval; the rest is the share right"
    )
    table = Table(title="Held-out questions", title_justify="left", caption=caption, caption_justify="left", box=None)
    table.add_column("model", no_wrap=True)
    for title in ("quality", "old intents", "new intents", "house rules", "small talk"):
        table.add_column(title, justify="right", no_wrap=True)
    for result in results:
        shares = [f"{result.right.get(kind, 0):.0%}" for kind in ("shop", "speaker", "rules", "small talk")]
        table.add_row(result.name, f"{result.quality:.2f} ± {result.margin:.2f}", *shares)
    return table


def _samples(exam: "Exam", results: "list[Result]") -> Table:
    table = Table(title="Before and after", title_justify="left", show_lines=True)
    shown = {"base": "base", "tuned, turn 1": "turn 1", "tuned, turn 2": "turn 2", "plain LoRA": "plain LoRA"}
    table.add_column("question", ratio=2)
    for title in shown.values():
        table.add_column(title, ratio=2)
    for group, number in SAMPLES:
        questions = [question.text for question in exam.questions if question.group == group]
        text = questions[number % len(questions)]
        table.add_row(text, *(result.answers[text] for result in results if result.name in shown))
    return table


def _traffic(splits: list[dict[str, Any]]) -> Table:
    table = Table(title="Traffic through the gateway after turn 1", title_justify="left", box=None)
    for title in ("share of the tuned model", "served by production", "served by the tuned model"):
        table.add_column(title, justify="right")
    for split in splits:
        table.add_row(f"{split['share']:.0%}", str(split["production"]), str(split["tuned"]))
    return table
