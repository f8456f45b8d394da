"""How well a model still knows what it learned: losses on held-out rows, and its own words to questions that try a constraint.

The same rows and questions are put to it before a training and after it. What becomes of the figures is in `matrix.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from continuum.models.chat_format import EncodedTurn, encode_prompts, encode_turns, parse_answer
from continuum.models.local import answer_losses, by_length, context_of, greedy_answers, pad_id
from continuum.progress import Progress, silent
from continuum.records import Example, Message
from continuum.training.job import Inputs, Losses, Trial, TrialAnswer
from continuum.training.measured import GENERAL, VALIDATION

ANSWER_TOKENS = 96
BATCH = 32

Model = PreTrainedModel | PeftModel


@dataclass(frozen=True)
class HeldOut:
    """One set of rows that no training sees."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    """The conversation of each row: rows of one are not independent."""
    rows: tuple[EncodedTurn, ...]


def held_out_rows(
    tokenizer: PreTrainedTokenizerBase, inputs: Inputs, general: Sequence[Example] = (), limit: int | None = None
) -> dict[str, HeldOut]:
    """The rows to measure, by earlier dataset's fingerprint and under `validation` and `general`; a set without rows is absent.

    Args:
        tokenizer: the base's.
        inputs: of the training.
        general: held-out general questions with the base's own answers.
        limit: tokens of a row; a longer one keeps its end.
    """
    sets: dict[str, list[Example]] = {}
    for row in inputs.earlier:
        sets.setdefault(row.dataset, []).append(row.example)
    sets |= {VALIDATION: list(inputs.validation), GENERAL: list(general)}
    return {
        name: HeldOut(
            ids=tuple(example.interaction_id for example in examples),
            groups=tuple(example.group for example in examples),
            rows=tuple(encode_turns(tokenizer, [(example.messages, example.response) for example in examples], limit)),
        )
        for name, examples in sets.items()
        if examples
    }


def measure_losses(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    held_out: Mapping[str, HeldOut],
    *,
    batch_size: int = BATCH,
    on_progress: Progress = silent,
) -> dict[str, list[float]]:
    """Mean nats per answer token of each row, by set; the model is left in the mode it was in.

    A set's figures do not depend on which others are measured with it.
    """
    total, done = sum(len(one.rows) for one in held_out.values()), 0
    losses: dict[str, list[float]] = {}
    with _not_training(model):
        for name, one in held_out.items():
            on_progress(done, total, "measuring what is known")
            losses[name] = answer_losses(model, one.rows, pad_id(tokenizer), batch_size)
            done += len(one.rows)
    return losses


def losses_of(
    held_out: Mapping[str, HeldOut], before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]
) -> dict[str, Losses]:
    """What `measure_losses` found before and after, as the report keeps it."""
    return {
        name: Losses(ids=one.ids, groups=one.groups, before=tuple(before[name]), after=tuple(after[name]))
        for name, one in held_out.items()
    }


def answers_to(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    *,
    max_new_tokens: int = ANSWER_TOKENS,
    batch_size: int = BATCH,
    on_progress: Progress = silent,
) -> list[str]:
    """The model's own words to each question asked alone, greedy; the model is left in the mode it was in."""
    context = context_of(model.get_base_model() if isinstance(model, PeftModel) else model)  # pyright: ignore[reportArgumentType]
    max_new_tokens = min(max_new_tokens, max(1, (context or 2 * max_new_tokens) // 2))
    asked = [(Message(role="user", content=question),) for question in questions]
    prompts = encode_prompts(tokenizer, asked, None if context is None else context - max_new_tokens)
    answers = [""] * len(prompts)
    done = 0
    with _not_training(model):
        for batch in by_length([len(prompt) for prompt in prompts], batch_size):
            on_progress(done, len(prompts), "asking the model")
            written = greedy_answers(model, tokenizer, [prompts[n] for n in batch], max_new_tokens)
            for n, tokens in zip(batch, written, strict=True):
                answers[n] = parse_answer(str(tokenizer.decode(tokens, skip_special_tokens=True))).text
            done += len(batch)
    return answers


def trial_answers(trials: Sequence[Trial], before: Sequence[str], after: Sequence[str]) -> tuple[TrialAnswer, ...]:
    """What `answers_to` found before and after, as the report keeps it."""
    return tuple(
        TrialAnswer(constraint=trial.constraint, prompt=trial.prompt, before=old, after=new)
        for trial, old, new in zip(trials, before, after, strict=True)
    )


@contextmanager
def _not_training(model: Model) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
