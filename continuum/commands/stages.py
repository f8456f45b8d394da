"""The stages by hand, and the whole turn."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from continuum.commands.completing import dataset_names, model_names, task_names
from continuum.commands.deployments import LONGEST_REASON, Reason, who
from continuum.commands.terminal import Json, Task, bar, complain, print_json, run, say
from continuum.commands.terms import ask_for_terms
from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.records import Checkpoint
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.flywheel import TurnReport
    from continuum.training.trainer import TrainingResult

SHOWN_VIOLATIONS = 5


def curate(
    task: Task,
    since: Annotated[str | None, typer.Option(help="Only the last, such as 30d.")] = None,
    as_json: Json = False,
) -> None:
    """Build the next version of the task's training set."""
    from continuum.curation.curator import DataCurator

    store = default_store()
    policy = store.tasks.get(task).policy
    with bar("curating") as on_progress:
        curator = DataCurator.for_task(policy, store=store)
        dataset = run(curator.build(task=task, time_window=since or policy.curation.time_window, on_progress=on_progress))
    if as_json:
        print_json({"name": dataset.name, "fingerprint": dataset.fingerprint, "examples": len(dataset), **dataset.manifest})
        return
    say(
        f"{dataset.name}: {len(dataset)} examples from {dataset.source_interactions} interactions, "
        f"average score {dataset.avg_score:.2f}, {dataset.intent_coverage:.0%} of intents, {dataset.fingerprint[:12]}",
    )


def train(
    task: Task,
    dataset: Annotated[
        str | None, typer.Option(help="Fingerprint or name; the newest when left out.", autocompletion=dataset_names)
    ] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune the task's adapter on a dataset version."""
    from continuum.dataset import Dataset
    from continuum.provenance.terms import providers_in
    from continuum.training.trainer import Trainer

    store = default_store()
    record = store.datasets.get(dataset) if dataset else store.datasets.latest(task)
    if record is None:
        raise ConfigurationError(f"there is no dataset {dataset or f'of task {task!r}'}; build one with: continuum curate {task}")
    if record.task != task:
        raise ConfigurationError(
            f"{record.name} is a dataset of task {record.task!r}; train it with: continuum train {record.task}"
        )
    trained = Dataset.read(record.uri, verify=True)
    policy = store.tasks.get(task).policy
    ask_for_terms(store, policy, providers_in(record.manifest.get("models", {}), policy))
    with bar("training") as on_progress:
        trainer = Trainer.for_task(policy, store=store)
        result = run(trainer.train(trained, on_progress=on_progress))
    if as_json:
        print_json(_plain(result))
        return
    say(f"{result.model.name}: {result.epochs_completed:g} epochs, loss {result.final_loss:.4f} (was {result.initial_loss:.4f})")
    for violation in result.violations[:SHOWN_VIOLATIONS]:
        say(f"  {violation.interaction_id} breaks {violation.constraint!r}: {violation.excerpt}")
    if len(result.violations) > SHOWN_VIOLATIONS:
        say(f"  and {len(result.violations) - SHOWN_VIOLATIONS} more")
    if result.forgetting is not None:
        say(result.forgetting.to_markdown())


def forgetting(
    model: Annotated[str, typer.Argument(help="Id or name of a checkpoint, such as support-v2.", autocompletion=model_names)],
    as_json: Json = False,
) -> None:
    """What a version still knows of what its line learned, of general questions and of its constraints."""
    from continuum.constitution.constraints import those_known
    from continuum.training.forgetting_report import forgetting_report

    checkpoint = checkpoint_of(model)
    home = load_settings().home
    constraints, gone = those_known(checkpoint.config.get("constitutional_constraints", ()), home)
    for text in gone:
        complain(f"not shown, for it has no probes here: {text!r}; draft it again with: continuum constitution draft")
    report = forgetting_report(default_store(), checkpoint, constraints)
    if as_json:
        print_json(report)
    else:
        say(report.to_markdown())


def deploy(
    model: Annotated[str, typer.Argument(help="Id or name of a checkpoint, such as support-v1.", autocompletion=model_names)],
    unguarded: Annotated[
        bool, typer.Option("--unguarded", help="Deploy without a verdict; the deployment says so for all to see.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Once more what a person or the gateway took back; needs --reason."),
    ] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Deploy a checkpoint as its task's policy says; refused without a verdict that allows it."""
    from continuum.deployment.deployer import ModelDeployer

    began = utc_now()
    store = default_store()
    checkpoint = checkpoint_of(model)
    deployer = ModelDeployer.for_task(store.tasks.get(checkpoint.task).policy, store=store)
    serving = store.deployments.serving(checkpoint.task)
    deployment = run(deployer.deploy(model=checkpoint, unguarded=unguarded, again=again, reason=reason, actor=who()))
    if as_json:
        print_json(deployment.record)
    else:
        say(f"{deployment.id}: {checkpoint.name} is {deployment.state}, {deployment.current_traffic_split:.0%} of the traffic")
    for one in serving:
        after = store.deployments.get(one.id)
        if one.id != deployment.id and after is not None and not after.traffic and one.traffic:
            complain(f"{one.model}, which was {one.state} at {one.traffic:.0%}, is {after.state}: a task has one trial at a time")
    found = [event.evidence for event in store.deployments.events(deployment.id) if event.at >= began]
    if server := next((evidence["backend"] for evidence in found if evidence.get("backend_ready") is False), None):
        complain(f"warning: {excerpt(server, LONGEST_REASON)}; until it answers for {checkpoint.name}, production does")


def turn(
    task: Task,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and turn whenever auto_train_when new interactions have come.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do, what it would cost, and where it would stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn the wheel once: annotate, curate, train, guard, deploy.

    It asks once, at a terminal, before it trains on another provider's answers; elsewhere it stops there and says what to set.
    """
    from continuum import flywheel
    from continuum.needs import providers_ahead

    if watch and dry_run:
        raise typer.BadParameter("--dry-run does nothing, and --watch stays; leave one of them out")
    store = default_store()
    if dry_run:
        from continuum.forecast import forecast

        ahead = forecast(store, task)
        print_json(ahead.as_dict()) if as_json else say("\n".join(ahead.lines()))
        return
    policy = store.tasks.get(task).policy
    ask_for_terms(store, policy, providers_ahead(store, policy))
    with bar("turning") as on_progress:
        if watch:
            run(flywheel.watch(task, on_progress=on_progress, on_turn=partial(_tell_turn, as_json=as_json, stays=True)))
        report = run(flywheel.turn(task, on_progress=on_progress))
    _tell_turn(report, as_json=as_json)


def _tell_turn(report: "TurnReport", *, as_json: bool, stays: bool = False) -> None:
    """What a turn came to; in a line of its own where another may follow."""
    if as_json:
        print_json(report, in_a_line=stays)
        return
    say(f"{report.outcome}: {report.reason}")
    say("seconds: " + ", ".join(f"{name} {seconds:g}" for name, seconds in report.seconds.items()))


def build_base(
    task: Annotated[str, typer.Option(help="Task whose training side is the text.", autocompletion=task_names)],
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    as_json: Json = False,
) -> None:
    """Build a tokenizer and a small language model from a task's training side, and make it the task's base."""
    from dataclasses import replace

    from continuum.training.bases import BaseSize, adopt_base, build_base_for_task

    store = default_store()
    size = BaseSize() if steps is None else replace(BaseSize(), steps=steps)
    with bar("building the base") as on_progress:
        report = build_base_for_task(task, store=store, size=size, on_progress=on_progress)
    policy = adopt_base(store, task, report)
    if as_json:
        print_json(vars(report) | {"learning_rate": policy.training.learning_rate})
        return
    say(
        f"{report.folder}: {report.parameters:,} parameters from {report.tokens:,} tokens in {report.seconds:.0f} s, "
        f"loss {report.first_loss:.2f} to {report.final_loss:.2f}; it is now the base of {task}, "
        f"tuned at learning rate {policy.training.learning_rate:g}"
    )


def _plain(result: "TrainingResult") -> dict[str, Any]:
    """A training for a program; its steps are in the tracker."""
    return {
        "model": result.model,
        "epochs_completed": result.epochs_completed,
        "initial_loss": result.initial_loss,
        "final_loss": result.final_loss,
        "mlflow_run_id": result.mlflow_run_id,
        "violations": result.violations,
        "forgetting": result.forgetting,
    }


# --- servers ---------------------------------------------------------------------------------------------------------


def checkpoint_of(model: str) -> Checkpoint:
    """A checkpoint by id or name; the error of an unknown one names those there are."""
    store = default_store()
    found = store.checkpoints.get(model)
    if found is None:
        names = [one.name for task in store.tasks.names() for one in store.checkpoints.of(task)]
        known = f"known: {', '.join(names)}" if names else "none yet: continuum train TASK"
        raise ConfigurationError(f"there is no checkpoint {model!r}; {known}")
    return found
