"""Referrals: what one judge's word does not decide waits for another's, is referred once, and nothing protected is."""

from datetime import timedelta

import pytest

from continuum.curation.quality import Rated, rate
from continuum.curation.referrals import REFERRED_AT_ONCE, Doubt, confirmed, doubts_of, refer
from continuum.judging.referred import open_referrals
from continuum.policy import JudgePolicy, SecondJudge, TaskPolicy
from continuum.records import Annotation, DatasetRecord, Feedback, Review
from continuum.store.database import Store, open_store
from continuum.store.learning import DatasetItem
from tests.builders import NOON, interactions

ALONE = TaskPolicy(task="support")
WATCHED = TaskPolicy(task="support", judge=JudgePolicy(model="a", second=SecondJudge(model="b")))


def judged(store: Store, scores: list[float], *, people: dict[int, float] | None = None) -> list[Rated]:
    """Interactions with the first judge's scores, and what people say of some."""
    rows = [row.model_copy(update={"id": f"row-{n:03}"}) for n, row in enumerate(interactions(len(scores)))]
    store.tasks.ensure("support")
    store.interactions.add(rows)
    notes = [note(row.id, score) for row, score in zip(rows, scores, strict=True)]
    store.annotations.add(notes)
    said = {n: Feedback(interaction_id=rows[n].id, score=score) for n, score in (people or {}).items()}
    store.feedback.add(said.values())
    rated = [rate(row, [said[n]] if n in said else [], notes[n]) for n, row in enumerate(rows)]
    return [one for one in rated if one is not None]


def note(interaction_id: str, score: float | None, judge: str = "a", **fields: object) -> Annotation:
    values = {"interaction_id": interaction_id, "task": "support", "judge": judge, "rubric": "r", "overall": score}
    return Annotation.model_validate(values | {"created_at": NOON} | fields)


def second_says(store: Store, scores: dict[int, float]) -> None:
    store.annotations.add([note(f"row-{n:03}", score, "b", role="second") for n, score in scores.items()])


def queue(store: Store) -> list[str]:
    return [one.review.interaction_id for one in store.reviews.of("support", "referred")]


def doubts(*numbers: int) -> list[Doubt]:
    return [Doubt(f"row-{n:03}", 3.0, "doubted") for n in numbers]


def test_an_uncertain_pick_is_trained_on_when_people_or_a_second_judge_find_it_good_too(store: Store) -> None:
    picks = judged(store, [4.5] * 5, people={1: 4.0})
    second_says(store, {2: 3.5, 3: 2.0})

    found = confirmed(store, WATCHED, picks, 3.5)

    assert (found.trainable, found.waiting) == ([1, 2], [0, 3, 4])
    assert (found.for_second, found.for_people) == (2, 1)
    assert found.words("support") == (
        "2 of 5 uncertain picks are confirmed; 2 wait for the second judge (continuum annotate support); "
        "1 wait for people (continuum label support --queue useful)"
    )


def test_without_a_second_judge_all_wait_for_people(store: Store) -> None:
    found = confirmed(store, ALONE, judged(store, [4.5] * 3, people={2: 5.0}), 3.5)

    assert (found.trainable, found.for_second, found.for_people) == ([2], 0, 2)


def test_doubts_are_picks_and_what_lies_nearest_below_by_turns() -> None:
    rows = interactions(6)
    scores = [4.6, 4.0, 1.0, 3.4, 3.0, 4.9]
    rated = [rate(row, [], note(row.id, score)) for row, score in zip(rows, scores, strict=True)]
    picks, scored = [one for one in rated[:2] if one], [one for one in rated if one]

    found = doubts_of(picks, scored, 3.5)

    assert [doubt.score for doubt in found] == [4.6, 3.4, 4.0, 3.0, 1.0]
    assert found[0].reason.endswith("place 1 among 2 uncertain picks")
    assert found[1].reason == "the judge says 3.4, and 3.5 is asked for to learn from it"


def test_people_are_not_asked_about_what_they_scored() -> None:
    (row,) = interactions(1)
    heard = rate(row, [Feedback(interaction_id=row.id, score=2)], None)

    assert heard is not None
    assert doubts_of([], [heard], 3.5) == doubts_of([heard], [], 3.5) == []


def test_nothing_that_measures_and_nothing_that_is_settled_is_referred(store: Store) -> None:
    judged(store, [3.0] * 9, people={0: 2.0})
    store.feedback.add([Feedback(interaction_id="row-001", correction="Tuesday.")])
    at = {"task": "support", "probability": 0.5}
    store.reviews.add(
        [Review(interaction_id="row-002", queue="audit", **at), Review(interaction_id="row-003", queue="anchor", **at)]
    )
    golden = DatasetRecord(id="g", task="support", kind="golden", name="support_golden_v1", version=1, uri="", manifest={})
    store.datasets.add(golden, [DatasetItem(interaction_id="row-004", split="golden")])
    later = NOON + timedelta(hours=1)
    store.annotations.add([note("row-005", None, "c", status="suspected_injection", created_at=later)])
    second_says(store, {6: 2.0, 7: 4.0})

    found = refer(store, "support", [*doubts(*range(9)), Doubt("gone", 3.0, "doubted")], min_score=3.5)

    assert queue(store) == ["row-007", "row-008"]
    assert [review.reason for review in found.added] == ["doubted", "doubted"]


def test_referring_the_same_again_adds_nothing(store: Store) -> None:
    judged(store, [3.0] * 150)

    first = refer(store, "support", doubts(*range(150)), min_score=3.5)
    again = refer(store, "support", doubts(*range(150)), min_score=3.5)

    assert (len(first.added), first.open, first.left) == (REFERRED_AT_ONCE, REFERRED_AT_ONCE, 50)
    assert again.as_dict() == {"added": 0, "open": REFERRED_AT_ONCE, "left": 50}
    assert queue(store) == [f"row-{n:03}" for n in range(REFERRED_AT_ONCE)]


def test_who_settles_referrals_makes_room_for_others_and_none_comes_twice(store: Store) -> None:
    judged(store, [3.0] * 150)
    refer(store, "support", doubts(*range(150)), min_score=3.5)
    store.feedback.add([Feedback(interaction_id="row-000", score=5), Feedback(interaction_id="row-001", correction="No.")])
    second_says(store, {2: 1.0, 3: 5.0})

    again = refer(store, "support", doubts(*range(150)), min_score=3.5)

    assert [review.interaction_id for review in again.added] == ["row-100", "row-101", "row-102"]
    assert [one.second for one in open_referrals(store, "support", 3.5)[:2]] == [5.0, None]
    assert len(set(queue(store))) == len(queue(store)) == REFERRED_AT_ONCE + 3


@pytest.mark.slow
def test_referrals_are_the_same_on_postgres(postgres_url: str) -> None:
    store = open_store(postgres_url)
    judged(store, [3.0] * 20)
    store.reviews.add([Review(task="support", interaction_id="row-000", queue="useful", created_at=NOON)])
    refer(store, "support", doubts(*range(5, 10)), min_score=3.5)
    store.reviews.add([Review(task="support", interaction_id="row-007", queue="useful", created_at=NOON + timedelta(days=1))])

    waiting = store.reviews.waiting("support", "useful", "ada", overlap=1, limit=9)

    assert [review.interaction_id for review in waiting] == ["row-007", "row-000"]
    assert queue(store) == [f"row-{n:03}" for n in range(5, 10)]
    store.close()
