import json
import random
from pathlib import Path
from typing import Any

import polars
import pytest

from continuum.dataset import MANIFEST, Dataset
from continuum.dataset_rows import FORMAT, ROWS, PreferencePair, RatedAnswer, Removed, fingerprint_of
from continuum.errors import StoreError
from continuum.models.chat_format import render
from continuum.records import Example, FunctionCall, Message, ToolCall
from tests.builders import an_example, assistant, user

CALL = ToolCall(id="call_1", function=FunctionCall(name="find", arguments='{"place": "Bonn", "day": 1}'))


def a_dataset(*examples: Example, **manifest: object) -> Dataset:
    fields = {"fingerprint": "f" * 64, "task": "support", "name": "support_training_v1", "source_interactions": 9}
    return Dataset(examples, fields | manifest)


CONFIG = {"strategy": "diversity", "target_size": 4, "seed": 0}


def a_pair(id: str = "one", **fields: Any) -> PreferencePair:
    values = {
        "interaction_id": id,
        "rejected_id": f"{id}-bad",
        "messages": (user("Where is my order?"),),
        "chosen": assistant("It arrives on Monday."),
        "rejected": assistant("No idea."),
        "source": "verdicts",
        "group": id,
    }
    return PreferencePair.model_validate(values | fields)


def a_rated(id: str = "one", desirable: bool = True, **fields: Any) -> RatedAnswer:
    values = {
        "interaction_id": id,
        "messages": (user("Where is my order?"),),
        "response": assistant("It arrives on Monday."),
        "desirable": desirable,
        "source": "verdict",
        "group": id,
    }
    return RatedAnswer.model_validate(values | fields)


def a_version(**tables: Any) -> Dataset:
    """A dataset with all its tables and the fingerprint that belongs to them."""
    rows: dict[str, Any] = {
        "examples": [an_example("a"), an_example("b", split="validation", intent="order|late"), an_example("c", generation=2)],
        "preferences": [a_pair("a"), a_pair("b", split="validation")],
        "rated_answers": [a_rated("a"), a_rated("a", desirable=False, source="correction")],
        "control": [an_example("d"), an_example("e", split="validation")],
    } | {name: value for name, value in tables.items() if name != "removed"}
    manifest = {
        "format": FORMAT,
        "task": "support",
        "name": "support_training_v3",
        "version": 3,
        "kind": "training",
        "source_interactions": 9,
        "through": 7,
        "config": CONFIG,
        "fingerprint": fingerprint_of("support", CONFIG, **rows),
    }
    removed = tables.get("removed", [Removed(interaction_id="z", stage="near_duplicates", reason="as a", kept_id="a")])
    return Dataset(rows.pop("examples"), manifest, **rows, removed=removed)


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    with_tools = an_example("Book it", response=Message(role="assistant", tool_calls=(CALL,)), split="validation", cluster=3)
    with_extras = an_example("Hallo – ¿qué tal?", messages=(Message(role="user", content="x", **{"name": "ann"}),))
    original = a_dataset(with_tools, with_extras, an_example(duplicates=("a", "b")))

    read = Dataset.read(original.write(tmp_path / "v1"))

    assert read.examples == original.examples
    assert read.manifest == original.manifest


def test_half_a_surrogate_pair_does_not_break_the_files(tmp_path: Path) -> None:
    broken = a_dataset(an_example(messages=(user("bad \ud83d text"),)))

    read = Dataset.read(broken.write(tmp_path))

    assert read.examples[0].messages[0].text == "bad \ud83d text"
    assert read.to_polars()["messages"][0][0]["content"] == "bad ? text"


def test_a_folder_without_its_manifest_is_not_a_dataset(tmp_path: Path) -> None:
    a_dataset(an_example()).write(tmp_path)
    (tmp_path / MANIFEST).unlink()

    with pytest.raises(StoreError, match=r"manifest\.json missing"):
        Dataset.read(tmp_path)


def test_a_folder_without_its_rows_is_not_a_dataset(tmp_path: Path) -> None:
    a_dataset(an_example()).write(tmp_path)
    (tmp_path / ROWS).unlink()

    with pytest.raises(StoreError, match=r"examples\.parquet missing"):
        Dataset.read(tmp_path)


def test_numbers_a_reader_asks_first() -> None:
    dataset = a_dataset(an_example(score=4.0), an_example("b", score=5.0, split="validation"), intent_coverage=0.5)

    assert (len(dataset), dataset.avg_score, dataset.min_score) == (2, 4.5, 4.0)
    assert (dataset.source_interactions, dataset.intent_coverage) == (9, 0.5)
    assert [example.score for example in dataset.split("validation")] == [5.0]
    assert "support_training_v1" in repr(dataset)


def test_an_empty_dataset_has_no_scores_and_can_be_written(tmp_path: Path) -> None:
    read = Dataset.read(a_dataset().write(tmp_path))

    assert (len(read), read.avg_score, read.min_score) == (0, 0.0, 0.0)


def test_frames_hold_the_conversation_in_chat_form_with_the_answer_last() -> None:
    dataset = a_dataset(an_example(response=Message(role="assistant", tool_calls=(CALL,))))

    frame = dataset.to_polars()

    written = '<tool_call>{"name": "find", "arguments": {"place": "Bonn", "day": 1}}</tool_call>'
    assert frame["messages"][0][-1] == {"role": "assistant", "content": written}
    assert json.loads(frame["conversation"][0])[-1]["tool_calls"][0]["function"]["name"] == "find"
    assert polars.from_pandas(dataset.to_pandas()).height == 1


def test_every_table_is_read_back_whole(tmp_path: Path) -> None:
    original = a_version()

    read = Dataset.read(original.write(tmp_path / "v3"), verify=True)

    for table in ("examples", "preferences", "rated_answers", "removed", "manifest"):
        assert getattr(read, table) == getattr(original, table), table
    assert read.control is not None
    assert original.control is not None
    assert read.control.examples == original.control.examples
    assert read.control.manifest == original.control.manifest


def test_validation_rows_have_files_of_their_own(tmp_path: Path) -> None:
    folder = a_version().write(tmp_path)

    assert polars.read_parquet(folder / "examples.parquet")["interaction_id"].to_list() == ["a", "c"]
    assert polars.read_parquet(folder / "examples-validation.parquet")["interaction_id"].to_list() == ["b"]
    assert polars.read_parquet(folder / "examples*.parquet").height == 3
    assert not list(folder.glob("*.part"))


def test_a_table_without_rows_has_no_file_and_leaves_none_of_an_earlier_write(tmp_path: Path) -> None:
    a_version().write(tmp_path)
    a_version(preferences=[], control=[], removed=[]).write(tmp_path)

    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"examples.parquet", "examples-validation.parquet", "rated_answers.parquet", "manifest.json"}
    assert Dataset.read(tmp_path).control is None


def test_preferences_are_in_the_form_of_dpo_and_rated_answers_in_that_of_kto(tmp_path: Path) -> None:
    folder = a_version().write(tmp_path)

    pair = polars.read_parquet(folder / "preferences.parquet").row(0, named=True)
    assert pair["prompt"] == [{"role": "user", "content": "Where is my order?"}]
    assert pair["chosen"] == [{"role": "assistant", "content": "It arrives on Monday."}]
    assert pair["rejected"] == [{"role": "assistant", "content": "No idea."}]
    rated = polars.read_parquet(folder / "rated_answers.parquet")
    assert rated["label"].to_list() == [False, True]
    assert rated["completion"][0].to_list() == [{"role": "assistant", "content": "It arrives on Monday."}]


def test_rows_lie_in_one_order_whatever_order_they_came_in(tmp_path: Path) -> None:
    version = a_version()
    tables = {name: list(getattr(version, name)) for name in ("examples", "preferences", "rated_answers")}
    assert version.control is not None
    tables["control"] = list(version.control)
    for rows in tables.values():
        random.Random(1).shuffle(rows)

    shuffled = a_version(**tables)

    assert shuffled.fingerprint == version.fingerprint
    assert shuffled.examples == version.examples
    assert Dataset.read(shuffled.write(tmp_path)).rated_answers == version.rated_answers


@pytest.mark.parametrize("table", ["examples", "preferences", "rated_answers", "control"])
def test_a_change_in_any_table_is_another_version(table: str) -> None:
    changed = {
        "examples": [an_example("a", generation=1)],
        "preferences": [a_pair(rejected=assistant("Perhaps."))],
        "rated_answers": [a_rated(desirable=False)],
        "control": [an_example("f")],
    }

    assert a_version(**{table: changed[table]}).fingerprint != a_version().fingerprint
    assert a_version(**{table: []}).fingerprint != a_version().fingerprint


def test_what_describes_does_not_make_another_version() -> None:
    described = [an_example("a", cluster=4), an_example("b", cluster=5)]
    plain = [an_example("a"), an_example("b")]

    assert a_version(examples=described).fingerprint == a_version(examples=plain).fingerprint
    assert a_version(removed=[]).fingerprint == a_version().fingerprint


def test_the_control_is_a_dataset_with_a_name_and_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    version = a_version()
    control = version.control

    assert control is not None
    assert control.name == "support_control_v3"
    assert control.fingerprint not in (version.fingerprint, "")
    assert control.manifest["parents"] == {"control_of": version.fingerprint}
    assert control.manifest["through"] == 7
    control.verify()
    version.write(tmp_path)
    assert Dataset.read(tmp_path / "control.parquet", verify=True).examples == control.examples


def test_a_version_without_a_control_says_how_to_get_one(tmp_path: Path) -> None:
    a_version(control=[]).write(tmp_path)

    with pytest.raises(StoreError, match=r"has no control; .* curation\.control"):
        Dataset.read(tmp_path / "control.parquet")


def change(path: Path, **columns: Any) -> None:
    polars.read_parquet(path).with_columns(**{name: polars.lit(value) for name, value in columns.items()}).write_parquet(path)


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("examples.parquet", {"score": 1.0}),
        ("examples.parquet", {"cluster": 12, "reason": "because"}),
        ("preferences.parquet", {"source": "correction"}),
        ("control.parquet", {"group": "g"}),
    ],
)
def test_a_changed_row_is_found_out(tmp_path: Path, file: str, columns: dict[str, Any]) -> None:
    a_version().write(tmp_path)
    change(tmp_path / file, **columns)

    with pytest.raises(StoreError, match="not what was written"):
        Dataset.read(tmp_path, verify=True)


def test_words_changed_only_where_trainers_read_them_are_found_out(tmp_path: Path) -> None:
    a_version().write(tmp_path)
    path = tmp_path / "examples.parquet"
    frame = polars.read_parquet(path)
    said = [[{"role": "user", "content": "x"}, {"role": "assistant", "content": "poison"}]] * frame.height
    frame.with_columns(messages=polars.Series(said, dtype=frame.schema["messages"])).write_parquet(path)

    with pytest.raises(StoreError, match="was changed after it was written"):
        Dataset.read(tmp_path, verify=True)


def test_lost_rows_and_damaged_files_are_found_out_even_unasked(tmp_path: Path) -> None:
    a_version().write(tmp_path)
    path = tmp_path / "examples.parquet"
    polars.read_parquet(path).head(1).write_parquet(path)
    with pytest.raises(StoreError, match="holds 1 rows, its manifest says 2"):
        Dataset.read(tmp_path)

    path.write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match="cannot be read"):
        Dataset.read(tmp_path)


def test_a_manifest_that_is_not_one_is_found_out(tmp_path: Path) -> None:
    a_version().write(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"files": {"../secrets.parquet": 1}}))
    with pytest.raises(StoreError, match="no dataset has"):
        Dataset.read(tmp_path)

    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(StoreError, match="is not JSON"):
        Dataset.read(tmp_path)


def test_a_version_of_the_first_format_is_read_and_not_verified(tmp_path: Path) -> None:
    folder = a_dataset(an_example(), format=1).write(tmp_path)
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["files"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    old = polars.read_parquet(folder / ROWS).drop("intent", "generation")
    old.write_parquet(folder / ROWS)

    assert Dataset.read(folder).examples == (an_example(),)
    with pytest.raises(StoreError, match="of format 1"):
        Dataset.read(folder).verify()


@pytest.mark.slow
def test_what_trl_reads_is_what_the_trainer_here_learns(tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    asked = (user("Wo liegt Köln?\n\nBitte genau."), assistant("Am Rhein."), user("And the trains?"))
    calling = an_example(messages=asked, response=Message(role="assistant", content="Let me see. ", tool_calls=(CALL, CALL)))

    row = a_dataset(calling).to_polars().row(0, named=True)

    ours = render(tokenizer, (*calling.messages, calling.response), answer_next=False)
    assert tokenizer.apply_chat_template(row["messages"], tokenize=False) == ours


@pytest.mark.slow
def test_a_hugging_face_dataset_has_the_same_rows() -> None:
    rows = a_dataset(an_example(), an_example("second")).to_hf()

    assert rows[1]["messages"][0] == {"role": "user", "content": "second"}
