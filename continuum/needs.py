"""What a task lacks for its wheel to turn, each with what cures it: read from the store and from this process's settings."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from continuum.config import load_settings
from continuum.policy import TaskPolicy
from continuum.provenance.terms import TermsNotAccepted, providers_in, unaccepted
from continuum.records import Record
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.tasks import TaskState

DRIVER_UNSEEN_AFTER = timedelta(minutes=10)


class Need(Record):
    """One thing that is missing, and what to do."""

    of: Literal["base_model", "judge", "labels", "terms", "driver"]
    words: str
    """What was found, and what cures it."""


def needs_of(store: "Store", state: "TaskState", *, now: Callable[[], datetime] = utc_now) -> tuple[Need, ...]:
    """What is missing for a task to turn by itself, in the order in which it is missed.

    Keys and the environment's base model are looked for in this process; whoever turns the wheel elsewhere has its own.
    """
    policy = state.policy
    found = [
        _driver(policy, state.driver_seen_at, now()),
        _judge(store, policy),
        _base_model(store, policy),
        _terms(store, policy),
    ]
    return tuple(one for one in found if one is not None)


def _driver(policy: TaskPolicy, seen_at: datetime | None, now: datetime) -> Need | None:
    if policy.auto_train_when is None or (seen_at is not None and now - seen_at <= DRIVER_UNSEEN_AFTER):
        return None
    seen = "no driver has been seen" if seen_at is None else f"no driver seen since {seen_at:%Y-%m-%d %H:%M} UTC"
    return Need(of="driver", words=f"{seen}: run the Dagster daemon (make ui) or `continuum turn {policy.task} --watch`")


def _judge(store: "Store", policy: TaskPolicy) -> Need | None:
    settings, judge = load_settings(), policy.judge
    if judge.model is None or not policy.auto_annotate:
        if store.annotations.count(policy.task) or store.feedback.count(policy.task):
            return None
        words = (
            f"nobody says which answers are good: name a judge with `continuum tasks set {policy.task} judge.model=NAME`, "
            "or record feedback of people"
        )
        return Need(of="labels", words=words)
    # A local server needs no key, and where somebody has judged there was one.
    if judge.base_url or settings.judge_base_url or settings.judge_api_key or store.annotations.count(policy.task):
        return None
    words = (
        f"no key for the judge {judge.model} is set here: set OPENAI_API_KEY (or CONTINUUM_JUDGE_API_KEY, or "
        "CONTINUUM_JUDGE_BASE_URL for a server of your own) where the wheel is turned"
    )
    return Need(of="judge", words=words)


def _base_model(store: "Store", policy: TaskPolicy) -> Need | None:
    named = policy.base_model or load_settings().base_model
    cure = (
        f"`continuum tasks set {policy.task} base_model=PATH_OR_HUB_ID`, CONTINUUM_BASE_MODEL where the wheel is turned, or a "
        f"small one from the task's own text: `continuum base build --task {policy.task}`; `continuum doctor` says which fits"
    )
    if named is None:
        # What was trained had one, in the environment of whoever trained it.
        return None if store.checkpoints.of(policy.task) else Need(of="base_model", words=f"no base model is named: {cure}")
    folder = Path(named).expanduser()
    if named.startswith(("/", ".", "~")) and not folder.is_dir():
        return Need(of="base_model", words=f"the base model {named!r} is no folder here: {cure}")
    return None


def _terms(store: "Store", policy: TaskPolicy) -> Need | None:
    providers = providers_ahead(store, policy)
    return Need(of="terms", words=str(TermsNotAccepted(policy.task, providers))) if providers else None


def providers_ahead(store: "Store", policy: TaskPolicy) -> dict[str, int]:
    """Other providers' models whose answers the next training would learn from, with how many there are.

    The newest training set tells it; before the first one, all that was captured does. Empty once the terms are accepted.
    """
    if policy.provider_terms_accepted:
        return {}
    if store.datasets.latest(policy.task) is not None:
        return unaccepted(store, policy)
    captured = store.interactions.counts_by(policy.task, "model")
    return providers_in({model: count for model, count in captured.items() if model}, policy)
