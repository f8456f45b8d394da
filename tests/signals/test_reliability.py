import random
from datetime import timedelta

import pytest

from continuum.records import Feedback
from continuum.signals.reliability import assess_raters
from continuum.splits.ratings import POPULATION, human_rating
from continuum.store.database import Store, open_store
from tests.builders import NOON, interactions

LATER = NOON + timedelta(days=1)


def flooded(store: Store, *, task: str = "support", answers: int = 120, reviewed: int = 25, seed: int = 0) -> dict[str, bool]:
    """Sixteen honest raters and four who say three times as much and the opposite; returns which answers are good."""
    rng = random.Random(seed)
    asked = interactions(answers, task=task)
    store.interactions.add(asked)
    good = {one.id: rng.random() < 0.6 for one in asked}
    said = []
    for rater in [f"honest {n}" for n in range(16)] + [f"liar {n}" for n in range(4)]:
        right = 0.85 if rater.startswith("honest") else 0.15
        for one in rng.sample(asked, 20 if rater.startswith("honest") else 60):
            score = 5 if good[one.id] == (rng.random() < right) else 1
            said.append(Feedback(interaction_id=one.id, score=score, user_id=rater, recorded_at=NOON))
    for one in asked[:reviewed]:
        said.append(Feedback(interaction_id=one.id, score=5 if good[one.id] else 1, user_id="reviewer", trusted=True))
    store.feedback.add(said)
    return good


def share_right(store: Store, good: dict[str, bool], *, weighed: bool) -> float:
    asked = list(store.interactions.scan("support"))[25:]
    said, raters = store.feedback.of(asked), store.raters.of("support") if weighed else None
    scores = {one.id: human_rating(said.get(one.id, []), raters).score for one in asked}
    judged = {id: score for id, score in scores.items() if score is not None}
    return sum((score > 3) == good[id] for id, score in judged.items() if score != 3) / len(judged)


def test_a_flood_of_wrong_verdicts_does_not_decide_a_task(store: Store) -> None:
    good = flooded(store)

    report = assess_raters(store, "support", now=lambda: LATER)

    assert set(report.unreliable) == {f"liar {n}" for n in range(4)}
    assert share_right(store, good, weighed=False) < 0.65
    assert share_right(store, good, weighed=True) > 0.8
    assert report.evidence["trusted_items"] == 25
    assert report.evidence["anchor"] == "known items"
    assert "4 not counted" in str(report)


def test_what_was_learned_is_in_the_store_and_a_second_night_without_news_writes_nothing(store: Store) -> None:
    flooded(store)

    first = assess_raters(store, "support", now=lambda: LATER)
    second = assess_raters(store, "support", now=lambda: LATER + timedelta(days=1))

    assert store.raters.of("support") == first.raters == second.raters
    assert (first.changed, second.changed) == (21, 0)
    honest = first.raters["honest 3"]
    assert (honest.verdicts, honest.updated_at) == (20, LATER)
    assert 0 < honest.trusted < 20
    assert honest.reliability > 0.3
    assert "reviewer" not in first.raters


def test_news_changes_the_raters_it_concerns(store: Store) -> None:
    flooded(store)
    before = assess_raters(store, "support", now=lambda: LATER).raters
    asked = list(store.interactions.scan("support"))

    store.feedback.add(Feedback(interaction_id=one.id, score=1, user_id="newcomer") for one in asked[:25])
    after = assess_raters(store, "support", now=lambda: LATER + timedelta(days=1))

    assert after.raters["newcomer"].verdicts == 25
    assert abs(after.raters["honest 3"].reliability - before["honest 3"].reliability) < 0.1


def test_a_repeated_verdict_counts_once_the_newest(store: Store) -> None:
    asked = interactions(1)
    store.interactions.add(asked)
    minutes = [NOON + timedelta(minutes=n) for n in range(30)]
    store.feedback.add(Feedback(interaction_id=asked[0].id, score=1, user_id="ada", recorded_at=at) for at in minutes)

    report = assess_raters(store, "support")

    assert report.raters["ada"].verdicts == 1


def test_feedback_by_the_providers_id_counts_and_implicit_unscored_and_foreign_feedback_does_not(store: Store) -> None:
    mine, named = (one.model_copy(update={"provider_response_id": f"chatcmpl-{n}"}) for n, one in enumerate(interactions(2)))
    (foreign,) = interactions(1, task="sales")
    store.interactions.add([mine, named, foreign])
    store.feedback.add(
        [
            Feedback(interaction_id="chatcmpl-1", score=5, user_id="ada"),
            Feedback(interaction_id=mine.id, score=2, user_id="ben", kind="implicit"),
            Feedback(interaction_id=mine.id, comment="well", user_id="cy"),
            Feedback(interaction_id=foreign.id, score=1, user_id="dee"),
            Feedback(interaction_id="never captured", score=1, user_id="eve"),
        ]
    )

    assert set(assess_raters(store, "support").raters) == {"ada", POPULATION}


def test_a_task_without_feedback_has_a_population_and_no_raters(store: Store) -> None:
    report = assess_raters(store, "support")

    assert set(report.raters) == {POPULATION}
    assert report.raters[POPULATION].reliability == pytest.approx(0.5)


def test_raters_are_assessed_on_postgres_too(postgres_url: str) -> None:
    store = open_store(postgres_url)
    try:
        flooded(store, task="rated on postgres")
        report = assess_raters(store, "rated on postgres", now=lambda: LATER)

        assert len(report.unreliable) == 4
        assert store.raters.of("rated on postgres") == report.raters
        assert assess_raters(store, "rated on postgres").changed == 0
    finally:
        store.close()
