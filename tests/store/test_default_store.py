import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from continuum.errors import StoreError
from continuum.store import default_store
from continuum.store.database import Store


@pytest.fixture
def file(home: Path, store: Store) -> Path:
    store.close()
    return home / "continuum.db"


def test_the_store_is_opened_once(file: Path) -> None:
    assert default_store() is default_store()


def test_a_store_whose_file_was_moved_away_is_written_no_further(file: Path, tmp_path: Path) -> None:
    default_store().tasks.ensure("support")
    file.rename(tmp_path / "moved.db")

    with pytest.raises(StoreError, match=r"continuum\.db was moved, deleted or replaced while it was in use; bring it back"):
        default_store()
    assert not file.exists()

    (tmp_path / "moved.db").rename(file)
    assert default_store().tasks.names() == ["support"]


def test_another_file_in_its_place_is_left_alone(file: Path, tmp_path: Path, empty_database: Path) -> None:
    default_store().tasks.ensure("support")
    file.rename(tmp_path / "moved.db")
    shutil.copy(empty_database, file)
    before = file.read_bytes()

    with pytest.raises(StoreError, match="was moved, deleted or replaced while it was in use"):
        default_store()
    assert file.read_bytes() == before


@pytest.mark.parametrize("url", [lambda path: "sqlite://", lambda path: "sqlite:///:memory:"])
def test_a_store_in_memory_has_no_file_to_lose(url: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", url(Path()))

    assert default_store() is default_store()
