"""A task's line of models: which checkpoint the next turn goes on from, and how much of the traffic that one has learned."""

from typing import TYPE_CHECKING

from continuum.records import Checkpoint, VerdictStatus

if TYPE_CHECKING:
    from continuum.store.database import Store


def head_of_line(store: "Store", task: str) -> Checkpoint | None:
    """The checkpoint a new training continues: the champion's, else the newest with a verdict that does not block it."""
    champion = store.deployments.champion(task)
    if champion is not None and (checkpoint := store.checkpoints.get(champion.checkpoint_id)) is not None:
        return checkpoint
    for checkpoint in reversed(store.checkpoints.of(task)):
        verdict = store.verdicts.latest(checkpoint.id)
        if verdict is not None and verdict.status is not VerdictStatus.BLOCKED:
            return checkpoint
    return None


def learned_through(store: "Store", task: str) -> int:
    """Sequence number of the last interaction that the head of the line could have learned from; 0 before there is one.

    What a blocked candidate was trained on is not learned: it comes round again with the next turn.
    """
    head = head_of_line(store, task)
    dataset = store.datasets.get(head.dataset_id) if head else None
    return int(dataset.manifest.get("through", 0)) if dataset else 0
