import json
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.curation.coverage import Eligible, coverage_of, expected_share, share_covered
from continuum.embedding.embedder import HashedEmbedder

ASKED = ("refund my broken order", "night trains to bonn", "change the password", "opening hours on sunday")
EMBEDDER = HashedEmbedder()


def rows_of(*counts: int, labels: bool = False, asked: tuple[str, ...] = ASKED) -> Eligible:
    """So many questions of each kind."""
    kinds = [kind for kind, count in enumerate(counts) for _ in range(count)]
    texts = [f"{asked[kind]} number {n}" for kind, count in enumerate(counts) for n in range(count)]
    return Eligible(
        vectors=EMBEDDER.embed(texts),
        scores=np.linspace(3.5, 5, len(kinds)),
        texts=texts,
        intents=[asked[kind].split()[0] if labels else None for kind in kinds],
    )


def test_intents_are_the_classes_where_the_task_has_them() -> None:
    found = coverage_of(rows_of(20, 10, 5, labels=True), [0, 1, 20], EMBEDDER.id)

    assert found.by == "intent"
    assert found.share == pytest.approx(2 / 3, abs=1e-4)
    assert found.traffic_share == pytest.approx(30 / 35, abs=1e-4)
    assert found.lost == ["change"]
    assert {one.label: (one.eligible, one.selected) for one in found.classes} == {
        "change": (5, 0),
        "night": (10, 1),
        "refund": (20, 2),
    }


def test_clusters_are_the_classes_where_few_rows_have_a_label() -> None:
    rows = rows_of(20, 20, 20)
    rows.intents[0] = "refund"  # type: ignore[index]

    found = coverage_of(rows, range(20), EMBEDDER.id)

    assert found.by == "cluster"
    assert 0 < found.share < 1
    assert sum(one.eligible for one in found.classes) == 60
    assert sum(one.selected for one in found.classes) == 20
    assert all(1 <= len(one.words) <= 3 for one in found.classes)


def test_rows_without_a_label_are_counted_and_belong_to_no_intent() -> None:
    rows = rows_of(10, 10, labels=True)
    rows.intents[0] = None  # type: ignore[index]

    found = coverage_of(rows, [0], EMBEDDER.id)

    assert (found.unlabelled, found.share) == (1, 0.0)


def test_the_quality_of_a_class_is_told_for_eligible_and_chosen() -> None:
    found = coverage_of(rows_of(3, 3, labels=True), [2], EMBEDDER.id, control=[3, 4])
    night, refund = found.classes

    assert (refund.score, refund.score_selected, refund.control) == (3.8, 4.1, 0)
    assert (night.score_selected, night.control) == (None, 2)
    assert found.control_share == 0.5


def test_traffic_weighs_rows_by_the_interactions_they_stand_for() -> None:
    rows = rows_of(1, 1, labels=True)
    heavy = Eligible(rows.vectors, rows.scores, rows.texts, rows.intents, traffic=np.array([9.0, 1.0]))

    assert coverage_of(heavy, [0], EMBEDDER.id).traffic_share == 0.9


def test_the_long_tail_is_told_apart() -> None:
    tail = coverage_of(rows_of(30, 3, 2, labels=True), [0, 30], EMBEDDER.id).tail

    assert tail == {"below": 5, "classes": 2, "covered": 0.5, "eligible": 5, "selected": 1}


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.floats(0, 1))
def test_what_random_would_cover_is_exact(sizes: list[int], share: float) -> None:
    rows, drawn = sum(sizes), int(share * sum(sizes))

    exact = sum(1 - comb(rows - size, drawn) / comb(rows, drawn) for size in sizes) / len(sizes)

    assert expected_share(sizes, rows, drawn) == pytest.approx(exact, abs=1e-4)


def test_random_draws_cover_on_average_what_is_expected() -> None:
    names = [str(kind) for kind, size in enumerate((50, 5, 2, 1)) for _ in range(size)]
    rng = np.random.default_rng(0)

    drawn = [share_covered(names, rng.choice(58, 10, replace=False).tolist()) for _ in range(2000)]

    assert np.mean(drawn) == pytest.approx(expected_share([50, 5, 2, 1], 58, 10), abs=0.02)


def stored(report: dict[str, object]) -> dict[str, object]:
    """As the next version finds it in a manifest."""
    return json.loads(json.dumps(report))


def test_the_next_version_is_measured_by_the_same_clusters() -> None:
    first = coverage_of(rows_of(40, 40, 40), [0, 40, 80], EMBEDDER.id)

    second = coverage_of(rows_of(40, 30, 20), [0, 1], EMBEDDER.id, previous=stored(first.as_dict()), seed=7)

    assert not second.refitted
    assert second.frozen == first.frozen
    assert second.novel_share is not None
    assert second.novel_share <= 0.05
    before = {one.label for one in first.classes if one.selected}
    now = {one.label for one in second.classes if one.selected}
    assert set(second.lost_since or ()) == before - now
    assert second.lost_since
    assert "that the version before covered have none now" in second.words


def test_the_same_rows_keep_their_clusters_from_version_to_version() -> None:
    rows = rows_of(40, 40, 40)
    first = coverage_of(rows, range(60), EMBEDDER.id)

    again = coverage_of(rows, range(60), EMBEDDER.id, previous=stored(first.as_dict()))

    assert (again.assigned == first.assigned).all()
    assert (again.share, again.lost, again.lost_since) == (first.share, first.lost, [])


def test_new_kinds_of_questions_make_the_clusters_fit_again_and_the_report_says_so() -> None:
    first = coverage_of(rows_of(40, 40), [0], EMBEDDER.id)
    other = ("wifi router blinks red", "invoice for last quarter")

    second = coverage_of(rows_of(40, 40, asked=other), [0], EMBEDDER.id, previous=stored(first.as_dict()))

    assert second.refitted
    assert second.lost_since is None
    assert second.novel_share is not None
    assert second.novel_share > 0.05
    assert "new to the centroids of the previous version" in second.because
    assert "do not compare" in second.words


@pytest.mark.parametrize("frozen", [{}, {"embedder": "sentence-x"}, {"embedder": EMBEDDER.id, "base64": "%"}])
def test_centroids_that_cannot_be_used_are_fitted_again(frozen: dict[str, object]) -> None:
    previous = coverage_of(rows_of(40, 40), [0], EMBEDDER.id).as_dict() | {"frozen": frozen}

    found = coverage_of(rows_of(40, 40), [0], EMBEDDER.id, previous=stored(previous))

    assert found.refitted
    assert "fit the clusters again" in found.because


def test_intents_compare_between_versions_whatever_became_of_the_clusters() -> None:
    first = coverage_of(rows_of(20, 20, labels=True), [0, 20], EMBEDDER.id)

    second = coverage_of(rows_of(20, 0, 20, labels=True), [0], "another", previous=stored(first.as_dict()))

    assert second.refitted
    assert second.lost_since == ["night"]
    assert second.lost == ["change"]


def test_nothing_eligible_is_covered_by_nothing() -> None:
    found = coverage_of(rows_of(0), [], EMBEDDER.id)

    assert (found.share, found.random_share, found.classes) == (0.0, 0.0, [])
    assert json.dumps(found.as_dict())
