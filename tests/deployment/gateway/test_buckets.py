"""Limits: never more than was allowed, by whichever of several processes, some of which are killed on the way."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.deployment.gateway import buckets as module
from continuum.deployment.gateway.buckets import Bucket, SharedBuckets

WORKER = """
import sys
from pathlib import Path
from continuum.deployment.gateway.buckets import SharedBuckets

bucket = SharedBuckets(Path(sys.argv[1])).bucket("web-app", 60)
print("ready", flush=True)
sys.stdin.readline()
print(sum(bucket.take() == 0.0 for _ in range(3000)), flush=True)
"""
HOLDER = """
import sys
from pathlib import Path
from continuum.deployment.gateway.buckets import SharedBuckets

with SharedBuckets(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def started(program: str, file: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() in ("ready\n", "held\n")
    return process


@given(
    per_minute=st.integers(1, 600),
    pauses=st.lists(st.floats(0, 30, allow_nan=False), max_size=60),
)
def test_a_bucket_never_gives_more_than_it_holds_and_what_came_since(per_minute: int, pauses: list[float]) -> None:
    clock = Clock()
    bucket, began, taken = Bucket(per_minute, clock), clock.seconds, 0
    for pause in pauses:
        clock.seconds += pause
        taken += bucket.take() == 0.0
        assert taken <= max(1, per_minute) + (clock.seconds - began) * per_minute / 60 + 1e-6


def test_a_shared_bucket_counts_as_one_of_its_own_does(tmp_path: Path) -> None:
    clock = Clock()
    shared = SharedBuckets(tmp_path / "limits", clock)
    own, together = Bucket(7, clock), shared.bucket("web-app", 7)
    assert together is not None
    for pause in (0, 0, 0, 0, 0, 0, 0, 0, 3, 9, 0, 1, 20, 0, 0, 100, 0):
        clock.seconds += pause
        assert together.take() == pytest.approx(own.take())
    shared.close()


def test_several_processes_take_no_more_than_there_is_and_leave_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    workers = [started(WORKER, tmp_path / "limits") for _ in range(3)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    taken = sum(int(worker.communicate(timeout=60)[0]) for worker in workers)

    assert 60 <= taken <= 60 + (time.monotonic() - began) + 1


def test_a_process_that_is_killed_while_it_counts_holds_up_nobody(tmp_path: Path) -> None:
    with started(HOLDER, tmp_path / "limits") as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        shared = SharedBuckets(tmp_path / "limits")
        bucket = shared.bucket("web-app", 60)
        assert bucket is not None
        assert bucket.take() == 0.0
        shared.close()


def test_each_key_has_a_bucket_of_its_own_while_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOTS", 3)
    shared = SharedBuckets(tmp_path / "limits", Clock())
    found = [shared.bucket(f"key {number}", 1) for number in range(3)]

    assert [bucket.take() for bucket in found if bucket is not None] == [0.0, 0.0, 0.0]
    assert shared.bucket("key 3", 1) is None
    again = shared.bucket("key 1", 1)
    assert again is not None
    assert again.take() > 0
    shared.close()


@pytest.mark.timeout(20)
def test_where_the_system_gives_no_lock_nobody_waits_for_one(tmp_path: Path) -> None:
    shared = SharedBuckets(tmp_path / "limits")
    bucket = shared.bucket("web-app", 60)
    assert bucket is not None
    shared.close()

    for _ in range(2):
        with pytest.raises(OSError, match="Bad file descriptor"):
            bucket.take()
