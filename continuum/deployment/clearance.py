"""What allows a checkpoint to serve, and how much: its files, the newest verdict on it, and the verdict's proof."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from continuum.config import load_settings
from continuum.deployment.gateway.tripping import ACTOR as GATEWAY
from continuum.errors import ConfigurationError, DeploymentError, StoreError
from continuum.provenance.line import why_quarantined
from continuum.records import Checkpoint, Verdict, VerdictStatus
from continuum.serving_records import DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from continuum.provenance.verifying import Verified
    from continuum.store.database import Store

T = TypeVar("T")
BY_HAND = "by_hand"
"""In the evidence of an end: somebody wanted it, whatever the watch made of the model."""


@dataclass(frozen=True)
class Clearance:
    """A checkpoint whose files are what was trained, and what allows it to serve."""

    checkpoint: Checkpoint
    verdict: Verdict | None
    """None when it is deployed unguarded."""
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Carried:
    """What a step of the ramp rests on."""

    evidence: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    """Columns of the deployment's row that change with it."""


def clear(store: "Store", checkpoint_id: str, name: str, *, strategy: str, unguarded: bool) -> Clearance:
    """Check all that allows a checkpoint to serve.

    Raises:
        ConfigurationError: the store does not know the checkpoint.
        DeploymentError: there is no verdict that allows it, the artifact is not what was trained, or something that the verdict
            rests on is not what its proof says.
    """
    from continuum.provenance.artifacts import verify_artifact

    # The store's row is the one that was judged; the caller's copy may differ from it.
    known = read_or_refuse(lambda: store.checkpoints.get(checkpoint_id), f"checkpoint {checkpoint_id} ({name})")
    if known is None:
        raise ConfigurationError(
            f"checkpoint {checkpoint_id} ({name}) is not in the store; deploy one that `continuum train` made"
        )
    if (why := why_quarantined(store, known)) is not None:
        raise DeploymentError(f"{known.name} may not serve, it is {why}")
    try:
        files = verify_artifact(known.uri, known.manifest)
    except StoreError as error:
        raise DeploymentError(f"{known.name} may not serve, its files are not what was trained: {error}") from error
    proof = None if unguarded else proof_of(store, known, load_settings().trusted_keys)
    verdict = read_or_refuse(lambda: store.verdicts.latest(known.id), f"the verdict on {known.name}")
    evidence: dict[str, Any] = {"files_verified": len(files), "unguarded": unguarded}
    evidence["proof"] = "not checked: deployed unguarded" if proof is None else proof.evidence()
    if verdict is not None:
        told = {"status", "approved", "max_traffic", "required_examples", "failed_checks"}
        evidence |= verdict.model_dump(mode="json", include=told) | {"verdict_id": verdict.id}
    if unguarded:
        return Clearance(known, None, evidence)
    allowed = permit(known, verdict, strategy)
    require_proven(known, allowed, proof)
    return Clearance(known, allowed, evidence)


def carried(store: "Store", seen: DeploymentRecord, share: float, *, live_evidence: bool) -> Carried:
    """Check that the newest verdict on a deployment's candidate carries a larger share of the traffic.

    Args:
        store: where verdicts and proofs are.
        seen: the deployment.
        share: of the traffic, from 0 to 1.
        live_evidence: the watch has shown on live traffic that the candidate is within the limit. That lifts the cap of an
            inconclusive verdict, as a newer verdict on more golden examples does, and nothing else.

    Raises:
        DeploymentError: there is no such verdict, its proof does not hold, or it is capped below the share.
    """
    if seen.verdict_id is None:
        return Carried({"unguarded": True})
    verdict = newest_verdict(store, seen)
    if verdict is None or not verdict.approved or verdict.status is VerdictStatus.BLOCKED:
        word = "there is no verdict any more" if verdict is None else f"the newest verdict is {verdict.status}"
        raise DeploymentError(f"{seen.model} cannot be promoted: {word}; roll it back, or evaluate it again")
    checkpoint = store.checkpoints.get(seen.checkpoint_id)
    if checkpoint is None:
        raise DeploymentError(f"{seen.model} cannot be promoted: checkpoint {seen.checkpoint_id} is no longer in the store")
    require_proven(checkpoint, verdict, proof_of(store, checkpoint, load_settings().trusted_keys))
    cap = seen.max_traffic if verdict.id == seen.verdict_id else verdict.max_traffic
    evidence: dict[str, Any] = {"verdict_id": verdict.id, "status": verdict.status.value, "max_traffic": verdict.max_traffic}
    if share > cap:
        if not live_evidence:
            needed = f"about {verdict.required_examples} golden examples" if verdict.required_examples else "more golden examples"
            raise DeploymentError(
                f"{seen.model} may serve at most {cap:.0%} on an {verdict.status} verdict, the next step is {share:.0%}; "
                f"a verdict on {needed} would decide: run the guard again when there are so many, then promote; "
                "or let `continuum watch` lead it, which goes on when live traffic has shown that it is no worse"
            )
        evidence["cap_lifted"] = {"from": cap, "by": "the watch's evidence on live traffic"}
        cap = 1.0
    return Carried(evidence, {"verdict_id": verdict.id, "max_traffic": cap})


def newest_verdict(store: "Store", seen: DeploymentRecord) -> Verdict | None:
    """The newest verdict on a deployment's candidate.

    Raises:
        DeploymentError: its row cannot be read any more.
    """
    return read_or_refuse(lambda: store.verdicts.latest(seen.checkpoint_id), f"the verdict on {seen.model}")


def read_or_refuse(read: Callable[[], T], what: str) -> T:
    """Read a row that somebody may have altered.

    Raises:
        DeploymentError: it cannot be read as a record any more.
    """
    from continuum.store.exact import legible

    try:
        return legible(read, what)
    except StoreError as error:
        raise DeploymentError(f"nothing may serve on it: {error}") from error


def proof_of(store: "Store", model: Checkpoint, trusted: Sequence[str]) -> "Verified | None":
    """The proof beside a checkpoint, checked against everything that it names; None where there is none.

    Raises:
        DeploymentError: it does not hold; the message names the broken link and the artifact.
    """
    from continuum.provenance.verifying import require_proof

    try:
        return require_proof(store, model, trusted=trusted)
    except StoreError as error:
        raise DeploymentError(f"{model.name} may not serve, the proof of its verdict is broken: {error}") from error


def require_proven(model: Checkpoint, verdict: Verdict, proof: "Verified | None") -> None:
    """Check that the proof is of the verdict that allows the deployment.

    Raises:
        DeploymentError: there is none, or it is of another verdict.
    """
    again = (
        f"run `continuum guard --candidate {model.name}` again, or deploy it with --unguarded (in Python unguarded=True), which "
        "the deployment tells"
    )
    if proof is None:
        raise DeploymentError(f"{model.name} may not serve: its verdict {verdict.id} has no proof beside the checkpoint; {again}")
    if proof.proof.verdict_id != verdict.id:
        raise DeploymentError(
            f"{model.name} may not serve: its newest verdict is {verdict.id}, and the proof beside the checkpoint is of verdict "
            f"{proof.proof.verdict_id}; {again}"
        )


def permit(model: Checkpoint, verdict: Verdict | None, strategy: str) -> Verdict:
    """The verdict, if it lets the checkpoint serve by this strategy.

    Raises:
        DeploymentError: there is none, it does not approve, or it is capped and the strategy takes all of the traffic.
    """
    if verdict is None:
        raise DeploymentError(
            f"{model.name} has no verdict; run `continuum guard --candidate {model.name}` (in Python RegressionGuard.evaluate) "
            "first, or deploy it with --unguarded (unguarded=True), which is written into the deployment"
        )
    if verdict.status is VerdictStatus.BLOCKED or not verdict.approved:
        reasons = ", ".join(verdict.failed_checks) or f"its verdict is {verdict.status} and does not approve it"
        raise DeploymentError(f"{model.name} may not serve: {verdict.status} ({reasons}); see verdict {verdict.id}")
    if verdict.max_traffic < 1 and strategy == "blue_green":
        raise DeploymentError(
            f"{model.name} may serve at most {verdict.max_traffic:.0%} of the traffic on an {verdict.status} verdict, "
            "and blue_green takes all of it; deploy it as a canary: "
            f"`continuum tasks set {model.task} deployment.strategy=canary`, in Python strategy='canary'"
        )
    return verdict


def refuse_what_was_taken_back(store: "Store", record: DeploymentRecord, *, again: bool = False) -> dict[str, Any]:
    """Keep a stage that runs again from redeploying what a person, a breaker or the watch has taken back.

    Args:
        store: where deployments are.
        record: what is to be deployed.
        again: somebody wants it once more, where a person or a breaker ended the last one.

    Returns:
        Evidence on what it comes after, empty where nothing was taken back.

    Raises:
        DeploymentError: it was taken back on the same verdict, and `again` is not given or not enough.
    """
    over = (DeploymentState.ROLLING_BACK, DeploymentState.ROLLED_BACK, DeploymentState.ABORTED)
    if record.verdict_id is None:
        return {}
    for last in store.deployments.of(record.task):
        if last.checkpoint_id != record.checkpoint_id or last.verdict_id != record.verdict_id:
            continue
        if last.state not in over:
            return {}
        events = store.deployments.events(last.id)
        # One that never began says nothing against the model: its server was not there, or refused it.
        if not any(event.action == "begin" or event.to_traffic > 0 for event in events):
            continue
        end = next(event for event in reversed(events) if event.action in ("rollback", "abort"))
        found = f"{record.model} was deployed on this verdict before and is {last.state} (deployment {last.id}, by {end.actor})"
        evaluate = f"evaluate it again with `continuum guard --candidate {record.model}`, or train a better one"
        if end.actor != GATEWAY and BY_HAND not in end.evidence:
            raise DeploymentError(f"{found}: live traffic or the guard spoke against it, so it needs a new verdict; {evaluate}")
        if not again:
            raise DeploymentError(
                f"{found}; deploy it once more with `continuum deploy {record.model} --again --reason TEXT` (in Python "
                f"again=True, reason=...), or {evaluate}"
            )
        return {"again": {"deployment_id": last.id, "ended_by": end.actor, "because": end.reason}}
    return {}


def clear_again(store: "Store", record: DeploymentRecord, *, checked: bool) -> Checkpoint:
    """The checkpoint of a deployment that is about to begin; all that allows it is checked unless that was done just now.

    Raises:
        DeploymentError: it may not serve.
    """
    if not checked:
        try:
            unguarded = record.verdict_id is None
            return clear(store, record.checkpoint_id, record.model, strategy=record.strategy, unguarded=unguarded).checkpoint
        except ConfigurationError as error:
            raise DeploymentError(str(error)) from error
    known = store.checkpoints.get(record.checkpoint_id)
    if known is None:
        raise DeploymentError(f"checkpoint {record.checkpoint_id} ({record.model}) is no longer in the store")
    return known
