"""What a spool folder holds, counted without touching it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.spool.draining import collect
from continuum.spool.segments import Segment
from continuum.spool.waiting import LATE, Waiting, waiting_in
from continuum.store.database import Store

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
AGES = st.integers(0, 10**7).map(lambda seconds: timedelta(seconds=seconds))


def line(task: str = "support", started_at: datetime | None = None, **fields: object) -> bytes:
    started = started_at or datetime.now(UTC)
    draft = {"id": f"i{started.timestamp()}", "task": task, "started_ns": int(started.timestamp() * 1e9), "messages": []}
    return json.dumps(draft | fields).encode() + b"\n"


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """A segment of this process, which lives."""
    return Segment(tmp_path)


def test_an_empty_folder_and_one_that_is_not_there_hold_nothing(store: Store, tmp_path: Path) -> None:
    assert waiting_in(store, tmp_path) == waiting_in(store, tmp_path / "none") == Waiting()
    assert Waiting().words(NOW) == "nothing waits in this machine's spool"
    assert not Waiting().is_late(NOW)


def test_each_line_beyond_what_was_drained_waits(store: Store, tmp_path: Path, segment: Segment) -> None:
    for _ in range(3):
        segment.append(line())
    drained = len(line())
    store.drain([], [], segment=segment.name, seen=0, offset=drained)

    found = waiting_in(store, tmp_path)

    assert (found.lines, found.segments, found.bytes) == (2, 1, segment.size - drained)
    assert found.whole


def test_what_was_drained_to_its_end_waits_no_more(store: Store, tmp_path: Path, segment: Segment) -> None:
    segment.append(line())
    segment.close()
    assert waiting_in(store, tmp_path).lines == 1
    collect(store, tmp_path)
    assert waiting_in(store, tmp_path) == Waiting()


def test_an_old_call_that_was_captured_just_now_is_not_late(store: Store, tmp_path: Path, segment: Segment) -> None:
    segment.append(line(started_at=datetime(2020, 1, 1, tzinfo=UTC)))
    found = waiting_in(store, tmp_path)
    assert found.oldest_at is not None
    assert not found.is_late(datetime.now(UTC))
    assert found.is_late(datetime.now(UTC) + LATE + timedelta(seconds=1))


def test_what_waits_for_too_long_is_told_with_what_to_do(store: Store, tmp_path: Path, segment: Segment) -> None:
    segment.append(line())
    words = waiting_in(store, tmp_path).words(datetime.now(UTC) + timedelta(hours=3))
    assert words.startswith("1 capture waits in this machine's spool, the oldest for 3 hours, more than 10 minutes")
    assert "continuum drain" in words


@pytest.mark.parametrize("content", [b"not json\n", b"[1]\n", b'{"started_ns": "x"}\n', b'{"started_ns": 1e300}\n', b"\n"])
def test_a_line_that_cannot_be_read_waits_since_its_segment_was_made(
    content: bytes, store: Store, tmp_path: Path, segment: Segment
) -> None:
    segment.append(content)
    found = waiting_in(store, tmp_path)
    assert found.lines == 1
    assert found.oldest_at is not None
    assert datetime.now(UTC) - found.oldest_at < timedelta(minutes=5)


def test_a_torn_line_a_folder_and_a_file_of_another_name_are_none(store: Store, tmp_path: Path, segment: Segment) -> None:
    segment.append(b'{"id": "half')
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "notes.txt").write_bytes(line())
    assert waiting_in(store, tmp_path).lines == 0


@given(ages=st.lists(AGES, min_size=1, max_size=4))
def test_the_oldest_of_all_segments_says_whether_the_spool_is_late(ages: list[timedelta]) -> None:
    found = Waiting(lines=len(ages), segments=len(ages), bytes=1, oldest_at=min(NOW - age for age in ages))
    assert found.is_late(NOW) == any(age > LATE for age in ages)
    assert found.age(NOW) == max(ages)
