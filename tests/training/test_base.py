from pathlib import Path

import pytest

from continuum.errors import NotEnoughData
from continuum.models.local import LocalModel
from continuum.provenance.artifacts import sha256_of
from continuum.training.base import build_base, train_tokenizer
from continuum.training.bases import whole_conversations
from tests.builders import assistant, user
from tests.tiny_model import UNSURE, base_rows, question


@pytest.mark.slow
def test_a_base_learns_the_manners_of_its_text(tiny_base: Path):
    answers = LocalModel(tiny_base).answer([[user(question("Oslo"))], [user("hello")]])

    assert [answer.message.text for answer in answers] == [UNSURE, "hello, how can I help?"]


def test_same_text_and_seed_give_the_same_weights(tmp_path: Path):
    def weights(name: str, seed: int) -> str:
        build_base(base_rows(), tmp_path / name, hidden=16, layers=1, heads=2, length=32, steps=3, batch_size=4, seed=seed)
        return sha256_of(tmp_path / name / "model.safetensors")

    assert weights("one", 0) == weights("two", 0)
    assert weights("three", 1) != weights("one", 0)
    assert sha256_of(tmp_path / "one" / "tokenizer.json") == sha256_of(tmp_path / "two" / "tokenizer.json")


def test_progress_counts_every_step(tmp_path: Path):
    seen: list[tuple[int, int]] = []

    report = build_base(
        base_rows(),
        tmp_path / "base",
        hidden=16,
        layers=1,
        heads=2,
        length=32,
        steps=4,
        batch_size=4,
        on_progress=lambda done, total, note: seen.append((done, total)),
    )

    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert (report.steps, report.folder) == (4, tmp_path / "base")


def test_no_text_is_said_to_be_too_little(tmp_path: Path):
    with pytest.raises(NotEnoughData, match="found 0 rows"):
        build_base([], tmp_path / "base")


@pytest.mark.parametrize(
    "text", ["plain words", "Ünïcödé ☃ \U0001f600", "12345", " spaces  and\nlines\t", "<tool_call>{}</tool_call>"]
)
def test_any_text_survives_the_tokenizer(text: str):
    tokenizer = train_tokenizer(base_rows(), 320, 64)

    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert len(tokenizer.encode("12345", add_special_tokens=False)) == 5


def test_a_dialogue_logged_turn_by_turn_is_read_once():
    first = (user("hello"), assistant("hi"))
    whole = (*first, user("bye"), assistant("good bye"))
    other = (user("hello"), assistant("hey"))

    assert sorted(map(len, whole_conversations([first, whole, other, first]))) == [2, 4]
