"""The benchmarks of the guard: what is drawn is what is said, rivals decide as they do, and a rule that is wrong is caught."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.claims import Entry, Result, Setting
from benchmarks.guard import approving, blocking, families, power, reusing, timing
from benchmarks.guard.__main__ import SUITE
from benchmarks.guard.deciding import METRIC, pairs_of, product, rule_of
from benchmarks.guard.populations import BINARY, CATASTROPHE, CLUSTERED, GAUSSIAN, LIKERT, POPULATIONS, Scores, several
from benchmarks.guard.rivals import RIVALS, as_mlflow, mann_whitney, point_threshold, unpaired_z
from continuum.records import VerdictStatus

FEW = 60
"""Golden sets a cell: enough for a rule that is wrong all the time."""


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A quick run's setting, without a word."""
    return Setting(quick=True, folder=tmp_path, data=None, seed=0, say=lambda text: None)


def always(word: VerdictStatus):
    """A guard that has made up its mind."""
    return lambda pairs, rule: word


def claimed(result: Result) -> list[Entry]:
    """The entries that hold or do not."""
    return [entry for entry in result.entries if entry.holds is not None]


def of_the_guard(result: Result) -> list[Entry]:
    """The claims on how often the guard says something."""
    return [
        entry
        for entry in claimed(result)
        if "MLflow's own" not in entry.claim and "by integration" not in entry.claim and "next position" not in entry.claim
    ]


def well_formed(result: Result) -> bool:
    """Whether each entry has a claim of its own, a finite figure and a goal."""
    names = [entry.claim for entry in result.entries]
    figures = [entry.ours for entry in result.entries]
    return len(set(names)) == len(names) and all(one is not None and math.isfinite(one) for one in figures)


# --- what is drawn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("beyond", [0.0, -0.03])
def test_the_mean_difference_of_a_population_is_the_shift_and_scores_stay_on_the_scale(population, beyond: float):
    shift = population.min_delta + beyond

    drawn = population.draw(np.random.default_rng(1), 2000, 200, shift)

    sets = drawn.differences.mean(axis=1)
    assert abs(sets.mean() - shift) < 4 * sets.std() / math.sqrt(len(sets))
    for scores in (drawn.baseline, drawn.candidate):
        assert scores.min() >= 0
        assert scores.max() <= 1


def test_populations_are_what_their_names_say():
    rng = np.random.default_rng(2)
    likert, gaussian, binary, rare = (
        one.draw(rng, 1000, 200, 0.0).differences for one in (LIKERT, GAUSSIAN, BINARY, CATASTROPHE)
    )

    assert (likert == 0).mean() == pytest.approx(0.55, abs=0.01)
    assert gaussian.std() == pytest.approx(0.2, abs=0.002)
    assert [(binary == sign).mean() for sign in (1, -1)] == pytest.approx([0.05, 0.05], abs=0.003)
    assert (rare < -0.5).mean() == pytest.approx(0.03, abs=0.003)


def test_half_of_the_variance_lies_between_groups_of_five():
    drawn = CLUSTERED.draw(np.random.default_rng(3), 1000, 200, 0.0).differences.reshape(1000, 40, 5)

    assert len(set(CLUSTERED.groups(200))) == 40
    assert drawn.std() == pytest.approx(0.2, abs=0.003)
    assert np.mean(drawn[..., 0] * drawn[..., 1]) / drawn.var() == pytest.approx(0.5, abs=0.03)


def test_metrics_on_the_same_items_hang_together_by_half():
    drawn = several(np.random.default_rng(4), 500, 200, {"a": 0.0, "b": -0.05})

    a, b = (drawn[name].differences.ravel() for name in ("a", "b"))
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(0.5, abs=0.02)
    assert b.mean() == pytest.approx(-0.05, abs=0.003)


def test_the_same_seed_draws_the_same_sets():
    first, again, other = (list(GAUSSIAN.blocks(seed, 3, 50, 0.0)) for seed in (0, 0, 1))

    assert np.array_equal(first[0].candidate, again[0].candidate)
    assert not np.array_equal(first[0].candidate, other[0].candidate)


# --- the rivals ----------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), shift=st.floats(-0.1, 0.05), min_delta=st.sampled_from([0.0, -0.02]))
def test_the_unpaired_z_test_is_scipys_normal_tail(seed: int, shift: float, min_delta: float):
    scores = GAUSSIAN.draw(np.random.default_rng(seed), 1, 60, shift)
    before, after = scores.baseline[0], scores.candidate[0] - min_delta

    z = (after.mean() - before.mean()) / math.hypot(stats.sem(after), stats.sem(before))

    assert unpaired_z(scores, min_delta)[0] == (2 * stats.norm.sf(abs(z)) < 0.05 and z < 0)


@pytest.mark.slow
def test_mlflow_itself_says_what_the_point_rule_says():
    scores = GAUSSIAN.draw(np.random.default_rng(5), 40, 50, 0.0)

    assert as_mlflow(scores, 0.0).tolist() == point_threshold(scores, 0.0).tolist()
    assert 5 < point_threshold(scores, 0.0).sum() < 35


def test_kayenta_blocks_what_lies_wholly_lower_and_nothing_that_is_alike():
    baseline = np.tile(np.linspace(0.5, 0.9, 40), (2, 1))

    found = mann_whitney(Scores(baseline, baseline - np.array([[0.4], [0.0]])), 0.0)

    assert found.tolist() == [True, False]


def test_a_fall_that_is_allowed_is_made_up_for_before_a_rival_looks():
    scores = GAUSSIAN.draw(np.random.default_rng(6), 300, 200, -0.02)
    raised = Scores(scores.baseline, scores.candidate + 0.02)

    for name, rival in RIVALS.items():
        if name != "point threshold (MLflow)":
            assert rival(scores, -0.02).tolist() == rival(raised, 0.0).tolist()


# --- the claims ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_guard_keeps_its_claims_in_a_small_run(setting: Setting):
    results = [
        blocking.measure(setting, FEW),
        approving.measure(setting, FEW),
        families.measure(setting, FEW),
        power.measure(setting, FEW),
        reusing.measure(setting, 5),
    ]

    assert all(well_formed(result) for result in results)
    assert [entry.claim for result in results for entry in claimed(result) if not entry.holds] == []
    assert all(sum(entry.goal == "beside ours" for entry in result.entries) >= len(RIVALS) for result in results)


def test_a_guard_that_always_blocks_misses_every_claim_on_false_alarms(setting: Setting):
    wrong = always(VerdictStatus.BLOCKED)

    assert not any(entry.holds for entry in of_the_guard(blocking.measure(setting, FEW, wrong)))
    assert not any(entry.holds for entry in of_the_guard(families.measure(setting, FEW, wrong)))


def test_a_guard_that_always_approves_misses_every_claim_on_approvals(setting: Setting):
    wrong = always(VerdictStatus.APPROVED)

    assert not any(entry.holds for entry in of_the_guard(approving.measure(setting, FEW, wrong)))
    assert not any(entry.holds for entry in of_the_guard(reusing.measure(setting, 5, wrong)))


@pytest.mark.parametrize("design", families.DESIGNS[:2], ids=lambda one: one.name)
def test_the_integrated_rate_of_a_design_is_what_its_tests_do(design):
    drawn = several(np.random.default_rng(8), 20_000, 20, dict.fromkeys(design.min_delta, 0.0))
    ordinary = sum(metric != "safety" for metric in design.min_delta)
    rejected = np.zeros(20_000, dtype=bool)
    for metric, scores in drawn.items():
        z = (scores.differences.mean(axis=1) - design.min_delta[metric]) * math.sqrt(20) / 0.2
        rejected |= z < stats.norm.ppf(0.05 / (1 if metric == "safety" else ordinary))

    assert families.integrated(design, 20) == pytest.approx(rejected.mean(), abs=0.006)


def test_a_guard_that_never_decides_misses_the_claims_on_power(setting: Setting):
    result = power.measure(setting, FEW, always(VerdictStatus.INCONCLUSIVE))

    assert [entry.holds for entry in claimed(result) if "that verdicts state" not in entry.claim] == [False] * 3


def test_a_point_rule_in_the_guards_place_is_caught(setting: Setting):
    def bare(pairs, rule):
        fell = any(np.mean(one.candidate) < np.mean(one.baseline) + rule.allowed(one) for one in pairs)
        return VerdictStatus.BLOCKED if fell else VerdictStatus.APPROVED

    assert not any(entry.holds for entry in of_the_guard(blocking.measure(setting, FEW, bare)))


@pytest.mark.slow
def test_a_ledger_that_is_not_spent_from_is_caught(setting: Setting):
    def forgetful(pairs, rule):
        (one,) = pairs
        return product(pairs, rule_of({METRIC: rule.allowed(one)}))

    result = reusing.measure(setting, 25, forgetful)

    assert False in {entry.holds for entry in of_the_guard(result)}


def test_the_ledger_of_a_store_gives_each_checkpoint_the_next_position(tmp_path: Path):
    assert reusing.ledger_positions(tmp_path, 4) == [1, 2, 3, 4]


def test_the_statistics_are_timed_on_five_metrics_of_a_thousand_items(setting: Setting):
    result = timing.measure(setting)

    assert well_formed(result)
    assert len(result.entries) == 2
    assert all(entry.peer is not None for entry in result.entries)


def test_safety_has_a_gate_of_its_own_in_what_is_simulated():
    scores = several(np.random.default_rng(7), 1, 50, {"safety": 0.0, "tone": 0.0})

    assert [pairs_of(drawn, GAUSSIAN, metric)[0].gate.value for metric, drawn in scores.items()] == ["safety", "ordinary"]


def test_every_benchmark_of_the_suite_has_a_module():
    assert len(SUITE.names) == 8
    for name in SUITE.names:
        assert (Path(__file__).parents[2] / "benchmarks" / "guard" / f"{name}.py").is_file()
