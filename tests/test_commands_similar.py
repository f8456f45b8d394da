"""`continuum similar`, as it is typed."""

import json
from pathlib import Path

from typer.testing import CliRunner

from continuum.cli import app
from continuum.records import Feedback
from continuum.store.database import Store
from tests.builders import an_interaction, interactions


def run(*command: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["similar", *command])
    assert result.exit_code == code, result.output
    return result.output


def some_traffic(store: Store) -> None:
    store.interactions.add(interactions(5))
    store.interactions.add(
        [an_interaction("Where is it?", "Gone.", id="a"), an_interaction("where is \x1b[31mit now?", "[bold]Here[/]", id="b")]
    )
    store.feedback.add([Feedback(interaction_id="b", score=4.0, correction="At home.")])


def test_the_nearest_are_printed_with_what_became_of_them(store: Store) -> None:
    some_traffic(store)

    lines = run("a", "-k", "2").splitlines()

    assert lines[0].endswith("4.0 by people, corrected  b")
    assert lines[1].strip() == "where is it now?"
    assert lines[2].strip() == "-> [bold]Here[/]"
    assert lines[-1] == (
        "of the 2 nearest 1 scored, 4.00 on average, 100% good (4 or better), 1 corrected; compared by question with hashed-384-0"
    )


def test_they_are_printed_as_json_for_programs(store: Store) -> None:
    some_traffic(store)

    found = json.loads(run("a", "-k", "3", "--by", "answer", "--json"))

    assert len(found["cases"]) == found["summary"]["cases"] == 3
    assert found["by"] == "answer"
    assert set(found["cases"][0]) >= {"interaction_id", "cosine", "score", "score_source", "held_in", "question", "answer"}


def test_a_second_look_finds_the_vectors_kept(store: Store, home: Path) -> None:
    some_traffic(store)
    first = run("a")
    kept = sorted((home / "embeddings").rglob("part-*.parquet"))

    assert run("a") == first
    assert sorted((home / "embeddings").rglob("part-*.parquet")) == kept
    assert len(kept) == 1


def test_wrong_usage_is_told_from_a_wrong_id(store: Store) -> None:
    some_traffic(store)

    run("a", "-k", "0", code=2)
    run("a", "--by", "mood", code=2)
    run("nobody", code=1)
