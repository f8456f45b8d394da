"""Feedback that comes late: what it was used for without it is opened again.

An interaction that a training set has considered is considered again by the next one; a verdict that was given on golden items
of which people now say otherwise is given again (`rejudging.py`). Feedback on what was not used yet changes nothing.

A look reads only the feedback that arrived since the last one. It may be repeated and killed at any time, and any number of
processes may look at once: all of it is concluded from rows.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from continuum.errors import ContinuumError
from continuum.records import Record
from continuum.serving_records import DeploymentState
from continuum.splits.sides import draw_of
from continuum.timespan import start_of, utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.late_feedback import Given, Spoken
    from continuum.store.reopenings import Look, Reopening

LONG_AGO = timedelta(days=1)
"""Tasks of which older feedback is to be read are read by themselves, so that the others are not read as far back."""
ALL = ""
"""In the place of a task: a look at all of them."""
MOST_AT_ONCE = 20
"""Verdicts that one look goes through whole because none has before; the others wait for the next."""

logger = logging.getLogger(__name__)


class Looked(Record):
    """What one look came to."""

    tasks: int
    spoken: int
    """Interactions that people gave a verdict on since a little before the last look."""
    opened: dict[str, int] = {}
    """Task to the interactions that are to be considered again and were not before this look."""
    verdicts: dict[str, int] = {}
    """Task to the golden items that a verdict was given on, of which people say otherwise since this look."""


def look(store: "Store", task: str | None = None, *, now: Callable[[], datetime] = utc_now) -> Looked:
    """Open what late feedback changes.

    Args:
        store: where everything is.
        task: of which task; all, at a price that hardly depends on how many there are, when left out.
        now: the clock.

    Raises:
        StoreError: the database failed; the next look does what this one did not.
    """
    from continuum.store.late_feedback import OVERLAP
    from continuum.store.reopenings import Look

    at = now()
    names = store.tasks.names() if task is None else [task]
    marks = store.reopenings.marks()
    bounds = {name: max((marks[one] for one in (name, ALL) if one in marks), default=at) for name in names}
    # A training set may have been begun long before it was stored: feedback that came meanwhile is read once more.
    met = [_version(*found) for found in store.reopenings.unseen_versions(task)]
    for version in met:
        bounds[version.task] = min(version.at, bounds.get(version.task, at))
    spoken = _spoken(store, {name: bound - OVERLAP for name, bound in bounds.items()}, at)
    opened = _open_interactions(store, spoken, met, at)
    looked_through, reopened = _open_verdicts(store, task, {one.interaction_id for one in spoken}, at)
    # Last, so that a look that is killed is made again.
    store.reopenings.note_looks([*met, *looked_through, Look(task=task or ALL, at=at)])
    return Looked(tasks=len(names), spoken=len(spoken), opened=opened, verdicts=reopened)


def _spoken(store: "Store", bounds: Mapping[str, datetime], at: datetime) -> "list[Spoken]":
    """What people spoke of since the moment that holds for its task."""
    recent = {name: bound for name, bound in bounds.items() if at - bound < LONG_AGO}
    older = {name: bound for name, bound in bounds.items() if name not in recent}
    found = store.late_feedback.since(min(recent.values()), None if len(recent) > 1 else list(recent)) if recent else []
    found = [one for one in found if one.task in recent]
    if older:
        found += store.late_feedback.since(min(older.values()), sorted(older))
    return [one for one in found if one.arrived_at > bounds[one.task]]


# --- training sets ----------------------------------------------------------------------------------------------------


def _version(task: str, fingerprint: str, manifest: Mapping[str, Any], created_at: datetime) -> "Look":
    """What a training set has considered, and when it read what people had said."""
    from continuum.store.reopenings import Look

    told = (manifest.get("feedback") or {}).get("read_at")
    at = created_at if told is None else datetime.fromisoformat(told)
    window = (manifest.get("config") or {}).get("time_window")
    return Look(
        task=task,
        used_by=fingerprint,
        at=at,
        after=int(manifest.get("after") or 0),
        through=int(manifest.get("through") or 0),
        since=start_of(window, at),
        remembers=told is not None,
    )


def _open_interactions(store: "Store", spoken: "Sequence[Spoken]", met: "Sequence[Look]", at: datetime) -> dict[str, int]:
    """Open the interactions that were considered as they were before; how many of each task were not open."""
    from continuum.store.late_feedback import NOTHING
    from continuum.store.reopenings import Reopening

    versions: dict[str, dict[str, Look]] = defaultdict(dict)
    for version in (*store.reopenings.versions({one.task for one in spoken}), *met):
        versions[version.task][version.used_by] = version
    used = [one for one in spoken if any(one.sequence <= (version.through or 0) for version in versions[one.task].values())]
    if not used:
        return {}
    said = store.late_feedback.said(one.interaction_id for one in used)
    rows = store.reopenings.of([one.interaction_id for one in used], "dataset")
    late: dict[str, dict[str, Reopening]] = defaultdict(dict)
    for one in used:
        what = said.get(one.interaction_id, NOTHING)
        used_by = _late_for(one, what, list(versions[one.task].values()), rows.get(one.interaction_id, []))
        if used_by is not None:
            row = Reopening(
                interaction_id=one.interaction_id, use="dataset", used_by=used_by, task=one.task, said=what, opened_at=at
            )
            late[one.task][one.interaction_id] = row
    apart = _held_apart(store, late)
    rows_of = (row for some in late.values() for one, row in some.items() if one not in apart)
    return dict(store.reopenings.open(rows_of, "dataset"))


def _held_apart(store: "Store", late: Mapping[str, Collection[str]]) -> set[str]:
    """Those of the interactions that no training set may hold."""
    if not late:
        return set()
    states, _ = store.tasks.every()
    by_draw: dict[str, list[str]] = defaultdict(list)
    for state in states:
        by_draw[draw_of(state.policy.splits)] += late.get(state.name, ())
    return {one for draw, some in by_draw.items() for one in store.late_feedback.held_apart(some, draw)}


def _late_for(one: "Spoken", said: str, versions: "Sequence[Look]", rows: "Iterable[Reopening]") -> str | None:
    """The training set that considered an interaction without what people say of it now; None where none did, or it was seen."""
    from continuum.store.late_feedback import OVERLAP

    stored = {version.used_by for version in versions}
    # A row that remembers for a training set that was never stored tells nothing.
    told = [row for row in rows if row.is_open or row.settled_by in stored]
    if open_row := next((row for row in told if row.is_open), None):
        return None if open_row.said == said else open_row.used_by
    last = max(told, key=lambda row: (row.settled_at or one.arrived_at, row.used_by), default=None)
    if last is not None and last.said == said:
        return None
    through = [version for version in versions if one.sequence <= (version.through or 0)]
    considered = [
        version
        for version in through
        if one.sequence > (version.after or 0) and (version.since is None or one.started_at >= version.since)
    ]
    newest = max(considered or through, key=lambda version: (version.at, version.used_by))
    if last is not None and last.settled_at is not None and last.settled_at >= newest.at:
        return last.settled_by
    seen_by = newest.at - OVERLAP if newest.remembers else newest.at
    return newest.used_by if one.arrived_at > seen_by else None


# --- verdicts ---------------------------------------------------------------------------------------------------------


def verdicts_that_matter(store: "Store", task: str | None = None) -> "list[Given]":
    """The newest verdicts on what serves or is about to, and on the newest candidate, of a task or of all."""
    about_to = (DeploymentState.PENDING, DeploymentState.WARMING)
    waiting = [one for one in store.deployments.unsettled() if one.state in about_to and task in (None, one.task)]
    checkpoints = {one.checkpoint_id for one in (*store.deployments.serving(task), *waiting)}
    learned = store.overview.learned()
    checkpoints |= {of.checkpoint for name, of in learned.items() if of.checkpoint is not None and task in (None, name)}
    return store.late_feedback.newest_verdicts(sorted(checkpoints))


def _open_verdicts(
    store: "Store", task: str | None, spoken: Collection[str], at: datetime
) -> "tuple[list[Look], dict[str, int]]":
    """Open the golden items that verdicts were given on as they were; what was looked through, and how many items by task."""
    from continuum.store.reopenings import Look

    matter = {one.id: one for one in verdicts_that_matter(store, task)}
    known = store.reopenings.verdicts_looked_through(task)
    # What stops mattering is not looked at any more; where it matters once more, all of it is.
    store.reopenings.forget_looks(known - matter.keys())
    spoken_of = store.late_feedback.golden_items(spoken, {one.golden_id for one in matter.values()})
    waiting: dict[str, set[str]] = defaultdict(set)
    for row in store.reopenings.open_of(task):
        waiting[row.used_by].add(row.interaction_id)
    _leave(store, waiting.keys() - matter.keys(), waiting, matter.values(), at)
    unknown = [one for one in matter.values() if one.id not in known][:MOST_AT_ONCE]
    looked, reopened = list[Look](), dict[str, int]()
    for one in matter.values():
        whole = one in unknown
        touched = None if whole else _unheard(store, one, spoken_of.get(one.golden_id, set()))
        if touched is not None and not touched:
            continue
        try:
            opened = _open_items(store, one, touched, waiting[one.id], at)
        except ContinuumError as error:
            logger.warning("verdict %s of task %s is not held against late feedback: %s", one.id, one.task, error)
            continue
        looked.append(Look(task=one.task, used_by=one.id, at=at))
        if opened:
            reopened[one.task] = reopened.get(one.task, 0) + opened
    return looked, reopened


def _unheard(store: "Store", given: "Given", spoken_of: Collection[str]) -> set[str]:
    """Those of a verdict's items of which something is said that was not held against it yet."""
    from continuum.store.late_feedback import NOTHING

    if not spoken_of:
        return set()
    said, rows = store.late_feedback.said(spoken_of), store.reopenings.of(spoken_of, "verdict")
    held = {(row.interaction_id, row.said) for some in rows.values() for row in some if row.used_by == given.id}
    return {one for one in spoken_of if (one, said.get(one, NOTHING)) not in held}


def _open_items(store: "Store", given: "Given", only: Collection[str] | None, waiting: Collection[str], at: datetime) -> int:
    """Open the items of a verdict, or some of them, whose label is another by now; close those of which it is the same again."""
    from continuum.splits.golden import GoldenDataset  # polars starts here
    from continuum.splits.second_thoughts import relabelled
    from continuum.store.late_feedback import NOTHING
    from continuum.store.reopenings import Reopening

    record, verdict = store.datasets.get(given.golden_id), store.verdicts.get(given.id)
    if record is None or verdict is None:
        return 0  # It was given on questions that are no version of the store.
    asked = {row["id"] for row in verdict.evidence.get("items", ())}
    asked = asked if only is None else asked & set(only)
    # What people say is hashed before it is read: what comes in between is found by the next look.
    said = store.late_feedback.said(asked)
    changed = relabelled(store, given.task, (one for one in GoldenDataset.of(record, store) if one.interaction_id in asked))
    whose = {"use": "verdict", "used_by": given.id, "task": given.task}
    same = [one for one in (asked if only is not None else asked & set(waiting)) if one not in changed]
    store.reopenings.judge({one: said.get(one, NOTHING) for one in same}, used_by=given.id, by=given.id, at=at)
    store.reopenings.remember(
        Reopening.model_validate(
            {"interaction_id": one, "said": said.get(one, NOTHING), "settled_at": at, "settled_by": given.id, **whose}
        )
        for one in same
    )
    opened = (
        Reopening.model_validate({"interaction_id": one, "said": said.get(one, NOTHING), "opened_at": at, **whose})
        for one in sorted(changed)
    )
    return store.reopenings.open(opened, "verdict").total()


def _leave(
    store: "Store", verdicts: Iterable[str], waiting: Mapping[str, Collection[str]], matter: "Iterable[Given]", at: datetime
) -> None:
    """What is open of verdicts that were given anew is settled by the newer ones, of which it is opened where it still holds."""
    newest = {one.checkpoint_id: one.id for one in matter}
    for verdict_id in verdicts:
        verdict = store.verdicts.get(verdict_id)
        by = newest.get(verdict.checkpoint_id) if verdict is not None else None
        if by is None:
            store.reopenings.drop_open([verdict_id])
        else:
            store.reopenings.judge(store.late_feedback.said(waiting[verdict_id]), used_by=verdict_id, by=by, at=at)
