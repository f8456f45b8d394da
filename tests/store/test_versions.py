import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from continuum.records import DatasetRecord
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.versions import publish
from tests.builders import NOON


def published(store: Store, fingerprint: str, text: str = "rows") -> DatasetRecord:
    def write(folder: Path, manifest: dict[str, Any]) -> None:
        (folder / "rows.txt").write_text(f"{manifest['name']}: {text}")

    items = [DatasetItem(interaction_id="a", split="train", reason="test")]
    return publish(
        store, task="support", kind="training", fingerprint=fingerprint, manifest={"size": 1}, items=items, write=write
    )


def test_a_version_is_numbered_and_its_manifest_names_it(store: Store) -> None:
    first, second = published(store, "f1"), published(store, "f2")

    assert (first.name, second.name) == ("support_training_v1", "support_training_v2")
    assert second.manifest["fingerprint"] == "f2"
    assert (Path(second.uri) / "rows.txt").read_text() == "support_training_v2: rows"
    assert [item.interaction_id for item in store.datasets.items("f2")] == ["a"]


def test_the_same_content_keeps_its_version(store: Store) -> None:
    assert published(store, "f1") == published(store, "f1", "other rows that nobody writes")


def test_files_that_a_crash_left_behind_are_passed_over(store: Store, home: Path) -> None:
    leftover = home / "datasets" / "support" / "support_training_v1"
    leftover.mkdir(parents=True)
    (leftover / "rows.txt").write_text("half")

    assert published(store, "f1").name == "support_training_v2"
    assert (leftover / "rows.txt").read_text() == "half"


def test_files_of_the_same_content_that_lost_the_store_before_their_row_are_taken_up(store: Store, home: Path) -> None:
    def write(folder: Path, manifest: dict[str, Any]) -> None:
        (folder / "manifest.json").write_text(json.dumps({**manifest, "seal": manifest["created_at"]}))

    def publish_it(at: datetime, *, gone: bool = False) -> DatasetRecord:
        def items() -> Iterator[DatasetItem]:
            yield DatasetItem(interaction_id="a", split="train", reason="test")

        def written(folder: Path, manifest: dict[str, Any]) -> None:
            write(folder, manifest)
            if gone:
                # The row cannot follow: the table is away when its turn comes.
                with store.engine.begin() as connection:
                    connection.exec_driver_sql("ALTER TABLE datasets RENAME TO datasets_away")

        return publish(
            store,
            task="support",
            kind="training",
            fingerprint="f1",
            manifest={"size": 1},
            items=items(),
            write=written,
            now=lambda: at,
        )

    with pytest.raises(SQLAlchemyError):
        publish_it(NOON, gone=True)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE datasets_away RENAME TO datasets")
    again = publish_it(NOON + timedelta(hours=1))

    assert (again.name, again.created_at) == ("support_training_v1", NOON)
    assert json.loads((Path(again.uri) / "manifest.json").read_text()) == {**again.manifest, "seal": NOON.isoformat()}
    assert [folder.name for folder in (home / "datasets" / "support").iterdir()] == ["support_training_v1"]
    assert store.datasets.versions("support") == [again]


def test_a_failed_write_leaves_neither_files_nor_row(store: Store, home: Path) -> None:
    def fail(folder: Path, manifest: dict[str, Any]) -> None:
        (folder / "rows.txt").write_text("half")
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"):
        publish(store, task="support", kind="golden", fingerprint="f1", manifest={}, items=[], write=fail)

    assert store.datasets.get("f1") is None
    assert list((home / "datasets" / "support").iterdir()) == []


def test_versions_published_at_the_same_time_get_different_numbers(store: Store) -> None:
    with ThreadPoolExecutor(4) as threads:
        records = list(threads.map(lambda n: published(store, f"f{n % 6}"), range(12)))

    by_fingerprint = {record.id: record.name for record in records}
    assert len(set(by_fingerprint.values())) == 6
    for record in records:
        assert store.datasets.get(record.name).id == record.id
        assert (Path(record.uri) / "rows.txt").read_text() == f"{record.name}: rows"
        assert len(store.datasets.items(record.id)) == 1
