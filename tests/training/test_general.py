from pathlib import Path

import pytest

from continuum.errors import ConfigurationError
from continuum.records import Message
from continuum.training.general import HELD_OUT_PROMPTS, TRAINING_PROMPTS, general_rows, read_general
from tests.builders import assistant

ROW = '{"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi\u2028there"}]}'


def test_what_general_skill_is_measured_with_is_never_trained_on():
    assert len(set(TRAINING_PROMPTS)) == 48
    assert len(set(HELD_OUT_PROMPTS)) == 24
    assert not {prompt.lower() for prompt in TRAINING_PROMPTS} & {prompt.lower() for prompt in HELD_OUT_PROMPTS}
    assert max(map(len, (*TRAINING_PROMPTS, *HELD_OUT_PROMPTS))) < 120


def test_the_models_own_answers_become_rows_and_silence_does_not():
    rows = general_rows(["one?", "two?", "three?"], ["1", "  ", assistant("3")])

    assert [(row.prompt, row.response.text) for row in rows] == [("one?", "1"), ("three?", "3")]
    assert all(row.interaction_id.startswith("general-") and len(row.interaction_id) == 24 for row in rows)
    assert rows == general_rows(["one?", "three?"], ["1", "3"])
    assert rows[0].interaction_id != general_rows(["one?"], ["another answer"])[0].interaction_id
    assert general_rows(["one?"], [Message(role="assistant", content=None)]) == ()


def test_a_task_may_bring_general_rows_of_its_own(tmp_path: Path):
    path = tmp_path / "general.jsonl"
    path.write_text(f"{ROW}\n\n{ROW}\n", encoding="utf-8")

    (row,) = read_general(path)

    assert (row.prompt, row.response.text) == ("hello", "hi\u2028there")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", r"line 2 of .* is no row"),
        ("[1]", r"line 2 of .* is no row"),
        ('{"messages": "hello"}', r"line 2 of .* is no row"),
        ('{"messages": [{"content": "no role"}]}', r"line 2 of .* is no row"),
        ('{"messages": [{"role": "user", "content": "hello"}]}', r"line 2 of .* does not end in an answer"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}', "does not end in an answer"),
        ("[" * 90_000, r"line 2 of .* is no row"),
        (" " * 99_999 + "{}", r"line 2 of .* has 100001 characters"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str, words: str):
    path = tmp_path / "general.jsonl"
    path.write_text(f"{ROW}\n{line}\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=words):
        read_general(path)


def test_a_file_without_rows_is_refused(tmp_path: Path):
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff")

    for name, words in (("empty", "no general row"), ("latin", "cannot be read"), ("nowhere", "cannot be read")):
        with pytest.raises(ConfigurationError, match=words):
            read_general(tmp_path / f"{name}.jsonl")
