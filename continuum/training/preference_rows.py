"""What people preferred as rows of tokens, and the order in which they are trained on.

A row that is too long loses the beginning of its conversation, then the end of its answers.
"""

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.fine_tuning import FineTuneConfig
from continuum.models.chat_format import IGNORED, EncodedTurn, Turn, encode_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Row = dict[str, Any]

HEAVIEST = 10.0
"""The most that an answer of the rarer kind counts for: one thumb may be a slip."""


def encode_pairs(tokenizer: "PreTrainedTokenizerBase", pairs: Sequence[PreferencePair], limit: int) -> list[Row]:
    """`prompt_ids`, `chosen_ids` and `rejected_ids` of each pair whose answers differ."""
    chosen = _split(tokenizer, [(pair.messages, pair.chosen) for pair in pairs])
    rejected = _split(tokenizer, [(pair.messages, pair.rejected) for pair in pairs])
    rows = []
    for (ids, start), (others, other_start) in zip(chosen, rejected, strict=True):
        # A template may write the two answers' beginnings, such as an empty thought, as part of one prompt and not of the other.
        place = min(start, other_start)
        prompt, (better, worse) = _fitted(ids[:place], (ids[place:], others[place:]), limit)
        if better != worse:
            rows.append({"prompt_ids": prompt, "chosen_ids": better, "rejected_ids": worse})
    return rows


def encode_answers(tokenizer: "PreTrainedTokenizerBase", answers: Sequence[RatedAnswer], limit: int) -> list[Row]:
    """`prompt_ids`, `completion_ids` and `label` of each answer."""
    rows = []
    turns = _split(tokenizer, [(answer.messages, answer.response) for answer in answers])
    for (ids, start), answer in zip(turns, answers, strict=True):
        prompt, (words,) = _fitted(ids[:start], (ids[start:],), limit)
        rows.append({"prompt_ids": prompt, "completion_ids": words, "label": answer.desirable})
    return rows


def lay_out_preferences(count: int, config: FineTuneConfig, at_once: int = 1) -> tuple[int, list[int]]:
    """The width of a batch, and which row stands where: `preference_epochs` times through all of them, each time in a new order.

    Args:
        count: rows.
        config: the fine-tuning run.
        at_once: rows that must be computed together, at least.
    """
    portion = parts_of(config) * at_once
    width = max(portion, math.ceil(min(count, config.batch_size) / portion) * portion)
    steps = max(1, math.ceil(config.preference_epochs * count / width - 1e-9))
    rng = random.Random(config.seed)
    order: list[int] = []
    while len(order) < steps * width:
        again = list(range(count))
        rng.shuffle(again)
        order += again
    return width, order[: steps * width]


def beside_others(rows: Sequence[Row], at_once: int, limit: int) -> list[Row]:
    """Rated answers with the answer that stands before them in their part of the batch.

    KTO takes its zero from answers to other questions: how much likelier than before the model finds what it was not asked for.
    """
    parts = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
    return [
        row | {"KL_completion_ids": part[n - 1]["completion_ids"][: limit - len(row["prompt_ids"])]}
        for part in parts
        for n, row in enumerate(part)
    ]


def parts_of(config: FineTuneConfig) -> int:
    """Parts that a batch is computed in, by all processes."""
    return config.processes * config.gradient_accumulation


def weights_of(rated: Sequence[Row]) -> tuple[float, float]:
    """What a good and a bad answer count for: both kinds alike in all, as eq. 8 of the paper asks, where both are there."""
    good = sum(row["label"] for row in rated)
    bad = len(rated) - good
    if not good or not bad:
        return 1.0, 1.0
    return min(max(1.0, bad / good), HEAVIEST), min(max(1.0, good / bad), HEAVIEST)


def _split(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn]) -> list[tuple[list[int], int]]:
    """Token ids of each conversation with its answer, and where the answer begins."""
    return [(turn.input_ids, _start_of_answer(turn)) for turn in encode_turns(tokenizer, turns)]


def _start_of_answer(turn: EncodedTurn) -> int:
    return next((n for n, label in enumerate(turn.labels) if label != IGNORED), len(turn.labels))


def _fitted(prompt: list[int], answers: Sequence[list[int]], limit: int) -> tuple[list[int], list[list[int]]]:
    """The end of the prompt, one token of it at least, and what there is room for of the answers."""
    cut = [answer[: limit - 1] for answer in answers]
    return prompt[-(limit - max(map(len, cut))) :], cut
