"""What a candidate is compared with, and on which golden items the comparison is fair."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from continuum.errors import ConfigurationError, StoreError
from continuum.excerpts import excerpt
from continuum.provenance.artifacts import verify_artifact
from continuum.provenance.line import why_quarantined
from continuum.records import Checkpoint, Verdict
from continuum.splits.golden import GoldenDataset, GoldenItem
from continuum.splits.golden_leaks import Leak
from continuum.splits.sample import whole_groups

if TYPE_CHECKING:
    from continuum.store.database import Store

PRODUCTION = "production"
"""The baseline before there is a champion: the model whose answers were captured."""


NAMED = 3
"""Probes that a note names."""
BASE = "base"
"""The baseline where production answered nothing either: the base model without an adapter."""


@dataclass(frozen=True)
class Baseline:
    """What a candidate is compared with."""

    id: str
    """A checkpoint's id, `production` or `base`."""
    name: str
    champion: Checkpoint | None = None
    """None where no checkpoint serves."""


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


def baseline_of(store: "Store", candidate: Checkpoint, golden: GoldenDataset, again: Verdict | None = None) -> Baseline:
    """What a candidate is compared with: the champion, else production, else, where it answered nothing, the bare base model.

    The champion itself is compared with what the verdict on it that is given anew compared it with.

    Raises:
        ConfigurationError: the champion's checkpoint is not in the store, or the candidate is the champion, or learned from what
            was erased since.
    """
    if (why := why_quarantined(store, candidate)) is not None:
        raise ConfigurationError(f"{candidate.name} is not compared any more, it is {why}")
    champion = champion_of(store, candidate.task)
    if champion is not None and champion.id == candidate.id and again is not None:
        champion = _compared_with(store, again)
    elif champion is not None and champion.id == candidate.id:
        raise ConfigurationError(
            f"{candidate.name} is what serves task {candidate.task!r} now, which candidates are compared with; guard another"
        )
    if champion is not None:
        return Baseline(champion.id, champion.name, champion)
    if any(item.production is not None for item in golden if item.kind != "alignment"):
        return Baseline(PRODUCTION, PRODUCTION)
    return Baseline(BASE, f"{Path(candidate.base_model).name} without an adapter")


def _compared_with(store: "Store", verdict: Verdict) -> Checkpoint | None:
    """The checkpoint that a verdict compared its candidate with; None for production and the bare base model."""
    if verdict.baseline in (PRODUCTION, BASE):
        return None
    checkpoint = store.checkpoints.get(verdict.baseline)
    if checkpoint is None:
        raise ConfigurationError(
            f"verdict {verdict.id} compared with checkpoint {verdict.baseline}, which the store does not have; restore the store"
        )
    return checkpoint


def require_files(candidate: Checkpoint, baseline: Baseline) -> None:
    """Refuse models whose files are not as training left them before anything is asked of either.

    Raises:
        StoreError: the message says whose files they are, the candidate's or the champion's.
    """
    again = f"train {candidate.name} again, or restore its folder from a backup"
    _require_files(candidate, f"the candidate {candidate.name}", again)
    if (champion := baseline.champion) is not None:
        whose = f"the champion {champion.name}, which serves task {champion.task!r} and which {candidate.name} is compared with,"
        _require_files(champion, whose, "restore its folder from a backup, or roll its deployment back first")


def _require_files(model: Checkpoint, whose: str, cure: str) -> None:
    try:
        verify_artifact(model.uri, model.manifest)
    except StoreError as error:
        fault = str(error).rpartition("; ")[0] or str(error)  # What to do is another thing for either model.
        raise StoreError(f"{whose} cannot be asked: {fault}; {cure}") from error


def learned_notes(learned: Mapping[str, Leak], held_out: int) -> list[str]:
    """What to say of held-out probes that a training set of the task holds.

    Args:
        learned: their questions, and where each was found.
        held_out: how many held-out probes there are.
    """
    if not learned:
        return []
    named = ", ".join(f"{excerpt(prompt)!r} ({leak.how} in {leak.dataset})" for prompt, leak in list(learned.items())[:NAMED])
    more = f" and {len(learned) - NAMED} more" if len(learned) > NAMED else ""
    return [
        f"{len(learned)} of {held_out} held-out probes of the constraints were trained on, or nearly, and do not count as held "
        f"out: {named}{more}"
    ]


def usable_items(
    golden: GoldenDataset, baseline: Baseline, trained: set[str], leaked: set[str], limit: int | None
) -> tuple[list[GoldenItem], list[str]]:
    """The items to ask, and in plain words why others are left out.

    Args:
        golden: what there is.
        baseline: what is compared with.
        trained: ids that the candidate's line was trained on.
        leaked: ids of items whose question a training set of the task holds, exactly or nearly.
        limit: the most items to ask; None for all.
    """
    notes = []
    items = [item for item in golden if item.interaction_id not in trained]
    if len(items) < len(golden):
        notes.append(f"{len(golden) - len(items)} golden items are in the candidate's training data and were left out")
    sealed = [item for item in items if item.interaction_id not in leaked]
    if len(sealed) < len(items):
        notes.append(
            f"{len(items) - len(sealed)} golden items ask what a training set of the task asks, or nearly, and were left out"
        )
    items = sealed
    if baseline.id == PRODUCTION:
        answered = [item for item in items if item.production is not None or item.kind == "alignment"]
        if len(answered) < len(items):
            notes.append(f"{len(items) - len(answered)} golden items have no answer from production and were left out")
        items = answered
    asked = whole_groups(items, limit, salt=golden.fingerprint)
    if len(asked) < len(items):
        notes.append(f"{len(asked)} of {len(items)} golden items were asked, in whole groups chosen by a fixed hash")
    return asked, notes
