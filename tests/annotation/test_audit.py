import math
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.annotation.audit import TRAFFIC_PER_ANCHOR, Drawn, draw_audit, draw_for_people, freeze_anchors, second_sample
from continuum.ids import new_id
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Annotation, DatasetRecord, Interaction, Review
from continuum.splits.sides import unit_hash
from continuum.store.database import Store, open_store
from continuum.store.learning import DatasetItem
from tests.builders import NOON, interactions

LATER = NOON + timedelta(days=1)
IDS = [f"interaction-{n}" for n in range(3000)]


def noon() -> object:
    return LATER


def judged(store: Store, count: int, *, task: str = "support", score: float = 4.0) -> list[Interaction]:
    """Interactions of a task with the judge's score."""
    rows = interactions(count, task=task)
    store.tasks.ensure(task)
    store.interactions.add(rows)
    store.annotations.add(
        Annotation(interaction_id=row.id, task=task, judge="judge", rubric="r", overall=score, created_at=LATER) for row in rows
    )
    return rows


def stream(store: Store, task: str = "support") -> dict[str, Review]:
    return {asked.review.interaction_id: asked.review for asked in store.reviews.of(task, "audit")}


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, store: Store) -> Iterator[Store]:
    """The store on each database."""
    if request.param == "sqlite":
        yield store
        return
    opened = open_store(request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


def test_each_is_drawn_with_the_rate_and_the_rate_is_noted(store: Store) -> None:
    joined = draw_audit(store, "support", IDS, 0.1, salt="s", now=noon)

    drawn = stream(store)
    assert joined == len(drawn)
    assert abs(joined - 300) < 4 * math.sqrt(3000 * 0.1 * 0.9)
    assert {(review.queue, review.probability, review.created_at) for review in drawn.values()} == {("audit", 0.1, LATER)}


def test_drawing_again_asks_nobody_anew(store: Store) -> None:
    draw_audit(store, "support", IDS, 0.1, salt="s", now=noon)
    before = stream(store)

    assert draw_audit(store, "support", reversed(IDS), 0.1, salt="s", now=noon) == 0
    assert stream(store) == before


def test_a_higher_rate_adds_to_the_stream_and_counts_for_those_that_were_in(either: Store) -> None:
    task = f"support-{new_id()}"
    draw_audit(either, task, IDS, 0.05, salt="s", now=noon)
    few = stream(either, task)
    draw_audit(either, task, IDS, 0.2, salt="s", now=noon)
    many = stream(either, task)
    draw_audit(either, task, IDS, 0.01, salt="s", now=noon)

    assert few.keys() < many.keys()
    assert {review.probability for review in many.values()} == {0.2}
    assert {one: review.id for one, review in many.items() if one in few} == {one: review.id for one, review in few.items()}
    assert stream(either, task) == many


def test_a_rate_of_zero_draws_nothing_and_of_one_all(store: Store) -> None:
    assert draw_audit(store, "support", IDS, 0, salt="s") == 0
    assert draw_audit(store, "support", IDS, 1, salt="s") == len(IDS)


CONSIDERED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6
)


@given(CONSIDERED)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_probability_on_record_is_the_highest_rate_an_interaction_was_ever_considered_at(
    store: Store, rounds: list[tuple[float, int, int]]
) -> None:
    task, highest = f"task-{new_id()}", defaultdict(float)
    for rate, first, last in rounds:
        considered = IDS[first:last]
        draw_audit(store, task, considered, rate, salt="s", now=noon)
        for one in considered:
            highest[one] = max(highest[one], rate)

    # Being in is the event that the place lies below that rate, whose probability over salts is the rate itself.
    expected = {one: rate for one, rate in highest.items() if unit_hash("s:audit", one) < rate}
    assert {one: review.probability for one, review in stream(store, task).items()} == expected


@pytest.mark.slow
def test_over_salts_each_interaction_is_in_as_often_as_its_probability_says(store: Store) -> None:
    often, total = defaultdict(int), 0.0
    for salt in range(150):
        task = f"task-{salt}"
        draw_audit(store, task, IDS[:40], 0.1, salt=str(salt), now=noon)
        draw_audit(store, task, IDS[20:80], 0.4, salt=str(salt), now=noon)
        for one, review in stream(store, task).items():
            often[one] += 1
            total += 1 / (review.probability or 0)

    old, new = (sum(often[one] for one in part) / 150 / len(part) for part in (IDS[:20], IDS[20:80]))
    assert abs(old - 0.1) < 0.02
    assert abs(new - 0.4) < 0.02
    # So the inverse probabilities of the drawn sum to the number of all, however the rate was changed.
    assert abs(total / 150 - 80) < 3


def test_the_draws_have_nothing_to_do_with_each_other_nor_with_the_sides() -> None:
    audit = {one for one in IDS if unit_hash("s:audit", one) < 0.3}
    second = set(second_sample(IDS, 0.3, "s"))

    assert abs(len(second) - 900) < 4 * math.sqrt(3000 * 0.3 * 0.7)
    assert abs(len(audit & second) - 270) < 4 * math.sqrt(3000 * 0.09 * 0.91)
    assert audit != {one for one in IDS if unit_hash("s", one) < 0.3}


def test_anchors_are_drawn_once_there_is_ample_traffic_and_never_again(either: Store) -> None:
    task = f"support-{new_id()}"
    judged(either, 5 * TRAFFIC_PER_ANCHOR - 1, task=task)
    assert freeze_anchors(either, task, 5, salt="s", now=noon) == 0

    either.interactions.add(rows := interactions(30, task=task, conversation_id="more"))
    either.annotations.add(Annotation(interaction_id=row.id, task=task, judge="j", rubric="r", overall=1) for row in rows)
    assert freeze_anchors(either, task, 5, salt="s", now=noon) == 5
    frozen = either.reviews.ids(task, "anchor")

    judged(either, 200, task=task)
    assert freeze_anchors(either, task, 50, salt="other", now=noon) == 0
    assert either.reviews.ids(task, "anchor") == frozen
    assert {one.review.probability for one in either.reviews.of(task, "anchor")} == {5 / 79}


def test_anchors_are_judged_answers_that_nothing_was_trained_on(store: Store) -> None:
    rows = judged(store, 60)
    trained = {row.id for row in rows[:30]}
    record = DatasetRecord(id="d", task="support", name="support_training_v1", version=1, uri="", manifest={})
    store.datasets.add(record, [DatasetItem(interaction_id=one, split="train") for one in trained])
    unread = interactions(20, conversation_id="unread")
    store.interactions.add(unread)
    store.annotations.add(
        Annotation(interaction_id=row.id, task="support", judge="j", rubric="r", status="unparseable") for row in unread
    )

    assert freeze_anchors(store, "support", 3, salt="s", now=noon) == 3
    assert store.reviews.ids("support", "anchor") <= {row.id for row in rows[30:]}


def test_two_processes_that_freeze_at_once_leave_one_set(postgres_url: str) -> None:
    task, stores = f"support-{new_id()}", [open_store(postgres_url) for _ in range(4)]
    judged(stores[0], 100, task=task)

    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda n: freeze_anchors(stores[n], task, 10, salt=str(n), now=noon), range(4)))

    assert sorted(drawn) == [0, 0, 0, 10]
    assert len(stores[0].reviews.ids(task, "anchor")) == 10
    for store in stores:
        store.close()


def test_a_task_is_drawn_from_as_its_policy_says(store: Store) -> None:
    judged(store, 120)
    policy = TaskPolicy(task="support", judge=JudgePolicy(audit_rate=0.5, anchors=10))

    drawn = draw_for_people(store, policy, now=noon)

    assert drawn == Drawn(audit=len(store.reviews.ids("support", "audit")), anchors=10)
    assert 40 <= drawn.audit <= 80
    assert draw_for_people(store, policy, now=noon) == Drawn(audit=0, anchors=0)


def test_what_was_judged_long_ago_is_not_brought_up_by_a_new_rate(store: Store) -> None:
    judged(store, 50)
    policy = TaskPolicy(task="support", judge=JudgePolicy(audit_rate=1.0, anchors=0))

    assert draw_for_people(store, policy, now=lambda: LATER + timedelta(days=60)) == Drawn(audit=0, anchors=0)
