import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.fine_tuning import FineTuneConfig
from continuum.models.chat_format import encode_prompts
from continuum.records import FunctionCall, Message, ToolCall
from continuum.training.base import train_tokenizer
from continuum.training.preference_rows import (
    HEAVIEST,
    beside_others,
    encode_answers,
    encode_pairs,
    lay_out_preferences,
    weights_of,
)
from tests.builders import assistant, user


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_tokenizer(["where is my order?", "it arrives on monday", '{"name": "track", "arguments": {"id": 7}}'], 400, 64)


def a_pair(chosen: str | Message, rejected: str | Message, asked: str = "where is my order?") -> PreferencePair:
    return PreferencePair(
        interaction_id="i",
        rejected_id="i",
        messages=(user(asked),),
        chosen=assistant(chosen) if isinstance(chosen, str) else chosen,
        rejected=assistant(rejected) if isinstance(rejected, str) else rejected,
        source="correction",
        group="g",
    )


def a_rating(answer: str, desirable: bool, asked: str = "where is my order?") -> RatedAnswer:
    return RatedAnswer(
        interaction_id="i", messages=(user(asked),), response=assistant(answer), desirable=desirable, source="verdict", group="g"
    )


def test_a_pair_reads_as_the_chat_template_writes_it(tokenizer: PreTrainedTokenizerBase):
    call = Message(role="assistant", tool_calls=(ToolCall(id="1", function=FunctionCall(name="track", arguments='{"id": 7}')),))

    (row,) = encode_pairs(tokenizer, [a_pair(call, "on monday")], 500)

    assert tokenizer.decode(row["prompt_ids"]) == "<|user|>where is my order?<|end|><|assistant|>"
    assert tokenizer.decode(row["rejected_ids"]) == "on monday<|end|>"
    written = str(tokenizer.decode(row["chosen_ids"]))
    assert json.loads(written.removeprefix("<tool_call>").removesuffix("</tool_call><|end|>"))["name"] == "track"


def test_control_tokens_in_what_people_wrote_are_words(tokenizer: PreTrainedTokenizerBase):
    (row,) = encode_pairs(tokenizer, [a_pair("yes<|end|><|user|>no", "no")], 500)
    (rated,) = encode_answers(tokenizer, [a_rating("yes<|end|>", True)], 500)

    end = tokenizer.eos_token_id
    assert Counter(row["chosen_ids"])[end] == Counter(rated["completion_ids"])[end] == 1
    assert row["chosen_ids"][-1] == end


def test_a_pair_whose_answers_read_alike_teaches_nothing(tokenizer: PreTrainedTokenizerBase):
    assert encode_pairs(tokenizer, [a_pair("on monday", "on monday")], 500) == []
    # Cut to the first tokens they are the same.
    assert encode_pairs(tokenizer, [a_pair("it arrives on monday at noon", "it arrives on monday at night")], 3) == []


@settings(max_examples=100)
@given(
    asked=st.text(max_size=60),
    answers=st.tuples(st.text(max_size=60), st.text(max_size=60)),
    limit=st.integers(2, 40),
)
def test_a_row_has_room_keeps_the_end_of_its_prompt_and_the_beginning_of_its_answers(
    tokenizer: PreTrainedTokenizerBase, asked: str, answers: tuple[str, str], limit: int
):
    (prompt,) = encode_prompts(tokenizer, [(user(asked),)])
    for row in encode_pairs(tokenizer, [a_pair(*answers, asked=asked)], limit):
        room = limit - max(len(row["chosen_ids"]), len(row["rejected_ids"]))
        assert 1 <= len(row["prompt_ids"]) <= room
        assert prompt[-len(row["prompt_ids"]) :] == row["prompt_ids"]
        assert len(row["prompt_ids"]) == min(room, len(prompt))
    (rated,) = encode_answers(tokenizer, [a_rating(answers[0], True, asked)], limit)
    assert len(rated["prompt_ids"]) + len(rated["completion_ids"]) <= limit
    assert rated["completion_ids"]


def a_config(**fields: Any) -> FineTuneConfig:
    return FineTuneConfig(**({"batch_size": 8, "preference_epochs": 3} | fields))


@settings(max_examples=200)
@given(
    count=st.integers(1, 50),
    batch=st.sampled_from([4, 8, 16]),
    parts=st.sampled_from([1, 2, 4]),
    at_once=st.sampled_from([1, 2]),
    epochs=st.floats(0.1, 5),
)
def test_every_row_comes_round_as_often_as_every_other(count: int, batch: int, parts: int, at_once: int, epochs: float):
    config = a_config(batch_size=batch, gradient_accumulation=parts, preference_epochs=epochs)

    width, order = lay_out_preferences(count, config, at_once)

    assert width % (parts * at_once) == 0
    assert len(order) % width == 0
    assert len(order) >= epochs * count - 1e-6
    seen = Counter(order)
    assert max(seen.values()) - min(seen[n] for n in range(count)) <= 1
    assert lay_out_preferences(count, config, at_once) == (width, order)


def test_every_answer_stands_beside_another_of_its_part():
    rows = [{"prompt_ids": [n], "completion_ids": [10 + n, 20 + n]} for n in range(4)]

    beside = beside_others(rows, 2, limit=2)

    assert [row["KL_completion_ids"] for row in beside] == [[11], [10], [13], [12]]


@pytest.mark.parametrize(
    ("good", "bad", "weights"),
    [(4, 4, (1, 1)), (6, 2, (1, 3)), (2, 5, (2.5, 1)), (0, 3, (1, 1)), (3, 0, (1, 1)), (99, 1, (1, HEAVIEST))],
)
def test_few_bad_answers_count_as_much_as_many_good_ones(good: int, bad: int, weights: tuple[float, float]):
    assert weights_of([{"label": True}] * good + [{"label": False}] * bad) == weights
