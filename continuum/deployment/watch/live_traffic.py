"""What a deployment's live traffic holds for the watch: whose calls are compared, who is looked at alone, and what is judged.

| stage | compared | looked at alone |
|---|---|---|
| in the shadow | the answers that nobody was given, and those that were given | |
| a share of the traffic | both arms, within each step of the ramp | |
| all of it, not champion yet | the same; for blue-green the answers of the week before | since it serves all |
| champion | | since it is the champion |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from continuum.deployment.watch.live_arms import (
    FELL_BACK,
    Call,
    Phase,
    calls_of,
    dialogue_of,
    is_drawn,
    phases_of,
    units_of,
)
from continuum.deployment.watch.live_scores import Answer, answers_of
from continuum.serving_policy import WatchPolicy
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.live_rows import LiveRows, ServedRow

MOST_ROWS = 100_000
"""Calls of a trial that a look reads, the newest."""
MOST_SINCE = 20_000
"""Calls of a champion that a look reads, the newest."""
MOST_REFERENCE = 500
"""The candidate's newest drawn answers of its trial, whose mean the champion's quality is held to."""
BEFORE = timedelta(days=7)
"""How far back the answers go that a blue-green candidate is compared with."""


@dataclass(frozen=True)
class Traffic:
    """The calls of one look."""

    phases: tuple[Phase, ...]
    trial: tuple[Call, ...] = ()
    """Both arms' calls while the traffic was split: they say whether it was split as it should be."""
    beside: tuple[Call, ...] = ()
    """Both arms' calls that were not split by lot: the shadow's pairs; before and after a blue-green switch."""
    since: tuple[Call, ...] = ()
    """The candidate's calls since it serves everybody."""
    answers: tuple[Answer, ...] = ()
    """What is judged of all these, oldest first."""
    reference: frozenset[str] = frozenset()
    """Ids of the calls, among those judged, that say how good the candidate was on its trial."""
    alone: frozenset[str] = frozenset()
    """Ids of the calls, among those judged, that are held to it."""
    former: tuple[Call, ...] = ()
    """The stable model's drawn calls on the trial of what is the champion now; they are not judged any more."""

    @property
    def compared(self) -> tuple[Call, ...]:
        """Both arms' calls that are compared."""
        return (*self.trial, *self.beside)


def traffic_of(store: "Store", record: DeploymentRecord, events: Sequence[DeploymentEvent], watch: WatchPolicy) -> Traffic:
    """Read the calls of a deployment that serves, and draw what is judged of them.

    Args:
        store: where they are.
        record: the deployment, in one of the states that route traffic.
        events: its events, oldest first.
        watch: which share of either arm is judged.
    """
    from continuum.store.live_rows import LiveRows  # SQLAlchemy starts here

    rows, phases = LiveRows(store.engine), phases_of(record, events)
    if record.state is DeploymentState.LIVE:
        return _of_champion(store, rows, record, events, phases, watch)
    alone = phases[-1].begins if phases[-1].share >= 1 else None
    served = rows.of(record.id, until=alone, most=MOST_ROWS)
    units = units_of(store, served)
    trial = [call for call in calls_of(record, served, phases, lambda row: units[row.id]) if 0 < phases[call.phase].share < 1]
    drawn = [call for call in trial if is_drawn(record.id, call.unit, _rate(call, watch))]
    answers = answers_of(store, [call for call in drawn if call.answered])
    beside: list[Call] = []
    if record.strategy == "shadow":
        beside, pairs = _shadows(store, record, phases, units, {row.id: row for row in served}, watch)
        answers += pairs
    if alone is None:
        return _traffic(phases, trial, beside, [], answers)
    since = _alone(rows, record, phases)
    if not trial and not beside:
        # Nothing was split: the candidate is compared with what was answered before, in one step of its own.
        before = rows.between(record.task, since=alone - BEFORE, until=alone, most=MOST_SINCE)
        units = units_of(store, before)
        stable = [
            replace(call, arm="stable", phase=len(phases) - 1)
            for call in calls_of(record, before, phases, lambda row: units[row.id])
            if call.arm == "stable"
        ]
        beside = [*stable, *since]
        drawn = [call for call in beside if call.answered and is_drawn(record.id, call.unit, _rate(call, watch))]
        return _traffic(phases, [], beside, since, answers_of(store, drawn))
    fresh = [call for call in since if call.answered and is_drawn(record.id, call.unit, watch.canary_rate)]
    earlier = [answer.call.id for answer in answers if answer.call.arm == "candidate"][-MOST_REFERENCE:]
    return _traffic(phases, trial, beside, since, [*answers, *answers_of(store, fresh)], earlier, [call.id for call in fresh])


def _of_champion(
    store: "Store",
    rows: "LiveRows",
    record: DeploymentRecord,
    events: Sequence[DeploymentEvent],
    phases: Sequence[Phase],
    watch: WatchPolicy,
) -> Traffic:
    """The champion's calls since it is one, and what it answered before."""
    begins = next((event.at for event in events if event.action == "live"), phases[-1].begins)
    since = _alone(rows, record, [*phases[:-1], Phase(begins, 1.0)])
    served = rows.of(record.id, until=begins, most=MOST_ROWS)
    drawn: dict[str, list[Call]] = {"candidate": [], "stable": []}
    for call in calls_of(record, served, phases, dialogue_of):
        if call.answered and is_drawn(record.id, call.unit, _rate(call, watch)):
            drawn[call.arm].append(call)
    earlier = drawn["candidate"][-MOST_REFERENCE:]
    fresh = [call for call in since if call.answered and is_drawn(record.id, call.unit, watch.stable_rate)]
    answers = answers_of(store, [*earlier, *fresh])
    traffic = _traffic(phases, [], [], since, answers, [call.id for call in earlier], [call.id for call in fresh])
    return replace(traffic, former=tuple(drawn["stable"][-MOST_REFERENCE:]))


def _alone(rows: "LiveRows", record: DeploymentRecord, phases: Sequence[Phase]) -> list[Call]:
    """The candidate's calls since the last phase began, also those of a newer candidate's trial, where it is the stable arm."""
    served = rows.between(record.task, since=phases[-1].begins, most=MOST_SINCE)
    its = [row for row in served if row.model == record.model or row.tags.get(FELL_BACK) == record.model]
    return calls_of(record, its, phases, dialogue_of)


def _shadows(
    store: "Store",
    record: DeploymentRecord,
    phases: Sequence[Phase],
    units: Mapping[str, str],
    served: "Mapping[str, ServedRow]",
    watch: WatchPolicy,
) -> tuple[list[Call], list[Answer]]:
    """Both answers to what was asked in the shadow, where the one that was given is there."""
    shadows = {one.interaction_id: one for one in store.shadow_answers.of(record.id) if one.interaction_id in served}
    given = [
        replace(call, arm="stable", unit=f"shadow of {call.unit}")
        for call in calls_of(record, [served[id_] for id_ in shadows], phases, lambda row: units[row.id])
        if call.answered and call.arm == "stable"
    ]
    asked = [
        replace(
            call,
            id=f"shadow:{call.id}",
            arm="candidate",
            failed=shadows[call.id].status != "ok",
            answered=shadows[call.id].answer is not None,
            latency_ms=shadows[call.id].latency_ms,
            first_chunk_ms=None,
        )
        for call in given
    ]
    drawn = [call for call in given if is_drawn(record.id, call.unit, watch.canary_rate)]
    answers = answers_of(store, drawn)
    by_id = {call.id: call for call in asked}
    pairs = []
    for answer in answers:
        second = shadows[answer.call.id].answer
        if second is not None:
            pairs += [answer, Answer(by_id[f"shadow:{answer.call.id}"], answer.messages, second)]
    return [*given, *asked], pairs


def _rate(call: Call, watch: WatchPolicy) -> float:
    return watch.canary_rate if call.arm == "candidate" else watch.stable_rate


def _traffic(
    phases: Sequence[Phase],
    trial: Iterable[Call],
    beside: Iterable[Call],
    since: Iterable[Call],
    answers: Iterable[Answer],
    reference: Iterable[str] = (),
    alone: Iterable[str] = (),
) -> Traffic:
    ordered = sorted(answers, key=lambda answer: (answer.call.at, answer.call.id))
    return Traffic(
        tuple(phases), tuple(trial), tuple(beside), tuple(since), tuple(ordered), frozenset(reference), frozenset(alone)
    )
