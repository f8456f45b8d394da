from datetime import UTC, datetime, timedelta

from continuum.records import Annotation
from continuum.store.database import Store
from continuum.store.judging_costs import JudgingCosts
from tests.builders import interactions

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def judged(store: Store, count: int) -> None:
    """Interactions that a judge scored, one a minute from noon on; each score cost a cent."""
    rows = list(interactions(count))
    store.interactions.add(rows)
    store.annotations.add(
        Annotation(
            interaction_id=row.id,
            task="support",
            judge="j",
            rubric="r",
            overall=4,
            cost_usd=0.01,
            created_at=NOON + timedelta(minutes=n),
        )
        for n, row in enumerate(rows)
    )


def test_what_a_span_of_judging_cost_is_counted_by_when_it_was_judged(store: Store) -> None:
    judged(store, 10)
    costs = JudgingCosts(store.engine)

    whole, part = costs.of("support"), costs.of("support", after=NOON + timedelta(minutes=3), until=NOON + timedelta(minutes=6))

    assert (whole.interactions, round(whole.cost_usd, 6)) == (10, 0.10)
    assert (part.interactions, round(part.cost_usd, 6)) == (3, 0.03)
    assert costs.of("another").interactions == 0


def test_an_interaction_that_two_judges_saw_is_counted_once_and_paid_twice(store: Store) -> None:
    judged(store, 1)
    (row,) = store.interactions.scan("support")
    store.annotations.add(
        [Annotation(interaction_id=row.id, task="support", judge="k", rubric="r", overall=2, cost_usd=0.02, role="second")]
    )

    found = JudgingCosts(store.engine).of("support")

    assert (found.interactions, round(found.cost_usd, 6)) == (1, 0.03)
