"""The `continuum` command: every stage by hand, the whole turn, and the servers.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 inconclusive (`guard`).
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from typer.core import TyperGroup

from continuum.errors import ConfigurationError, ContinuumError
from continuum.policy import amended, explained
from continuum.progress import Progress
from continuum.records import Checkpoint, VerdictStatus
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.flywheel import Status
    from continuum.store.database import Store


class Commands(TyperGroup):
    """The commands; one that is interrupted says so before Typer ends it without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the line names."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            complain("interrupted; what was finished is kept, and the same command goes on from there")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="The open flywheel for LLM applications.",
)
tasks_app = typer.Typer(invoke_without_command=True, help="List the tasks, or change what one asks for.")
base_app = typer.Typer(no_args_is_help=True, help="Base models.")
app.add_typer(tasks_app, name="tasks")
app.add_typer(base_app, name="base")

console = Console()
stderr = Console(stderr=True)
T = TypeVar("T")
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")]
Task = Annotated[str, typer.Argument(help="Name of the task.")]


def main() -> None:
    """Run the command; errors that the user can act on are printed without a traceback."""
    try:
        app()
    except (ContinuumError, ValidationError) as error:
        complain(f"error: {explained(error) if isinstance(error, ValidationError) else error}")
        sys.exit(1)


# --- data in, and what there is --------------------------------------------------------------------------------------


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSONL, one interaction a line.")],
    task: Annotated[str | None, typer.Option(help="Put every line under this task.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a line was refused.")] = False,
) -> None:
    """Import interactions; those already there are left alone, bad lines are named and skipped."""
    from continuum.signals.importer import import_jsonl

    with bar("importing") as on_progress:
        report = import_jsonl(file, store=default_store(), task=task, on_progress=on_progress)
    say(
        f"{report.read} lines read: {report.added} interactions added, {report.already_there} already there, "
        f"{report.feedback_added} feedback rows added, {len(report.refused)} refused",
    )
    for refusal in report.refused[:20]:
        complain(f"line {refusal.line}: {refusal.reason}")
    if len(report.refused) > 20:
        complain(f"... and {len(report.refused) - 20} more")
    if strict and report.refused:
        raise typer.Exit(1)


@tasks_app.callback()
def tasks(context: typer.Context) -> None:
    """List the tasks."""
    if context.invoked_subcommand:
        return
    table = Table("task", "interactions", "new", "trains at", "answers", "canary", box=None)
    store = default_store()
    for status in _statuses(store):
        canary = f"{status.canary} {status.canary_traffic:.0%}" if status.canary else "-"
        wanted = str(status.train_when) if status.train_when else "when asked"
        table.add_row(status.task, str(status.interactions), str(status.new_interactions), wanted, status.champion, canary)
    console.print(table if store.tasks.names() else "no task yet: capture something, or `continuum import FILE.jsonl`")


@tasks_app.command("set")
def set_policy(
    task: Task,
    changes: Annotated[
        list[str], typer.Argument(help="Such as auto_train_when=1000 judge.model=gpt-4o-mini; values are JSON or text.")
    ],
) -> None:
    """Change a task's policy; a task that is not there yet is registered."""
    store = default_store()
    for change in changes:
        if "=" not in change:
            raise ConfigurationError(f"{change!r} is not of the form name=value")
    values = {name: _json_or_text(value) for name, _, value in (change.partition("=") for change in changes)}
    # The stored policy as it is, so that one that cannot be read can be mended.
    store.tasks.register(amended(task, store.tasks.raw_policy(task) or {}, values))
    say(f"{task}: {', '.join(changes)}")


@tasks_app.command("show")
def show_policy(task: Task) -> None:
    """Print a task's policy as JSON."""
    console.print_json(default_store().tasks.get(task).policy.model_dump_json())


@app.command()
def status(task: Annotated[str | None, typer.Argument(help="Name of the task; all when left out.")] = None) -> None:
    """Say where a task stands and what happens next."""
    from continuum.config import load_settings
    from continuum.flywheel import status_of

    store = default_store()
    say(f"home {load_settings().home}\n{store}")
    for said in [status_of(store, task)] if task else _statuses(store):
        answers = said.champion + (f", canary {said.canary} at {said.canary_traffic:.0%}" if said.canary else "")
        say(f"{said.task}: {said.interactions} interactions, answered by {answers}; {said.advice}")


@app.command()
def lineage(
    item: Annotated[
        str, typer.Argument(metavar="ID", help="Id or name of a deployment, verdict, checkpoint, dataset or interaction.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a thing was made from, back to the interaction ids."""
    from continuum.provenance.lineage import lineage as trace

    found = trace(default_store(), item)
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=2, default=str) + "\n")
    else:
        sys.stdout.write("\n".join(found.render()) + "\n")


# --- the stages by hand ----------------------------------------------------------------------------------------------


@app.command()
def annotate(task: Task, since: Annotated[str | None, typer.Option(help="Only the last, such as 7d.")] = None) -> None:
    """Judge the task's interactions that have not been judged yet."""
    from continuum.annotation.annotator import Annotator

    store = default_store()
    annotator = Annotator.for_task(store.tasks.get(task).policy, store=store)
    with bar("judging") as on_progress:
        stats = run(annotator.annotate_backlog(task=task, since=since, on_progress=on_progress))
    ended = "; the budget ended it" if stats.budget_exhausted else ""
    say(f"{stats.total} judged for ${stats.cost_usd:.4f}, scores {stats.score_histogram}{ended}")


@app.command()
def curate(task: Task, since: Annotated[str | None, typer.Option(help="Only the last, such as 30d.")] = None) -> None:
    """Build the next version of the task's training set."""
    from continuum.curation.curator import DataCurator

    store = default_store()
    policy = store.tasks.get(task).policy
    with bar("curating") as on_progress:
        curator = DataCurator.for_task(policy, store=store)
        dataset = run(curator.build(task=task, time_window=since or policy.curation.time_window, on_progress=on_progress))
    say(
        f"{dataset.name}: {len(dataset)} examples from {dataset.source_interactions} interactions, "
        f"average score {dataset.avg_score:.2f}, {dataset.intent_coverage:.0%} of intents, {dataset.fingerprint[:12]}",
    )


@app.command()
def train(
    task: Task, dataset: Annotated[str | None, typer.Option(help="Fingerprint or name; the newest when left out.")] = None
) -> None:
    """Fine-tune the task's adapter on a dataset version."""
    from continuum.dataset import Dataset
    from continuum.training.trainer import Trainer

    store = default_store()
    record = store.datasets.get(dataset) if dataset else store.datasets.latest(task)
    if record is None:
        raise ConfigurationError(f"there is no dataset {dataset or f'of task {task!r}'}; build one with: continuum curate {task}")
    with bar("training") as on_progress:
        trainer = Trainer.for_task(store.tasks.get(task).policy, store=store)
        result = run(trainer.train(Dataset.read(record.uri), on_progress=on_progress))
    say(f"{result.model.name}: {result.epochs_completed:g} epochs, loss {result.final_loss:.4f} (was {result.initial_loss:.4f})")


@app.command()
def guard(model: Annotated[str, typer.Argument(help="Id or name of a checkpoint, such as support-v1.")]) -> None:
    """Compare a candidate with what serves now; exits 0 approved, 1 blocked, 3 inconclusive."""
    from continuum.guard.guard import RegressionGuard
    from continuum.guard.report import print_verdict

    store = default_store()
    checkpoint = _checkpoint(model)
    with bar("guarding") as on_progress:
        examiner = RegressionGuard.for_task(store.tasks.get(checkpoint.task).policy, store=store)
        verdict = run(examiner.evaluate(candidate_model=checkpoint, on_progress=on_progress))
    print_verdict(verdict, console)
    raise typer.Exit({VerdictStatus.APPROVED: 0, VerdictStatus.BLOCKED: 1, VerdictStatus.INCONCLUSIVE: 3}[verdict.status])


@app.command()
def deploy(
    model: Annotated[str, typer.Argument(help="Id or name of a checkpoint, such as support-v1.")],
    unguarded: Annotated[
        bool, typer.Option("--unguarded", help="Deploy without a verdict; the deployment says so for all to see.")
    ] = False,
) -> None:
    """Deploy a checkpoint as its task's policy says; refused without a verdict that allows it."""
    from continuum.deployment.deployer import ModelDeployer

    store = default_store()
    checkpoint = _checkpoint(model)
    deployer = ModelDeployer.for_task(store.tasks.get(checkpoint.task).policy, store=store)
    deployment = run(deployer.deploy(model=checkpoint, unguarded=unguarded, actor="cli"))
    say(f"{deployment.id}: {checkpoint.name} is {deployment.state}, {deployment.current_traffic_split:.0%} of the traffic")


@app.command()
def turn(
    task: Task,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and turn whenever auto_train_when new interactions have come.")
    ] = False,
) -> None:
    """Turn the wheel once: annotate, curate, train, guard, deploy."""
    from continuum import flywheel

    with bar("turning") as on_progress:
        if watch:
            run(flywheel.watch(task, on_progress=on_progress))
        report = run(flywheel.turn(task, on_progress=on_progress))
    say(f"{report.outcome}: {report.reason}")
    say("seconds: " + ", ".join(f"{name} {seconds:g}" for name, seconds in report.seconds.items()))


@app.command()
def curve(
    task: Task,
    metric: Annotated[list[str] | None, typer.Option(help="Metric to show; the guard's when left out.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the plot to this PNG file.")] = None,
) -> None:
    """Compare the base and every version on the golden set."""
    from continuum.analytics.curve import LearningCurve

    with bar("measuring") as on_progress:
        measured = run(LearningCurve.compute(task=task, metrics=metric, store=default_store(), on_progress=on_progress))
    sys.stdout.write(measured.summary() + "\n")
    if plot:
        say(f"plot written to {measured.plot(plot)}")


@base_app.command("build")
def build_base(
    task: Annotated[str, typer.Option(help="Task whose training side is the text.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
) -> None:
    """Build a tokenizer and a small language model from a task's training side, and make it the task's base."""
    from dataclasses import replace

    from continuum.training.bases import BaseSize, adopt_base, build_base_for_task

    store = default_store()
    size = BaseSize() if steps is None else replace(BaseSize(), steps=steps)
    with bar("building the base") as on_progress:
        report = build_base_for_task(task, store=store, size=size, on_progress=on_progress)
    policy = adopt_base(store, task, report)
    say(
        f"{report.folder}: {report.parameters:,} parameters from {report.tokens:,} tokens in {report.seconds:.0f} s, "
        f"loss {report.first_loss:.2f} to {report.final_loss:.2f}; it is now the base of {task}, "
        f"tuned at learning rate {policy.training.learning_rate:g}"
    )


# --- servers ---------------------------------------------------------------------------------------------------------


@app.command()
def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8787,
    task: Annotated[str | None, typer.Option(help="Task of requests that name none.")] = None,
) -> None:
    """Serve the gateway: split traffic between production and the tuned models, and capture it."""
    from continuum.deployment.gateway import serve_gateway

    run(serve_gateway(host, port, default_task=task))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8790,
) -> None:
    """Serve the tuned models: each base once, adapters loaded as they are asked for."""
    from continuum.deployment.backends.local import serve_local

    run(serve_local(host, port))


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; CONTINUUM_SEED when left out.")] = None,
) -> None:
    """Turn the wheel twice on made-up support traffic, offline, and tell the story."""
    from continuum.demo.story import tell

    run(tell(console, seed=seed))


# --- small things the commands share ---------------------------------------------------------------------------------


def say(text: str) -> None:
    """Print a line as it is: no colours guessed, no breaks added, so that it can be searched and piped."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print a line for whoever watches, beside the output."""
    stderr.print(text, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing in a log."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as shown:
        row = shown.add_task(title, total=None)
        yield lambda done, total, note: shown.update(row, completed=done, total=total or None, description=note or title)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def _statuses(store: "Store") -> Iterator["Status"]:
    from continuum.flywheel import status_of

    for name in store.tasks.names():
        try:
            yield status_of(store, name)
        except ConfigurationError as error:
            complain(f"error: {error}")


def _checkpoint(model: str) -> Checkpoint:
    store = default_store()
    found = store.checkpoints.get(model)
    if found is None:
        names = [one.name for task in store.tasks.names() for one in store.checkpoints.of(task)]
        known = f"known: {', '.join(names)}" if names else "none yet: continuum train TASK"
        raise ConfigurationError(f"there is no checkpoint {model!r}; {known}")
    return found


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value, parse_constant=_no_number)
    except ConfigurationError:
        raise
    except ValueError:
        return value


def _no_number(constant: str) -> Any:
    raise ConfigurationError(f"{constant} is not a number that a policy can hold; null means no value")
