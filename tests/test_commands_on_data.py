"""The commands that bring data in and take it out, as they are typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.spool.lines import line_of
from continuum.spool.segments import Segment
from continuum.store.database import HEAD, Store
from tests.builders import interactions


def run(*command: str) -> str:
    result = CliRunner().invoke(app, list(command), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_drain_stores_what_the_dead_left_once_with_one_process_or_more(store: Store, home: Path, workers: str) -> None:
    for segment in range(4):
        left = Segment(home / "spool")
        for n in range(50):
            left.append(line_of({"id": f"{segment}-{n}", "task": "support", "messages": [{"role": "user", "content": f"{n}"}]}))
        left.close()

    assert "200 interactions and 0 feedback rows stored from 4 segments, 0 lines could not be" in run(
        "drain", "--workers", workers
    )
    assert "0 interactions" in run("drain", "--workers", workers)
    assert store.interactions.count("support") == 200


def test_an_export_goes_to_a_file_and_comes_back_in(store: Store, tmp_path: Path) -> None:
    store.tasks.ensure("support")
    store.interactions.add(interactions(3))
    target = tmp_path / "out.jsonl"

    assert "3 interactions and 0 feedback rows written" in run("export", "support", str(target))
    assert len([json.loads(line) for line in target.read_text().splitlines()]) == 3
    store.drop_task("support")
    assert "3 interactions added" in run("import", str(target))


def test_gather_and_upgrade_say_what_they_did(store: Store) -> None:
    store.tasks.ensure("support")
    store.interactions.add(interactions(2))

    assert "0 recovered from the spool, 0 deleted by retention" in run("gather", "support")
    assert f"the schema is {HEAD} already" in run("db", "upgrade")
