"""Asking for a backfill: old traffic of a task that is to be judged, by the task's rubric or by another.

It is a row in the store, which says what is wanted; whoever works on it judges what is missing and nothing else. A rubric that is
not the policy's is tried first: its scores select nothing until it is adopted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from pydantic import SecretStr, TypeAdapter

from continuum.annotation.annotator import Annotator
from continuum.annotation.backlog import is_judged
from continuum.errors import ConfigurationError
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.jury import jury_name
from continuum.policy import TaskPolicy
from continuum.rubric import Criterion, normalised
from continuum.timespan import moment_of, utc_now

if TYPE_CHECKING:
    from continuum.store.backfills import BackfillRow
    from continuum.store.database import Store

Clock = Callable[[], datetime]
Driver = Literal["here", "dagster"]
CRITERIA = TypeAdapter(tuple[Criterion, ...])


class NothingToJudge(ConfigurationError):
    """A task has no judge, or no traffic where it is looked for: of many tasks such a one can be left out."""


@dataclass(frozen=True)
class Opinion:
    """Whose opinion a backfill is after: the task's judge, by one rubric."""

    policy: TaskPolicy
    criteria: tuple[Criterion, ...]
    """With weights that sum to 1."""

    @property
    def judge(self) -> str:
        """The judge's name."""
        judges = self.policy.judge
        return jury_name((judges.model or "", *judges.jury)) if judges.jury else judges.model or ""

    @property
    def rubric(self) -> str:
        """Fingerprint of the criteria."""
        return rubric_fingerprint(self.criteria)

    @property
    def is_the_policys(self) -> bool:
        """Whether it is the opinion that the task is judged by; another is only tried."""
        return self.rubric == rubric_fingerprint(normalised(self.policy.judge.criteria))

    def annotator(self, store: "Store", api_key: SecretStr | None = None) -> Annotator:
        """Who gives it."""
        judge = self.policy.judge
        return Annotator(
            (judge.model or "", *judge.jury),
            self.criteria,
            store=store,
            base_url=judge.base_url,
            api_key=api_key,
            concurrency=judge.concurrency,
            role="selecting" if self.is_the_policys else "trial",
            keep_unreadable=False,
        )


@dataclass(frozen=True)
class Window:
    """Counts of the answered interactions of a window that a task's policy draws for its judge."""

    wanted: int
    judged: int

    @property
    def missing(self) -> int:
        """Those without a judgement."""
        return self.wanted - self.judged


def opinion_of(policy: TaskPolicy, criteria: Sequence[Criterion] | None = None) -> Opinion:
    """The task's judge, by the rubric that is given or by the policy's.

    Raises:
        NothingToJudge: the task has no judge.
        ConfigurationError: the criteria make no rubric.
    """
    if policy.judge.model is None:
        raise NothingToJudge(
            f"task {policy.task!r} has no judge; name one with: continuum tasks set {policy.task} judge.model=NAME"
        )
    return Opinion(policy, normalised(policy.judge.criteria if criteria is None else tuple(criteria)))


def opinion_of_row(store: "Store", row: "BackfillRow") -> Opinion:
    """The opinion that a backfill is after."""
    policy = store.tasks.get(row.task).policy
    return opinion_of(policy, None if row.rubric is None else CRITERIA.validate_python(row.rubric))


def planned(
    store: "Store",
    task: str,
    *,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    criteria: Sequence[Criterion] | None = None,
    adopt: bool = False,
    driver: Driver = "here",
    asked_by: str,
    id: str | None = None,
    now: Clock = utc_now,
) -> "BackfillRow":
    """What `ask` would write down; nothing is written. The arguments and the errors are those of `ask`."""
    from continuum.ids import new_id
    from continuum.store.backfills import BackfillRow

    policy = store.tasks.get(task).policy
    if adopt and criteria is None:
        raise ConfigurationError("there is nothing to adopt: name the rubric with --rubric FILE, or leave --adopt out")
    opinion = opinion_of(policy, criteria)
    at = now()
    begin, end = window_of(policy, since, until, at)
    found = count(store, opinion, begin, end)
    if not found.wanted:
        raise NothingToJudge(nothing_there(store, policy, begin, end))
    return BackfillRow(
        id=id or new_id(),
        task=task,
        driver=driver,
        since=begin,
        until=end,
        rubric=None if criteria is None else CRITERIA.dump_python(opinion.criteria, mode="json"),
        adopt=adopt,
        asked_by=asked_by,
        wanted=found.wanted,
        judged=found.judged,
        created_at=at,
        updated_at=at,
    )


def ask(
    store: "Store",
    task: str,
    *,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    criteria: Sequence[Criterion] | None = None,
    adopt: bool = False,
    driver: Driver = "here",
    asked_by: str,
    id: str | None = None,
    now: Clock = utc_now,
) -> "BackfillRow":
    """Write down that old traffic of a task is to be judged.

    Args:
        store: where the task is.
        task: its name.
        since: from when on, as `moment_of` reads it, in the task's time zone; None for all there is.
        until: before when; None for now.
        criteria: the rubric; None for the policy's, as it is when the work is done.
        adopt: make the rubric the policy's once everything is judged by it.
        driver: who is to work on it.
        asked_by: who asks, in words.
        id: names it, so that who asks again by the same id gets the same one; None for a new name.
        now: the clock.

    Raises:
        NothingToJudge: the task has no judge, or there is nothing in the window.
        ConfigurationError: there is no such task, the window cannot be meant, or the rubric is none.
    """
    if id is not None and (there := store.backfills.get(id)) is not None:
        return there
    wanted = {"since": since, "until": until, "criteria": criteria, "adopt": adopt, "driver": driver}
    row = planned(store, task, **wanted, asked_by=asked_by, id=id, now=now)
    store.backfills.add(row)
    return store.backfills.get(row.id) or row


def planned_turn(store: "Store", task: str, *, driver: Driver = "here", asked_by: str, now: Clock = utc_now) -> "BackfillRow":
    """What says that a task is to be led through the whole wheel once; nothing is written.

    Raises:
        NothingToJudge: nothing was captured for the task.
        ConfigurationError: there is no such task.
    """
    from continuum.store.backfills import BackfillRow

    policy = store.tasks.get(task).policy
    if not store.interactions.count(task):
        raise NothingToJudge(nothing_there(store, policy, None, None))
    at = now()
    return BackfillRow(task=task, kind="turn", driver=driver, asked_by=asked_by, created_at=at, updated_at=at)


def ask_again(store: "Store", backfill_id: str, *, driver: Driver = "here", now: Clock = utc_now) -> "BackfillRow":
    """Open a backfill for what is missing of it; what the judge said nothing readable of is asked about once more.

    Raises:
        ConfigurationError: there is none of this id, or somebody is working on it.
    """
    row = known(store, backfill_id)
    if row.unreadable:
        _forget_unreadable(store, row)
    every = ("open", "working", "incomplete", "cancelled", "done")
    if not store.backfills.move(row.id, every, "open", now=now, driver=driver, attempts=0, unreadable=0, failed=0, reason=None):
        raise ConfigurationError(held_words(known(store, backfill_id), now()))
    return known(store, backfill_id)


def known(store: "Store", backfill_id: str) -> "BackfillRow":
    """A backfill by its id, or by the beginning of its id where no other begins so.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    exact = store.backfills.get(backfill_id)
    if exact is not None:
        return exact
    found = [row for row in store.backfills.newest() if backfill_id and row.id.startswith(backfill_id)]
    if len(found) != 1:
        what = f"{len(found)} backfills begin" if found else "there is no backfill that begins"
        raise ConfigurationError(f"{what} with {backfill_id!r:.60}; continuum backfill --list shows those there are")
    return found[0]


def held_words(row: "BackfillRow", at: datetime) -> str:
    """Why nobody else can work on a backfill now."""
    if holder := row.worked_on_by(at):
        return (
            f"backfill {row.id} is being worked on by {holder}, at least until {row.claimed_until:%H:%M:%S} UTC; wait "
            f"for it, or stop it with: continuum backfill --cancel {row.id}"
        )
    return f"backfill {row.id} is {row.state}; go on with what is missing with: continuum backfill --retry {row.id}"


def window_of(
    policy: TaskPolicy, since: str | datetime | None, until: str | datetime | None, now: datetime
) -> tuple[datetime | None, datetime]:
    """Both ends of a window, in UTC; it ends now where nothing else is said.

    Raises:
        ConfigurationError: an end cannot be read, lies in the future, or the window has no length.
    """
    zone = ZoneInfo(policy.schedule.time_zone)
    begin, end = (moment_of(one, now, zone) if isinstance(one, str) else one for one in (since, until))
    for name, one in (("--since", begin), ("--until", end)):
        if one is not None and one > now:
            raise ConfigurationError(
                f"{name} is {shown(one, policy)}, which is in the future (it is {shown(now, policy)}); only what has happened "
                "can be judged"
            )
    end = end or now
    if begin is not None and begin >= end:
        raise ConfigurationError(
            f"the window begins at {shown(begin, policy)} and ends at {shown(end, policy)}; --since must lie before --until"
        )
    return begin, end


def shown(moment: datetime, policy: TaskPolicy) -> str:
    """A moment as a task's people read their clocks."""
    zone = policy.schedule.time_zone
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def nothing_there(store: "Store", policy: TaskPolicy, since: datetime | None, until: datetime | None) -> str:
    """Why there is nothing to do in a window, and where there is something."""
    first, last = store.interactions.span(policy.task)
    if first is None or last is None:
        return f"nothing was captured for task {policy.task!r}; capture or import something first"
    window = f"from {shown(since, policy) if since else 'the beginning'} to {shown(until, policy) if until else 'now'}"
    return (
        f"task {policy.task!r} has no answered interaction {window} that its policy would judge; its traffic runs from "
        f"{shown(first, policy)} to {shown(last, policy)}"
    )


def count(store: "Store", opinion: Opinion, since: datetime | None, until: datetime | None) -> Window:
    """How many interactions of a window the policy draws for its judge, and how many of them have this opinion."""
    wanted = judged = 0
    for has in (has for _, has in drawn(store, opinion, since, until)):
        wanted += 1
        judged += has
    return Window(wanted, judged)


def drawn(store: "Store", opinion: Opinion, since: datetime | None, until: datetime | None) -> Iterator[tuple[str, bool]]:
    """The ids of the interactions that the policy draws for its judge, each with whether it has this opinion."""
    from continuum.store.windows import Windows

    rate = opinion.policy.judge.sample_rate
    windows, task = Windows(store.engine), opinion.policy.task
    for one in windows.answered(task, judge=opinion.judge, rubric=opinion.rubric, since=since, until=until):
        if is_judged(one.id, rate):
            yield one.id, one.judged


def _forget_unreadable(store: "Store", row: "BackfillRow") -> None:
    from continuum.judging.cached import judgement_key

    opinion = opinion_of_row(store, row)
    version = opinion.annotator(store).judge.version
    missing = store.interactions.unannotated(
        row.task, judge=opinion.judge, rubric=opinion.rubric, since=row.since, until=row.until
    )
    store.judgements.forget_unreadable(
        judgement_key(version, one.messages, one.response, opinion.criteria) for one in missing if one.response is not None
    )
