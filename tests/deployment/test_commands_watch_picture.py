"""The picture that `continuum watch` shows: what matters first, in as many lines and cells as there are."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from continuum.commands.watch_evidence import Looked
from continuum.commands.watch_picture import Shown, lines_of
from continuum.deployment.standing import Arm, Standing, standing
from continuum.deployment.watch.watch import look
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.builders import NOON
from tests.deployment.live import GOOD, HOUR, LATER, CountingJudge, a_deployment, a_policy, both, conversations

WORDS = "surely within the limit: -0.010"


def an_evidence(candidate: float | None = 0.91, judged: int = 180, **fields: Any) -> dict[str, Any]:
    quality = {
        "words": WORDS,
        "candidate": {"conversations": judged, "mean": candidate},
        "stable": {"conversations": 3 * judged, "mean": candidate},
    }
    return {"quality": quality} | fields


def a_standing(task: str = "support", version: int = 2, **fields: Any) -> Standing:
    """One on trial at 25% beside the version before, with an hour of events."""
    values: dict[str, Any] = {
        "task": task,
        "checkpoint_id": "checkpoint",
        "model": f"{task}-v{version}",
        "stable_model": f"{task}-v{version - 1}",
        "verdict_id": "verdict",
        "traffic": 0.25,
        "created_at": NOON,
        "step_at": NOON,
    }
    events = fields.pop("events", ())
    record = DeploymentRecord(**(values | fields))
    arms: Any = {"candidate": Arm(24, 1, 443, 491, 88, 0.0215), "stable": Arm(96, 4, 371, 438, 89, 0.1)}
    looked = next((event for event in reversed(events) if "quality" in event.evidence), an_event("deploy"))
    at = looked.at if looked.evidence else None
    return Standing(record, "100% of the traffic from 2026-03-01 14:00 UTC on", tuple(events), arms, looked.evidence, at)


def an_event(action: str, **fields: Any) -> DeploymentEvent:
    values: dict[str, Any] = {"deployment_id": "d", "at": NOON, "actor": "watch", "action": action}
    return DeploymentEvent(**(values | fields))


def drawn(*standings: Standing, width: int = 120, height: int | None = None, at: timedelta = HOUR, **fields: Any) -> list[str]:
    shown = Shown(NOON + at, standings, **fields)
    return [line.plain for line in lines_of(shown, width, height)]


def test_the_picture_shows_split_quality_latency_failures_cost_and_the_last_events(store: Store) -> None:
    record = a_deployment(store, shares=(0.5,), ramp_schedule=(0.5, 1.0))
    store.interactions.add(both(record, [GOOD] * 4, [GOOD] * 4, cost_usd=0.01))
    evidence = an_evidence(
        split={"candidate": 40, "stable": 38, "expected": 39.0, "p": 0.8},
        spend={"this_look_usd": 0.002, "period": "2026-03-01", "period_usd": 1.5, "limit_usd": 20.0},
    )
    event = an_event("hold", deployment_id=record.id, reason="[red]wait[/red]", evidence=evidence)
    changed = store.deployments.change(record, event, alarm="look \x1b[31mhere")
    assert changed is not None

    text = "\n".join(drawn(standing(store, changed, now=NOON + HOUR)))

    for words in (
        "13:00:00 UTC · 1 deployment · 1 ALARM",
        "ALARM support-v1: look here",
        "support-v1  canary  unguarded  " + "█" * 10 + "░" * 10 + " 50%, the rest production",
        "              quality  judged  calls    failed  median     p95  first chunk     cost",
        "  support-v1    0.910     180      4  0 (0.0%)  300 ms  300 ms            -  $0.0400",
        "  production    0.910     540      4  0 (0.0%)  200 ms  200 ms            -  $0.0400",
        "quality found 1 h ago (03-01 12:00 UTC)",
        f"quality: {WORDS}",
        "split: 40 of 78 conversations and users went to the candidate, 39 were expected: as configured",
        "judging cost $0.0020 in the last look, $1.50 since 2026-03-01 (the limit is $20.00)",
        "next: 100% of the traffic from 03-01 14:00 UTC on",
        "03-01 12:00:00 hold by watch: [red]wait[/red]",
        "03-01 12:00:00 begin 0% → 50% by test",
        "03-01 12:00:00 deploy by test\n",
    ):
        assert words in text + "\n", text
    assert "\x1b" not in text


def test_one_that_nobody_has_looked_at_says_so() -> None:
    one = a_standing()

    assert "  quality: not looked at yet" in drawn(one)
    assert "  quality not judged yet · failed 4.2% against 4.2% · median 443 ms against 371 ms" in drawn(one, height=5)


async def test_a_champion_whose_look_compares_nothing_shows_its_own_quality_beside_that_of_its_trial(store: Store) -> None:
    record = a_deployment(store, shares=(0.5, 1.0), live=True)
    store.interactions.add(both(record, [GOOD] * 10, [GOOD] * 10))
    store.interactions.add(conversations(record, "candidate", [GOOD] * 30, at=NOON + 3 * HOUR, named="later"))
    found = await look(store, record, a_policy(), now=LATER, judge=CountingJudge())
    assert found.evidence["quality"] is None

    looked = Looked(LATER, found.words, found.evidence)
    text = "\n".join(drawn(standing(store, record, now=LATER), at=12 * HOUR, looks={record.id: (looked,)}))

    assert "  support-v1    1.000      30     30" in text
    assert "last look: the champion has too few judged conversations to see a fall by" in text


def test_an_older_look_at_a_champion_left_no_mean_and_its_trial_is_shown_with_its_age() -> None:
    events = [an_event("promote", evidence=an_evidence()), an_event("alarm", at=NOON + 2 * HOUR, evidence={"quality": None})]

    lines = drawn(a_standing(state=DeploymentState.LIVE, traffic=1.0, events=events), at=3 * HOUR, height=6)

    assert any(line.startswith("  quality 0.910 (180 judged) against 0.910 (540), on trial, 3 h ago") for line in lines), lines


def test_a_look_without_a_judge_takes_nothing_from_what_is_known() -> None:
    events = [an_event("promote", evidence=an_evidence(0.9))]
    blind = Looked(NOON + HOUR, "no judge", an_evidence(None, 0))

    for looks, age in (((blind,), ", 1 h ago"), ((blind, Looked(NOON + HOUR, "", an_evidence(0.8))), "")):
        one = a_standing(events=events)
        text = "\n".join(drawn(one, looks={one.record.id: looks}, height=5))
        mean = "0.900" if age else "0.800"
        assert f"  quality {mean} (180 judged) against {mean} (540){age} · " in text


def test_a_reason_is_told_once() -> None:
    words = "the watch has no working signal: the task has no judge"
    events = [an_event("alarm", reason=words, evidence=an_evidence(None, 0))]
    one = a_standing(alarm=words, events=events)

    lines = drawn(one, looks={one.record.id: (Looked(NOON, words, an_evidence(None, 0)),)})

    assert [line for line in lines if words in line] == [f"ALARM support-v2: {words}"]
    assert "  03-01 12:00:00 alarm by watch" in lines


def test_an_event_without_a_reason_ends_without_a_colon_and_a_step_says_from_where_to_where() -> None:
    events = [an_event("warm"), an_event("promote", actor="cli:ada", from_traffic=0.05, to_traffic=0.25)]

    lines = drawn(a_standing(events=events))

    assert lines[-2:] == ["  03-01 12:00:00 promote 5% → 25% by cli:ada", "  03-01 12:00:00 warm by watch"]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (40, 24)])
def test_every_task_and_every_alarm_is_seen_on_a_usual_terminal(width: int, height: int) -> None:
    ones = [
        a_standing(task, alarm=f"look at {task}", events=[an_event("promote", evidence=an_evidence())] * 9)
        for task in ("checkout", "support", "billing")
    ]

    lines = drawn(*ones, width=width, height=height, note="the store does not answer")

    assert len(lines) <= height
    assert "  the store does not answer" in [f"  {line.strip()}" for line in lines[:3]]
    for task in ("checkout", "support", "billing"):
        assert f"ALARM {task}-v2: look at {task}" in lines
        assert any(line.startswith(f"{task}-v2  canary") for line in lines), lines


def test_alarms_stand_first_then_the_youngest_and_what_is_left_out_is_named() -> None:
    ones = [a_standing(f"task{n}", created_at=NOON + n * HOUR) for n in range(8)]
    ones[2] = a_standing("task2", created_at=NOON, alarm="look")

    lines = drawn(*ones, width=80, height=8)

    assert lines[1] == "ALARM task2-v2: look"
    assert [line.split()[0] for line in lines[2:7]] == ["task2-v2", "task7-v2", "task6-v2", "task5-v2", "task4-v2"]
    assert lines[7] == "… and 3 more: continuum watch task3 (also task1, task0)"


def test_every_quality_is_told_before_any_other_figure() -> None:
    ones = [a_standing(f"task{n}", events=[an_event("promote", evidence=an_evidence())]) for n in range(8)]

    lines = drawn(*ones, width=80, height=20)

    assert sum(line.startswith("  quality 0.910 (180 judged) against 0.910 (540)") for line in lines) == 8
    assert len(lines) <= 20


def test_the_details_of_the_first_are_told_as_far_as_lines_are_left() -> None:
    events = [an_event("promote", from_traffic=0.05, to_traffic=0.25, evidence=an_evidence())]
    ones = [a_standing("old", events=events), a_standing("young", created_at=NOON + HOUR, events=events)]

    lines = drawn(*ones, width=80, height=14)

    assert len(lines) == 14
    assert lines[1].startswith("young-v2  canary")
    assert lines[4] == "  young-v1    0.910     540     96  4 (4.2%)  371 ms  438 ms  $0.1000"
    assert lines[-1] == "… details: continuum watch TASK"
    old = next(n for n, line in enumerate(lines) if line.startswith("old-v2"))
    assert lines[old + 1].startswith("  quality 0.910 (180 judged) against 0.910 (540), 1 h ago")


def test_more_alarms_than_lines_are_counted() -> None:
    ones = [a_standing(f"task{n}", alarm="a sentence that is told in two lines of forty cells") for n in range(9)]

    assert sum(line.startswith("ALARM task") for line in drawn(*ones, width=40, height=14)) == 9
    lines = drawn(*ones, width=40, height=6)
    assert lines[-1] == "… and 5 ALARMS more"
    assert len(lines) == 6


def test_on_a_narrow_terminal_columns_go_by_their_weight_and_names_keep_their_versions() -> None:
    one = a_standing("customer-onboarding-emails", 12, events=[an_event("promote", evidence=an_evidence())])

    lines = drawn(one, width=46)

    rows = [line for line in lines if "0.910 " in line]
    assert lines[lines.index(rows[0]) - 1].split() == ["quality", "judged", "median"]
    assert [row.split()[0][-4:] for row in rows] == ["-v12", "-v11"]
    assert {len(row) for row in rows} == {len(rows[0])}


def test_a_share_below_one_percent_is_neither_zero_nor_an_empty_bar() -> None:
    assert any("█" + "░" * 9 + " 0.5%, the rest support-v1" in line for line in drawn(a_standing(traffic=0.005), width=80))


def test_without_a_deployment_the_clock_and_the_note_are_there() -> None:
    assert drawn(note="the store does not answer", height=24) == [
        "13:00:00 UTC · no deployment is to be led",
        "the store does not answer",
    ]


NAMES = st.text(min_size=1, max_size=60)
STANDINGS = st.builds(
    a_standing,
    task=NAMES,
    state=st.sampled_from(DeploymentState),
    traffic=st.floats(0, 1),
    stable_model=NAMES,
    alarm=st.none() | st.text(max_size=300),
    events=st.lists(
        st.builds(an_event, NAMES, actor=NAMES, reason=NAMES, to_traffic=st.floats(0, 1), evidence=st.just(an_evidence())),
        max_size=4,
    ),
)


@settings(max_examples=60)
@given(st.lists(STANDINGS, max_size=5), st.integers(20, 130), st.none() | st.integers(3, 45), NAMES)
def test_no_picture_is_larger_than_its_terminal_or_steers_it(
    standings: Sequence[Standing], width: int, height: int | None, note: str
) -> None:
    unnamed = [replace(one, next=note) for one in standings]

    lines = drawn(*unnamed, width=width, height=height, note=note)

    assert height is None or len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert all(character.isprintable() or character.isspace() for line in lines for character in line)
    assert not any(set(line) & set("\x1b\n\r\t\x07\u202e") for line in lines)
