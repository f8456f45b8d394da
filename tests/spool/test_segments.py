import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.spool import segments
from continuum.spool.segments import Abandoned, InMemory, Read, Segment, abandoned, bytes_in, read_lines


def lines_of(segment: Segment | Abandoned, *, most: int = 1000) -> list[bytes]:
    found: list[bytes] = []
    offset = 0
    while True:
        read = read_lines(segment, offset, segment.size, most=most)
        if read.offset == offset:
            return found
        found += read.lines
        offset = read.offset


def left_by_the_dead(folder: Path, content: bytes) -> Path:
    """A segment whose process is gone."""
    segment = Segment(folder)
    segment.close()
    segment.path.write_bytes(content)
    return segment.path


def test_a_segment_is_its_owners_alone(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "spool")

    assert stat.S_IMODE(segment.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(segment.path.parent.stat().st_mode) == 0o700
    assert Abandoned.take_over(segment.path) is None

    segment.close()
    taken = Abandoned.take_over(segment.path)
    assert taken is not None
    assert Abandoned.take_over(segment.path) is None, "two drainers never have one segment"


@given(
    st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line and line)),
    st.binary(max_size=20).filter(lambda tail: b"\n" not in tail),
    st.integers(1, 7),
)
def test_whole_lines_are_read_once_each_and_a_torn_one_never(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, most: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    path = left_by_the_dead(folder, b"".join(line + b"\n" for line in lines) + torn)

    with Abandoned.take_over(path) as segment:
        assert lines_of(segment, most=most) == lines


def test_a_line_longer_than_a_chunk_is_read_whole(tmp_path: Path) -> None:
    segment = Segment(tmp_path)
    long = b"x" * (segments.CHUNK_BYTES * 3)
    segment.append(long + b"\n")
    segment.append(b"short\n")

    assert lines_of(segment) == [long, b"short"]


def test_garbage_without_an_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "CHUNK_BYTES", 16)
    monkeypatch.setattr(segments, "MAX_LINE_BYTES", 64)
    path = left_by_the_dead(tmp_path, b"\xff" * 100)

    with Abandoned.take_over(path) as segment:
        read = read_lines(segment, 0, segment.size, most=10)
        assert read == Read([b"\xff" * 64], 64)


def test_a_full_disk_leaves_no_half_line_behind(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from pathlib import Path
from continuum.spool.segments import Segment

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
segment = Segment(Path({str(tmp_path)!r}))
segment.append(b"a" * 79 + b"\\n")
for _ in range(2):
    try:
        segment.append(b"b" * 79 + b"\\n")
    except OSError as error:
        print(type(error).__name__)
segment.append(b"c" * 9 + b"\\n")
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout

    assert said.split() == ["OSError", "OSError"]
    [segment] = [lines_of(one) for one in abandoned(tmp_path)]
    assert segment == [b"a" * 79, b"c" * 9]


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(60, 120))
def test_memory_gives_back_what_it_took_in_order_and_takes_no_more_than_its_limit(moves: list[int], limit: int) -> None:
    memory, taken = InMemory(limit), 0
    waiting: list[bytes] = []
    for move in moves:
        if move > 10:
            line = b"%d" % taken * move
            line = line[: move - 1] + b"\n"
            fits = sum(map(len, waiting)) + move <= limit
            assert memory.append(line) == fits
            waiting += [line] if fits else []
            taken += 1
        else:
            read = read_lines(memory, memory.offset, memory.size, most=move + 1)
            assert read.lines == [line[:-1] for line in waiting[: move + 1]]
            waiting = waiting[move + 1 :]
            memory.stored(read.offset)
        assert memory.waiting == sum(map(len, waiting))
        assert memory.read(memory.offset, memory.waiting) == b"".join(waiting)


def test_the_dead_are_found_oldest_first_and_the_living_left_alone(tmp_path: Path) -> None:
    living = Segment(tmp_path)
    first = left_by_the_dead(tmp_path, b"1\n")
    time.sleep(0.002)  # names are in order by the millisecond
    second = left_by_the_dead(tmp_path, b"2\n")
    gone = left_by_the_dead(tmp_path, b"3\n")
    gone.unlink()

    assert [segment.path for segment in abandoned(tmp_path)] == [first, second]
    assert bytes_in(tmp_path) == 4
    living.delete()
    assert not living.path.exists()


def test_a_process_that_is_killed_lets_go_of_its_segment(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from continuum.spool.segments import Segment

segment = Segment(Path({str(tmp_path)!r}))
segment.append(b"kept\\n")
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        assert list(abandoned(tmp_path)) == []
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    assert [lines_of(segment) for segment in abandoned(tmp_path)] == [[b"kept"]]


def test_what_was_made_and_never_named_is_cleared_away_in_time(tmp_path: Path) -> None:
    young, old = tmp_path / "young.new", tmp_path / "old.new"
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 3600,) * 2)

    assert list(abandoned(tmp_path)) == []
    assert young.exists()
    assert not old.exists()


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "secret"
    elsewhere.write_text("not ours\n")
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "x.jsonl").symlink_to(elsewhere)

    assert list(abandoned(spool)) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=os.strerror(errno.ENOTDIR)):
        Segment(tmp_path / "file" / "spool")


@pytest.mark.timeout(20)
def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").mkdir()
    os.mkfifo(tmp_path / "1.jsonl")
    left = left_by_the_dead(tmp_path, b"kept\n")

    assert [segment.path for segment in abandoned(tmp_path)] == [left]
