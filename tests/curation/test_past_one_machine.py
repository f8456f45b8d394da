"""A dataset is the same whoever computed it: one process, or workers of Ray."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from continuum.curation.curator import DataCurator
from continuum.dataset import Dataset
from continuum.partitions.workers import LocalWorkers, Workers
from continuum.store.database import open_store
from tests.builders import NOON
from tests.curation.test_curator import fill


@pytest.fixture
def two_workers() -> Iterator[Workers]:
    from continuum.partitions.ray_workers import RayWorkers

    workers = RayWorkers(count=2)
    yield workers
    workers.close()


async def built_in(home: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A first version, in a home where nothing is kept yet."""
    monkeypatch.setenv("CONTINUUM_HOME", str(home))
    store = open_store(f"sqlite:///{home / 'continuum.db'}")
    try:
        fill(store)
        curator = DataCurator(target_size=15, min_examples=5, store=store, workers=workers)
        return await curator.build("support", now=lambda: NOON + timedelta(days=1))
    finally:
        store.close()


@pytest.mark.slow
async def test_two_workers_of_ray_make_the_dataset_that_one_process_makes(
    two_workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await built_in(tmp_path / "here", LocalWorkers(), monkeypatch)
    there = await built_in(tmp_path / "there", two_workers, monkeypatch)

    assert there.fingerprint == here.fingerprint
    assert there.examples == here.examples
    assert len(there) == 15
    assert list((tmp_path / "there" / "embeddings").rglob("part-*.parquet"))
