import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.statistics.paired import t_interval
from continuum.statistics.prediction_powered import PredictionPowered, ppi_mean

SCORES = st.floats(min_value=1, max_value=5, allow_nan=False)
ITEMS = st.lists(st.tuples(SCORES, st.none() | SCORES), min_size=3, max_size=40).filter(
    lambda items: sum(label is not None for _, label in items) >= 3
)


def a_world(
    rng: np.random.Generator, *, correlation: float, bias: float, population: int = 1000, members: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """A judge's scores and people's, in conversations of so many answers that are equally good but for some noise."""
    quality = np.repeat(rng.normal(size=population // members), members) * 0.8 + rng.normal(size=population) * 0.6
    people = np.clip(np.round(3.6 + quality), 1, 5)
    standard = (people - people.mean()) / people.std()
    noise = rng.normal(size=population)
    judge = 3.6 + bias + 0.8 * (correlation * standard + math.sqrt(1 - correlation**2) * noise)
    return np.clip(judge, 1, 5), people


def labelled(people: np.ndarray, chosen: np.ndarray) -> list[float | None]:
    asked = set(chosen.tolist())
    return [float(score) if n in asked else None for n, score in enumerate(people)]


def coverage(found: list[tuple[PredictionPowered, float]], of: str = "") -> float:
    intervals = [(getattr(one, of) if of else one, truth) for one, truth in found]
    return sum(interval.low <= truth <= interval.high for interval, truth in intervals) / len(found)


def test_a_biased_judge_is_put_right_where_its_own_mean_is_always_wrong() -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        judge, people = a_world(rng, correlation=0.8, bias=0.4)
        labels = labelled(people, rng.choice(len(judge), 100, replace=False))
        found.append((ppi_mean(judge.tolist(), labels), float(people.mean())))

    assert coverage(found) >= 0.93
    assert coverage(found, "judge_only") == 0
    assert np.median([one.label_gain for one, _ in found]) > 2


def test_thirty_labels_already_cover_as_they_say() -> None:
    rng, found = np.random.default_rng(1), []
    for _ in range(400):
        judge, people = a_world(rng, correlation=0.8, bias=0.4)
        found.append((ppi_mean(judge.tolist(), labelled(people, rng.choice(1000, 30, replace=False))), float(people.mean())))

    assert coverage(found) >= 0.92


def test_a_judge_that_knows_nothing_is_hardly_listened_to_and_costs_little() -> None:
    rng = np.random.default_rng(2)
    judge, people = a_world(rng, correlation=0, bias=0.4)

    found = ppi_mean(judge.tolist(), labelled(people, rng.choice(1000, 200, replace=False)))

    assert found.judge_use < 0.2
    assert math.isclose(found.label_gain, 1, abs_tol=0.1)


def test_labels_drawn_with_different_probabilities_do_not_shift_the_mean() -> None:
    rng, weighted, plain, truths = np.random.default_rng(3), [], [], []
    for _ in range(300):
        judge, people = a_world(rng, correlation=0.5, bias=0.0)
        # The second half is better, and was asked about ten times as often.
        people[500:] = np.clip(people[500:] + 1, 1, 5)
        probability = np.where(np.arange(1000) < 500, 0.04, 0.4)
        labels = labelled(people, np.flatnonzero(rng.random(1000) < probability))
        weighted.append((ppi_mean(judge.tolist(), labels, probabilities=probability.tolist()), float(people.mean())))
        plain.append((ppi_mean(judge.tolist(), labels), float(people.mean())))
        truths.append(float(people.mean()))

    assert coverage(weighted) >= 0.92
    assert abs(np.mean([one.mean for one, _ in weighted]) - np.mean(truths)) < 0.03
    assert coverage(plain) < 0.1


@pytest.mark.slow
def test_labels_of_one_conversation_count_as_one_and_not_as_many() -> None:
    rng, together, apart = np.random.default_rng(4), [], []
    groups = [f"conversation {n // 10}" for n in range(2000)]
    for _ in range(300):
        judge, people = a_world(rng, correlation=0.3, bias=0.0, population=2000, members=10)
        chosen = np.concatenate([np.arange(10) + 10 * n for n in rng.choice(200, 12, replace=False)])
        labels = labelled(people, chosen)
        together.append((ppi_mean(judge.tolist(), labels, groups=groups), 3.6))
        apart.append((ppi_mean(judge.tolist(), labels), 3.6))

    assert coverage(together) >= 0.92
    assert coverage(apart) < 0.85
    assert together[0][0].groups == 12


def test_labels_that_all_agree_do_not_claim_to_have_seen_what_is_rare() -> None:
    found = ppi_mean([4.0] * 100, [5.0] * 30 + [None] * 70)

    assert found.mean == 5
    assert found.low < 4.6
    assert found.labels_only.low < 4.6


def test_without_the_judge_it_is_students_interval() -> None:
    labels = [1.0, 4.0, 5.0, 2.0, 4.0, 3.0]

    found = ppi_mean([3.0] * 6, labels).labels_only

    assert np.allclose((found.low, found.high), t_interval(np.array(labels)))


@given(ITEMS)
def test_the_mean_lies_in_its_interval_and_on_the_scale(items: list[tuple[float, float | None]]) -> None:
    judged, labels = zip(*items, strict=True)

    found = ppi_mean(judged, labels)

    assert 1 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= 5
    assert 0 <= found.judge_use <= 1
    assert found.labels_only.low <= found.labels_only.mean <= found.labels_only.high


@given(ITEMS, st.randoms())
def test_the_order_of_items_and_a_common_factor_of_the_probabilities_change_nothing(
    items: list[tuple[float, float | None]], random: object
) -> None:
    rows = [(judge, label, 0.2 + (n % 3) / 10, f"g{n % 7}") for n, (judge, label) in enumerate(items)]
    if len({group for _, label, _, group in rows if label is not None}) < 3:
        return
    shuffled = [(judge, label, probability / 2, group) for judge, label, probability, group in rows]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    found = [
        ppi_mean(*zip(*((judge, label) for judge, label, *_ in order), strict=True),
                 probabilities=[row[2] for row in order], groups=[row[3] for row in order])
        for order in (rows, shuffled)
    ]  # fmt: skip

    for first, second in pairwise(found):
        assert math.isclose(first.mean, second.mean, abs_tol=1e-6)
        assert math.isclose(first.low, second.low, abs_tol=1e-5)


@given(st.lists(SCORES, min_size=3, max_size=30), st.floats(min_value=-1, max_value=1))
def test_a_judge_that_is_off_by_the_same_everywhere_is_worth_as_much_as_a_perfect_one(scores: list[float], bias: float) -> None:
    labels = [score if n % 2 == 0 or n < 5 else None for n, score in enumerate(scores)]
    if sum(label is not None for label in labels) < 3:
        return

    perfect, biased = ppi_mean(scores, labels), ppi_mean([score + bias for score in scores], labels)

    assert math.isclose(perfect.mean, biased.mean, abs_tol=1e-6)
    assert math.isclose(perfect.high, biased.high, abs_tol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([3.0, 4.0], [3.0, 4.0]), "three groups, found 2"),
        (([3.0], [3.0, 4.0]), "equal lengths"),
    ],
)
def test_what_cannot_be_estimated_is_refused(arguments: tuple[list[float], list[float]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ppi_mean(*arguments)


def test_a_probability_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        ppi_mean([3.0] * 3, [3.0, 4.0, 5.0], probabilities=[0.5, 0.5, None])
