"""Models that learned from what is erased: taken out of service at once, and then out of every place that holds their weights."""

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.artifacts.places import folder_at, is_remote
from continuum.artifacts.publishing import withdraw
from continuum.deployment.handle import Deployment
from continuum.deployment.settling import Hooks
from continuum.deployment.transitions import ON_TRIAL, UNBEGUN
from continuum.errors import ContinuumError, DeploymentError, ProofBroken
from continuum.records import Checkpoint
from continuum.serving_records import DeploymentState

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

ACTOR = "forget"
ATTEMPTS = 50
"""Deployments of one task that are taken back, one after another, at most."""

logger = logging.getLogger(__name__)


def quarantine(store: "Store", models: Sequence[tuple[Checkpoint, str]], erasure_id: str) -> int:
    """Write down that these may neither serve nor be continued, and what their files are before they go."""
    from continuum.provenance.artifact_links import hash_checkpoint
    from continuum.store.erasures import Change

    for model, why in models:
        try:
            files = hash_checkpoint(model.name, model.uri)
        except ProofBroken as error:
            logger.warning("%s cannot be read before it is deleted: %s", model.name, error)
            files = dict(model.manifest)
        change = Change("files", files, {})
        store.erasures.note_change(erasure_id, "checkpoint", model.id, model.task, change, state="quarantined", reason=why)
    return len(models)


async def take_out_of_service(
    store: "Store", task: str, *, hooks: Hooks | None = None, tracker: "Tracker | None" = None
) -> list[str]:
    """Give a task's traffic back to the last clean champion, or to production; ends what was on trial with it.

    Args:
        store: where the deployments are.
        task: whose.
        hooks: what deployments are led with; those of the settings when left out.
        tracker: whose alias follows; the one of the settings when left out.

    Returns:
        The names of the models that lost their traffic.
    """
    out, taken = store.erasures.out_of_service(task), list[str]()
    for _ in range(ATTEMPTS):
        wrong = [one for one in store.deployments.of(task) if one.checkpoint_id in out and _may_serve(one.state)]
        if not wrong:
            break
        first = wrong[0]
        handle = Deployment.open(first.id, store=store, hooks=hooks, tracker=tracker)
        reason = f"{first.model} learned from what was erased"
        try:
            if first.state is DeploymentState.LIVE:
                await handle.rollback(reason=reason, actor=ACTOR)
            else:
                await handle.abort(reason=reason, actor=ACTOR)
        except DeploymentError as error:
            logger.warning("%s: %s", first.model, error)
        taken.append(first.model)
    return list(dict.fromkeys(taken))


def _may_serve(state: DeploymentState) -> bool:
    return state is DeploymentState.LIVE or state in ON_TRIAL or state in UNBEGUN


def delete_weights(models: Sequence[Checkpoint], open_tracker: "Callable[[], Tracker]") -> tuple[dict[str, int], list[str]]:
    """Delete adapters wherever they lie: folder, storage, copies, the tracker's. Proofs and manifests, which are hashes, stay.

    Returns:
        What was deleted, and what could not be, in words.
    """
    done, troubles = {"adapters": 0, "tracked runs": 0}, []
    tracker: Any = None
    for model in models:
        try:
            done["adapters"] += _delete_files(model.uri)
        except (ContinuumError, OSError) as error:
            troubles.append(f"the files of {model.name}: {error}")
        if model.mlflow_run_id is None:
            continue
        try:
            tracker = tracker or open_tracker()
            tracker.erase_training(model.task, model.mlflow_run_id, model.mlflow_version)
            done["tracked runs"] += 1
        except ContinuumError as error:
            troubles.append(f"the run of {model.name}: {error}")
    return done, troubles


def _delete_files(uri: str) -> int:
    from continuum.provenance.artifacts import files_of

    if is_remote(uri):
        return int(withdraw(uri))
    folder = folder_at(uri)
    if not folder.is_dir():
        return 0
    names = files_of(folder)
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for below in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):
            below.rmdir()
    return int(bool(names))


def delete_merged(folder: Path, models: Sequence[Checkpoint]) -> tuple[int, list[str]]:
    """Delete what killed processes left of models merged with their base; how many, and what could not be, in words."""
    found = [path for model in models for path in folder.glob(f"{model.name}-*") if path.is_dir()]
    for path in found:
        shutil.rmtree(path, ignore_errors=True)
    left = [path for path in found if path.exists()]
    return len(found) - len(left), [f"{path}, a merged model, cannot be deleted; see who may write there" for path in left]
