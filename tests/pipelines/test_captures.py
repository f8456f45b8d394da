"""What the first asset shows of the traffic, its files and the spool of this machine."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from continuum.signals.summary import summarise
from continuum.spool.segments import Segment
from continuum.spool.waiting import LATE
from continuum.store.database import Store
from continuum.store.frames import SCHEMA
from continuum.store.snapshots import write_snapshots
from continuum_pipelines.captures import checks_of, metadata_of
from tests.builders import interactions
from tests.spool.test_waiting import line


@pytest.fixture
def segment(home: Path) -> Segment:
    """Of this machine's spool, held by this process."""
    return Segment(home / "spool")


def test_an_empty_spool_passes(store: Store) -> None:
    (lag,) = checks_of(store)
    assert lag.passed
    assert lag.description == "nothing waits in this machine's spool"


def test_captures_that_wait_are_counted_and_warn_once_they_are_late(store: Store, segment: Segment) -> None:
    for _ in range(3):
        segment.append(line())

    (soon,), (late,) = checks_of(store), checks_of(store, now=lambda: datetime.now(UTC) + LATE + timedelta(minutes=5))

    assert soon.passed
    assert not late.passed
    assert late.severity == dg.AssetCheckSeverity.WARN
    assert late.metadata["waiting"].value == 3
    assert late.metadata["bytes"].value == segment.size
    assert late.metadata["oldest_seconds"].value >= LATE.total_seconds()
    assert "3 captures of all tasks wait in this machine's spool, the oldest for 15 minutes" in str(late.description)


def test_the_columns_shown_are_those_of_the_newest_snapshot(a_task: Callable[..., str], store: Store) -> None:
    task = a_task(captured=4)
    assert metadata_of(store, task, summarise(store, task))["dagster/column_schema"] is None
    write_snapshots(store, task, settle=timedelta(0))

    shown = metadata_of(store, task, summarise(store, task))

    folder = Path(shown["dagster/uri"])
    (file,) = folder.rglob("*.parquet")
    names = [column.name for column in shown["dagster/column_schema"].columns]
    assert names == pq.read_schema(file).names == list(SCHEMA)
    types = {column.name: column.type for column in shown["dagster/column_schema"].columns}
    assert (types["started_at"], types["latency_ms"], types["task"]) == ("timestamp[us, UTC]", "float64", "string")
    assert shown["dagster/row_count"] == 4


def test_a_snapshot_that_another_machine_keeps_shows_no_columns(a_task: Callable[..., str], store: Store) -> None:
    task = a_task(captured=2)
    write_snapshots(store, task, settle=timedelta(0))
    (file,) = Path(metadata_of(store, task, summarise(store, task))["dagster/uri"]).rglob("*.parquet")
    file.unlink()
    assert metadata_of(store, task, summarise(store, task))["dagster/column_schema"] is None


def test_a_hostile_name_of_a_model_is_words_in_the_picture(a_task: Callable[..., str], store: Store) -> None:
    task = a_task()
    store.interactions.add(interactions(2, model="](http://evil)<script>"))
    shown = metadata_of(store, task, summarise(store, task))
    assert shown["models"].value.startswith("![calls by model](data:image/svg+xml,")
    assert "<script" not in shown["models"].value
    assert "](http" not in shown["models"].value


def test_an_address_with_a_password_in_it_is_not_shown(
    a_task: Callable[..., str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_task()
    monkeypatch.setenv("CONTINUUM_SNAPSHOTS", "ftp://ana:secret@files.example.com/snapshots")
    assert metadata_of(store, task, summarise(store, task))["dagster/uri"] is None
