"""People's answers: each is stored once with its verdict, whoever else is at work, and can be taken back."""

import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from continuum.errors import StoreError
from continuum.records import Feedback, Label, Review
from continuum.store.database import Store
from continuum.store.judging_tables import labels
from continuum.store.tables import feedback
from tests.builders import NOON, interactions


def asked(store: Store, count: int = 3, queue: str = "audit") -> list[Review]:
    """Reviews of as many stored interactions."""
    rows = interactions(count)
    store.interactions.add(rows)
    batch = [Review(task="support", interaction_id=row.id, queue=queue, created_at=row.started_at) for row in rows]
    assert store.reviews.add(batch) == count
    return batch


def verdict(review: Review, labeller: str, score: float = 4) -> tuple[Label, Feedback]:
    said = Feedback(
        interaction_id=review.interaction_id, score=score, trusted=True, idempotency_key=f"review:{review.id}:{labeller}"
    )
    return Label(review_id=review.id, labeller=labeller, feedback_id=said.id, created_at=NOON), said


def rows_of(store: Store, table) -> int:
    with store.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def waiting(store: Store, labeller: str, overlap: int = 1, queue: str = "audit") -> list[str]:
    return [review.id for review in store.reviews.waiting("support", queue, labeller, overlap=overlap, limit=100)]


def test_an_answer_is_its_label_and_its_verdict(store: Store) -> None:
    (review, *_) = asked(store)
    label, said = verdict(review, "ada")

    assert store.reviews.answer(label, said)

    assert store.reviews.get(review.id).labels == (label,)
    assert store.reviews.verdict(label) == said
    assert store.reviews.newest_answer("support", "audit", "ada") == label


def test_a_second_answer_of_the_same_person_leaves_the_first_as_it_is(store: Store) -> None:
    (review, *_) = asked(store)
    store.reviews.answer(*verdict(review, "ada", 4))

    assert not store.reviews.answer(*verdict(review, "ada", 1))
    assert store.reviews.answer(*verdict(review, "ben", 1))

    assert sorted(one.score for one in store.reviews.scores("support", "audit")) == [1, 4]
    assert rows_of(store, feedback) == 2


def test_a_verdict_that_cannot_be_stored_leaves_no_label(store: Store) -> None:
    (review, *_) = asked(store)
    label, said = verdict(review, "ada")
    store.feedback.add([Feedback(interaction_id="x", score=1, idempotency_key=said.idempotency_key)])

    with pytest.raises(StoreError, match="belongs to no label"):
        store.reviews.answer(label, said)

    assert store.reviews.get(review.id).labels == ()


def test_many_who_answer_the_same_at_once_leave_one_answer_each(store: Store) -> None:
    (review, *_) = asked(store)
    taken: list[bool] = []
    start = threading.Barrier(12)

    def work(labeller: str) -> None:
        answer = verdict(review, labeller)
        start.wait()
        taken.append(store.reviews.answer(*answer))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ada", "ben", "cy") for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == [False] * 9 + [True] * 3
    assert (rows_of(store, labels), rows_of(store, feedback)) == (3, 3)


def test_what_is_taken_back_leaves_no_verdict_and_is_asked_again_first(store: Store) -> None:
    first, second, third = asked(store)
    for review in (first, second):
        store.reviews.answer(*verdict(review, "ada"))

    assert store.reviews.withdraw(second.id, "ada")
    assert not store.reviews.withdraw(second.id, "ada")

    assert waiting(store, "ada")[0] == second.id
    assert set(waiting(store, "ada")) == {second.id, third.id}
    assert rows_of(store, feedback) == 1
    assert store.reviews.newest_answer("support", "audit", "ada").review_id == first.id


def test_an_answer_given_anew_is_known_to_be_informed(store: Store) -> None:
    (review, *_) = asked(store)
    store.reviews.answer(*verdict(review, "ada", 2))
    store.reviews.withdraw(review.id, "ada")

    assert store.reviews.answer(*verdict(review, "ada", 5))

    (score,) = store.reviews.scores("support", "audit")
    assert (score.score, score.informed) == (5, True)
    (label,) = store.reviews.get(review.id).labels
    assert (label.withdrawn, label.informed) == (False, True)


def test_who_passed_saw_nothing_and_may_answer_blind_after_taking_it_back(store: Store) -> None:
    (review, *_) = asked(store)
    store.reviews.answer(Label(review_id=review.id, labeller="ada"))
    assert review.id not in waiting(store, "ada")

    assert store.reviews.withdraw(review.id, "ada")
    store.reviews.answer(*verdict(review, "ada"))

    assert [score.informed for score in store.reviews.scores("support", "audit")] == [False]


def test_an_item_waits_for_so_many_people_and_for_who_took_it_back(store: Store) -> None:
    first, second, _ = asked(store)
    store.reviews.answer(*verdict(first, "ada"))
    store.reviews.answer(*verdict(first, "ben"))
    store.reviews.answer(Label(review_id=second.id, labeller="ben"))

    assert first.id not in waiting(store, "cy", overlap=2)
    assert first.id in waiting(store, "cy", overlap=3)
    assert second.id in waiting(store, "cy", overlap=1), "who passes has not answered"
    store.reviews.withdraw(first.id, "ada")
    store.reviews.answer(*verdict(first, "cy"))
    assert first.id in waiting(store, "ada", overlap=2)


def test_what_was_drawn_comes_in_one_random_order_for_all_and_what_was_chosen_as_it_was_put_in(store: Store) -> None:
    drawn = [review.id for review in asked(store, 40)]
    chosen = [review.id for review in asked(store, 40, "useful")]

    assert waiting(store, "ada") == waiting(store, "ben") == sorted(drawn, key=lambda one: one[24:])
    assert waiting(store, "ada") != drawn
    assert waiting(store, "ada", queue="useful") == chosen


def test_an_interaction_that_was_deleted_is_not_asked_about(store: Store) -> None:
    from continuum.store.retention import erase

    first, second, third = asked(store)
    store.reviews.answer(*verdict(second, "ada"))

    erase(store, [first.interaction_id, second.interaction_id])

    assert waiting(store, "ben") == [third.id]
    counts = store.reviews.count("support", "audit", "ben", overlap=1)
    assert (counts.total, counts.with_verdict, counts.left) == (1, 0, 1)
    assert store.reviews.scores("support", "audit") == []


def test_the_counts_say_who_did_what(store: Store) -> None:
    first, second, third = asked(store)
    store.reviews.answer(*verdict(first, "ada"))
    store.reviews.answer(*verdict(first, "ben"))
    store.reviews.answer(Label(review_id=second.id, labeller="ada"))
    store.reviews.answer(*verdict(third, "ben"))
    store.reviews.withdraw(third.id, "ben")

    counts = store.reviews.count("support", "audit", "ada", overlap=2)

    assert (counts.total, counts.with_verdict, counts.left) == (3, 1, 1)
    assert counts.verdicts == {"ada": 1, "ben": 1}
    assert counts.passes == {"ada": 1, "ben": 0}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["ada", "ben"]), st.sampled_from(["vote", "pass", "undo"])), max_size=20
    )
)
def test_every_verdict_belongs_to_one_label_whatever_people_do(store: Store, steps: list[tuple[int, str, str]]) -> None:
    batch = asked(store)
    for at, (which, labeller, does) in enumerate(steps):
        review = batch[which]
        if does == "undo":
            store.reviews.withdraw(review.id, labeller)
        elif does == "pass":
            store.reviews.answer(Label(review_id=review.id, labeller=labeller, created_at=NOON + timedelta(seconds=at)))
        else:
            store.reviews.answer(*verdict(review, labeller))

    ids = {review.id for review in batch}
    given = [label for one in store.reviews.of("support", "audit") if one.review.id in ids for label in one.labels]
    voted = [label for label in given if label.feedback_id is not None]
    assert len({(label.review_id, label.labeller) for label in given}) == len(given)
    assert not any(label.withdrawn for label in voted)
    assert all(store.reviews.verdict(label) is not None for label in voted)
    said = store.feedback.of(store.interactions.get_many(review.interaction_id for review in batch).values())
    assert sorted(one.id for some in said.values() for one in some) == sorted(label.feedback_id for label in voted)
    for labeller in ("ada", "ben"):
        answered = {label.review_id for label in given if label.labeller == labeller and not label.withdrawn}
        assert ids & set(waiting(store, labeller, overlap=9)) == ids - answered
