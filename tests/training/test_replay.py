import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import StoreError
from continuum.records import Example
from continuum.training.replay import ReplayBuffer
from tests.builders import an_example


def examples(start: int, stop: int, **fields: object) -> list[Example]:
    return [an_example(f"question {n}", f"answer {n}", **fields) for n in range(start, stop)]


def held(buffer: ReplayBuffer) -> Counter[str]:
    return Counter(row.dataset for row in buffer.rows if row.kind == "task")


@given(turns=st.lists(st.integers(0, 30), max_size=5), size=st.integers(0, 20), seed=st.integers(0, 5))
def test_the_buffer_never_outgrows_its_size_and_keeps_only_what_it_was_given(turns: list[int], size: int, seed: int):
    buffer, given_rows = ReplayBuffer(), {}
    for turn, count in enumerate(turns):
        new = examples(len(given_rows), len(given_rows) + count)
        given_rows |= {example.interaction_id: example for example in new}
        buffer = buffer.extended(new, dataset=f"d{turn}", size=size, seed=seed)

    assert buffer.seen == {f"d{turn}": count for turn, count in enumerate(turns)}
    assert len(buffer.rows) <= size
    kept = buffer.of_kind("task")
    assert len({example.interaction_id for example in kept}) == len(kept)
    assert all(given_rows[example.interaction_id] == example for example in kept)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=5), size=st.integers(0, 60), seed=st.integers(0, 5))
def test_every_dataset_keeps_an_equal_part_or_all_that_it_has(counts: list[int], size: int, seed: int):
    buffer, start = ReplayBuffer(), 0
    for turn, count in enumerate(counts):
        buffer = buffer.extended(examples(start, start + count), dataset=f"d{turn}", size=size, seed=seed)
        start += count

    kept = [held(buffer)[f"d{turn}"] for turn in range(len(counts))]
    # What an early dataset gave up while it shared the buffer with fewer cannot come back, but it never had to give up more than
    # its equal part of today.
    for of_one, count in zip(kept, counts, strict=True):
        assert of_one == count or of_one >= max(kept) - 1
    assert sum(kept) <= size
    assert sum(kept) >= min(size, counts[-1])


@given(order=st.permutations(range(24)), size=st.integers(0, 24), seed=st.integers(0, 3))
def test_what_is_kept_does_not_depend_on_the_order_in_which_it_came(order: list[int], size: int, seed: int):
    new = [an_example(f"question {n}", intent=f"intent {n % 5}") for n in range(24)]
    before = ReplayBuffer().extended(examples(100, 120), dataset="before", size=size, seed=seed)

    straight = before.extended(new, dataset="new", size=size, seed=seed)
    shuffled = before.extended([new[n] for n in order], dataset="new", size=size, seed=seed)

    assert straight == shuffled


@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=8), size=st.integers(1, 60))
def test_every_kind_of_question_keeps_its_share_and_one_row_where_there_is_room(counts: list[int], size: int):
    new = [an_example(f"question {c} {n}", cluster=c) for c, count in enumerate(counts) for n in range(count)]

    kept = Counter(e.cluster for e in ReplayBuffer().extended(new, dataset="d", size=size, seed=0).of_kind("task"))

    assert sum(kept.values()) == min(size, len(new))
    if size >= len(counts):
        assert len(kept) == len(counts)
        for cluster, count in enumerate(counts):
            exact = (min(size, len(new)) - len(counts)) * (count - 1) / max(1, len(new) - len(counts))
            assert abs(kept[cluster] - 1 - exact) < 1.001
    else:
        assert max(kept.values()) == 1


def test_the_tasks_own_names_of_intents_go_before_clusters():
    new = [an_example(f"q {n}", intent="rare" if n == 0 else "frequent", cluster=n) for n in range(50)]

    kept = ReplayBuffer().extended(new, dataset="d", size=5, seed=0).of_kind("task")

    assert Counter(example.intent for example in kept) == {"rare": 1, "frequent": 4}


def test_another_seed_draws_other_rows():
    kept = {ReplayBuffer().extended(examples(0, 50), dataset="d", size=10, seed=seed).rows for seed in range(5)}

    assert len(kept) == 5


def test_a_newer_example_of_an_interaction_replaces_the_old_one():
    buffer = ReplayBuffer().extended([an_example("q", "old answer")], dataset="old", size=5, seed=0)

    buffer = buffer.extended([an_example("q", "new answer")], dataset="new", size=5, seed=0)

    assert [(row.example.response.text, row.dataset) for row in buffer.rows] == [("new answer", "new")]


def test_learning_from_a_dataset_twice_changes_nothing():
    once = ReplayBuffer().extended(examples(0, 30), dataset="d", size=10, seed=0)

    assert once.extended(examples(0, 30), dataset="d", size=10, seed=0) == once


def test_erasure_takes_the_interaction_and_every_mention_of_it():
    rows = [*examples(0, 4), an_example("asked by another", duplicates=("question 3", "somebody else's"))]
    buffer = ReplayBuffer().extended(rows, dataset="d", size=5, seed=0).without({"question 3"})

    assert {row.example.interaction_id for row in buffer.rows} == {"question 0", "question 1", "question 2", "asked by another"}
    assert "question 3" not in json.dumps([row.model_dump() for row in buffer.rows])
    assert next(e for e in buffer.of_kind("task") if e.duplicates).duplicates == ("somebody else's",)


def test_general_and_probe_rows_stand_outside_the_size_and_take_the_place_of_those_before():
    buffer = ReplayBuffer().extended(examples(0, 9), dataset="d", size=3, seed=0)

    buffer = buffer.with_fixed("probe", examples(20, 22)).with_fixed("general", examples(10, 15))
    buffer = buffer.with_fixed("general", reversed(examples(10, 13)))

    assert [row.kind for row in buffer.rows] == ["task"] * 3 + ["general"] * 3 + ["probe"] * 2
    assert [example.interaction_id for example in buffer.of_kind("general")] == ["question 10", "question 11", "question 12"]
    grown = buffer.extended(examples(30, 40), dataset="e", size=4, seed=0)
    assert held(grown) == {"d": 2, "e": 2}
    assert grown.of_kind("probe") == buffer.of_kind("probe")


def test_the_file_gives_back_every_character(tmp_path: Path):
    odd = an_example("a\u2028b\x85c\nd \ud83d", "é\t\\ \udc00", group="g")
    buffer = ReplayBuffer().extended([odd], dataset="d", size=5, seed=0).with_fixed("general", [an_example("hello")])

    buffer.save(tmp_path)

    assert (tmp_path / "replay.jsonl").read_bytes().isascii()
    assert ReplayBuffer.load(tmp_path) == buffer
    assert ReplayBuffer.load(tmp_path / "nowhere") == ReplayBuffer()


def test_a_buffer_of_the_format_before_is_read(tmp_path: Path):
    lines = [json.dumps({"seen": 7}), *(example.model_dump_json() for example in examples(0, 2))]
    (tmp_path / "replay.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    buffer = ReplayBuffer.load(tmp_path)

    assert buffer.seen == {"": 7}
    assert buffer.of_kind("task") == tuple(examples(0, 2))


@pytest.mark.parametrize("text", ["", "[]\n", '{"seen": {}}\n{"example": 1}\n', "half a li", '{"seen": {"d": "many"}}\n'])
def test_what_is_no_buffer_is_refused(tmp_path: Path, text: str):
    (tmp_path / "replay.jsonl").write_text(text, encoding="utf-8")

    with pytest.raises(StoreError, match="no replay buffer"):
        ReplayBuffer.load(tmp_path)


def test_a_large_buffer_is_cut_in_proportion():
    rng = random.Random(0)
    new = [an_example(f"q {n}", cluster=rng.choice([0] * 8 + [1] * 2)) for n in range(1000)]

    kept = Counter(e.cluster for e in ReplayBuffer().extended(new, dataset="d", size=100, seed=0).of_kind("task"))

    assert 75 <= kept[0] <= 85
