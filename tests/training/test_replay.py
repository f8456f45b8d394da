from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from continuum.training.replay import ReplayBuffer
from tests.builders import an_example


def examples(start: int, stop: int):
    return [an_example(f"question {n}", f"answer {n}") for n in range(start, stop)]


@given(turns=st.lists(st.integers(0, 30), max_size=5), size=st.integers(0, 20), seed=st.integers(0, 5))
def test_the_buffer_never_outgrows_its_size_and_counts_all_it_saw(turns: list[int], size: int, seed: int):
    buffer, start = ReplayBuffer(), 0
    for count in turns:
        buffer = buffer.extended(examples(start, start + count), size=size, seed=seed)
        start += count

    assert buffer.seen == start
    assert len(buffer.examples) == min(size, start)
    assert len({example.interaction_id for example in buffer.examples}) == len(buffer.examples)


def test_early_and_late_examples_have_equal_chances():
    kept = [0, 0]
    for seed in range(200):
        buffer = ReplayBuffer().extended(examples(0, 50), size=10, seed=seed).extended(examples(50, 100), size=10, seed=seed)
        late = sum(int(example.interaction_id.split()[1]) >= 50 for example in buffer.examples)
        kept[0] += 10 - late
        kept[1] += late

    assert 0.45 < kept[1] / sum(kept) < 0.55


def test_a_newer_example_of_an_interaction_replaces_the_old_one():
    buffer = ReplayBuffer().extended([an_example("q", "old answer")], size=5, seed=0)

    buffer = buffer.extended([an_example("q", "new answer")], size=5, seed=0)

    assert [example.response.text for example in buffer.examples] == ["new answer"]


def test_what_may_not_be_replayed_is_left_out():
    buffer = ReplayBuffer().extended(examples(0, 5), size=5, seed=0).without({"question 3"})

    assert {example.interaction_id for example in buffer.examples} == {"question 0", "question 1", "question 2", "question 4"}


def test_the_file_gives_back_every_character(tmp_path: Path):
    buffer = ReplayBuffer().extended([an_example("a\u2028b\x85c\nd", "é\t\\")], size=5, seed=0)

    buffer.save(tmp_path)

    assert ReplayBuffer.load(tmp_path) == buffer
    assert ReplayBuffer.load(tmp_path / "nowhere") == ReplayBuffer()
