"""What a candidate is compared with, and on which golden items the comparison is fair."""

from typing import TYPE_CHECKING

from continuum.errors import ConfigurationError
from continuum.records import Checkpoint
from continuum.splits.golden import GoldenDataset, GoldenItem
from continuum.splits.sample import whole_groups

if TYPE_CHECKING:
    from continuum.store.database import Store

PRODUCTION = "production"
"""The baseline before there is a champion: the model whose answers were captured."""


def champion_of(store: "Store", task: str) -> Checkpoint | None:
    """The checkpoint that serves the task; None while production does.

    Raises:
        ConfigurationError: the champion's checkpoint is not in the store.
    """
    deployment = store.deployments.champion(task)
    if deployment is None:
        return None
    checkpoint = store.checkpoints.get(deployment.checkpoint_id)
    if checkpoint is None:
        raise ConfigurationError(
            f"deployment {deployment.id} serves checkpoint {deployment.checkpoint_id}, which the store does not have; "
            "roll it back, or restore the store"
        )
    return checkpoint


def usable_items(
    golden: GoldenDataset, champion: Checkpoint | None, trained: set[str], limit: int | None
) -> tuple[list[GoldenItem], list[str]]:
    """The items to ask, and in plain words why others are left out."""
    notes = []
    items = [item for item in golden if item.interaction_id not in trained]
    if len(items) < len(golden):
        notes.append(f"{len(golden) - len(items)} golden items are in the candidate's training data and were left out")
    if champion is None:
        answered = [item for item in items if item.production is not None]
        if len(answered) < len(items):
            notes.append(f"{len(items) - len(answered)} golden items have no answer from production and were left out")
        items = answered
    asked = whole_groups(items, limit, salt=golden.fingerprint)
    if len(asked) < len(items):
        notes.append(f"{len(asked)} of {len(items)} golden items were asked, in whole groups chosen by a fixed hash")
    return asked, notes
