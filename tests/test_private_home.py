"""Captured words lie in the home: whoever writes there first, nobody else of the machine may look into it."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from continuum.artifacts import copies
from continuum.config import load_settings, make_private
from continuum.deployment.gateway.buckets import SharedBuckets
from continuum.deployment.gateway.keys import KnownKeys
from continuum.deployment.gateway.last_known import write_known
from continuum.deployment.gateway.metrics import Metrics
from continuum.embedding.parts import KEY_BYTES, Parts
from continuum.fine_tuning import FineTuneConfig
from continuum.spool.segments import Segment
from continuum.spool.users import make
from continuum.store import default_store
from continuum.tracking.tracker import open_tracker
from continuum.training.job import Inputs, Job, write_job


def a_job(home: Path) -> None:
    job = Job(task="support", base_model="b", config=FineTuneConfig(), dataset="d", artifact="a")
    write_job(load_settings().training_dir / "job", job, Inputs(train=()))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a capture": lambda home: Segment(home / "spool").close(),
    "the key of user ids": lambda home: make(home / "user_key"),
    "the store": lambda home: default_store(),
    "what a gateway knows": lambda home: write_known(home / "gateway" / "keys.json", KnownKeys(issued=0, revoked=0, in_use=())),
    "a gateway's limits": lambda home: SharedBuckets(home / "gateway" / "limits-1").close(),
    "a gateway's counts": lambda home: Metrics(home / "gateway" / "counts-1").flush(),
    "vectors": lambda home: Parts(home / "embeddings" / "e", "e").keep([b"k" * KEY_BYTES], np.ones((1, 2), dtype="<f2")),
    "a copy from a storage": lambda home: copies.forget("s3://bucket/datasets/support/v1"),
    "a training": a_job,
    "MLflow": lambda home: open_tracker(load_settings()),
}


@pytest.fixture(autouse=True)
def an_open_hand() -> Iterator[None]:
    """The usual umask, by which a new folder may be read by everybody."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_writes_first_the_home_is_this_users_alone(writer: str, home: Path) -> None:
    WRITERS[writer](home)

    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_that_is_there_keeps_its_mode_and_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)

    make_private(shared / "one" / "two")
    make_private(shared / "one" / "two")

    assert [stat.S_IMODE(path.stat().st_mode) for path in (shared, shared / "one", shared / "one" / "two")] == [
        0o755,
        0o700,
        0o700,
    ]
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_private(tmp_path / "file" / "below")
