"""The benchmarks of the watch and the split: what is drawn is what is said, rivals decide as they do, wrong rules are caught."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.claims import Entry, Result, Setting
from benchmarks.deployment import after_promotion, canaries, splitting
from benchmarks.deployment.canaries import FIVE, HALVED, LIMIT, OURS, acts, ended, pooled, ramped, stepped
from benchmarks.deployment.crowds import CROWDS, JUDGED, PASSING, TURNS, Crowd, Split, looked, of_files, passing, trials
from benchmarks.deployment.rivals import point, repeated_t, track_and_stop, track_and_stop_within
from continuum.statistics.sequences import Step, difference_of, summary

FEW = 20
"""Trials a cell: enough for a rule that is wrong all the time."""


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A quick run's setting, without a word."""
    return Setting(quick=True, folder=tmp_path, data=None, seed=0, say=lambda text: None)


def missed(result: Result) -> list[Entry]:
    return [entry for entry in result.entries if entry.holds is False]


def well_formed(result: Result) -> bool:
    """Whether each entry has a claim of its own and, where there is one, a finite figure."""
    names = [entry.claim for entry in result.entries]
    return len(set(names)) == len(names) and all(entry.ours is None or math.isfinite(entry.ours) for entry in result.entries)


# --- what is drawn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crowd", CROWDS, ids=lambda one: one.name)
@pytest.mark.parametrize("drop", [0.0, 0.05, 0.2])
def test_a_candidate_of_a_crowd_is_worse_by_the_drop_and_stays_on_the_scale(crowd: Crowd, drop: float) -> None:
    drawn = crowd.worse(np.random.default_rng(1), (100_000,), drop)

    assert drawn.mean() == pytest.approx(crowd.mean - drop, abs=0.006)
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_crowds_are_what_their_names_say() -> None:
    assert JUDGED.scores.std() == pytest.approx(0.27, abs=0.005)
    assert PASSING.mean == pytest.approx(0.9)
    assert set(PASSING.scores) == {0.0, 1.0}
    # Turns that are alike within a conversation: its means spread more than those of independent turns would.
    assert TURNS.scores.std() > 1.5 * math.sqrt(0.09 / 5.5)


def test_a_crowd_cannot_lose_more_than_it_has() -> None:
    with pytest.raises(ValueError, match="cannot fall"):
        JUDGED.worse(np.random.default_rng(1), (10,), 0.5)


def test_real_scores_are_read_from_a_folder(tmp_path: Path) -> None:
    rows = [json.dumps({"score": 1 + number % 5}) for number in range(200)]
    (tmp_path / "scores.jsonl").write_text("\n".join([*rows, '{"other": 1}']), encoding="utf-8")

    crowd = of_files(tmp_path)

    assert len(crowd.scores) == 200
    assert crowd.mean == pytest.approx(0.5)


def test_too_few_real_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="100 are needed"):
        of_files(tmp_path)


def test_looks_sum_up_what_came_before() -> None:
    scores = np.random.default_rng(2).random((3, 4, 5))

    looks = looked(scores)

    assert looks.n.tolist() == [5, 10, 15, 20]
    assert looks.mean[1, 2] == pytest.approx(scores[1, :3].mean())
    assert looks.variance[1, 2] == pytest.approx(scores[1, :3].var(ddof=1))


def test_what_the_watch_is_told_is_what_was_drawn() -> None:
    ((candidate, stable),) = trials(PASSING, Split("", 20, 4), 0.1, count=2, looks=3, seed=1)
    (steps, _) = stepped(candidate, stable)

    assert [step.candidate.n for step in steps] == [20, 40, 60]
    assert steps[2].stable.n == 12
    assert steps[2].candidate.squares == pytest.approx(60 * steps[2].candidate.mean * (1 - steps[2].candidate.mean))


def test_pooled_steps_are_the_summary_of_all_scores() -> None:
    one, other = [1.0, 0.0, 1.0], [0.5, 0.75]

    together = pooled([Step(summary(one), summary([1.0])), Step(summary(other), summary([0.0]))])

    assert together.candidate.mean == pytest.approx(np.mean(one + other))
    assert together.candidate.squares == pytest.approx(summary(one + other).squares)


# --- who decides ----------------------------------------------------------------------------------------------------


def test_rivals_decide_as_their_rules_say() -> None:
    ((candidate, stable),) = trials(JUDGED, HALVED, 0.1, count=5, looks=10, seed=2)
    ours, theirs = (np.random.default_rng(5).random((1, 1, n)) for n in (40, 60))
    welch = stats.ttest_ind(ours.ravel(), theirs.ravel(), equal_var=False, alternative="less").pvalue
    said = repeated_t(looked(ours), looked(theirs), LIMIT, float(welch) * 1.001)

    assert (point(candidate, stable, LIMIT, 0.05).rollback == (candidate.mean - stable.mean <= -LIMIT)).all()
    assert said.rollback[0, 0]
    assert not repeated_t(looked(ours), looked(theirs), LIMIT, float(welch) * 0.999).rollback[0, 0]


def test_track_and_stop_declares_the_leader_once_its_ratio_passes_the_threshold() -> None:
    candidate, stable = (
        looked(np.repeat([0.0, 1.0], [20, 80]).reshape(1, 1, 100)),
        looked(np.repeat([0.0, 1.0], [5, 95]).reshape(1, 1, 100)),
    )
    variance = candidate.variance[0, 0] / 100 + stable.variance[0, 0] / 100
    ratio = 0.15**2 / (2 * variance)

    said = track_and_stop(candidate, stable, LIMIT, 0.05)

    assert bool(said.rollback[0, 0]) == (ratio > math.log((1 + math.log(200)) / 0.05))
    assert track_and_stop_within(candidate, stable, LIMIT, 0.05).rollback[0, 0]
    assert track_and_stop(stable, candidate, LIMIT, 0.05, epsilon=LIMIT).promote[0, 0]


def test_nine_samples_are_too_few_for_track_and_stop() -> None:
    zeros, ones = looked(np.zeros((1, 1, 9))), looked(np.ones((1, 1, 9)))

    assert not track_and_stop(zeros, ones, LIMIT, 0.05).rollback.any()


def test_a_trial_ends_at_its_first_rollback() -> None:
    bad, good = Step(summary([0.0]), summary([1.0])), Step(summary([1.0]), summary([1.0]))
    words = {id(bad): "rollback", id(good): "promote"}

    assert acts([[good], [bad], [good]], lambda steps: words[id(steps[0])]) == (1, 2)
    assert acts([[bad], [good]], lambda steps: words[id(steps[0])]) == (None, 1)
    assert acts([[good], [good]], lambda steps: words[id(steps[0])]) == (1, None)


def test_the_watch_finds_a_loss_and_leaves_an_equal_candidate_alone() -> None:
    lost = ended(PASSING, FIVE, 0.2, count=FEW, seed=1)[OURS]
    equal = ended(PASSING, FIVE, 0.0, count=FEW, seed=1)[OURS]

    assert lost.found == 1
    assert lost.promoted == 0
    assert equal.rolled_back <= 0.1
    assert equal.promoted == 1


@pytest.mark.parametrize(
    ("action", "goal"), [("rollback", "no drop, rolled back"), ("promote", "at the limit, promoted"), ("hold", "within 500")]
)
def test_a_rule_that_has_made_up_its_mind_misses_its_goal(setting: Setting, action: str, goal: str) -> None:
    result = canaries.measure(setting, FEW, decider=lambda steps: action)

    assert any(goal in entry.claim for entry in missed(result))


def test_the_quick_run_of_the_product_holds(setting: Setting) -> None:
    result = canaries.measure(setting, 30)

    assert well_formed(result)
    assert not missed(result)


def test_a_bad_day_fools_pooled_means_and_not_the_steps() -> None:
    trials_of_ramp = list(ramped(canaries.WORSENING, 0.0, count=FEW, seed=1))
    last = [looks[-1] for looks in trials_of_ramp]
    found = [difference_of(steps, alpha=0.05, planned=1200) for steps in last]
    thrown = [difference_of([pooled(steps)], alpha=0.05, planned=1200) for steps in last]

    assert np.mean([one.delta for one in found if one]) == pytest.approx(0, abs=0.02)
    assert np.mean([one.delta for one in thrown if one]) < -0.05


# --- after promotion, and the split ------------------------------------------------------------------------------------


def test_the_delay_is_counted_from_the_fall() -> None:
    at_the_fall = after_promotion.delays(passing("", 0.9), 50, lambda scores, mean, se: 60, 3, 0)
    never = after_promotion.delays(passing("", 0.9), 50, lambda scores, mean, se: None, 3, 0)

    assert at_the_fall == [10, 10, 10]
    assert never == [None] * 3


def test_a_healthy_champion_that_is_always_accused_is_accused_each_time() -> None:
    assert (
        after_promotion.accused(passing("", 0.9), 0.0, lambda scores, mean, se: 1000 if len(scores) >= 1000 else None, 2, 0) == 20
    )


@pytest.mark.parametrize(("at", "goal"), [(100, "false alarms"), (None, "to the rollback, median")])
def test_a_detector_that_has_made_up_its_mind_misses_its_goal(setting: Setting, monkeypatch, at: int | None, goal: str) -> None:
    monkeypatch.setattr(after_promotion, "FALLS_QUICK", 5)
    monkeypatch.setattr(after_promotion, "RUNS_QUICK", 1)
    monkeypatch.setattr(after_promotion, "RIVALS", {})
    result = after_promotion.measure(setting, detector=lambda scores, mean, se: at if at and len(scores) >= at else None)

    assert well_formed(result)
    assert any(goal in entry.claim for entry in missed(result))


def test_the_split_of_the_product_holds(setting: Setting, monkeypatch) -> None:
    monkeypatch.setattr(splitting, "RAMPS_QUICK", 5)
    monkeypatch.setattr(splitting, "USERS", 20_000)
    monkeypatch.setattr(splitting, "PROCESSES", 1)
    monkeypatch.setattr(splitting, "WITHIN_POINTS", 2.0)
    result = splitting.measure(setting)

    assert well_formed(result)
    assert not missed(result)


def test_a_draw_for_each_request_takes_people_back_and_a_hash_without_key_tries_the_same_ones() -> None:
    users = [str(number) for number in range(2000)]

    ours, drawn, bucketed = (splitting.of_ramp(one, users) for one in (splitting.product, *splitting.RIVALS.values()))

    taken_back, shared = "users taken back from the candidate by a later step", list(ours)[2]
    assert ours[taken_back] == 0 < drawn[taken_back]
    assert ours[shared] < 0.1 < bucketed[shared]


@pytest.mark.slow
def test_processes_that_know_nothing_of_each_other_agree() -> None:
    assert splitting.different_cohorts(2) == 1
