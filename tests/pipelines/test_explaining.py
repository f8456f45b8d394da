"""Reasons in one line: the nearest are told, the others counted, and nothing that was captured steers a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from continuum.excerpts import excerpt
from continuum_pipelines.explaining import LONGEST, MOST, Reason, both_ends, explained

REASONS = st.builds(Reason, st.text(max_size=400), st.sampled_from(["late", "busy", "too small"]), st.floats(-1, 5))


def test_the_nearest_come_first_and_the_others_are_counted_by_their_kind() -> None:
    reasons = [Reason(f"task-{n}", "below" if n % 2 else "busy", nearness=n) for n in range(14)]
    told = explained(reasons, nothing="0 tasks")
    assert told.split("; ")[:2] == ["task-13", "task-12"]
    assert told.endswith("; and 4 more: 2 below, 2 busy")


def test_where_there_is_nothing_it_says_what_it_looked_at() -> None:
    assert explained([], nothing="0 tasks have a partition yet") == "0 tasks have a partition yet"


def test_what_an_error_says_cannot_steer_a_terminal_and_is_cut() -> None:
    told = explained([Reason("task: \x1b[31mred\x1b[0m " + "x" * 1000, "in trouble")], nothing="")
    assert "\x1b" not in told
    assert len(told) <= LONGEST


def test_of_a_long_reason_the_end_is_kept_for_it_says_what_to_do() -> None:
    remedy = "mend it with: continuum tasks set support-in-german FIELD=VALUE"
    told = explained([Reason(f"support-in-german: the stored policy cannot be read: {'x' * 5000}; {remedy}", "")], nothing="")
    assert told.startswith("support-in-german: the stored policy cannot be read: xxx")
    assert told.endswith(f"; {remedy}")
    assert "…" in told
    assert len(told) <= LONGEST


@given(st.text(max_size=600))
def test_a_reason_that_fits_is_told_whole_and_any_other_is_cut_once(words: str) -> None:
    told = both_ends(words)
    assert len(told) <= LONGEST
    if len(words) <= LONGEST:
        assert told == excerpt(words, LONGEST)


@given(st.lists(REASONS, max_size=400))
def test_it_stays_short_and_every_reason_is_told_or_counted(reasons: list[Reason]) -> None:
    told = explained(reasons, nothing="none")
    assert len(told) <= MOST * (LONGEST + 2) + 100
    assert (f"and {len(reasons) - MOST} more: " in told) == (len(reasons) > MOST)
    if len(reasons) > MOST:
        counts = told.rpartition("more: ")[2].split(", ")
        assert sum(int(one.split(" ")[0]) for one in counts) == len(reasons) - MOST
