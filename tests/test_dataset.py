import json
from pathlib import Path

import polars
import pytest

from continuum.dataset import MANIFEST, ROWS, Dataset
from continuum.errors import StoreError
from continuum.records import Example, FunctionCall, Message, ToolCall
from tests.builders import an_example, user

CALL = ToolCall(id="call_1", function=FunctionCall(name="find", arguments='{"place": "Bonn", "day": 1}'))


def a_dataset(*examples: Example, **manifest: object) -> Dataset:
    fields = {"fingerprint": "f" * 64, "task": "support", "name": "support_training_v1", "source_interactions": 9}
    return Dataset(examples, fields | manifest)


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

    assert frame["messages"][0][-1] == {"role": "assistant", "content": 'find({"day":1,"place":"Bonn"})'}
    assert json.loads(frame["conversation"][0])[-1]["tool_calls"][0]["function"]["name"] == "find"
    assert polars.from_pandas(dataset.to_pandas()).height == 1


@pytest.mark.slow
def test_a_hugging_face_dataset_has_the_same_rows() -> None:
    rows = a_dataset(an_example(), an_example("second")).to_hf()

    assert rows[1]["messages"][0] == {"role": "user", "content": "second"}
