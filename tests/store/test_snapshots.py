"""Snapshots: the same rows, each once and in the order of arrival, whatever part of them lies in Parquet."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from continuum.errors import ConfigurationError
from continuum.records import Interaction
from continuum.store import parts
from continuum.store.database import Store, open_store
from continuum.store.retention import erase
from continuum.store.snapshots import SnapshotReport, write_snapshots
from continuum.store.tables import interactions as rows_of_interactions
from continuum.store.tables import snapshots
from tests.builders import NOON, an_interaction, interactions

LATER = NOON + timedelta(days=400)


def later() -> datetime:
    return LATER


def add(store: Store, *batch: Interaction, at: datetime = NOON) -> None:
    store.interactions.add(batch, now=lambda: at)


def days(count: int, per_day: int = 1, **fields: object) -> list[Interaction]:
    """Interactions on following days."""
    return [
        an_interaction(f"Question {n} of {fields}?", started_at=NOON + timedelta(days=n // per_day, seconds=n), **fields)
        for n in range(count * per_day)
    ]


def files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home / "snapshots")) for path in (home / "snapshots").rglob("*") if path.is_file())


def test_a_part_lies_under_its_task_and_day_and_is_named_by_its_rows(store: Store, home: Path) -> None:
    add(store, *days(2, per_day=3))

    report = write_snapshots(store, "support", now=later)

    assert report == SnapshotReport(written=2, rows=6, compacted=0, removed=0)
    assert files(home) == [
        "task=support/day=2026-03-01/part-1-3.parquet",
        "task=support/day=2026-03-02/part-4-6.parquet",
    ]
    assert pl.read_parquet(home / "snapshots" / files(home)[0])["id"].to_list() == [
        one.id for one in list(store.interactions.scan("support"))[:3]
    ]


def test_a_second_run_writes_nothing_and_a_third_only_what_came_since(store: Store, home: Path) -> None:
    add(store, *days(2))
    write_snapshots(store, "support", now=later)
    before = {name: (home / "snapshots" / name).stat().st_mtime_ns for name in files(home)}

    assert write_snapshots(store, "support", now=later) == SnapshotReport(0, 0, 0, 0)
    add(store, *days(1, task="support", status="error"))
    assert write_snapshots(store, "support", now=lambda: NOON + timedelta(minutes=5)).rows == 1
    assert {name: (home / "snapshots" / name).stat().st_mtime_ns for name in before} == before


def test_what_arrived_just_now_waits_for_the_next_run(store: Store) -> None:
    add(store, *days(1))
    add(store, an_interaction("Just now?"), at=NOON + timedelta(seconds=50))

    assert write_snapshots(store, "support", now=lambda: NOON + timedelta(seconds=70)).rows == 1
    assert write_snapshots(store, "support", now=lambda: NOON + timedelta(seconds=110)).rows == 1


def test_small_parts_of_a_past_day_become_one(store: Store, home: Path) -> None:
    for n in range(4):
        add(store, an_interaction(f"Question {n}?"), an_interaction(f"Next day {n}?", started_at=NOON + timedelta(days=1)))
        write_snapshots(store, "support", now=lambda: NOON + timedelta(hours=1))
    assert len(files(home)) == 8

    report = write_snapshots(store, "support", now=lambda: NOON + timedelta(days=1))

    assert report.compacted == 4
    assert [name for name in files(home) if "2026-03-01" in name] == ["task=support/day=2026-03-01/part-1-7.parquet"]
    assert len(files(home)) == 5
    assert [one.messages[0].text for one in store.interactions.scan("support")][:3] == [
        "Question 0?",
        "Next day 0?",
        "Question 1?",
    ]


def test_a_merge_makes_a_part_stale_and_the_next_run_writes_it_anew(store: Store, home: Path) -> None:
    served = an_interaction("Half", id="both", source="gateway", deployment_id="d1")
    captured = an_interaction("Whole", id="both", source="capture")
    add(store, served, *interactions(3))
    write_snapshots(store, "support", now=later)
    (old,) = files(home)

    add(store, captured, at=LATER)

    whole = captured.model_copy(update={"deployment_id": "d1"})
    assert next(store.interactions.scan("support")) == whole
    assert write_snapshots(store, "support", now=later) == SnapshotReport(written=1, rows=4, compacted=0, removed=0)
    assert old not in files(home)
    assert next(store.interactions.scan("support")) == whole
    assert store.interactions.frame("support", ["id", "deployment_id"]).row(0) == ("both", "d1")


def test_the_same_call_again_leaves_its_part_fresh(store: Store) -> None:
    batch = days(2)
    add(store, *batch)
    write_snapshots(store, "support", now=later)

    add(store, *batch)

    assert write_snapshots(store, "support", now=later).written == 0


@pytest.mark.parametrize("stage", ["announced", "written"])
def test_a_run_that_was_killed_leaves_nothing_half(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    add(store, *days(3))
    with monkeypatch.context() as patched:
        whole = parts.put

        def killed(uri: str, frame: pl.DataFrame) -> None:
            if stage == "written":
                whole(uri, frame)
            raise KeyboardInterrupt

        patched.setattr(parts, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            write_snapshots(store, "support", now=later)

    assert len(list(store.interactions.scan("support"))) == 3
    assert write_snapshots(store, "support", now=later).rows == 3
    assert len(files(home)) == 3


def test_a_file_that_is_gone_is_read_from_the_database(store: Store, home: Path) -> None:
    batch = days(3)
    add(store, *batch)
    write_snapshots(store, "support", now=later)
    (home / "snapshots" / files(home)[1]).unlink()

    assert list(store.interactions.scan("support")) == batch
    assert store.interactions.frame("support", ["id"])["id"].to_list() == [one.id for one in batch]


def test_the_parts_of_days_outside_the_window_are_not_opened(store: Store, home: Path) -> None:
    batch = days(4)
    add(store, *batch)
    write_snapshots(store, "support", now=later)
    for name in files(home)[:2]:
        (home / "snapshots" / name).write_bytes(b"no Parquet at all")

    assert list(store.interactions.scan("support", since=NOON + timedelta(days=2))) == batch[2:]
    assert store.interactions.frame("support", since=NOON + timedelta(days=2)).height == 2


def test_rows_are_read_from_parts_and_not_from_the_database(store: Store) -> None:
    batch = days(3)
    add(store, *batch)
    write_snapshots(store, "support", now=later)
    with store.engine.begin() as connection:
        connection.execute(update(rows_of_interactions).values(model="changed behind the parts"))

    assert list(store.interactions.scan("support")) == batch


def test_a_frame_has_the_columns_asked_for(store: Store) -> None:
    one = an_interaction(tags={"route": "a"}, latency_ms=1.5, input_tokens=3)
    add(store, one, an_interaction("Second?", response=None, status="error"))

    for _ in range(2):
        frame = store.interactions.frame("support")
        assert frame["tags"].to_list() == ['{"route":"a"}', "{}"]
        assert frame["response"].to_list() == ['{"content":"It arrives on Monday.","role":"assistant"}', None]
        assert frame["started_at"].to_list() == [NOON, NOON]
        narrow = store.interactions.frame("support", ["latency_ms", "sequence"])
        assert narrow.to_dict(as_series=False) == {"latency_ms": [1.5, None], "sequence": [1, 2]}
        write_snapshots(store, "support", now=later)
    assert store.interactions.frame("nobody").is_empty()
    with pytest.raises(ConfigurationError, match="no column 'words'"):
        store.interactions.frame("support", ["words"])


def test_other_places_are_reached_through_fsspec(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_SNAPSHOTS", f"memory://{store.engine.name}")
    batch = days(3)
    add(store, *batch)

    assert write_snapshots(store, "support", now=later).written == 3
    assert list(store.interactions.scan("support")) == batch
    assert store.interactions.frame("support", ["id"]).height == 3


@pytest.mark.slow
def test_runs_readers_and_writers_at_once_neither_lose_nor_double_a_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuum.store.snapshots.PART_ROWS", 7)
    url = store.engine.url.render_as_string(hide_password=False)
    done = Event()

    def write(writer: int) -> list[Interaction]:
        mine = open_store(url)
        whole = []
        for n in range(40):
            fields = {"id": f"{writer}-{n}", "started_at": NOON + timedelta(days=n % 3)}
            add(mine, an_interaction(f"Half {n}", source="gateway", deployment_id="d1", **fields))
            whole.append(an_interaction(f"Whole {n}", source="capture", **fields))
            if n > 4:
                add(mine, whole[n - 4])
        add(mine, *whole)
        mine.close()
        return [one.model_copy(update={"deployment_id": "d1"}) for one in whole]

    def snapshot() -> int:
        mine = open_store(url)
        runs = 0
        while not done.is_set():
            write_snapshots(mine, "support", now=later)
            runs += 1
        mine.close()
        return runs

    def read() -> int:
        mine = open_store(url)
        seen = 0
        while not done.is_set():
            ids = [one.id for one in mine.interactions.scan("support")]
            assert len(ids) == len(set(ids))
            assert len(ids) >= seen
            seen = len(ids)
        mine.close()
        return seen

    with ThreadPoolExecutor(6) as pool:
        runs = [pool.submit(snapshot) for _ in range(2)]
        reading = pool.submit(read)
        try:
            expected = {one.id: one for batch in pool.map(write, range(3)) for one in batch}
        finally:
            done.set()
        assert all(run.result() for run in runs)
        assert reading.result()
    for _ in range(2):
        assert {one.id: one for one in store.interactions.scan("support")} == expected
        assert write_snapshots(store, "support", now=later).removed == 0
        assert store.interactions.frame("support", ["id"]).height == len(expected)
    with store.engine.connect() as connection:
        assert connection.execute(select(snapshots).where(snapshots.c.stale)).all() == []


step = st.one_of(
    st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 11)), min_size=1, max_size=6)),
    st.tuples(st.just("write"), st.integers(0, 6)),
    st.tuples(st.just("erase"), st.integers(0, 11)),
)


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=8), since=st.integers(0, 5), length=st.integers(0, 5))
def test_with_snapshots_and_without_a_scan_gives_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, steps: list, since: int, length: int
) -> None:
    monkeypatch.setattr("continuum.store.snapshots.PART_ROWS", 3)
    monkeypatch.setattr("continuum.store.parts.ROW_GROUP_ROWS", 2)
    store.drop_task("support")
    made: dict[str, int] = {}
    for what, value in steps:
        if what == "add":
            for day, number in value:
                # The same number again is the other door, which changes a row that may lie in a part.
                door = "capture" if number in made.values() and number % 2 else "gateway"
                one = an_interaction(
                    f"{door} {number}", id=f"n{number}", source=door, started_at=NOON + timedelta(days=day), status="ok"
                )
                made[one.id] = number
                add(store, one)
        elif what == "write":
            write_snapshots(store, "support", now=lambda day=value: NOON + timedelta(days=day, minutes=5))
        else:
            erase(store, [f"n{value}"])
    window = {"since": NOON + timedelta(days=since), "until": NOON + timedelta(days=since + length)}
    for chosen in ({}, window):
        found = list(store.interactions.scan("support", status=None, **chosen))
        frame = store.interactions.frame("support", **chosen)
        with store.engine.begin() as connection:
            kept = [dict(row) for row in connection.execute(select(snapshots)).mappings()]
            connection.execute(delete(snapshots))
        assert list(store.interactions.scan("support", status=None, **chosen)) == found
        assert store.interactions.frame("support", **chosen).equals(frame)
        assert [one.id for one in found] == frame["id"].to_list()
        with store.engine.begin() as connection:
            if kept:
                connection.execute(snapshots.insert(), kept)
            count = connection.execute(select(func.count()).select_from(rows_of_interactions)).scalar()
        assert chosen or len(found) == count
