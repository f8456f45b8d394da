"""The commands on dataset versions, as they are typed."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars
import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError, StoreError
from continuum.records import DatasetRecord, Example
from continuum.splits.golden_growth import hold_out
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.retention import erase
from tests.builders import an_example, an_interaction, assistant
from tests.curation.test_card import described
from tests.test_dataset import a_version


def run(*command: str) -> str:
    result = CliRunner().invoke(app, ["dataset", *command], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def keep(store: Store, home: Path, dataset: Dataset, kind: str = "training", version: int = 3) -> Path:
    """Put a dataset into the store as a build would."""
    folder = dataset.write(home / "datasets" / "support" / dataset.name)
    fields = {"id": dataset.fingerprint, "task": "support", "kind": kind, "name": dataset.name, "version": version}
    record = DatasetRecord.model_validate({**fields, "uri": str(folder), "manifest": dataset.manifest})
    store.datasets.add(
        record, [DatasetItem(interaction_id=one.interaction_id, split=one.split, score=one.score) for one in dataset]
    )
    return folder


def another(*examples: Example, **fields: Any) -> Dataset:
    version = a_version(examples=list(examples), removed=[])
    return Dataset(version.examples, version.manifest | {"name": "support_training_v4"} | fields)


def test_the_list_of_a_task_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="there is no task 'suport'"):
        CliRunner().invoke(app, ["dataset", "list", "suport"], catch_exceptions=False)


def test_without_a_dataset_the_list_says_how_to_get_one(store: Store) -> None:
    assert "continuum curate TASK" in run("list")


def test_the_list_has_every_version_with_what_tells_it_apart(store: Store, home: Path) -> None:
    version = a_version()
    keep(store, home, version)
    gone = keep(store, home, another(an_example("a", score=4.0)), version=4)
    shutil.rmtree(gone)

    listed = run("list")

    assert version.fingerprint[:12] in listed
    assert "support_training_v3" in listed
    assert "no files" in listed.splitlines()[-1]
    rows = json.loads(run("list", "support", "--json"))
    assert [(row["name"], row["rows"], row["mean_score"], row["there"]) for row in rows] == [
        ("support_training_v3", 3, 5.0, True),
        ("support_training_v4", 1, 4.0, False),
    ]
    store.tasks.ensure("other")
    assert json.loads(run("list", "other", "--json")) == []


def test_show_says_what_a_version_holds_and_what_it_left_out(store: Store, home: Path) -> None:
    keep(store, home, described())

    for name in ("support_training_v3", "support"):
        shown = run("show", name)
        assert "3 examples from 9 interactions" in shown
        assert "2 preference pairs, 2 rated answers, 2 in the control" in shown
        assert "nearly the same text" in shown
        assert "uncalibrated: 0 of 50 audit labels" in shown
        assert "where is it" in shown
    assert json.loads(run("show", "support", "--json"))["counts"]["golden"] == 8


def test_show_finds_the_removed_in_the_store_and_says_why(store: Store, home: Path) -> None:
    keep(store, home, a_version())
    store.interactions.add([an_interaction("Where is it now?", id="z"), an_interaction("Where's it, now?", id="a")])

    shown = " ".join(run("show", "support", "--removed", "5").split())

    assert "near duplicates: as a" in shown
    assert "1 of 1 that were removed" in shown
    erase(store, ["z"])
    assert "no longer in the store" in " ".join(run("show", "support", "--removed", "5").split())


def test_captured_text_does_nothing_to_the_terminal(store: Store, home: Path) -> None:
    evil = "\x1b]0;title\x07\x1b[2J[red]bold[/red] \u202e"
    classes = [{"label": evil, "words": [evil], "eligible": 2, "selected": 1, "control": None, "score_selected": 4.0}]
    keep(store, home, described(coverage={"words": evil, "classes": classes, "lost": [evil]}, notes=[evil]))

    shown = run("show", "support")

    assert not set(shown) & set("\x1b\x07\u202e")
    assert "[red]bold[/red]" in shown


def test_verify_notices_what_was_changed_by_hand(store: Store, home: Path) -> None:
    folder = keep(store, home, a_version())
    assert "what is learned from is what was written" in run("show", "support", "--verify")

    path = folder / "examples.parquet"
    polars.read_parquet(path).with_columns(score=polars.lit(1.0)).write_parquet(path)

    with pytest.raises(StoreError, match="not what was written"):
        run("show", "support", "--verify")
    with pytest.raises(StoreError, match="not what was written"):
        run("export", "support", str(home / "copy"))
    assert not (home / "copy").exists()


def test_diff_says_what_changed_in_words_and_in_json(store: Store, home: Path) -> None:
    first = a_version()
    keep(store, home, first)
    second = another(an_example("a", score=4.0), an_example("x"), fingerprint="9" * 64, config={"strategy": "core_set"})
    keep(store, home, second, version=4)

    told = run("diff", "support_training_v3", "support_training_v4")

    assert "1 joined, 2 left, 1 changed" in told
    assert "joined: x" in told
    assert "score 5 -> 4" in told
    assert "config: strategy" in told
    found = json.loads(run("diff", first.fingerprint, second.fingerprint, "--json"))
    assert (found["joined"], found["left"]) == (["x"], ["b", "c"])


def test_golden_versions_are_shown_and_compared(store: Store) -> None:
    store.tasks.ensure("support")
    policy = store.tasks.get("support").policy
    store.interactions.add([an_interaction(f"Question {n}?", id=f"i{n}") for n in range(40)])
    store.tasks.register(policy.model_copy(update={"judge": policy.judge.model_copy(update={"model": "gpt-4"})}))
    golden = hold_out(store, store.tasks.get("support").policy)
    assert golden is not None

    assert "golden items" in run("show", golden.name)
    assert "0 joined, 0 left, 0 changed" in run("diff", golden.name, golden.name)


def test_an_export_is_a_whole_version_and_overwrites_nothing(store: Store, home: Path, tmp_path: Path) -> None:
    keep(store, home, a_version())
    target = tmp_path / "out" / "copy"

    assert "copied to" in run("export", "support_training_v3", str(target))

    assert Dataset.read(target, verify=True).examples == a_version().examples
    assert sorted(path.name for path in target.parent.iterdir()) == ["copy"]
    with pytest.raises(ConfigurationError, match="nothing is written over"):
        run("export", "support_training_v3", str(target))


def test_a_version_that_is_not_there_is_named_with_those_that_are(store: Store, home: Path) -> None:
    keep(store, home, a_version())

    with pytest.raises(ConfigurationError, match=r"no dataset 'nothing'; .* support_training_v3"):
        run("show", "nothing")


def test_a_control_can_be_exported_as_a_dataset_of_its_own(store: Store, home: Path, tmp_path: Path) -> None:
    version = a_version(control=[an_example("d", response=assistant("drawn"))])
    folder = keep(store, home, version)
    control = version.control
    assert control is not None
    record = store.datasets.get(version.fingerprint)
    assert record is not None
    stands = {"id": control.fingerprint, "kind": "control", "name": control.name, "uri": str(folder / "control.parquet")}
    store.datasets.add(record.model_copy(update=stands | {"manifest": control.manifest}), [])

    run("export", "support_control_v3", str(tmp_path / "copy"))

    copied = Dataset.read(tmp_path / "copy", verify=True)
    assert (copied.name, copied.examples) == ("support_control_v3", control.examples)
    assert "1 training examples" in (tmp_path / "copy" / "README.md").read_text()
