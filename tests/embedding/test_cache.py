import subprocess
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.config import load_settings
from continuum.embedding import cache, parts
from continuum.embedding.cache import CachedEmbedder, cached_embedder
from continuum.embedding.embedder import HashedEmbedder
from continuum.errors import ConfigurationError, StoreError


class Counting(HashedEmbedder):
    """Counts what it is asked for, and can be stopped."""

    def __init__(self, stop_after: int = 10**9) -> None:
        super().__init__(dimensions=32)
        self.asked: list[str] = []
        self.stop_after = stop_after

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        if len(self.asked) + len(texts) > self.stop_after:
            raise KeyboardInterrupt
        self.asked += texts
        return super().embed(texts)


def a_part(folder: Path) -> Path:
    return next(folder.rglob("part-*.parquet"))


TEXTS = [f"question {n} about parcel {n * 7}" for n in range(60)]


def test_a_text_is_embedded_once(tmp_path: Path) -> None:
    inner = Counting()
    first = CachedEmbedder(inner, tmp_path).embed(["one", "two", "one"])
    warm = CachedEmbedder(inner, tmp_path)

    again = warm.embed(["two", "one", "three"])

    assert sorted(inner.asked) == ["one", "three", "two"]
    assert (warm.hits, warm.misses) == (2, 1)
    assert (again[:2] == first[[1, 0]]).all()
    assert warm.id == inner.id


@given(st.lists(st.text(max_size=30), max_size=8), st.lists(st.text(max_size=30), max_size=8))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cold_and_warm_vectors_are_equal_bit_for_bit(tmp_path: Path, first: list[str], second: list[str]) -> None:
    texts = [*first, *second]
    warm = CachedEmbedder(HashedEmbedder(), tmp_path)
    warm.embed(first)
    cold = CachedEmbedder(HashedEmbedder(), tmp_path / "cold" / str(hash(tuple(texts))))

    assert warm.embed(texts).tobytes() == cold.embed(texts).tobytes()


def test_texts_that_differ_in_case_or_in_half_a_character_are_not_one(tmp_path: Path) -> None:
    texts = ["Refund?", "refund?", " refund?", "refund?\ud800", "refund?\udc00", "refund?\x00"]
    embedder = CachedEmbedder(HashedEmbedder(), tmp_path)

    embedder.embed(texts)

    assert embedder.misses == len(texts)


def test_vectors_have_length_one_and_are_those_of_the_embedder_to_three_digits(tmp_path: Path) -> None:
    vectors = CachedEmbedder(HashedEmbedder(), tmp_path).embed(TEXTS)

    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(vectors, HashedEmbedder().embed(TEXTS), atol=1e-3)


@pytest.mark.slow
def test_another_process_finds_the_vectors_and_they_are_the_same(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from continuum.embedding.cache import CachedEmbedder; "
        "from continuum.embedding.embedder import HashedEmbedder; "
        "embedder = CachedEmbedder(HashedEmbedder(), Path(sys.argv[1])); "
        "print(embedder.embed(['Where is my order, café?']).tobytes().hex(), embedder.hits)"
    )

    def asked() -> list[str]:
        return subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout.split()

    (cold, nothing), (warm, one) = asked(), asked()
    here = CachedEmbedder(HashedEmbedder(), tmp_path).embed(["Where is my order, café?"])

    assert cold == warm == here.tobytes().hex()
    assert (nothing, one) == ("0", "1")


def test_two_embedders_never_share_vectors(tmp_path: Path) -> None:
    one = CachedEmbedder(HashedEmbedder(seed=1), tmp_path).embed(["refund"])
    other = CachedEmbedder(HashedEmbedder(seed=2), tmp_path)

    assert not np.allclose(one, other.embed(["refund"]))
    assert other.misses == 1


@pytest.mark.parametrize("damage", ["torn", "altered", "foreign", "not parquet", "a folder"])
def test_a_damaged_or_foreign_file_is_set_aside_and_never_believed(tmp_path: Path, damage: str) -> None:
    right = CachedEmbedder(HashedEmbedder(), tmp_path).embed(["refund"])
    CachedEmbedder(HashedEmbedder(seed=9), tmp_path).embed(["refund"])
    path = a_part(tmp_path / HashedEmbedder().id)
    content = path.read_bytes()
    if damage == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "altered":
        path.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
    elif damage == "foreign":
        path.unlink()
        foreign = a_part(tmp_path / HashedEmbedder(seed=9).id)
        path = foreign.rename(path.parent / foreign.name)
    elif damage == "not parquet":
        path.write_bytes(b"hello")
    else:
        path.unlink()
        path.mkdir()
    embedder = CachedEmbedder(HashedEmbedder(), tmp_path)

    with pytest.warns(UserWarning, match="it was set aside, and its texts are embedded again"):
        again = embedder.embed(["refund"])

    assert (again == right).all()
    assert embedder.misses == 1
    assert path.with_name(f"set-aside-{path.name}").exists()
    assert CachedEmbedder(HashedEmbedder(), tmp_path).embed(["refund"]).tobytes() == right.tobytes()


def test_an_interruption_keeps_what_was_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CHUNK", 10)
    with pytest.raises(KeyboardInterrupt):
        CachedEmbedder(Counting(stop_after=35), tmp_path).embed(TEXTS)
    later = CachedEmbedder(Counting(), tmp_path)

    later.embed(TEXTS)

    assert (later.hits, later.misses) == (30, 30)


def test_progress_is_told_of_what_has_to_be_computed_and_of_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CHUNK", 25)
    told: list[tuple[int, int]] = []
    embedder = CachedEmbedder(HashedEmbedder(), tmp_path, on_progress=lambda done, total, note: told.append((done, total)))

    embedder.embed(TEXTS)
    embedder.embed(TEXTS)

    assert told == [(0, 60), (25, 60), (50, 60), (60, 60)]


@pytest.mark.slow
def test_many_parts_become_few_and_nothing_is_lost(tmp_path: Path) -> None:
    embedder = CachedEmbedder(HashedEmbedder(), tmp_path)
    one_by_one = np.concatenate([embedder.embed([text]) for text in TEXTS])

    assert len(list(tmp_path.rglob("part-*"))) <= parts.SMALL_PARTS + 1
    warm = CachedEmbedder(HashedEmbedder(), tmp_path)
    assert warm.embed(TEXTS).tobytes() == one_by_one.tobytes()
    assert warm.misses == 0


@pytest.mark.slow
def test_full_parts_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 8)
    embedder = CachedEmbedder(HashedEmbedder(), tmp_path)
    embedder.embed(TEXTS[:8])
    full = a_part(tmp_path)

    for text in TEXTS[8:]:
        embedder.embed([text])

    assert full.exists()
    assert max(len(pl.read_parquet(path)) for path in tmp_path.rglob("part-*")) == 8


@pytest.mark.slow
def test_several_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    alone = CachedEmbedder(HashedEmbedder(), tmp_path / "alone").embed(TEXTS)

    def all_of_them(shift: int) -> bytes:
        embedder = CachedEmbedder(HashedEmbedder(), tmp_path / "together")
        turned = TEXTS[shift:] + TEXTS[:shift]
        found = dict(zip(turned, (embedder.embed([text])[0] for text in turned), strict=True))
        return np.stack([found[text] for text in TEXTS]).tobytes()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(all_of_them, (0, 15, 30, 45)))

    assert set(answers) == {alone.tobytes()}
    assert not list((tmp_path / "together").rglob("set-aside-*"))


def test_what_is_forgotten_is_on_the_disk_no_more(tmp_path: Path) -> None:
    embedder = CachedEmbedder(HashedEmbedder(), tmp_path)
    embedder.embed(["keep this", "forget this"])
    embedder.embed(["and this too"])
    aside = a_part(tmp_path)
    aside.with_name("set-aside-part-1.parquet").write_bytes(aside.read_bytes())

    assert embedder.forget(["forget this", "and this too", "never seen"]) == 2

    later = CachedEmbedder(HashedEmbedder(), tmp_path)
    later.embed(["keep this", "forget this", "and this too"])
    assert (later.hits, later.misses) == (1, 2)
    assert not list(tmp_path.rglob("set-aside-*"))
    assert sum(len(pl.read_parquet(path)) for path in tmp_path.rglob("part-*")) == 3


def test_forgetting_where_nothing_is_kept_is_nothing(tmp_path: Path) -> None:
    assert CachedEmbedder(HashedEmbedder(), tmp_path / "none").forget(["refund"]) == 0
    assert not (tmp_path / "none").exists()


def test_a_disk_that_takes_nothing_costs_the_cache_and_not_the_vectors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    embedder = CachedEmbedder(HashedEmbedder(), tmp_path / "file")

    with pytest.warns(UserWarning, match="cannot be kept"):
        assert embedder.embed(["refund"]).shape == (1, 384)


def test_an_embedder_whose_id_is_no_name_of_a_folder_stays_below_it(tmp_path: Path) -> None:
    inner = HashedEmbedder()
    inner.id = "../../elsewhere"

    CachedEmbedder(inner, tmp_path / "here").embed(["refund"])

    assert a_part(tmp_path / "here").parent.parent == tmp_path / "here"


def test_vectors_that_are_no_numbers_are_refused_and_not_kept(tmp_path: Path) -> None:
    class Broken(HashedEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            return super().embed(texts) * np.nan

    with pytest.raises(ConfigurationError, match="vectors that are not numbers"):
        CachedEmbedder(Broken(), tmp_path).embed(["refund"])
    assert not list(tmp_path.rglob("part-*"))


def test_vectors_of_two_lengths_under_one_name_are_an_error(tmp_path: Path) -> None:
    wide, narrow = HashedEmbedder(), HashedEmbedder(dimensions=8)
    narrow.id = wide.id
    CachedEmbedder(wide, tmp_path).embed(["one"])
    CachedEmbedder(narrow, tmp_path).embed(["two"])

    with pytest.raises(StoreError, match="vectors of 8 and 384 numbers under one name; delete the folder"):
        CachedEmbedder(wide, tmp_path).embed(["one", "two"])


def test_no_texts_have_no_vectors(tmp_path: Path) -> None:
    assert CachedEmbedder(HashedEmbedder(), tmp_path).embed([]).shape == (0, 384)


def test_the_settings_name_the_embedder_and_the_place(home: Path) -> None:
    embedder = cached_embedder(load_settings())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedder.embed(["refund"])

    assert embedder.id == HashedEmbedder().id
    assert a_part(home).parent == home / "embeddings" / embedder.id
