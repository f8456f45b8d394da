"""Who answered what while a deployment ran."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.deployment.watch.live_arms import Phase, calls_of, counted, dialogue_of, is_drawn, phases_of, units_of
from continuum.store.database import Store
from continuum.store.live_rows import LiveRows, ServedRow
from tests.builders import NOON, an_interaction, user
from tests.deployment.live import GOOD, HOUR, a_deployment, conversations


def a_row(number: int = 0, **fields: object) -> ServedRow:
    values = {
        "id": f"call-{number}",
        "conversation_id": f"conversation-{number}",
        "user_id": None,
        "variant": "stable",
        "model": "gpt-4",
        "status": "ok",
        "started_at": NOON + timedelta(minutes=number),
        "latency_ms": 200.0,
        "first_chunk_ms": None,
        "tags": {},
    }
    return ServedRow(**(values | fields))  # pyright: ignore[reportArgumentType]


def test_the_phases_are_the_times_between_two_changes_of_the_split(store: Store) -> None:
    record = a_deployment(store, shares=(0.05, 0.25, 1.0), live=True)

    assert phases_of(record, store.deployments.events(record.id)) == [
        Phase(NOON, 0.0),
        Phase(NOON, 0.05),
        Phase(NOON + HOUR, 0.25),
        Phase(NOON + 2 * HOUR, 1.0),
    ]


def test_a_call_belongs_to_the_arm_that_was_asked_first(store: Store) -> None:
    record = a_deployment(store)
    rows = [
        a_row(0, variant="canary", model=record.model),
        a_row(1),
        a_row(2, tags={"fell_back_from": record.model}),
        a_row(3, tags={"fell_back_from": "support-v0"}),
        a_row(4, model=record.model),
        a_row(5, variant="canary", model=record.model, status="error"),
    ]

    calls = calls_of(record, rows, [Phase(NOON, 0.5)], dialogue_of)

    assert [(call.arm, call.answered, call.failed) for call in calls] == [
        ("candidate", True, False),
        ("stable", True, False),
        ("candidate", False, True),
        ("stable", False, True),
        ("candidate", True, False),
        ("candidate", False, True),
    ]


def test_calls_that_were_cancelled_or_whose_arm_was_named_say_nothing(store: Store) -> None:
    record = a_deployment(store)

    rows = [a_row(0, status="cancelled"), a_row(1, tags={"arm_named": "canary"})]

    assert calls_of(record, rows, [Phase(NOON, 0.5)], dialogue_of) == []


def test_the_unit_is_the_conversation_else_the_user_else_the_first_question(store: Store) -> None:
    record = a_deployment(store)
    nameless = {"deployment_id": record.id, "conversation_id": None}
    store.interactions.add(
        [
            an_interaction(id="a", conversation_id="c", user_id="u", deployment_id=record.id),
            an_interaction(id="b", **nameless, user_id="u"),
            an_interaction(id="c", **nameless, messages=(user("Hello"), user("and more"))),
            an_interaction(id="d", **nameless, messages=(user("Hello"), user("and else"))),
            an_interaction(id="e", **nameless, messages=(user("Good day"),)),
        ]
    )

    units = units_of(store, LiveRows(store.engine).of(record.id, most=10))

    assert (units["a"], units["b"]) == ("conversation:c", "user:u")
    assert units["c"] == units["d"] != units["e"]


def test_each_unit_is_counted_once_where_it_was_first_seen(store: Store) -> None:
    record = a_deployment(store)
    phases = [Phase(NOON, 0.1), Phase(NOON + HOUR, 0.5)]
    rows = [
        a_row(0, conversation_id="one"),
        a_row(1, conversation_id="one", started_at=NOON + 2 * HOUR, variant="canary", model=record.model),
        a_row(2, conversation_id="two", started_at=NOON + 2 * HOUR, variant="canary", model=record.model),
        # Just after the change a gateway may still have split as before.
        a_row(3, conversation_id="three", started_at=NOON + HOUR + timedelta(seconds=1)),
    ]

    found = counted(calls_of(record, rows, phases, dialogue_of), phases)

    assert [(one.share, one.candidate, one.stable) for one in found] == [(0.1, 0, 1), (0.5, 1, 0)]


@settings(max_examples=100)
@given(st.text(min_size=1), st.floats(0.01, 1), st.floats(0.01, 1))
def test_who_is_drawn_at_one_rate_is_drawn_at_every_higher_one(unit: str, one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert is_drawn("deployment", unit, high) or not is_drawn("deployment", unit, low)


def test_about_the_share_that_was_asked_for_is_drawn() -> None:
    drawn = sum(is_drawn("deployment", f"conversation:{n}", 0.2) for n in range(10_000))

    assert 1850 < drawn < 2150


def test_another_deployment_draws_others() -> None:
    both = sum(is_drawn("a", f"{n}", 0.2) and is_drawn("b", f"{n}", 0.2) for n in range(10_000))

    assert 300 < both < 500


def test_reading_a_trial_reads_no_words(store: Store) -> None:
    record = a_deployment(store)
    store.interactions.add(conversations(record, "candidate", [GOOD] * 3))

    rows = LiveRows(store.engine).of(record.id, most=10)

    assert [row.variant for row in rows] == ["canary"] * 3
    assert not hasattr(rows[0], "messages")
