"""The whole wheel: `Continuum` in an application, `turn` in whoever drives it.

The application registers a task and captures for it; it never trains. A driver (the Dagster daemon, or `continuum turn`)
takes the task's claim in the store and leads one record through every stage.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from continuum.annotation.rounds import annotate
from continuum.config import load_settings
from continuum.curation.curator import DataCurator
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.driving import Round, drive
from continuum.errors import ConfigurationError, DeploymentError, NotEnoughData, StoreError
from continuum.gathering import gather
from continuum.guard.guard import RegressionGuard
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.provenance.line import already_trained, mark_learned
from continuum.records import Checkpoint, Record, Verdict
from continuum.rejudging import attempt_of, catch_up
from continuum.reopening import look
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.signals.decorator import capture
from continuum.store import default_store
from continuum.store.outages import unless_away
from continuum.strict import Policy
from continuum.timespan import utc_now
from continuum.training.trainer import Trainer

if TYPE_CHECKING:
    from continuum.store.database import Store

logger = logging.getLogger("continuum")

CLAIM_LASTS = timedelta(minutes=2)
"""A driver that was killed holds a task no longer than this; one that lives renews its claim four times as often."""
DRIVER_UNSEEN_AFTER = timedelta(minutes=10)
DEFAULT_JUDGE = "gpt-4o-mini"


class ContinuumConfig(Policy):
    """The minimal integration: a task, a key for the judge, and how far the wheel may turn by itself."""

    task: str
    api_key: SecretStr | None = None
    """Key of the judge's endpoint, for this process; never stored: a driver elsewhere reads its own from the environment."""
    auto_annotate: bool = True
    auto_train_when: int | None = None
    auto_deploy_if_better: bool = False
    judge_model: str | None = None
    base_model: str | None = None
    policy: TaskPolicy | None = None
    """Everything else that a task can ask for; the fields above win over it."""

    def to_policy(self) -> TaskPolicy:
        """The policy that is stored with the task.

        Raises:
            ConfigurationError: a field makes no sense; the message names it.
        """
        start = self.policy or TaskPolicy(task=self.task)
        judge_model = (
            self.judge_model or start.judge.model or load_settings().judge_model or (DEFAULT_JUDGE if self.api_key else None)
        )
        fields = {
            "task": self.task,
            "auto_annotate": self.auto_annotate,
            "auto_train_when": self.auto_train_when,
            "auto_deploy_if_better": self.auto_deploy_if_better,
            "base_model": self.base_model or start.base_model,
            "judge": {**start.judge.model_dump(), "model": judge_model},
        }
        return TaskPolicy(**{**start.model_dump(), **fields})


class Status(Record):
    """Where a task stands."""

    task: str
    interactions: int
    new_interactions: int
    """Captured since the last turn, and those from before that late feedback reopened."""
    reopened: int = 0
    """How many of them are reopened."""
    reopened_verdicts: int = 0
    """Verdicts that were given on golden items of which people now say otherwise."""
    train_when: int | None
    champion: str
    """Which model answers the task's traffic, or most of it."""
    canary: str | None = None
    canary_traffic: float = 0.0
    driver: str | None = None
    driver_seen_at: datetime | None = None
    advice: str
    """What happens next, or what is missing for it to happen."""


class TurnReport(Record):
    """What one turn came to."""

    task: str
    outcome: Literal["waiting", "canary", "live", "kept_previous"]
    reason: str
    dataset_id: str | None = None
    checkpoint: Checkpoint | None = None
    verdict: Verdict | None = None
    deployment_id: str | None = None
    seconds: dict[str, float] = {}
    """Wall seconds by phase."""


class Continuum:
    """One task of an application: `@continuum.capture` captures for it, `await continuum.status()` says where it stands.

    Args:
        config: the task and its policy, which is registered in the store.
        store: where; the environment's store by default.
    """

    def __init__(self, config: ContinuumConfig, *, store: "Store | None" = None) -> None:
        self.config = config
        self._policy = config.to_policy()
        self._store = store
        try:
            self._register()
        except StoreError as error:
            # The application must start without its store; captures wait in the spool and status() says what is wrong.
            logger.warning("task %s is not registered: %s", config.task, error)

    @property
    def store(self) -> "Store":
        """The store this task lives in."""
        return self._store or default_store()

    @property
    def capture(self) -> Callable[..., Any]:
        """The decorator that captures for this task, with or without parentheses."""
        return partial(capture, task=self.config.task)

    async def status(self) -> Status:
        """Where the task stands, and what happens next."""
        return await asyncio.to_thread(self._status)

    async def turn(self, *, on_progress: Progress = silent) -> TurnReport:
        """Turn the wheel once, in this process; meant for scripts and notebooks, not for the application that serves."""
        return await turn(self.config.task, store=self.store, on_progress=on_progress)

    def _register(self) -> None:
        self.store.tasks.register(self._policy)

    def _status(self) -> Status:
        if self.config.task not in self.store.tasks.names():
            self._register()
        return status_of(self.store, self.config.task)


def status_of(store: "Store", task: str, *, now: Callable[[], datetime] = utc_now) -> Status:
    """Where a task stands, read from the store.

    Raises:
        ConfigurationError: there is no such task.
    """
    state = store.tasks.get(task)
    total = store.interactions.count(task)
    waiting = store.reopenings.counts(task).get(task)
    reopened = waiting.interactions if waiting else 0
    new = store.interactions.count(task, after=state.trained_through) + reopened
    champion = store.deployments.champion(task)
    canary = next((d for d in store.deployments.serving(task) if champion is None or d.id != champion.id), None)
    return Status(
        task=task,
        interactions=total,
        new_interactions=new,
        reopened=reopened,
        reopened_verdicts=waiting.verdicts if waiting else 0,
        train_when=state.policy.auto_train_when,
        champion=champion.model if champion else "production",
        canary=canary.model if canary else None,
        canary_traffic=canary.traffic if canary else 0.0,
        driver=state.driver,
        driver_seen_at=state.driver_seen_at,
        advice=_advice(new, reopened, state.policy.auto_train_when, state.driver_seen_at, now()),
    )


def _advice(new: int, reopened: int, wanted: int | None, driver_seen_at: datetime | None, now: datetime) -> str:
    late = f"{reopened} reopened by late feedback" if reopened else ""
    if wanted is None:
        return "turns only when asked: continuum turn TASK, or set auto_train_when" + (f"; {late}" if late else "")
    progress = f"{new} of {wanted} new interactions" + (f" ({late})" if late else "")
    if driver_seen_at is None or now - driver_seen_at > DRIVER_UNSEEN_AFTER:
        seen = (
            "no driver has been seen" if driver_seen_at is None else f"no driver seen since {driver_seen_at:%Y-%m-%d %H:%M} UTC"
        )
        return f"{progress}; {seen}: run the Dagster daemon (make ui) or `continuum turn TASK --watch`"
    return f"{progress}; a turn starts by itself" if new < wanted else f"{progress}; a turn is due"


async def turn(task: str, *, store: "Store | None" = None, on_progress: Progress = silent) -> TurnReport:
    """Lead a task's new traffic through every stage once: gather, annotate, curate, train, guard, deploy.

    Too little data is an outcome (`waiting`), and so is a model the guard does not let through (`kept_previous`).

    Raises:
        ConfigurationError: there is no such task, it lacks a base model, or another driver is turning it.
    """
    opened = store or default_store()
    policy = opened.tasks.get(task).policy
    with claimed(opened, task):
        clock = Stopwatch()
        with clock.phase("gather"):
            await asyncio.to_thread(gather, opened, task, on_progress=on_progress)
        if opened.reopenings.open_of(task):
            with clock.phase("judge again"):
                await catch_up(opened, task, on_progress=on_progress)
        if policy.judge.model and policy.auto_annotate:
            with clock.phase("annotate"):
                for trouble in (await annotate(opened, policy, on_progress=on_progress)).troubles:
                    logger.warning("task %s: %s", task, trouble)
        try:
            with clock.phase("curate"):
                dataset = await DataCurator.for_task(policy, store=opened).build(
                    task=task, time_window=policy.curation.time_window, on_progress=on_progress
                )
        except NotEnoughData as shortage:
            return TurnReport(task=task, outcome="waiting", reason=str(shortage), seconds=clock.seconds)
        with clock.phase("train"):
            record = opened.datasets.get(dataset.fingerprint)
            checkpoint = already_trained(opened, record, policy) if record else None
            if checkpoint is not None and opened.verdicts.latest(checkpoint.id) is not None:
                reason = f"up to date: {checkpoint.name} has learned {dataset.name}, and the guard has spoken"
                return TurnReport(task=task, outcome="kept_previous", reason=reason, seconds=clock.seconds)
            if checkpoint is None:
                trainer = Trainer.for_task(policy, store=opened)
                checkpoint = (await trainer.train(dataset, on_progress=on_progress)).model
            if record is not None:
                mark_learned(opened, record)
        with clock.phase("guard"):
            guard = RegressionGuard.for_task(policy, store=opened)
            verdict = await guard.evaluate(candidate_model=checkpoint, on_progress=on_progress)
        with clock.phase("deploy"):
            decision = await deploy_if_allowed(policy, checkpoint, verdict, store=opened)
        return TurnReport(
            task=task,
            outcome=decision.action,
            reason=decision.reason,
            dataset_id=dataset.fingerprint,
            checkpoint=checkpoint,
            verdict=verdict,
            deployment_id=decision.deployment.id if decision.deployment else None,
            seconds=clock.seconds,
        )


class Decision(Record):
    """What became of a candidate after its verdict."""

    action: Literal["canary", "live", "kept_previous"]
    """`canary` for every deployment that is not its task's champion yet."""
    reason: str
    deployment: DeploymentRecord | None = None


async def deploy_if_allowed(policy: TaskPolicy, model: Checkpoint, verdict: Verdict, *, store: "Store") -> Decision:
    """Deploy a candidate as the task's policy says, or keep what serves and say why.

    A refusal is a value here: a turn that ends with the previous model has done its work.
    """
    if not verdict.approved:
        return Decision(action="kept_previous", reason=f"{verdict.status}: " + "; ".join(verdict.failed_checks))
    if not policy.auto_deploy_if_better:
        return Decision(
            action="kept_previous",
            reason=f"{verdict.status}, and auto_deploy_if_better is off; deploy it with: continuum deploy {model.name}",
        )
    try:
        deployment = await ModelDeployer.for_task(policy, store=store).deploy(model=model)
    except DeploymentError as error:
        return Decision(action="kept_previous", reason=str(error))
    record = deployment.record
    action = "live" if record.state is DeploymentState.LIVE else "canary"
    serves = f"serves {record.traffic:.0%} of the traffic" if record.traffic or not record.shadow else "answers in the shadow"
    return Decision(action=action, reason=f"{verdict.status}: {record.state}, {serves}", deployment=record)


async def watch(task: str, *, store: "Store | None" = None, every_s: float = 30, on_progress: Progress = silent) -> None:
    """Turn the wheel whenever `auto_train_when` new interactions have come, and lead the task's deployments, until cancelled.

    Late feedback is looked for beside it: what it reopens counts as new, and verdicts that it reopens are given again.
    """
    opened = store or default_store()
    # Beside the turns, of which one may take hours: a candidate before real traffic is looked at meanwhile.
    leading = asyncio.create_task(drive(opened, task, every=timedelta(seconds=every_s), on_round=_tell_round))
    tried_at, tried_again = (-1, -1), None
    try:
        while True:
            opened.tasks.saw_driver(f"continuum turn --watch on {socket.gethostname()}")
            await asyncio.to_thread(look, opened, task)
            attempt = attempt_of(opened.reopenings.open_of(task), utc_now())
            if attempt is not None and attempt != tried_again:
                tried_again = attempt
                await catch_up(opened, task, on_progress=on_progress)
            newest = (opened.interactions.last_sequence(task), opened.reopenings.count(task))
            # A turn that is waiting for data leaves the mark where it was; it is tried again only when more has come.
            if due(opened, task) and newest != tried_at:
                tried_at = newest
                report = await turn(task, store=opened, on_progress=on_progress)
                logger.info("task %s: %s (%s)", task, report.outcome, report.reason)
            await asyncio.sleep(every_s)
    finally:
        leading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leading


def _tell_round(found: Round) -> None:
    if found.trouble is not None:
        logger.warning("deployments are not led: %s", found.trouble)
    for tick in found.ticks:
        if tick.did != "nothing":
            logger.info("%s: %s (%s)", tick.record.model, tick.did, tick.why)


def due(store: "Store", task: str) -> bool:
    """Has the task as many new interactions as its policy waits for, with those that late feedback reopened?"""
    state = store.tasks.get(task)
    wanted = state.policy.auto_train_when
    if wanted is None:
        return False
    return store.interactions.count(task, after=state.trained_through) + store.reopenings.count(task) >= wanted


@contextlib.contextmanager
def claimed(store: "Store", task: str, holder: str | None = None) -> Iterator[None]:
    """Hold the right to turn a task's wheel, renewed while the block runs; every driver takes the same one.

    Raises:
        ConfigurationError: another driver holds it; the message says who and until when.
    """
    me = holder or f"{socket.gethostname()}-{os.getpid()}-{time.monotonic_ns()}"
    if not store.tasks.claim(task, me, lasts=CLAIM_LASTS):
        state = store.tasks.get(task)
        raise ConfigurationError(
            f"task {task!r} is being turned by {state.claimed_by} until {state.claimed_until}; wait for it, or stop it"
        )
    done = threading.Event()

    def renew() -> None:
        while not done.wait(CLAIM_LASTS.total_seconds() / 4):
            with unless_away(f"the claim of {task!r} is renewed the next time"):
                store.tasks.claim(task, me, lasts=CLAIM_LASTS)

    keeper = threading.Thread(target=renew, name=f"claim-{task}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        # What ended the block is not to be hidden by what came of giving the claim back.
        with unless_away(f"the claim of {task!r} ends by itself"):
            store.tasks.release(task, me)


class Stopwatch:
    """Wall seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time the block takes to a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 2)
