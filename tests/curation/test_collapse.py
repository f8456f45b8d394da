"""The collapse guard: the cap is never broken, variety is kept, and tails outlive generations of learning from oneself."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.curation.collapse import Limited, limit_generated, spread_of

TOPICS = 40


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def on_topics(topics: Sequence[int] | np.ndarray, seed: int = 0) -> np.ndarray:
    """Answers near the axis of their topic."""
    noise = np.random.default_rng(seed).normal(0, 0.05, (len(topics), TOPICS))
    return unit(np.eye(TOPICS)[np.asarray(topics)] + noise)


def by_rank(rank: Sequence[float]) -> Callable[[np.ndarray, int], list[int]]:
    """A strategy that takes what ranks highest."""
    return lambda rows, size: sorted(map(int, rows), key=lambda row: (-rank[row], row))[:size]


def limited(
    generations: Sequence[int],
    size: int,
    *,
    cap: float = 0.5,
    floor: float = 0.0,
    rank: Sequence[float] | None = None,
    topics: Sequence[int] | np.ndarray | None = None,
) -> Limited:
    answers = on_topics(np.arange(len(generations)) % TOPICS if topics is None else topics)
    # Without another order, what this line wrote comes first: the worst case.
    choose = by_rank(rank if rank is not None else [float(depth) for depth in generations])
    return limit_generated(generations, choose, lambda rows: answers[rows], size=size, max_share=cap, floor=floor)


def test_what_this_line_wrote_gives_way_to_the_best_of_others() -> None:
    found = limited([1] * 30 + [0] * 30, 20, cap=0.3)

    assert sorted(found.positions) == [*range(6), *range(30, 44)]
    assert (found.report.chosen, found.report.share, found.report.over_cap) == ({0: 14, 1: 6}, 0.3, 14)
    assert found.report.eligible == {0: 30, 1: 30}


def test_the_training_set_is_smaller_rather_than_its_cap_broken() -> None:
    found = limited([2] * 50 + [0] * 6, 40, cap=0.4)

    assert found.report.chosen == {0: 6, 2: 4}
    assert found.report.words().startswith(
        "this line of models wrote 4 of 10 chosen answers, 40% may be its own; 36 more were left"
    )


def test_a_choice_within_the_cap_is_left_as_it_is() -> None:
    rank = [float(row % 7) for row in range(60)]

    found = limited([0, 0, 1] * 20, 25, rank=rank)

    assert found.positions == by_rank(rank)(np.arange(60), 25)
    assert found.report.over_cap == found.report.below_floor == 0


@pytest.mark.parametrize(("cap", "chosen"), [(0.0, {0: 3}), (1.0, {0: 3, 1: 7})])
def test_a_cap_of_nothing_and_of_all(cap: float, chosen: dict[int, int]) -> None:
    assert limited([1] * 7 + [0] * 3, 20, cap=cap).report.chosen == chosen


def test_where_only_this_line_wrote_nothing_is_chosen() -> None:
    found = limited([1, 2, 3], 2)

    assert found.positions == []
    assert (found.report.share, found.report.holds) == (0.0, None)
    assert "too few answers" in found.report.words()


@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.integers(1, 80),
    st.sampled_from([0.0, 0.1, 0.29, 0.3, 0.5, 0.7, 0.9, 1.0]),
    st.integers(0, 9),
)
def test_the_cap_holds_and_no_room_is_wasted(generations: list[int], size: int, cap: float, seed: int) -> None:
    rank = np.random.default_rng(seed).random(len(generations)).tolist()

    found = limited(generations, size, cap=cap, rank=rank)

    own = sum(generations[row] > 0 for row in found.positions)
    others = generations.count(0)
    assert len(set(found.positions)) == len(found.positions) <= size
    assert own <= cap * len(found.positions) + 1e-9
    assert found.report.over_cap == 0 or len(found.positions) == size or len(found.positions) - own == others
    assert sum(found.report.chosen.values()) == len(found.positions)


def test_answers_that_are_all_alike_are_left_out_and_the_strategy_picks_again() -> None:
    generations = [1] * 40 + [0] * 60
    one_topic = [0] * 40 + [row % TOPICS for row in range(60)]

    found = limited(generations, 60, cap=0.7, floor=0.8, topics=one_topic)

    assert found.report.below_floor == 40
    assert found.report.chosen == {0: 60}
    assert found.report.holds is True
    assert limited(generations, 60, cap=0.7, floor=0.8).report.below_floor == 0


def test_people_who_are_narrow_themselves_are_reported_and_stay() -> None:
    topics = [0] * 40 + [row % TOPICS for row in range(400)]

    found = limited([0] * 440, 40, floor=0.5, topics=topics, rank=[1.0] * 40 + [0.0] * 400)

    assert found.positions == list(range(40))
    assert found.report.holds is False
    assert "what others wrote is as narrow" in found.report.words()
    assert found.report.as_dict()["chosen"] == {"0": 40}


def test_the_spread_counts_the_different_answers() -> None:
    assert spread_of(np.eye(8)) == pytest.approx(8)
    assert spread_of(np.eye(8)[[0] * 20]) == pytest.approx(1)
    assert spread_of(np.eye(8)[[0, 1] * 20]) == pytest.approx(2)
    assert spread_of(np.eye(40)[:8]) == spread_of(np.eye(8))
    assert spread_of(unit(np.ones((30, 5)))) == pytest.approx(1)


def test_the_tails_outlive_eight_generations_under_the_guard_and_not_without() -> None:
    """A model that prefers the common: its answers fall on a topic as often as the square of that topic's share says."""
    people = 1 / np.arange(1, TOPICS + 1)
    people /= people.sum()
    tail = np.cumsum(people) > 0.8

    def tail_after(generations: int, cap: float, floor: float, seed: int) -> float:
        rng, learned = np.random.default_rng(seed), people
        for generation in range(1, generations + 1):
            wrote = learned**2 / (learned**2).sum()
            # One answer in four is a person's; the judge likes what the model writes.
            topics = np.concatenate([rng.choice(TOPICS, 900, p=wrote), rng.choice(TOPICS, 300, p=people)])
            found = limited([generation] * 900 + [0] * 300, 600, cap=cap, floor=floor, topics=topics)
            learned = np.bincount(topics[found.positions], minlength=TOPICS) / len(found.positions)
        return float(learned[tail].sum())

    of_people = float(people[tail].sum())
    guarded = np.array([tail_after(8, 0.5, 0.5, seed) for seed in range(5)])
    unguarded = np.array([tail_after(8, 1.0, 0.0, seed) for seed in range(5)])

    assert unguarded.max() < 0.01 * of_people
    assert guarded.min() > 0.4 * of_people
