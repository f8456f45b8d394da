import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continuum.config import load_settings
from continuum.spool.apart import DrainApart
from continuum.spool.draining import Drain, Outage
from continuum.spool.lines import line_of
from continuum.spool.segments import Segment
from continuum.spool.spool import Spool
from continuum.store import default_store
from continuum.store.database import Store

PARENT = """
import sys
from continuum.spool.apart import DrainApart

drain = DrainApart()
drain.sample_rates()
print(drain._child.pid, flush=True)
sys.stdin.read()
"""


def a_draft(question: str, **fields: Any) -> dict[str, Any]:
    """A captured call on its way to the store."""
    return {
        "id": f"id of {question}",
        "task": "support",
        "started_ns": 1_770_000_000_000_000_000,
        "messages": [{"role": "user", "content": question}],
        "response": {"role": "assistant", "content": "It arrives on Monday."},
    } | fields


def questions(store: Store) -> list[str]:
    return [one.messages[0].text for one in store.interactions.scan("support", status=None)]


def eventually(condition: Callable[[], bool], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def is_there(pid: int) -> bool:
    try:
        # One that has ended and that nobody has waited for is a line in a table and no process.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def spool(store: Store) -> Iterator[Spool]:
    opened = Spool(default_store, apart=True)
    yield opened
    opened.close()


@pytest.fixture
def drain(store: Store) -> Iterator[DrainApart]:
    opened = DrainApart()
    yield opened
    opened.close()


@pytest.fixture
def segment(home: Path) -> Iterator[Segment]:
    opened = Segment(load_settings().spool_dir)
    yield opened
    opened.close()


def child_of(drain: DrainApart) -> "subprocess.Popen[bytes]":
    assert drain._child is not None
    return drain._child


def test_what_is_captured_is_stored_by_another_process(spool: Spool, store: Store) -> None:
    spool.take(a_draft("Where is my order?", user_id="ada"))
    spool.take(a_draft("Call me at +49 30 901820"), durability="memory")

    assert spool.flush(30)

    assert sorted(questions(store)) == ["Call me at [PHONE]", "Where is my order?"]
    assert (spool.stats().calls.stored, spool.stats().calls.pending) == (2, 0)


def test_lines_that_are_none_are_counted_as_they_are_here(drain: DrainApart, segment: Segment, store: Store) -> None:
    segment.append(line_of(a_draft("Where is my order?")))
    segment.append(b"no JSON\n")

    reached, drained = drain.step(segment, 0, segment.size)

    assert reached == segment.size
    assert (drained.stored, drained.failed) == (1, 1)
    assert drain.begin(segment.name) == segment.size


def test_a_segment_whose_file_was_moved_away_is_stored_all_the_same(
    drain: DrainApart, segment: Segment, store: Store, tmp_path: Path
) -> None:
    segment.append(line_of(a_draft("Where is my order?")))
    segment.path.rename(tmp_path / "moved")

    assert drain.step(segment, 0, segment.size)[1].stored == 1
    assert questions(store) == ["Where is my order?"]
    assert drain.begin(segment.name) == segment.size


def test_another_process_takes_the_place_of_one_that_was_killed(drain: DrainApart, segment: Segment, store: Store) -> None:
    segment.append(line_of(a_draft("Where is my order?")))
    assert drain.begin(segment.name) == 0
    first = child_of(drain)
    first.kill()
    first.wait()

    with pytest.raises(Outage, match="has ended with -9"):
        drain.step(segment, 0, segment.size)

    assert drain.step(segment, 0, segment.size)[1].stored == 1
    assert child_of(drain).pid != first.pid


def test_what_was_stored_by_one_that_was_killed_before_it_said_so_is_counted_and_not_stored_twice(
    spool: Spool, store: Store
) -> None:
    spool.linger_s = 0.5
    spool.take(a_draft("Where is my order?"))
    (segment,) = spool.segments
    # The batch is in the store, and nobody in this process was told.
    Drain(default_store).step(segment, 0, segment.size)

    assert spool.flush(30)

    assert questions(store) == ["Where is my order?"]
    assert (spool.stats().calls.stored, spool.stats().calls.failed) == (1, 0)


def test_the_process_ends_when_its_parent_was_killed(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_there(child)
        parent.kill()

    assert eventually(lambda: not is_there(child))


def test_signals_that_end_its_parent_leave_it_at_work(drain: DrainApart, segment: Segment, store: Store) -> None:
    segment.append(line_of(a_draft("Where is my order?")))
    drain.begin(segment.name)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(child_of(drain).pid, number)

    assert drain.step(segment, 0, segment.size)[1].stored == 1


def test_a_store_that_cannot_be_opened_is_an_outage_in_its_own_words(
    drain: DrainApart, segment: Segment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", f"sqlite:///{tmp_path}/file/all.db")
    segment.append(line_of(a_draft("Where is my order?")))

    with pytest.raises(Outage, match="file"):
        drain.step(segment, 0, segment.size)

    assert child_of(drain).poll() is None


def test_it_ends_at_once_when_it_is_closed_and_may_be_asked_again(drain: DrainApart, store: Store) -> None:
    assert drain.sample_rates() == {}
    first = child_of(drain)

    drain.close()

    assert first.returncode == 0
    assert drain.begin("any") == 0
