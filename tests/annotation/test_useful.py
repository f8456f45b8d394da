"""The queue of what would teach most: what joins it, in which order, and with which words."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.annotation.annotator import Annotator
from continuum.annotation.useful import queue_useful, worth_of
from continuum.errors import ConfigurationError
from continuum.judging.jury import Jury
from continuum.judging.proxy import ProxyJudge, train_proxy
from continuum.judging.scripted import ScriptedJudge
from continuum.records import Annotation, Feedback, Interaction, Review
from continuum.splits.sides import task_sides
from continuum.store.database import Store
from tests.builders import NOON, interactions
from tests.judging.verdicts import labels, verdicts

scores = st.floats(1, 5)


@pytest.fixture(scope="module")
def proxy() -> ProxyJudge:
    return train_proxy(labels(60), "support", now=lambda: NOON)


def judged(store: Store, rows: list[Interaction], score: Callable[[int], float], **fields: str) -> None:
    store.interactions.add(rows)
    store.tasks.ensure("support")
    store.annotations.add(
        Annotation(
            **({"judge": "a", "rubric": "r"} | fields),  # pyright: ignore[reportArgumentType]
            interaction_id=row.id,
            task="support",
            scores={"helpfulness": score(n)},
            overall=score(n),
            created_at=NOON + timedelta(minutes=n),
        )
        for n, row in enumerate(rows)
    )


def open_ids(store: Store) -> set[str]:
    side = task_sides(store, store.tasks.get("support").policy).side
    return {one for one, its_side in side.items() if its_side in {"train", "validation"}}


def test_what_stands_nearest_to_the_threshold_comes_first_where_there_is_no_proxy(store: Store) -> None:
    rows = interactions(30)
    judged(store, rows, lambda n: 1 + 4 * n / 29)
    found = queue_useful(store, "support", 3, threshold=3.0, now=lambda: NOON)
    by_id = {row.id: 1 + 4 * n / 29 for n, row in enumerate(rows)}
    nearest = sorted(open_ids(store), key=lambda one: (abs(by_id[one] - 3), one))[:3]
    assert [review.interaction_id for review in found] == nearest
    assert found[0].reason.endswith("and 3.0 decides whether it is good enough")
    assert all(review.queue == "useful" and review.probability is None for review in found)
    waiting = store.reviews.waiting("support", "useful", "ada", overlap=1, limit=5)
    assert [review.interaction_id for review in waiting] == nearest


def test_where_judge_and_peoples_taste_part_a_verdict_teaches_most(store: Store, proxy: ProxyJudge) -> None:
    rows = [one for one, _ in verdicts(40, turns=1, seed=8)]
    unsure = {row.id for row in rows if row.response and row.response.text.startswith("I am not sure")}
    judged(store, rows, lambda n: 4.8)
    found = queue_useful(store, "support", 5, proxy=proxy)
    assert {review.interaction_id for review in found} <= unsure
    assert found[0].reason.startswith("judge says 4.8, people's taste predicts 1.")


def test_a_second_judge_and_the_doubt_of_a_jury_count(store: Store) -> None:
    rows = interactions(20)
    judged(store, rows, lambda n: 4.5)
    disputed = sorted(open_ids(store))[3]
    judged(store, [row for row in rows if row.id == disputed], lambda n: 2.0, judge="b", role="second")
    assert [review.interaction_id for review in queue_useful(store, "support", 1)] == [disputed]
    (review,) = [one.review for one in store.reviews.of("support", "useful")]
    assert review.reason == "judge says 4.5, a second judge 2.0"


def test_what_curation_referred_comes_before_all_else_until_it_is_settled(store: Store) -> None:
    rows = interactions(40)
    judged(store, rows, lambda n: 3.5)
    one, other, agreed, heard = sorted(open_ids(store))[:4]
    for place, referred in enumerate((one, other, agreed, heard)):
        at = NOON + timedelta(minutes=place)
        store.reviews.add([Review(task="support", interaction_id=referred, queue="referred", reason="doubted", created_at=at)])
    for referred, score in ((one, 1.0), (agreed, 3.6)):
        judged(store, [row for row in rows if row.id == referred], lambda n, score=score: score, judge="b", role="second")
    store.feedback.add([Feedback(interaction_id=heard, score=4)])
    queue_useful(store, "support", 3, threshold=2.0, now=lambda: NOON)
    waiting = {review.interaction_id for review in store.reviews.waiting("support", "useful", "ada", overlap=1, limit=9)}

    found = queue_useful(store, "support", 3, only_referred=True, now=lambda: NOON + timedelta(hours=1))

    assert [review.interaction_id for review in found] == [two for two in (one, other) if two not in waiting]
    first = store.reviews.waiting("support", "useful", "ada", overlap=1, limit=2)
    assert {review.interaction_id for review in first} == {one, other}
    assert {review.reason for review in found} <= {
        "referred by curation: doubted; a second judge says 1.0",
        "referred by curation: doubted",
    }


async def test_what_a_jury_disagrees_on_comes_first(store: Store) -> None:
    rows = interactions(20)
    store.interactions.add(rows)
    store.tasks.ensure("support")
    disputed = sorted(open_ids(store))[5]
    texts = {row.messages[0].text for row in rows if row.id == disputed}
    jury = Jury(
        [
            ScriptedJudge("yes", lambda conversation, *_: 5.0),
            ScriptedJudge("no", lambda conversation, *_: 1.0 if conversation[0].text in texts else 5.0),
        ]
    )
    await Annotator(jury, store=store, admission="off").annotate_backlog("support")
    found = queue_useful(store, "support", 1, judge=jury, threshold=5.0)
    assert [review.interaction_id for review in found] == [disputed]
    assert "is unsure by 2.8" in found[0].reason


def test_what_is_measured_labelled_or_asked_already_is_left_alone(store: Store) -> None:
    rows = interactions(60)
    judged(store, rows, lambda n: 3.0)
    free = sorted(open_ids(store))
    audit, anchor, labelled, unjudged = free[:4]
    store.reviews.add([Review(task="support", interaction_id=audit, queue="audit", probability=0.1)])
    store.reviews.add([Review(task="support", interaction_id=anchor, queue="anchor", probability=0.1)])
    store.feedback.add([Feedback(interaction_id=labelled, score=2.0)])
    store.feedback.add([Feedback(interaction_id=unjudged, kind="implicit", score=2.0)])
    first = queue_useful(store, "support", 100)
    assert {review.interaction_id for review in first} == set(free) - {audit, anchor, labelled}
    assert queue_useful(store, "support", 100) == []


def test_one_of_each_dialogue_is_asked_about_and_new_dialogues_before_those_in_the_queue(store: Store) -> None:
    rows = [one for one, _ in verdicts(25, turns=3, seed=2)]
    judged(store, rows, lambda n: 3.5)
    group = task_sides(store, store.tasks.get("support").policy).group
    first = queue_useful(store, "support", 5)
    asked = [group[review.interaction_id] for review in first]
    assert len(set(asked)) == 5
    rest = queue_useful(store, "support", 100)
    groups = [group[review.interaction_id] for review in rest]
    assert len(set(groups)) == len(groups)
    assert set(groups[-5:]) == set(asked)


def test_a_judgement_that_counts_for_nothing_is_not_asked_about(store: Store) -> None:
    rows = interactions(5)
    store.interactions.add(rows)
    store.tasks.ensure("support")
    store.annotations.add(
        Annotation(interaction_id=row.id, task="support", judge="a", rubric="r", status="suspected_injection") for row in rows
    )
    assert queue_useful(store, "support", 5) == []


def test_a_task_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError):
        queue_useful(store, "nowhere", 5)


@given(scores, scores, scores, st.none() | scores)
def test_the_further_apart_the_more_a_verdict_teaches(score: float, near: float, far: float, second: float | None) -> None:
    near, far = sorted((near, far), key=lambda one: abs(one - score))
    less = worth_of(score, 3.5, predicted=near, second=second)
    more = worth_of(score, 3.5, predicted=far, second=second)
    assert less.points <= more.points
    assert f"judge says {score:.1f}" in more.reason
