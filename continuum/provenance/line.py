"""A task's line of models: which checkpoint the next turn goes on from, and how much of the traffic that one has learned."""

from typing import TYPE_CHECKING

from continuum.config import load_settings
from continuum.fine_tuning import FineTuneConfig
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint, DatasetRecord, VerdictStatus

if TYPE_CHECKING:
    from continuum.store.database import Store


def head_of_line(store: "Store", task: str) -> Checkpoint | None:
    """The checkpoint a new training continues: the champion's, else the newest with a verdict that does not block it.

    None that learned from what was erased.
    """
    out = store.erasures.out_of_service(task)
    champion = store.deployments.champion(task)
    if (
        champion is not None
        and (checkpoint := store.checkpoints.get(champion.checkpoint_id)) is not None
        and checkpoint.id not in out
    ):
        return checkpoint
    for checkpoint in reversed(store.checkpoints.of(task)):
        if checkpoint.id in out:
            continue
        verdict = store.verdicts.latest(checkpoint.id)
        if verdict is not None and verdict.status is not VerdictStatus.BLOCKED:
            return checkpoint
    return None


def why_quarantined(store: "Store", checkpoint: Checkpoint) -> str | None:
    """Why a checkpoint may be used no more and what may in its place, in words; None for one that nothing is wrong with."""
    erased = store.erasures.artifact("checkpoint", checkpoint.id)
    if erased is None:
        return None
    made = store.checkpoints.get(erased.replaced_by) if erased.replaced_by else None
    instead = f"have it trained anew without that: continuum forget --rebuild {checkpoint.task}"
    if made is not None:
        instead = f"take {made.name}, which was trained in its place"
    return f"quarantined: {erased.reason}; {instead}"


def learned_through(store: "Store", task: str) -> int:
    """Sequence number of the last interaction that the head of the line could have learned from; 0 before there is one.

    What a blocked candidate was trained on is not learned: it comes round again with the next turn.
    """
    head = head_of_line(store, task)
    dataset = store.datasets.get(head.dataset_id) if head else None
    return int(dataset.manifest.get("through", 0)) if dataset else 0


def already_trained(store: "Store", dataset: DatasetRecord, policy: TaskPolicy) -> Checkpoint | None:
    """The newest checkpoint that was trained on a dataset version just as the policy asks, where there is one."""
    base_model = policy.base_model or load_settings().base_model
    out = store.erasures.out_of_service(dataset.task)
    made = [model for model in store.checkpoints.of(dataset.task) if model.dataset_id == dataset.id and model.id not in out]
    return next((model for model in reversed(made) if model.base_model == base_model and _recipe(model) == policy.training), None)


def _recipe(model: Checkpoint) -> FineTuneConfig | None:
    """How a checkpoint was trained, settings that came later at their defaults; None where nothing is known of it."""
    try:
        return FineTuneConfig.model_validate(model.config) if model.config else None
    except ValueError:
        return None


def mark_learned(store: "Store", dataset: DatasetRecord) -> None:
    """Move the task's high-water mark to the last interaction that a dataset was chosen from; it never moves back."""
    base, through = store.tasks.get(dataset.task).trained_through, int(dataset.manifest["through"])
    if through > base:
        store.tasks.advance(dataset.task, base=base, to=through)
