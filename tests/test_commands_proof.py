"""`continuum proof`: a table of what holds, the name of what does not, and keys."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.errors import ConfigurationError, ProofBroken
from continuum.store.database import Store
from continuum.store.retention import erase
from tests.proven_line import ProvenLine

pytestmark = pytest.mark.usefixtures("wide")


@pytest.fixture
def line(store: Store, tmp_path: Path) -> ProvenLine:
    return ProvenLine(store, tmp_path / "line")


def said(*words: str) -> str:
    """What the command prints; what it raises reaches the caller."""
    found = CliRunner().invoke(app, ["proof", *words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.output


def test_a_models_proof_is_shown_link_by_link_with_what_it_holds_against(line: ProvenLine) -> None:
    shown = said("support-v2")
    assert "support-v2: verdict verdict-2" in shown
    assert "interactions of support_training_v1" in shown
    assert "3 rows of the store, 7 of what was said of them" in shown
    assert "not signed" in shown
    assert "tombstones" not in shown


def test_erased_rows_are_counted_and_named(line: ProvenLine) -> None:
    erase(line.store, ["i0"])
    shown = said("support-v2")
    assert "2 rows were erased since, and left tombstones:" in shown
    stones = json.loads(said("support-v2", "--json"))["tombstones"]
    assert [stone["dataset"] for stone in stones] == ["support_training_v1", "support_training_v2"]
    assert all(stone["commitment"] in shown for stone in stones)


def test_a_folder_is_checked_alone(line: ProvenLine) -> None:
    shown = said(line.candidate.uri)
    assert "3 files" in shown
    assert "not checked here" in shown


def test_what_is_broken_is_named(line: ProvenLine) -> None:
    (line.base / "config.json").write_text("{}")
    with pytest.raises(ProofBroken, match=r"the file config.json of"):
        said("support-v2")
    assert "3 files" in said(line.candidate.uri)


def test_what_has_no_proof_is_told_how_to_get_one(line: ProvenLine) -> None:
    line.proof_file.unlink()
    with pytest.raises(ProofBroken, match="continuum guard --candidate support-v2"):
        said("support-v2")
    with pytest.raises(ProofBroken, match=r"there is no proof.json in it"):
        said(line.candidate.uri)


@pytest.mark.parametrize("words", [(), ("nothing-v9",)])
def test_who_names_nothing_that_is_there_is_told(store: Store, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        said(*words)


def test_a_new_key_is_made_and_its_public_half_printed(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    shown = said("--new-key", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(bytes.fromhex(shown.splitlines()[0])) == 32
    assert "PRIVATE" not in shown
