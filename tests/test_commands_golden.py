"""`continuum golden` as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.errors import ConfigurationError, StoreError
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store
from tests.builders import interactions

POLICY = TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4"), splits=SplitPolicy(golden=0.5))


def golden(*options: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["golden", "support", *options], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def filled(store: Store) -> Store:
    store.tasks.register(POLICY)
    store.interactions.add(interactions(60, tags={"intent": "parcels [red]"}))
    return store


def test_before_there_is_one_it_says_how_to_get_one(filled: Store) -> None:
    with pytest.raises(ConfigurationError, match="continuum golden support --refresh"):
        golden()


def test_a_refresh_holds_questions_out_and_shows_what_they_can_show(filled: Store) -> None:
    told = golden("--refresh", "--since", "all", "--size", "20")

    assert "20 joined" in told
    assert "support_golden_v1: 20 questions in 20 groups" in told
    assert "is found 4 times in 5" in told
    assert "parcels [red]" in told
    assert "note: a drop of" in told
    assert golden().splitlines()[0] == next(line for line in told.splitlines() if line.startswith("support_golden_v1"))


def test_with_confirmation_the_questions_wait_for_people(filled: Store) -> None:
    with pytest.raises(ConfigurationError, match="continuum label support --queue golden"):
        golden("--refresh", "--since", "all", "--confirm")

    assert len(filled.reviews.ids("support", "golden")) > 10
    result = CliRunner().invoke(app, ["label", "support", "--as", "Ada", "--queue", "golden"], input="5\nq\n")
    assert result.exit_code == 0, result.output
    assert "1 joined" in golden("--refresh", "--since", "all", "--confirm")


def test_json_has_all_that_is_known(filled: Store) -> None:
    golden("--refresh", "--since", "all")

    health = json.loads(CliRunner().invoke(app, ["golden", "support", "--json"]).stdout)

    version = GoldenDataset.latest("support", store=filled)
    assert version is not None
    assert health["fingerprint"] == version.fingerprint
    assert (health["items"], health["uses"], health["leaks"]) == (len(version), 0, [])
    assert health["slices"][0]["name"] == "parcels [red]"


def test_items_of_ones_own_are_added_and_bad_lines_named(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"question": "Do you ship to the moon?"}\n{"question": 3}\n{"question": "Who are you?"}\n', encoding="utf-8")

    told = golden("--add", str(path))

    assert "joined: 2, refused: 1" in told
    assert "refused items.jsonl line 2: its question is no text" in told
    assert "support_golden_v1: 2 questions" in told
    assert golden("--add", str(path), "--strict", code=1)
    version = GoldenDataset.latest("support", store=filled)
    assert version is not None
    assert all(item.own for item in version)


def test_a_copy_is_loaded_anywhere_and_never_written_over(filled: Store, tmp_path: Path) -> None:
    golden("--refresh", "--since", "all", "--save", str(tmp_path / "copy"))

    assert GoldenDataset.load(tmp_path / "copy") == GoldenDataset.latest("support", store=filled)
    with pytest.raises(ConfigurationError, match="nothing is written over"):
        golden("--save", str(tmp_path / "copy"))


def test_a_place_where_nothing_can_be_written_is_named_with_what_to_do(filled: Store, home: Path, tmp_path: Path) -> None:
    (home / "datasets").write_text("a file in the place of a folder", encoding="utf-8")

    with pytest.raises(StoreError, match=r"support_golden_v1 cannot be written into .* name another CONTINUUM_HOME"):
        golden("--refresh", "--since", "all")


def test_a_line_that_cannot_be_one_is_named_and_the_good_ones_join(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    lines = [
        {"question": "Do you \0 ship?"},
        {"question": "x" * 200_000},
        {"question": "Who?", "asked_at": "9999-12-31T23:59:59Z"},
        {"question": "Good?"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    told = golden("--add", str(path))

    assert "joined: 1, refused: 3" in told
    assert "refused items.jsonl line 1: there is NUL or half a surrogate pair in its messages" in told
    assert "refused items.jsonl line 2: its messages and its reference have 200,033 characters" in told
    assert "refused items.jsonl line 3: its asked_at is 9999-12-31T23:59:59+00:00" in told
