"""What a deployment served, in few columns."""

from datetime import timedelta

from continuum.records import Feedback
from continuum.store.database import Store
from continuum.store.live_rows import LiveRows
from tests.builders import NOON, an_interaction


def test_the_calls_of_a_deployment_come_in_the_order_in_which_they_began(store: Store) -> None:
    late = an_interaction(
        id="late", deployment_id="d", variant="canary", started_at=NOON + timedelta(hours=1), tags={"fell_back_from": "v1"}
    )
    early = an_interaction(id="early", deployment_id="d", variant="stable", latency_ms=12.5, time_to_first_chunk_ms=3.0)
    store.interactions.add([late, early, an_interaction(id="other", deployment_id="e")])

    rows = LiveRows(store.engine).of("d", most=10)

    assert [row.id for row in rows] == ["early", "late"]
    assert (rows[0].latency_ms, rows[0].first_chunk_ms, rows[0].tags) == (12.5, 3.0, {})
    assert rows[1].tags == {"fell_back_from": "v1"}
    assert rows[0].started_at == NOON


def test_of_too_many_the_newest_are_read(store: Store) -> None:
    store.interactions.add(
        an_interaction(id=f"i{n}", deployment_id="d", started_at=NOON + timedelta(minutes=n)) for n in range(5)
    )

    rows = LiveRows(store.engine)

    assert [row.id for row in rows.of("d", most=2)] == ["i3", "i4"]
    assert [row.id for row in rows.of("d", until=NOON + timedelta(minutes=2), most=9)] == ["i0", "i1"]


def test_a_tasks_calls_of_a_span_are_read_whoever_answered(store: Store) -> None:
    store.interactions.add(
        an_interaction(id=f"i{n}", deployment_id=f"d{n}", started_at=NOON + timedelta(minutes=n)) for n in range(5)
    )
    store.interactions.add([an_interaction(id="elsewhere", task="another", started_at=NOON + timedelta(minutes=2))])

    span = LiveRows(store.engine).between("support", since=NOON + timedelta(minutes=1), until=NOON + timedelta(minutes=3), most=9)

    assert [row.id for row in span] == ["i1", "i2"]


def test_peoples_scores_are_found_by_our_id_and_by_the_providers(store: Store) -> None:
    store.interactions.add(
        [
            an_interaction(id="a", deployment_id="d"),
            an_interaction(id="b", deployment_id="d", provider_response_id="chatcmpl-b"),
            an_interaction(id="c", deployment_id="e"),
        ]
    )
    store.feedback.add(
        [
            Feedback(interaction_id="a", score=2, recorded_at=NOON),
            Feedback(interaction_id="chatcmpl-b", score=5, recorded_at=NOON + timedelta(minutes=1)),
            Feedback(interaction_id="c", score=1),
            Feedback(interaction_id="a", comment="no score"),
            Feedback(interaction_id="a", score=1, kind="implicit"),
        ]
    )

    assert LiveRows(store.engine).feedback("d") == [("a", 2.0), ("b", 5.0)]
