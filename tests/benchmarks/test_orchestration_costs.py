"""The benchmarks of what Dagster costs count right. How much it is, they say themselves."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.claims import Setting
from benchmarks.orchestration import loading, overhead
from benchmarks.orchestration.loading import BARE, Load, loaded
from benchmarks.orchestration.overhead import Took, trivial_ms, turned

TOOK = Took(
    loaded_s=1, turn="canary", turn_wall_s=20, turn_s=10, again="waiting", again_wall_s=1, again_s=1, whole_wall_s=22, whole_s=12
)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A benchmark's setting, without a word."""
    return Setting(quick=True, folder=tmp_path, data=None, seed=0, say=lambda text: None)


@pytest.mark.slow
def test_a_location_that_loads_more_is_seen_to(tmp_path: Path) -> None:
    bare = loaded(BARE, tmp_path)
    heavier = loaded("import numpy\nkept = bytearray(b'1' * 50_000_000)\n" + BARE, tmp_path)

    assert 0 < bare.imported_s <= bare.resolved_s <= bare.shown_s
    assert heavier.peak_mb > bare.peak_mb + 50
    assert heavier.modules > bare.modules


def test_a_location_that_is_too_heavy_or_too_slow_misses_its_goals(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {loading.OURS: Load(2, 2.1, 2.2, 151, 1000), loading.BARE: Load(1, 1, 1.1, 70, 900)}
    monkeypatch.setattr(loading, "loaded", lambda source, folder: figures[source])
    monkeypatch.setattr(loading, "served_mb", lambda source, folder: 150.0)

    assert [entry.holds for entry in loading.measure(setting).entries] == [False, True, False]


def test_a_turn_that_costs_too_much_misses_its_goals(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    dear = replace(TOOK, turn_wall_s=31, turn_s=14)
    monkeypatch.setattr(overhead, "prepared", lambda setting: setting.folder)
    monkeypatch.setattr(overhead, "trivial_ms", lambda folder, count: (30.0, 0.001))
    monkeypatch.setattr(overhead, "turned", lambda way, home, folder: dear if way == "dagster" else TOOK)

    assert [entry.holds for entry in overhead.measure(setting).entries] == [False, True, True]


def test_ways_that_end_differently_are_not_compared(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "prepared", lambda setting: setting.folder)
    monkeypatch.setattr(
        overhead, "turned", lambda way, home, folder: replace(TOOK, turn="waiting" if way == "dagster" else "canary")
    )

    with pytest.raises(RuntimeError, match="cannot be compared"):
        overhead.measure(setting)


@pytest.mark.slow
def test_a_turn_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(RuntimeError, match="there is no task 'support'"):
        turned("direct", tmp_path / "home", tmp_path / "turn")


@pytest.mark.slow
def test_a_step_costs_more_than_a_call(tmp_path: Path) -> None:
    step, call = trivial_ms(tmp_path, 5)
    assert step > call >= 0
