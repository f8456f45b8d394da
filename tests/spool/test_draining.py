from pathlib import Path
from typing import Any

import pytest

from continuum.errors import StoreError
from continuum.spool import draining
from continuum.spool.draining import Drain, collect
from continuum.spool.lines import line_of
from continuum.spool.segments import Abandoned, Segment
from continuum.store.database import Store, open_store


def a_line(question: str, **fields: Any) -> bytes:
    draft = {"id": question, "task": "support", "messages": [{"role": "user", "content": question}]}
    return line_of(draft | fields)


def left_behind(home: Path, *lines: bytes) -> Segment:
    """A segment whose process is gone."""
    segment = Segment(home / "spool")
    for line in lines:
        segment.append(line)
    segment.close()
    return segment


def taken_over(segment: Segment) -> Abandoned:
    taken = Abandoned.take_over(segment.path)
    assert taken is not None
    return taken


def questions(store: Store) -> list[str]:
    return [one.messages[0].text for one in store.interactions.scan("support", status=None)]


def test_what_the_dead_left_is_stored_and_its_file_goes(store: Store, home: Path) -> None:
    left_behind(home, a_line("one"), a_line("two"))
    left_behind(home, a_line("three"))

    drained = collect(store, home / "spool")

    assert (drained.stored, drained.segments) == (3, 2)
    assert sorted(questions(store)) == ["one", "three", "two"]
    assert list((home / "spool").iterdir()) == []
    assert store.segments.names() == []
    assert collect(store, home / "spool").segments == 0


def test_a_torn_last_line_costs_nothing_else(store: Store, home: Path) -> None:
    left_behind(home, a_line("whole"), a_line("torn")[:-5])

    collect(store, home / "spool")

    assert questions(store) == ["whole"]


def test_lines_that_are_no_captures_are_counted_and_passed_over(store: Store, home: Path) -> None:
    left_behind(home, b"\xff\xfe\n", b"[1, 2]\n", b"{}\n", b'{"feedback": 7}\n', b'{"feedback": {}}\n', b"\n", a_line("good"))

    drained = collect(store, home / "spool")

    assert (drained.stored, drained.failed + drained.feedback_failed) == (1, 5)
    assert questions(store) == ["good"]


def test_draining_goes_on_where_the_last_transaction_ended(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "BATCH_LINES", 2)
    segment = left_behind(home, *(a_line(f"{n}") for n in range(5)))
    # The process that did this was killed right after its first transaction.
    with taken_over(segment) as taken:
        reached, _ = Drain(lambda: store).step(taken, 0, taken.size)
    assert questions(store) == ["0", "1"]
    assert store.segments.offset(segment.name) == reached

    drained = collect(store, home / "spool")

    assert drained.stored == 3
    assert questions(store) == ["0", "1", "2", "3", "4"]


def test_a_batch_that_somebody_else_wrote_in_between_is_not_written_again(store: Store, home: Path) -> None:
    drain = Drain(lambda: store)
    with taken_over(left_behind(home, a_line("one"))) as segment:
        reached, first = drain.step(segment, 0, segment.size)
        again, second = drain.step(segment, 0, segment.size)

    assert (first.stored, second.stored) == (1, 0)
    assert again == reached


def test_a_segment_whose_redactor_is_not_here_stays_until_it_is(store: Store, home: Path) -> None:
    left_behind(home, a_line("plain"), a_line("promised", redact="ours"))

    with pytest.raises(StoreError, match=r"no redactor 'ours'.*it stays there"):
        collect(store, home / "spool")

    assert questions(store) == []
    assert len(list((home / "spool").iterdir())) == 1


def test_a_store_that_is_down_leaves_all_as_it_was(home: Path, tmp_path: Path, store: Store) -> None:
    left_behind(home, a_line("one"))
    (tmp_path / "file").touch()

    def down() -> Store:
        return open_store(f"sqlite:///{tmp_path / 'file' / 'x.db'}")

    with pytest.raises(draining.Outage, match="must be a folder"):
        Drain(down).begin("any")
    collect(store, home / "spool")
    assert questions(store) == ["one"]


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_a_row_that_the_database_refuses_holds_up_no_other(
    store: Store, home: Path, where: str, request: pytest.FixtureRequest
) -> None:
    opened = store if where == "sqlite" else open_store(request.getfixturevalue("postgres_url"))
    opened.drop_task("support")
    left_behind(home, a_line("good"), a_line("huge", input_tokens=2**70), a_line("also good"), a_line("bad task", task="a/b"))

    drained = collect(opened, home / "spool")

    assert (drained.stored, drained.failed) == (2, 2)
    assert questions(opened) == ["good", "also good"]
    opened.drop_task("support")
    if opened is not store:
        opened.close()


def test_near_repeats_are_flagged_across_processes_and_none_is_deleted(store: Store, home: Path) -> None:
    text = "please tell me when the parcel that I ordered on the first of March will arrive at my door in the old town"
    left_behind(home, a_line(text, id="first"), a_line("something else entirely", id="other"))
    collect(store, home / "spool")
    left_behind(home, a_line(text.upper(), id="second"), a_line("and now for another thing", id="third"))
    collect(store, home / "spool")

    found = {one.id: one.near_repeat_of for one in store.interactions.scan("support", status=None)}
    assert found == {"first": None, "other": None, "second": "first", "third": None}


def test_a_line_that_is_drained_twice_is_no_repeat_of_itself(store: Store, home: Path) -> None:
    for _ in range(2):
        left_behind(home, a_line("the same call"))
        collect(store, home / "spool")

    [one] = store.interactions.scan("support", status=None)
    assert one.near_repeat_of is None
