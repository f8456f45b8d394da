"""Who answered what while a deployment ran: the arm of each call, whose call it was, and the step of the ramp that it fell into.

The unit is what routing keeps with one model: a conversation, else a user, else a first question. Calls of one unit hang
together, so that the watch counts units and not calls.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from continuum.deployment.routing import unit_of
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.splits.sides import unit_hash

if TYPE_CHECKING:
    from continuum.statistics.sample_ratio import Counted
    from continuum.store.database import Store
    from continuum.store.live_rows import ServedRow

ArmName = Literal["candidate", "stable"]

FELL_BACK = "fell_back_from"
"""Tag of a call that another model answered than the one that was asked first; its value is the name of that one."""
OVERRIDDEN = "arm_named"
"""Tag of a call whose arm was named in a header: it was not drawn, and says nothing about the split or the arms."""
SETTLING = timedelta(seconds=5)
"""After a change of the split gateways, and clocks, may disagree for so long about which split a call fell under."""
SALT = "continuum watch"
"""Of the draw that says what is judged; another than that of the split, which would judge the same users in every trial."""


@dataclass(frozen=True)
class Phase:
    """A time in which the split stood still."""

    begins: datetime
    share: float
    """The candidate's, of the traffic."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that one of the arms was asked for first."""

    id: str
    arm: ArmName
    unit: str
    phase: int
    """Number of the phase in which it began, from 0."""
    at: datetime
    failed: bool
    """The arm gave no answer, whoever stepped in for it."""
    answered: bool
    """The arm itself gave a whole answer, which can be judged."""
    latency_ms: float | None
    first_chunk_ms: float | None


def phases_of(record: DeploymentRecord, events: Sequence[DeploymentEvent]) -> list[Phase]:
    """The times between two changes of the split, oldest first; events are in their order."""
    phases = [Phase(record.created_at, events[0].to_traffic if events else record.traffic)]
    for event in events[1:]:
        if event.to_traffic != phases[-1].share:
            phases.append(Phase(event.at, event.to_traffic))
    return phases


def calls_of(
    record: DeploymentRecord,
    rows: "Iterable[ServedRow]",
    phases: Sequence[Phase],
    units: Callable[["ServedRow"], str],
) -> list[Call]:
    """The calls that say something about an arm, in the order of the rows.

    Calls that were cancelled, or whose arm was named by the caller, are left out. A call that fell back is the failure of the
    arm that was asked first, and no answer of the one that stepped in: it has seen only what the other could not answer.

    Args:
        record: the deployment.
        rows: calls that were served, oldest first.
        phases: from `phases_of`.
        units: the unit of a row.
    """
    begins = [phase.begins for phase in phases]
    calls = []
    for row in rows:
        if row.status == "cancelled" or OVERRIDDEN in row.tags:
            continue
        asked_first = row.tags.get(FELL_BACK)
        candidates = row.variant == "canary" or row.model == record.model if asked_first is None else asked_first == record.model
        answered = asked_first is None and row.status == "ok"
        calls.append(
            Call(
                id=row.id,
                arm="candidate" if candidates else "stable",
                unit=units(row),
                phase=max(0, bisect_right(begins, row.started_at) - 1),
                at=row.started_at,
                failed=not answered,
                answered=answered,
                latency_ms=row.latency_ms,
                first_chunk_ms=row.first_chunk_ms,
            )
        )
    return calls


def units_of(store: "Store", rows: "Sequence[ServedRow]") -> dict[str, str]:
    """The unit of each row, by its id. Only rows without a conversation and a user need their first question read."""
    units = {row.id: unit for row in rows if (unit := _named(row)) is not None}
    nameless = store.interactions.get_many(row.id for row in rows if row.id not in units)
    for one in nameless.values():
        opening = {"messages": [{"role": message.role, "content": message.content} for message in one.messages]}
        units[one.id] = unit_of(opening, conversation_id=None, user_id=None)
    return units | {row.id: f"call:{row.id}" for row in rows if row.id not in units}


def dialogue_of(row: "ServedRow") -> str:
    """The conversation, or the call where it is in none: the unit where no other arm is compared with."""
    return f"conversation:{row.conversation_id}" if row.conversation_id else f"call:{row.id}"


def is_drawn(deployment_id: str, unit: str, rate: float) -> bool:
    """Whether a unit is judged; who is judged at one rate is judged at every higher one."""
    return rate >= 1 or unit_hash(f"{SALT} {deployment_id}", unit) < rate


def counted(calls: Iterable[Call], phases: Sequence[Phase]) -> "list[Counted]":
    """Each unit once, in the phase and with the arm of its first call, against the share of that phase."""
    from continuum.statistics.sample_ratio import Counted

    first: dict[str, Call] = {}
    for call in calls:
        first.setdefault(call.unit, call)
    counts = {phase: {"candidate": 0, "stable": 0} for phase in range(len(phases))}
    for call in first.values():
        if call.at - phases[call.phase].begins >= SETTLING or call.phase == 0:
            counts[call.phase][call.arm] += 1
    return [Counted(phases[phase].share, found["candidate"], found["stable"]) for phase, found in counts.items()]


def failures(calls: Iterable[Call]) -> Mapping[tuple[int, ArmName], list[float]]:
    """By phase and arm: of each unit the share of its calls that the arm answered."""
    found: dict[tuple[int, ArmName], dict[str, list[bool]]] = {}
    for call in calls:
        found.setdefault((call.phase, call.arm), {}).setdefault(call.unit, []).append(not call.failed)
    return {key: [sum(answered) / len(answered) for answered in units.values()] for key, units in found.items()}


def _named(row: "ServedRow") -> str | None:
    if row.conversation_id:
        return f"conversation:{row.conversation_id}"
    return f"user:{row.user_id}" if row.user_id else None
