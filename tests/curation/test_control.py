from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from continuum.curation.control import compare, draw_control

IDS = [f"row-{n:03}" for n in range(200)]
SPLIT = {one: "validation" if n % 10 == 0 else "train" for n, one in enumerate(IDS)}


@given(order=st.permutations(IDS[:30]), size=st.integers(0, 30), seed=st.integers(0, 5))
def test_neither_the_order_nor_what_was_chosen_decides_who_is_drawn(order: list[str], size: int, seed: int) -> None:
    drawn = draw_control(order, order[:size], seed, {})

    assert drawn == draw_control(IDS[:30], IDS[:size], seed, {})
    assert len(drawn) == len(set(drawn)) == size


def test_the_control_has_as_many_rows_of_each_split_as_the_selection() -> None:
    chosen = IDS[:50]

    drawn = draw_control(IDS, chosen, 0, SPLIT)

    assert Counter(SPLIT[one] for one in drawn) == Counter(SPLIT[one] for one in chosen)
    assert draw_control(IDS, chosen, 1, SPLIT) != drawn


def test_a_smaller_control_is_part_of_a_larger_one() -> None:
    assert set(draw_control(IDS, IDS[:20], 3, {})) < set(draw_control(IDS, IDS[:40], 3, {}))


def test_every_row_is_drawn_about_as_often_as_any_other() -> None:
    drawn = Counter(one for seed in range(400) for one in draw_control(IDS[:20], IDS[:5], seed, {}))

    assert len(drawn) == 20
    assert 60 < min(drawn.values()) <= max(drawn.values()) < 145


def test_ids_with_half_surrogates_are_drawn_like_others() -> None:
    assert draw_control(["\ud800", "b"], ["b", "\ud800"], 0, {}) == ["b", "\ud800"]


def test_the_comparison_says_what_selection_and_control_look_like() -> None:
    classes = ["refund", "refund", "card", None]
    scores, uncertainty = np.array([3.5, 5.0, 4.5, 4.0]), np.array([0.1, 0.2, 0.6, 0.9])

    told = compare([1, 2], [0, 1], classes, scores, uncertainty).as_dict()

    assert told["selection"] == {"rows": 2, "coverage": 1.0, "mean_quality": 4.75, "mean_uncertainty": 0.4}
    assert told["control"] == {"rows": 2, "coverage": 0.5, "mean_quality": 4.25, "mean_uncertainty": 0.15}
    assert told["shared"] == 1
    assert compare([], [], classes, scores, uncertainty).selection.mean_quality is None
