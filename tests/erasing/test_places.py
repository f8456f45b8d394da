"""Every place in which something captured can lie is known, to the code and to whoever reads the page."""

from pathlib import Path

import pytest

from continuum.erasing.elsewhere import PLACES
from continuum.store.database import Store
from continuum.store.traces import TRACES
from tests.erased_world import World

PAGE = (Path(__file__).parents[2] / "docs" / "erasure.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_whatever_lies_in_a_home_is_a_place_that_somebody_has_thought_about(store: Store, tmp_path: Path, home: Path) -> None:
    World(store, tmp_path)

    found = {path.name.removesuffix("-wal").removesuffix("-shm") for path in home.iterdir()}
    unknown = sorted(found - PLACES.keys())
    assert unknown == [], "say in continuum/erasing/elsewhere.py what an erasure does with them, and see that it does"


def test_every_folder_that_the_settings_name_is_such_a_place(home: Path) -> None:
    from continuum.config import Settings, load_settings

    settings = load_settings()
    names = [name for name, found in vars(Settings).items() if isinstance(found, property) and name.endswith("_dir")]
    folders = [getattr(settings, name) for name in names]
    below = {path.relative_to(home).parts[0] for path in folders if path != home}
    assert {"spool", "datasets", "checkpoints", "embeddings"} <= below <= PLACES.keys()


@pytest.mark.parametrize("table", sorted(TRACES))
def test_the_page_says_what_becomes_of_each_table(table: str) -> None:
    assert f"`{table}`" in PAGE


@pytest.mark.parametrize("place", sorted(PLACES))
def test_the_page_says_what_becomes_of_each_place_of_a_home(place: str) -> None:
    assert f"`{place}`" in PAGE
