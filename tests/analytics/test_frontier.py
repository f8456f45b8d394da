import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from continuum.analytics.frontier import frontier, undominated

MODELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6)


@given(MODELS)
def test_a_model_is_on_the_frontier_unless_another_is_at_least_as_good_in_both_and_better_in_one(
    models: list[tuple[int, int]],
) -> None:
    costs, quality = (np.array(column, dtype=float) for column in zip(*models, strict=True))

    found = undominated(costs, quality[None, :])[0]

    expected = [not any(c <= cost and q >= good and (c < cost or q > good) for c, q in models) for cost, good in models]
    assert list(found) == expected


def test_two_models_that_differ_by_chance_share_the_probability() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{n}" for n in range(100)]
    noise = rng.normal(0, 0.2, 100)
    quality = {"a": (0.5 + noise).tolist(), "b": (0.5 + rng.permutation(noise)).tolist()}

    standings = {found.model: found for found in frontier(quality, {"a": 0.01, "b": 0.01}, groups)}

    assert 0.2 < standings["a"].probability < 0.8
    assert standings["a"].probability + standings["b"].probability >= 0.99


def test_the_same_seed_gives_the_same_probabilities() -> None:
    quality = {"a": [0.1, 0.9, 0.4], "b": [0.5, 0.3, 0.6]}

    first, second = (frontier(quality, {"a": 1.0, "b": 2.0}, ["x", "y", "z"], seed=3) for _ in range(2))

    assert first == second


def test_a_model_that_is_faster_than_its_betters_is_on_the_frontier_where_latency_counts() -> None:
    quality = {"quick": [0.5, 0.5], "good": [0.9, 0.9], "slow": [0.4, 0.4]}
    cost, latency = dict.fromkeys(quality, 0.01), {"quick": 100.0, "good": 500.0, "slow": 600.0}

    plain = {found.model: found.on_frontier for found in frontier(quality, cost, ["x", "y"])}
    timed = {found.model: found.on_frontier for found in frontier(quality, cost, ["x", "y"], latency_ms=latency)}

    assert plain == {"quick": False, "good": True, "slow": False}
    assert timed == {"quick": True, "good": True, "slow": False}
