"""The benchmarks of the analytics: what is foretold is held against the truth, and a projection that is wrong is caught."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.analytics import projecting, selecting
from benchmarks.analytics.__main__ import SUITE
from benchmarks.claims import Setting
from continuum.analytics.projection import Projection
from continuum.statistics.selected import GivenSelection


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """A quick run of a few curves, without a word."""
    monkeypatch.setattr(projecting, "CURVES_QUICK", 12)
    return Setting(quick=True, folder=tmp_path, data=None, seed=0, say=lambda text: None)


def test_the_last_value_carried_on_as_if_sure_misses_both_goals(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def carried_on(examples: Sequence[int], means: Sequence[float], errors: Sequence[float]) -> Projection:
        return Projection(4 * examples[-1], means[-1], means[-1], means[-1], means[-1], ())

    monkeypatch.setattr(projecting, "project", carried_on)

    result = projecting.measure(setting)

    assert [entry.holds for entry in result.entries] == [False, False]
    assert result.entries[1].ratio == 1


def test_every_shape_is_in_the_table_and_the_claims_are_on_the_law_that_is_fitted(setting: Setting) -> None:
    result = projecting.measure(setting)

    assert result.table.row_count == len(projecting.SHAPES)
    assert all("12 power laws" in entry.claim for entry in result.entries)


def test_shapes_end_below_one_and_no_shape_falls() -> None:
    rng = np.random.default_rng(0)
    for shape in projecting.SHAPES:
        truth = shape.truth(rng, np.array([200.0, 400.0, 800.0, 3200.0]), 0.9, 0.3)
        assert truth.max() <= 1
        assert (np.diff(truth) >= 0).all()


def test_the_suite_names_what_is_there() -> None:
    assert {"projecting", "selecting"} <= set(SUITE.names)
    assert {SUITE.benchmark(name).__name__ for name in SUITE.names} == {"measure"}


def test_fresh_questions_are_nearer_to_the_truth_than_the_claim_and_the_corrected_interval_holds_it(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "CURVES_QUICK", 12)

    result = selecting.measure(setting)

    assert result.table.row_count == len(selecting.ROWS)
    assert [entry.holds for entry in result.entries] == [True, True, True]


def test_a_correction_that_believes_the_claim_is_found_out(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def believed(value: float, error: float, limit: float) -> GivenSelection:
        return GivenSelection(value, value, value, limit)

    monkeypatch.setattr(selecting, "given_selection", believed)
    monkeypatch.setattr(selecting, "CURVES_QUICK", 4)

    assert not selecting.measure(setting).entries[1].holds
