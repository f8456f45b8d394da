"""Verdicts out of which something was taken: decided again from what is left, and shown so wherever they are shown."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from continuum.errors import ContinuumError, StoreError
from continuum.guard.evidence import fingerprint_of
from continuum.guard.reading import figures
from continuum.guard.replay import replay
from continuum.guard.report import files_of
from continuum.records import Verdict

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker


def settle_verdicts(store: "Store", ids: Collection[str], erasure_id: str, open_tracker: "Callable[[], Tracker]") -> list[str]:
    """Bring the fingerprints of verdicts' evidence up to date, and log the verdicts anew where their training is logged.

    Their numbers stay: each was decided on scores, and these are kept.

    Returns:
        What could not be done, in words.
    """
    from continuum.store.traces import set_evidence  # SQLAlchemy starts here

    troubles = []
    for name in ids:
        verdict = store.verdicts.get(name)
        if verdict is None or "fingerprint" not in verdict.evidence:
            continue
        verdict = verdict.model_copy(update={"evidence": _again(verdict)})
        set_evidence(store.engine, verdict.id, verdict.evidence, erasure_id)
        checkpoint = store.checkpoints.get(verdict.checkpoint_id)
        out = checkpoint is None or checkpoint.id in store.erasures.out_of_service(verdict.task)
        if checkpoint is None or out or checkpoint.mlflow_run_id is None:
            continue
        try:
            open_tracker().log_verdict(verdict, checkpoint.mlflow_run_id, *_reports(verdict))
        except ContinuumError as error:
            troubles.append(f"the report of verdict {verdict.id} in its run: {error}")
    return troubles


def _again(verdict: Verdict) -> dict:
    """The evidence as it is decided again; of one that an older version wrote only the fingerprint is made anew."""
    try:
        return replay(verdict).evidence
    except (StoreError, KeyError, TypeError):
        evidence = dict(verdict.evidence)
        try:
            return evidence | {"fingerprint": fingerprint_of(evidence)}
        except (KeyError, TypeError):
            return evidence


def _reports(verdict: Verdict) -> tuple[dict[str, str], dict[str, float]]:
    """The reports and figures of a verdict; none of one that an older version wrote."""
    try:
        return files_of(verdict), figures(verdict)
    except (KeyError, TypeError, StoreError):
        return {}, {}
