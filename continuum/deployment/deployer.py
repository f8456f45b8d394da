"""Putting a checkpoint before real traffic, as far as the guard's verdict on it allows."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from continuum.config import Settings, load_settings
from continuum.deployment.backends.local import LocalBackend
from continuum.deployment.handle import ON_TRIAL, Deployment, supersede_older
from continuum.deployment.routing import PRODUCTION
from continuum.errors import ConfigurationError, DeploymentError, StoreError
from continuum.policy import DeploymentPolicy, TaskPolicy
from continuum.records import Checkpoint, Verdict, VerdictStatus
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.provenance.verifying import Verified
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

T = TypeVar("T")

logger = logging.getLogger(__name__)

PLANNED_BACKENDS = ("vllm", "ollama", "tgi", "sagemaker")


class ModelDeployer:
    """Deploys checkpoints: to a share of a task's traffic at first, and to all of it step by step.

    Args:
        serving_backend: who serves the tuned models: "local".
        store: where verdicts are looked up and deployments are written; the default store when left out.
        tracker: where the alias `champion` is moved when a model is live; the one of the settings when left out.
        backend_url: OpenAI-compatible base URL of the server, `CONTINUUM_SERVING_URL` when left out.
        policy: what `deploy` does where it is not told otherwise.

    Raises:
        ConfigurationError: the backend is unknown, or not available in this version.
    """

    def __init__(
        self,
        serving_backend: str = "local",
        *,
        store: "Store | None" = None,
        tracker: "Tracker | None" = None,
        backend_url: str | None = None,
        policy: DeploymentPolicy | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if serving_backend in PLANNED_BACKENDS:
            raise ConfigurationError(
                f"serving_backend {serving_backend!r} is not available in this version; use 'local', "
                "which serves the same adapters from this machine"
            )
        if serving_backend != "local":
            raise ConfigurationError(f"serving_backend {serving_backend!r} is unknown; use 'local'")
        self.serving_backend = serving_backend
        self.backend_url = backend_url
        self.policy = policy or DeploymentPolicy()
        self._store = store
        self._tracker = tracker
        self._now = now

    @classmethod
    def for_task(cls, policy: TaskPolicy, *, store: "Store | None" = None, tracker: "Tracker | None" = None) -> "ModelDeployer":
        """A deployer that does as the task's policy says."""
        return cls(policy.deployment.backend, store=store, tracker=tracker, policy=policy.deployment)

    async def deploy(
        self,
        model: Checkpoint,
        strategy: str | None = None,
        initial_traffic: float | None = None,
        ramp_schedule: Sequence[float] | None = None,
        ramp_interval_hours: float | None = None,
        rollback_on_quality_drop: float | None = None,
        *,
        unguarded: bool = False,
        actor: str = "sdk",
    ) -> Deployment:
        """Give a checkpoint its first share of the traffic.

        What is left out is the policy's: a canary at 5 %, then 25, 50 and 100 %, two hours apart at least. A checkpoint
        that serves already by the same plan is returned as it stands. An older canary of the task is superseded; the live
        champion goes on answering the rest.

        Args:
            model: the checkpoint.
            strategy: "canary", or "blue_green" for all of the traffic at once.
            initial_traffic: first share, above 0 to 1; an inconclusive verdict caps it.
            ramp_schedule: shares that follow, rising.
            ramp_interval_hours: least time between two steps.
            rollback_on_quality_drop: loss of judged quality, on a 0-1 scale, at which the candidate is to be taken back.
            unguarded: deploy without a verdict that allows it, and without its proof; the deployment says so for all to see.
            actor: who, for the record.

        Raises:
            ConfigurationError: the plan cannot be read, or the checkpoint is not in the store.
            DeploymentError: there is no verdict that allows it, the artifact is not what was trained, something that the verdict
                rests on is not what its proof says, or it cannot be served.
        """
        plan = self._plan(
            strategy=strategy,
            initial_traffic=initial_traffic,
            ramp_schedule=ramp_schedule,
            ramp_interval_hours=ramp_interval_hours,
            rollback_on_quality_drop=rollback_on_quality_drop,
        )
        settings = load_settings()
        store = self._store or default_store()
        clearance = await asyncio.to_thread(self._clear, store, model, plan, unguarded, settings.trusted_keys)
        record = self._record(store, clearance, plan, self.backend_url or settings.serving_url)
        standing = next((other for other in store.deployments.serving(record.task) if _same_plan(other, record)), None)
        if standing is not None:
            return self._handle(standing, store)
        refuse_what_was_taken_back(store, record)
        ready = await LocalBackend(record.backend_url).warm(record.model)
        if not ready and plan.strategy == "blue_green":
            raise DeploymentError(
                f"no server answers at {record.backend_url}, and blue_green gives {record.model} all of the traffic at once; "
                "start `continuum serve`, or deploy a canary, for which production steps in"
            )
        evidence = clearance.evidence | {"backend_ready": ready}
        return await asyncio.to_thread(self._begin, store, record, evidence, actor, settings)

    # --- may it, and how ---------------------------------------------------------------------------------------------------

    def _plan(self, **given: Any) -> DeploymentPolicy:
        if given["strategy"] == "shadow":
            raise ConfigurationError(
                "strategy 'shadow' is not available in this version; use 'canary' with a small initial_traffic"
            )
        chosen = {name: value for name, value in given.items() if value is not None}
        return DeploymentPolicy(**(self.policy.model_dump() | chosen))

    def _clear(
        self, store: "Store", model: Checkpoint, plan: DeploymentPolicy, unguarded: bool, trusted: Sequence[str]
    ) -> "Clearance":
        from continuum.provenance.artifacts import verify_artifact

        # The store's row is the one that was judged; the caller's copy may differ from it.
        known = read_or_refuse(lambda: store.checkpoints.get(model.id), f"checkpoint {model.id} ({model.name})")
        if known is None:
            raise ConfigurationError(
                f"checkpoint {model.id} ({model.name}) is not in the store; deploy one that Trainer.train returned"
            )
        try:
            files = verify_artifact(Path(known.uri), known.manifest)
        except StoreError as error:
            raise DeploymentError(f"{known.name} may not serve, its files are not what was trained: {error}") from error
        proof = None if unguarded else proof_of(store, known, trusted)
        verdict = read_or_refuse(lambda: store.verdicts.latest(known.id), f"the verdict on {known.name}")
        evidence: dict[str, Any] = {"files_verified": len(files), "unguarded": unguarded}
        evidence["proof"] = "not checked: deployed unguarded" if proof is None else proof.evidence()
        if verdict is not None:
            evidence |= verdict.model_dump(
                mode="json", include={"status", "approved", "max_traffic", "required_examples", "failed_checks"}
            )
            evidence["verdict_id"] = verdict.id
        if unguarded:
            return Clearance(known, None, evidence)
        allowed = permit(known, verdict, plan.strategy)
        require_proven(known, allowed, proof)
        return Clearance(known, allowed, evidence)

    def _record(self, store: "Store", clearance: "Clearance", plan: DeploymentPolicy, backend_url: str) -> DeploymentRecord:
        model, verdict = clearance.checkpoint, clearance.verdict
        champion = store.deployments.champion(model.task)
        cap = 1.0 if verdict is None else verdict.max_traffic
        first = min(plan.initial_traffic, cap)
        at = self._now()
        return DeploymentRecord(
            task=model.task,
            checkpoint_id=model.id,
            model=model.name,
            stable_model=PRODUCTION if champion is None else champion.model,
            verdict_id=None if verdict is None else verdict.id,
            strategy=plan.strategy,
            backend=self.serving_backend,
            backend_url=backend_url,
            # Blue-green has the one step; until it is taken the row routes nothing.
            traffic=0.0 if plan.strategy == "blue_green" else first,
            max_traffic=cap,
            ramp_schedule=(1.0,) if plan.strategy == "blue_green" else (first, *(s for s in plan.ramp_schedule if s > first)),
            ramp_interval_hours=plan.ramp_interval_hours,
            rollback_on_quality_drop=plan.rollback_on_quality_drop,
            created_at=at,
            updated_at=at,
        )

    # --- the change itself -------------------------------------------------------------------------------------------------

    def _begin(
        self, store: "Store", record: DeploymentRecord, evidence: dict[str, Any], actor: str, settings: Settings
    ) -> Deployment:
        # The gateway names the arm on whatever it serves, also where the application's own capture came first.
        served = store.interactions.counts_by(record.task, "variant")
        through_gateway = sum(count for variant, count in served.items() if variant is not None)
        if not through_gateway:
            logger.warning(
                "no request of task %r has come through the gateway yet; only an application whose OpenAI client uses %s "
                "can be given another model",
                record.task,
                settings.gateway_url,
            )
        event = DeploymentEvent(
            deployment_id=record.id,
            at=record.created_at,
            actor=actor,
            action="deploy",
            reason="unguarded: no verdict was asked for" if record.verdict_id is None else f"verdict: {evidence['status']}",
            to_traffic=record.traffic,
            evidence=evidence | {"gateway_requests_so_far": through_gateway},
        )
        store.deployments.add(record, event)
        supersede_older(store, record, ON_TRIAL, actor=actor)
        handle = self._handle(record, store)
        if record.traffic >= 1 or record.strategy == "blue_green":
            handle.go_live(actor=actor)
        return handle

    def _handle(self, record: DeploymentRecord, store: "Store") -> Deployment:
        return Deployment(record, store=store, tracker=self._tracker, now=self._now)


@dataclass(frozen=True)
class Clearance:
    """A checkpoint whose files are what was trained, and what allows it to serve."""

    checkpoint: Checkpoint
    verdict: Verdict | None
    """None when it is deployed unguarded."""
    evidence: dict[str, Any]


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
    again = f"run `continuum guard --candidate {model.name}` again, or deploy with unguarded=True, which the deployment tells"
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
            f"{model.name} has no verdict; run RegressionGuard.evaluate or `continuum guard --candidate {model.name}` first, "
            "or deploy with unguarded=True, which is written into the deployment"
        )
    if verdict.status is VerdictStatus.BLOCKED or not verdict.approved:
        reasons = ", ".join(verdict.failed_checks) or f"its verdict is {verdict.status} and does not approve it"
        raise DeploymentError(f"{model.name} may not serve: {verdict.status} ({reasons}); see verdict {verdict.id}")
    if verdict.max_traffic < 1 and strategy == "blue_green":
        raise DeploymentError(
            f"{model.name} may serve at most {verdict.max_traffic:.0%} of the traffic on an {verdict.status} verdict, "
            "and blue_green takes all of it; use strategy='canary'"
        )
    return verdict


def refuse_what_was_taken_back(store: "Store", record: DeploymentRecord) -> None:
    """Keep a stage that runs again from redeploying what a person, or the watch, has taken back.

    Raises:
        DeploymentError: the checkpoint's last deployment was rolled back or aborted, and the verdict is still the same.
    """
    last = next((other for other in store.deployments.of(record.task) if other.checkpoint_id == record.checkpoint_id), None)
    taken_back = last is not None and last.state in (DeploymentState.ROLLED_BACK, DeploymentState.ABORTED)
    if last is not None and taken_back and record.verdict_id is not None and last.verdict_id == record.verdict_id:
        raise DeploymentError(
            f"{record.model} was deployed on this verdict before and is {last.state} (deployment {last.id}); "
            f"evaluate it again with `continuum guard --candidate {record.model}`, or train a better one"
        )


def _same_plan(standing: DeploymentRecord, wanted: DeploymentRecord) -> bool:
    fields = ("checkpoint_id", "strategy", "backend_url", "ramp_schedule", "ramp_interval_hours", "rollback_on_quality_drop")
    same = all(getattr(standing, field) == getattr(wanted, field) for field in fields)
    return same and (standing.verdict_id is None) == (wanted.verdict_id is None)
