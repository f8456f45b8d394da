"""Who wrote an answer: a person or an outside model, or a version of this task's own line of models.

A model that learns from its own line's answers loses the tails of what people ask (Shumailov et al. 2023, arXiv 2305.17493), so
each example carries how deep in the line its answer lies.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.records import Interaction

if TYPE_CHECKING:
    from continuum.store.database import Store

VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Lineage:
    """A task's line of models, as far as answers can be traced to it."""

    task: str
    candidates: Mapping[str, int]
    """Deployment id to the version that its canary arm serves."""


def read_lineage(store: "Store", task: str) -> Lineage:
    """A task's line, read from the store in two queries."""
    versions = {checkpoint.id: checkpoint.version for checkpoint in store.checkpoints.of(task)}
    candidates: dict[str, int] = {}
    for deployment in store.deployments.of(task):
        version = versions.get(deployment.checkpoint_id) or _version(deployment.model, task)
        if version is not None:
            candidates[deployment.id] = version
    return Lineage(task, candidates)


def generation_of(interaction: Interaction, lineage: Lineage) -> int:
    """The version of the line that wrote an interaction's answer; 0 for a model outside it.

    The name `<task>-v<k>`, by which the line is served, says it wherever it was recorded, behind a provider's prefix too: also
    of imported traffic whose checkpoints this store never held. Where a server answered under another name, the canary arm of a
    deployment says it. The stable arm says nothing: production steps in for it.
    """
    named = _version(interaction.model or "", lineage.task)
    if named is not None:
        return named
    if interaction.variant == "canary" and interaction.deployment_id is not None:
        return lineage.candidates.get(interaction.deployment_id, 0)
    return 0


def _version(model: str, task: str) -> int | None:
    name = model.rpartition("/")[2]
    before, found, version = name.rpartition("-v")
    return int(version) if found and before == task and VERSION.fullmatch(version) else None
