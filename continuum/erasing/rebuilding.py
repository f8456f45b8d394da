"""Training a task's line anew without what was erased: the same recipes on the same versions less the rows, in the same order.

Each model is trained from what stands in the place of its parent, the first from the last clean one, or from the base. A model
that stands already is not trained twice, so that a run which was killed goes on with the next.
"""

from typing import TYPE_CHECKING

from continuum.erasing.versions import left_of
from continuum.errors import ContinuumError, StoreError
from continuum.fine_tuning import FineTuneConfig
from continuum.flywheel import claimed, deploy_if_allowed
from continuum.guard.guard import RegressionGuard
from continuum.progress import Progress, silent
from continuum.records import Checkpoint, Record, Verdict
from continuum.store import default_store
from continuum.training.trainer import Trainer

if TYPE_CHECKING:
    from continuum.dataset import Dataset
    from continuum.store.database import Store
    from continuum.store.erasures import ErasedArtifact
    from continuum.tracking.tracker import Tracker
    from continuum.training.launch import Launcher


class Rebuilt(Record):
    """What became of a task's quarantined models."""

    task: str
    models: dict[str, str] = {}
    """Name of a quarantined model to the name of what was trained in its place."""
    dropped: tuple[str, ...] = ()
    """Models of whose training set no row is left."""
    verdict: Verdict | None = None
    """On the newest model that was trained."""
    outcome: str = "nothing waits to be trained anew"
    """What became of it, in words."""

    def words(self) -> list[str]:
        """The same in lines."""
        lines = [f"{old} is trained anew as {new}" for old, new in self.models.items()]
        lines += [f"{old} is dropped: no row of its training set is left" for old in self.dropped]
        return [*lines, f"{self.task}: {self.outcome}"]


async def rebuild(
    task: str,
    *,
    store: "Store | None" = None,
    tracker: "Tracker | None" = None,
    launcher: "Launcher | None" = None,
    guarded: bool = True,
    on_progress: Progress = silent,
) -> Rebuilt:
    """Train a task's quarantined models anew, oldest first; the guard looks at the newest, and it serves if the policy says so.

    Until then the last clean model serves, or production.

    Args:
        task: whose.
        store: where the models are.
        tracker: where trainings are logged; the one of the settings when left out.
        launcher: how trainings are started; as the settings say when left out.
        guarded: whether the guard looks at the newest, and it is deployed where the policy says so.
        on_progress: told of each training.

    Raises:
        ConfigurationError: another driver turns the task.
        TrainingInterrupted: a training was stopped; the same call goes on.
        StoreError: a training set cannot be read.
    """
    from continuum.erasure import rebuilt

    opened = store or default_store()
    # Claimed first: what waits is what no other rebuilding has begun.
    with claimed(opened, task):
        waiting = {one.id: one for one in opened.erasures.waiting(task).get(task, ())}
        done, dropped, newest = dict[str, str](), list[str](), None
        for model in opened.checkpoints.of(task):
            if model.id not in waiting:
                continue
            made = await _anew(opened, model, waiting[model.id], tracker, launcher, on_progress)
            if made is None:
                dropped.append(model.name)
            else:
                done[model.name], newest = made.name, made
        found = Rebuilt(task=task, models=done, dropped=tuple(dropped))
        if newest is not None:
            outcome, verdict = (
                (await _judged(opened, newest, on_progress)) if guarded else (f"{newest.name} waits for the guard", None)
            )
            found = found.model_copy(update={"outcome": outcome, "verdict": verdict})
        elif dropped:
            found = found.model_copy(update={"outcome": "nothing is left to train"})
    rebuilt(opened)
    return found


async def _anew(
    store: "Store",
    model: Checkpoint,
    note: "ErasedArtifact",
    tracker: "Tracker | None",
    launcher: "Launcher | None",
    on_progress: Progress,
) -> Checkpoint | None:
    """What is trained in the place of a model; None where nothing is left to train it on."""
    dataset = left_of(store, model.dataset_id)
    if dataset is None:
        _note(store, note, state="dropped")
        return None
    parent, config = parent_of(store, model), FineTuneConfig.model_validate(model.config)
    made = _made_already(store, model, dataset, parent, config)
    if made is None:
        trainer = Trainer(model.base_model, config, store=store, tracker=tracker, parent=parent, launcher=launcher)
        made = (await trainer.train(dataset, on_progress=on_progress)).model
    _note(store, note, state="rebuilt", replaced_by=made.id)
    return made


def parent_of(store: "Store", model: Checkpoint) -> Checkpoint | None:
    """What a model is continued from: its parent, or what was trained in the place of that; None for the base.

    The parent of one that was dropped stands for it.

    Raises:
        StoreError: the parent waits to be trained anew itself, or is not in the store.
    """
    name = model.parent_id
    while name is not None:
        parent = store.checkpoints.get(name)
        if parent is None:
            raise StoreError(f"{model.name} was continued from {name}, which is not in the store; train a new line instead")
        note = store.erasures.artifact("checkpoint", parent.id)
        if note is None:
            return parent
        if note.state == "quarantined":
            raise StoreError(f"{parent.name} is to be trained anew before {model.name}; forget --rebuild {model.task} does both")
        # What was trained in its place may have been erased from in its turn.
        name = note.replaced_by if note.state == "rebuilt" else parent.parent_id
    return None


def _made_already(
    store: "Store", model: Checkpoint, dataset: "Dataset", parent: Checkpoint | None, config: FineTuneConfig
) -> Checkpoint | None:
    """The model that an attempt before this one has trained, where it was killed before it said so."""
    out, wanted = (
        store.erasures.out_of_service(model.task),
        (dataset.fingerprint, parent.id if parent else None, model.base_model),
    )
    for one in reversed(store.checkpoints.of(model.task)):
        if one.id in out or (one.dataset_id, one.parent_id, one.base_model) != wanted:
            continue
        if FineTuneConfig.model_validate(one.config) == config:
            return one
    return None


def _note(store: "Store", note: "ErasedArtifact", **fields: str) -> None:
    from continuum.store.erasures import Change

    change = Change("files", note.before.get("files", {}), note.after.get("files", {}))
    store.erasures.note_change(note.erasure_id, "checkpoint", note.id, note.task, change, **fields)


async def _judged(store: "Store", model: Checkpoint, on_progress: Progress) -> tuple[str, Verdict | None]:
    """Have the guard look at a model, and deploy it where the policy says so; what came of it in words."""
    try:
        policy = store.tasks.get(model.task).policy
        verdict = await RegressionGuard.for_task(policy, store=store).evaluate(candidate_model=model, on_progress=on_progress)
    except ContinuumError as error:
        return f"{model.name} is trained and not yet judged: {error}", None
    decision = await deploy_if_allowed(policy, model, verdict, store=store)
    return f"{model.name}: {decision.action}, {decision.reason}", verdict
