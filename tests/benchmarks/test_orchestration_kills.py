"""What the benchmarks of kills count: a mark that is trained twice, a range that is left out, a line that has too much."""

from dagster import DagsterRunStatus as Run

from benchmarks.orchestration.kills import VICTIMS, Found, Kill, entries_of, rotations
from benchmarks.orchestration.lines import SEVEN, Left
from benchmarks.orchestration.marks import THRESHOLD, Marks
from benchmarks.orchestration.marks import entries_of as entries_of_marks

LEFT = Left(60, 1, 1, 1, 1, 1, 2, 1, 0, 0, None, True)


def test_three_rotations_kill_each_victim_once_in_each_asset() -> None:
    met = [(asset, victim) for victims in rotations(3) for asset, victim in victims.items()]
    assert len(met) == len(set(met)) == len(SEVEN) * len(VICTIMS) == 21


def test_contiguous_ranges_that_are_trained_once_lose_nothing() -> None:
    found = Marks(ranges=[(0, 45, None), (45, 90, 45), (90, 140, 90)], rows=150, left=10)
    assert (found.repeated, found.gaps, found.lost) == (0, 0, 0)
    assert all(entry.holds for entry in entries_of_marks(found))


def test_a_mark_that_is_trained_twice_is_seen() -> None:
    found = Marks(ranges=[(0, 45, None), (0, 45, None)])
    assert found.repeated == 1
    assert found.gaps == 1, "the marks do not grow"


def test_a_range_that_is_left_out_is_lost() -> None:
    found = Marks(ranges=[(0, 45, None), (50, 90, 45)])
    assert (found.gaps, found.lost) == (1, 5)


def test_a_whole_batch_behind_the_last_mark_is_lost() -> None:
    assert Marks(ranges=[(0, 45, None)], left=THRESHOLD).lost == THRESHOLD
    assert Marks(ranges=[(0, 45, None)], left=THRESHOLD - 1).lost == 0


def test_a_line_that_differs_from_its_twin_and_a_run_that_is_stuck_are_seen() -> None:
    killed = Kill("deployment", "daemon", (Run.FAILURE, Run.SUCCESS), False, 9.0)
    good = Found(kills=[killed], disturbed={"a": LEFT}, twin=LEFT)
    assert all(entry.holds for entry in entries_of(good))
    doubled = Left(60, 1, 1, 1, 1, 2, 2, 1, 0, 0, None, True)
    bad = Found(kills=[killed], disturbed={"a": doubled}, twin=LEFT, stuck=1)
    assert [entry.holds for entry in entries_of(bad)] == [False, False, True, True, True]
