"""The whole wheel: `Continuum` in an application, `turn` in whoever drives it.

The application registers a task and captures for it; it never trains. A driver (the Dagster daemon, or `continuum turn`)
takes the task's claim in the store and leads one record through every stage.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import SecretStr, field_validator

from continuum.annotation.rounds import annotate
from continuum.config import judging_with, load_settings
from continuum.curation.curator import DataCurator
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.driving import Round, drive
from continuum.errors import ConfigurationError, DeploymentError, NotEnoughData, StoreError
from continuum.forecast import Forecast, forecast
from continuum.gathering import gather
from continuum.guard.guard import RegressionGuard
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.provenance.line import already_trained, mark_learned
from continuum.provenance.terms import TermsNotAccepted
from continuum.records import Checkpoint, Record, Verdict
from continuum.rejudging import attempt_of, catch_up
from continuum.reopening import look
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum.signals.decorator import TaskCapture, capture
from continuum.status import Status, status_of
from continuum.store import default_store
from continuum.store.claims import holder_name
from continuum.store.outages import unless_away
from continuum.strict import Policy
from continuum.timespan import utc_now
from continuum.tracking.tracker import tracker_of
from continuum.training.trainer import Trainer

if TYPE_CHECKING:
    from continuum.store.database import Store

logger = logging.getLogger("continuum")

CLAIM_LASTS = timedelta(minutes=2)
"""A driver that was killed holds a task no longer than this; one that lives renews its claim four times as often."""
DEFAULT_JUDGE = "gpt-4o-mini"
SWITCHES = ("auto_annotate", "auto_train_when", "auto_deploy_if_better")


class ContinuumConfig(Policy):
    """The minimal integration: a task, a key for the judge, and how far the wheel may turn by itself."""

    task: str
    api_key: SecretStr | str | None = None
    """Key of the judge's endpoint, for this process, held as a secret; never stored: a driver elsewhere reads its own from the
    environment."""
    auto_annotate: bool = True
    auto_train_when: int | None = None
    auto_deploy_if_better: bool = False
    judge_model: str | None = None
    base_model: str | None = None
    policy: TaskPolicy | None = None
    """Everything else that a task can ask for; the fields above win over it."""

    @field_validator("api_key")
    @classmethod
    def _hidden(cls, key: SecretStr | str | None) -> SecretStr | None:
        return SecretStr(key) if isinstance(key, str) else key

    def to_policy(self, stored: TaskPolicy | None = None) -> TaskPolicy:
        """The policy that is stored with the task.

        Args:
            stored: the task's as it stands; what this configuration does not speak of stays as it is there, so that an
                application that starts again takes nothing back that was set beside it.

        Raises:
            ConfigurationError: a field makes no sense; the message names it.
        """
        start = self.policy or stored or TaskPolicy(task=self.task)
        judge_model = (
            self.judge_model or start.judge.model or load_settings().judge_model or (DEFAULT_JUDGE if self.api_key else None)
        )
        spoken = self.model_fields_set if self.policy is None and stored is not None else set(type(self).model_fields)
        fields = {name: getattr(self, name) for name in SWITCHES if name in spoken} | {
            "task": self.task,
            "base_model": self.base_model or start.base_model,
            "judge": {**start.judge.model_dump(), "model": judge_model},
            # Said once of a task, by whoever read the terms.
            "provider_terms_accepted": start.provider_terms_accepted or bool(stored and stored.provider_terms_accepted),
        }
        return TaskPolicy(**{**start.model_dump(), **fields})


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
        config.to_policy()  # Refused here, whether the store is there or not.
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
    def capture(self) -> TaskCapture:
        """The decorator that captures for this task, with or without parentheses."""
        return cast(TaskCapture, partial(capture, task=self.config.task))

    async def status(self) -> Status:
        """Where the task stands, and what happens next."""
        return await asyncio.to_thread(self._status)

    async def price(self) -> Forecast:
        """What the next turn would do, what it would cost and where it would stop; nothing is asked, spent or written."""
        return await asyncio.to_thread(forecast, self.store, self.config.task)

    async def turn(self, *, on_progress: Progress = silent) -> TurnReport:
        """Turn the wheel once, in this process; meant for scripts and notebooks, not for the application that serves."""
        key = self.config.api_key
        with judging_with(SecretStr(key) if isinstance(key, str) else key):
            return await turn(self.config.task, store=self.store, on_progress=on_progress)

    def _register(self) -> None:
        self.store.tasks.change(self.config.task, self._made_of)

    def _made_of(self, stored: dict[str, Any]) -> TaskPolicy:
        try:
            before = TaskPolicy(**stored) if stored else None
        except ConfigurationError:
            before = None  # One that cannot be read is replaced.
        return self.config.to_policy(before)

    def _status(self) -> Status:
        if self.config.task not in self.store.tasks.names():
            self._register()
        return status_of(self.store, self.config.task)


async def turn(task: str, *, store: "Store | None" = None, on_progress: Progress = silent) -> TurnReport:
    """Lead a task's new traffic through every stage once: gather, annotate, curate, train, guard, deploy.

    Too little data is an outcome (`waiting`), as are terms that nobody has accepted yet, and so is a model the guard does not let
    through (`kept_previous`).

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
                try:
                    checkpoint = (await trainer.train(dataset, on_progress=on_progress)).model
                except TermsNotAccepted as unanswered:
                    return TurnReport(
                        task=task,
                        outcome="waiting",
                        reason=str(unanswered),
                        dataset_id=dataset.fingerprint,
                        seconds=clock.seconds,
                    )
            if record is not None:
                mark_learned(opened, record)
        with clock.phase("guard"):
            guard = RegressionGuard.for_task(policy, store=opened, tracker=tracker_of(checkpoint, load_settings()))
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
    return Decision(action=action, reason=f"{verdict.status}, {serves}", deployment=record)


async def watch(
    task: str,
    *,
    store: "Store | None" = None,
    every_s: float = 30,
    on_progress: Progress = silent,
    on_turn: Callable[[TurnReport], object] | None = None,
) -> None:
    """Turn the wheel whenever `auto_train_when` new interactions have come, and lead the task's deployments, until cancelled.

    Late feedback is looked for beside it: what it reopens counts as new, and verdicts that it reopens are given again.

    Args:
        task: whose wheel.
        store: where everything is.
        every_s: seconds from one look to the next.
        on_progress: told how far a turn is.
        on_turn: told what each turn came to.
    """
    opened = store or default_store()
    # Beside the turns, of which one may take hours: a candidate before real traffic is looked at meanwhile.
    leading = asyncio.create_task(drive(opened, task, every=timedelta(seconds=every_s), on_round=_tell_round))
    tried: object = None
    tried_again = None
    try:
        while True:
            with unless_away(f"task {task!r} is looked at again in {every_s:g} s"):
                opened.tasks.saw_driver(f"continuum turn --watch on {socket.gethostname()}")
                await asyncio.to_thread(look, opened, task)
                attempt = attempt_of(opened.reopenings.open_of(task), utc_now())
                if attempt is not None and attempt != tried_again:
                    tried_again = attempt
                    await catch_up(opened, task, on_progress=on_progress)
                # A turn that waits leaves the mark where it was; it is tried again when more has come, or another policy is set.
                stand = (opened.interactions.last_sequence(task), opened.reopenings.count(task), opened.tasks.raw_policy(task))
                if due(opened, task) and stand != tried and await _turned(opened, task, on_progress, on_turn):
                    tried = stand
            await asyncio.sleep(every_s)
    finally:
        leading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leading


async def _turned(
    store: "Store", task: str, on_progress: Progress, on_turn: Callable[[TurnReport], object] | None = None
) -> bool:
    """Turn a task, and tell what came of it; False where the same turn may come to something else a little later."""
    try:
        report = await turn(task, store=store, on_progress=on_progress)
    except ConfigurationError as error:
        # Somebody can mend it while the deployments are led on.
        logger.warning("task %s is not turned: %s", task, error)
        return not error.passing
    logger.info("task %s: %s (%s)", task, report.outcome, report.reason)
    if on_turn is not None:
        on_turn(report)
    return True


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
        ConfigurationError: another driver holds it; the message says who, and it may pass.
    """
    me = holder or holder_name()
    if not store.tasks.claim(task, me, lasts=CLAIM_LASTS):
        who = store.tasks.get(task).turned_by(utc_now()) or "another driver"
        raise ConfigurationError(f"task {task!r} is being turned by {who}; wait for it, or stop it").may_pass()
    done = threading.Event()

    def renew() -> None:
        while not done.wait(CLAIM_LASTS.total_seconds() / 4):
            with unless_away(f"the claim of {task!r} is renewed the next time"):
                if not store.tasks.claim(task, me, lasts=CLAIM_LASTS):
                    # After a sleep of the machine, say. What both write is decided by the store, row by row, as everywhere.
                    logger.warning("task %s: this turn was away too long, and another driver has begun one beside it", task)
                    return

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
