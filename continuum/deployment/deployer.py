"""Putting a checkpoint before real traffic, as far as the guard's verdict on it allows."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.config import load_settings
from continuum.deployment.backends import BACKENDS
from continuum.deployment.clearance import Clearance, clear, refuse_what_was_taken_back
from continuum.deployment.handle import Deployment
from continuum.deployment.routing import PRODUCTION
from continuum.deployment.settling import Hooks, backend_of, settle
from continuum.deployment.transitions import UNBEGUN
from continuum.errors import ConfigurationError, DeploymentError
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint
from continuum.serving_policy import Backend as ServingBackend
from continuum.serving_policy import DeploymentPolicy, Strategy
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.deployment.backends.protocol import Backend
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

logger = logging.getLogger(__name__)


class ModelDeployer:
    """Deploys checkpoints: to a share of a task's traffic at first, and to all of it step by step.

    Args:
        serving_backend: who serves the tuned models: "local", "vllm", "ollama", "tgi" or "sagemaker".
        store: where verdicts are looked up and deployments are written; the default store when left out.
        tracker: where the alias `champion` is moved when a model is live; the one of the settings when left out.
        backend_url: OpenAI-compatible base URL of the server, the policy's or `CONTINUUM_SERVING_URL` when left out.
        policy: what `deploy` does where it is not told otherwise.
        now: the clock.
        hooks: asks for approvals, in place of what the settings say; its tracker counts where `tracker` is left out.
        backend: opens the backend of a deployment's row.

    Raises:
        ConfigurationError: the backend is unknown.
    """

    def __init__(
        self,
        serving_backend: ServingBackend = "local",
        *,
        store: "Store | None" = None,
        tracker: "Tracker | None" = None,
        backend_url: str | None = None,
        policy: DeploymentPolicy | None = None,
        now: Callable[[], datetime] = utc_now,
        hooks: Hooks | None = None,
        backend: "Callable[[DeploymentRecord], Backend]" = backend_of,
    ) -> None:
        if serving_backend not in BACKENDS:
            raise ConfigurationError(f"serving_backend {serving_backend!r} is unknown; use one of {', '.join(BACKENDS)}")
        self.serving_backend = serving_backend
        self.policy = policy or DeploymentPolicy()
        self.backend_url = backend_url or self.policy.backend_url
        self._store = store
        self._tracker = tracker
        self._now = now
        self._hooks = hooks
        self._backend = backend

    @classmethod
    def for_task(cls, policy: TaskPolicy, *, store: "Store | None" = None, tracker: "Tracker | None" = None) -> "ModelDeployer":
        """A deployer that does as the task's policy says."""
        return cls(policy.deployment.backend, store=store, tracker=tracker, policy=policy.deployment)

    async def deploy(
        self,
        model: Checkpoint,
        strategy: Strategy | None = None,
        initial_traffic: float | None = None,
        ramp_schedule: Sequence[float] | None = None,
        ramp_interval_hours: float | None = None,
        rollback_on_quality_drop: float | None = None,
        *,
        unguarded: bool = False,
        again: bool = False,
        reason: str = "",
        actor: str = "sdk",
    ) -> Deployment:
        """Have a checkpoint loaded, and give it its first share of the traffic.

        What is left out is the policy's: a canary at 5 %, then 25, 50 and 100 %, two hours apart at least. A checkpoint that
        serves already by the same plan is returned as it stands. An older trial of the task is superseded; the live champion
        goes on answering the rest. Where the policy asks for an approval of this first share, the deployment is `warming`
        until there is one.

        Args:
            model: the checkpoint.
            strategy: "canary"; "blue_green" for all of the traffic at once, the champion being ready to take over again until
                `bake_hours` have passed and the watch agrees; "shadow" to answer unseen first, and then as a canary.
            initial_traffic: first share, above 0 to 1; an inconclusive verdict caps it.
            ramp_schedule: shares that follow, rising.
            ramp_interval_hours: least time between two steps.
            rollback_on_quality_drop: loss of judged quality, on a 0-1 scale, at which the candidate is to be taken back.
            unguarded: deploy without a verdict that allows it, and without its proof; the deployment says so for all to see.
            again: deploy once more, on the same verdict, what a person or the gateway's breaker took back; never what the watch
                found worse, which needs a new verdict.
            reason: why, for the record; `again` needs one.
            actor: who, for the record.

        Raises:
            ConfigurationError: the plan cannot be read, the checkpoint is not in the store, or `again` comes without a reason.
            DeploymentError: there is no verdict that allows it, the artifact is not what was trained, something that the verdict
                rests on is not what its proof says, it was taken back on this verdict, or it cannot be served.
        """
        plan = self._plan(
            strategy=strategy,
            initial_traffic=initial_traffic,
            ramp_schedule=ramp_schedule,
            ramp_interval_hours=ramp_interval_hours,
            rollback_on_quality_drop=rollback_on_quality_drop,
        )
        if again and not reason.strip():
            raise ConfigurationError("to deploy again what was taken back needs a reason: --again --reason TEXT (reason=...)")
        settings = load_settings()
        store = self._store or default_store()
        clearance = await asyncio.to_thread(clear, store, model.id, model.name, strategy=plan.strategy, unguarded=unguarded)
        record = self._record(store, clearance, plan, self.backend_url or settings.serving_url)
        standing = await asyncio.to_thread(_standing, store, record)
        if standing is None:
            after = await asyncio.to_thread(refuse_what_was_taken_back, store, record, again=again)
            await asyncio.to_thread(self._add, store, record, clearance.evidence | after, reason, actor)
        deployment = self._handle(standing or record, store)
        if deployment.state in UNBEGUN:
            deployment.record = await settle(deployment.record, deployment.means(actor), cleared=True)
            await self._require_begun(deployment, actor)
        return deployment

    def _plan(self, **given: Any) -> DeploymentPolicy:
        chosen = {name: value for name, value in given.items() if value is not None}
        return DeploymentPolicy(**(self.policy.model_dump() | chosen))

    def _record(self, store: "Store", clearance: Clearance, plan: DeploymentPolicy, backend_url: str) -> DeploymentRecord:
        model, verdict = clearance.checkpoint, clearance.verdict
        champion = store.deployments.champion(model.task)
        cap = 1.0 if verdict is None else verdict.max_traffic
        first = 1.0 if plan.strategy == "blue_green" else min(plan.initial_traffic, cap)
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
            state=DeploymentState.PENDING,
            max_traffic=cap,
            ramp_schedule=(first, *(share for share in plan.ramp_schedule if share > first)),
            ramp_interval_hours=plan.ramp_interval_hours,
            rollback_on_quality_drop=plan.rollback_on_quality_drop,
            shadow=plan.shadow_traffic if plan.strategy == "shadow" else 0.0,
            bake_hours=plan.bake_hours,
            hold_limit_hours=plan.hold_limit_hours,
            step_at=at,
            created_at=at,
            updated_at=at,
        )

    def _add(self, store: "Store", record: DeploymentRecord, evidence: dict[str, Any], reason: str, actor: str) -> None:
        # The gateway names the arm on whatever it serves, also where the application's own capture came first.
        served = store.interactions.counts_by(record.task, "variant")
        through_gateway = sum(count for variant, count in served.items() if variant is not None)
        if not through_gateway:
            logger.warning(
                "no request of task %r has come through the gateway yet; only an application whose OpenAI client uses %s "
                "can be given another model",
                record.task,
                load_settings().gateway_url,
            )
        rests_on = "unguarded: no verdict was asked for" if record.verdict_id is None else f"verdict: {evidence['status']}"
        event = DeploymentEvent(
            deployment_id=record.id,
            at=record.created_at,
            actor=actor,
            action="deploy",
            reason="; ".join(words for words in (rests_on, "again" if "again" in evidence else "", reason) if words),
            evidence=evidence | {"gateway_requests_so_far": through_gateway},
        )
        store.deployments.add(record, event)

    async def _require_begun(self, deployment: Deployment, actor: str) -> None:
        """Refuse what was not begun, unless it waits for somebody's approval."""
        record = deployment.record
        if record.state not in (DeploymentState.WARMING, DeploymentState.ROLLING_BACK, DeploymentState.ABORTED):
            return
        store = self._store or default_store()
        last = {event.action: event for event in await asyncio.to_thread(store.deployments.events, record.id)}
        if "abort" in last:
            raise DeploymentError(last["abort"].reason)
        if "ask" not in last:
            words = (
                f"no server answers at {record.backend_url}, and blue_green gives {record.model} all of the traffic at once; "
                "start the server, or deploy a canary, for which production steps in"
            )
            await deployment.abort(reason=words, actor=actor)
            raise DeploymentError(words)

    def _handle(self, record: DeploymentRecord, store: "Store") -> Deployment:
        return Deployment(record, store=store, tracker=self._tracker, now=self._now, hooks=self._hooks, backend=self._backend)


def _standing(store: "Store", wanted: DeploymentRecord) -> DeploymentRecord | None:
    """The deployment that does what is wanted already, or is about to."""
    begun = store.deployments.serving(wanted.task)
    others = [record for record in store.deployments.unsettled() if record.task == wanted.task and record.state in UNBEGUN]
    return next((record for record in (*begun, *others) if _same_plan(record, wanted)), None)


def _same_plan(standing: DeploymentRecord, wanted: DeploymentRecord) -> bool:
    fields = ("checkpoint_id", "strategy", "backend", "ramp_schedule", "ramp_interval_hours", "rollback_on_quality_drop")
    same = all(getattr(standing, field) == getattr(wanted, field) for field in fields)
    # A backend may have named the slot that it serves the model from, which stands below its address.
    same = same and standing.backend_url.startswith(wanted.backend_url)
    return same and (standing.verdict_id is None) == (wanted.verdict_id is None)
