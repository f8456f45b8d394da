"""`continuum curve` as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.errors import ConfigurationError
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.records import Feedback
from continuum.splits.golden_growth import hold_out
from continuum.store.database import Store
from tests.builders import interactions

POLICY = TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4"), splits=SplitPolicy(golden=0.5))
ASKED = ("--models", "production", "--metrics", "action_match,human_agreement")


def curve(*options: str) -> tuple[str, str]:
    """What it prints, on stdout and beside it."""
    result = CliRunner().invoke(app, ["curve", "support", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


@pytest.fixture(autouse=True)
def filled(store: Store) -> Store:
    """Golden items with a reference: production's answers, of which people call some good."""
    store.tasks.register(POLICY)
    rows = interactions(60)
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=5.0 if n % 2 else 3.0) for n, row in enumerate(rows))
    assert hold_out(store, POLICY) is not None
    return store


def test_the_curve_is_told_in_text() -> None:
    told, _ = curve(*ASKED)

    assert told.startswith("Learning curve of support: ")
    assert "action_match" in told
    assert "human_score" in told
    assert "latency_ms" not in told


def test_the_page_and_the_picture_are_written_beside_json_that_stays_one_document(tmp_path: Path) -> None:
    html, png = tmp_path / "out" / "curve.html", tmp_path / "out" / "curve.png"

    told, beside = curve(*ASKED, "--html", str(html), "--plot", str(png), "--json")

    assert json.loads(told)["points"][0]["model"] == "production"
    assert f"report written to {html}" in beside
    assert f"plot written to {png}" in beside
    assert html.read_text().startswith("<!doctype html>")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_models_may_be_given_one_by_one_or_with_commas_and_an_unknown_one_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no model 'v9'"):
        curve("--models", "production, v9", "--metrics", "action_match")
    with pytest.raises(ConfigurationError, match="no model 'v9'"):
        curve("--models", "production", "--models", "v9", "--metric", "action_match")


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it is a folder"):
        curve(*ASKED, "--html", str(tmp_path))
