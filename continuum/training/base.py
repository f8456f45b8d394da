"""A small language model from nothing: a tokenizer and a Llama of a few hundred thousand to a few million parameters.

It stands in for a base model where none can be downloaded: in the demo, in tests, and for `continuum base build`. It learns the
words and the manners of the text it is given, nothing of the world.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from continuum.errors import NotEnoughData, TrainingDiverged
from continuum.models.chat_format import (
    CALL_MARKS,
    CHAT_TEMPLATE,
    END,
    IGNORED,
    PAD,
    SPECIAL_TOKENS,
    as_template_message,
    encode_texts,
    render,
)
from continuum.progress import Progress, silent
from continuum.records import Message

Row = str | Sequence[Message]
"""A plain text, or a conversation."""


@dataclass(frozen=True)
class BaseReport:
    """What was built and how it went."""

    folder: Path
    parameters: int
    vocabulary: int
    tokens: int
    """Tokens of the text it was built from."""
    steps: int
    first_loss: float
    """Nats per token, mean over the first tenth of the steps."""
    final_loss: float
    """Nats per token, mean over the last tenth of the steps."""
    seconds: float


def build_base(
    rows: Sequence[Row],
    folder: Path,
    *,
    vocabulary: int = 1024,
    hidden: int = 128,
    layers: int = 2,
    heads: int = 4,
    length: int = 256,
    steps: int = 250,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    seed: int = 0,
    on_progress: Progress = silent,
) -> BaseReport:
    """Train a tokenizer and a language model on the rows, all tokens counting alike, and save both.

    Args:
        rows: plain texts and conversations.
        folder: where the model goes; a path that `Trainer` and `LocalModel` take as base model.
        vocabulary: tokens of the tokenizer, at most; little text gives fewer.
        hidden: width of the model; divisible by `heads`.
        layers: depth of the model.
        heads: attention heads of a layer.
        length: tokens of a training window, and the longest text the model reads; a longer row is cut into several.
        steps: optimizer steps.
        batch_size: windows a step.
        learning_rate: the peak of the one-cycle schedule.
        seed: same rows, settings and seed give the same model on the same kind of machine.
        on_progress: called after each step.

    Raises:
        NotEnoughData: there are no rows.
        TrainingDiverged: the loss stopped being a number.
    """
    if not rows:
        raise NotEnoughData("a base model needs text, found 0 rows; import or capture interactions first")
    started = time.perf_counter()
    on_progress(0, steps, "training the tokenizer")
    tokenizer = train_tokenizer(rows, vocabulary, length)
    windows = [
        ids[start : start + length]
        for ids in encode_texts(tokenizer, [_text(tokenizer, row) for row in rows])
        for start in range(0, len(ids), length)
        if len(ids) - start > 1
    ]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(_config(tokenizer, hidden, layers, heads, length))
        losses = _fit(model, windows, steps, batch_size, learning_rate, seed, on_progress)
    folder.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    edge = max(1, len(losses) // 10)
    return BaseReport(
        folder=folder,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary=len(tokenizer),
        tokens=sum(len(window) for window in windows),
        steps=steps,
        first_loss=sum(losses[:edge]) / edge,
        final_loss=sum(losses[-edge:]) / edge,
        seconds=time.perf_counter() - started,
    )


def train_tokenizer(rows: Sequence[Row], vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer over the rows: any text has tokens, digits are single, roles and tool calls have marks."""
    tokenizer = Tokenizer(models.BPE())
    splits = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,  # pyright: ignore[reportCallIssue]
        special_tokens=list(SPECIAL_TOKENS),  # pyright: ignore[reportCallIssue]
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # pyright: ignore[reportCallIssue]
        show_progress=False,  # pyright: ignore[reportCallIssue]
    )
    tokenizer.train_from_iterator((_words(row) for row in rows), trainer)
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in CALL_MARKS])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[token for token in SPECIAL_TOKENS if token not in {PAD, END}],
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def _words(row: Row) -> str:
    """The row's text without role marks, with tool calls written as the model will write them."""
    if isinstance(row, str):
        return row
    lines: list[str] = []
    for message in map(as_template_message, row):
        lines.append(message["content"])
        lines += [json.dumps(call["function"], ensure_ascii=False) for call in message.get("tool_calls", ())]
    return "\n".join(lines)


def _text(tokenizer: PreTrainedTokenizerFast, row: Row) -> str:
    return row + END if isinstance(row, str) else render(tokenizer, row, answer_next=False)


def _config(tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int, heads: int, context: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        # 8/3 of the width, in steps of 16: what Llama uses beside its gated activation.
        intermediate_size=round(hidden * 8 / 3 / 16) * 16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.get_vocab()[PAD],
        bos_token_id=None,
        eos_token_id=tokenizer.get_vocab()[END],
    )


def _fit(
    model: LlamaForCausalLM,
    windows: Sequence[Sequence[int]],
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    on_progress: Progress,
) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    # OneCycleLR divides by the length of its warm-up, which must not round to nothing.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=max(steps, 2), pct_start=max(0.1, 2 / max(steps, 2)), cycle_momentum=False
    )
    order = torch.Generator().manual_seed(seed)
    queue: list[int] = []
    losses: list[float] = []
    model.train()
    for step in range(steps):
        while len(queue) < batch_size:
            queue += torch.randperm(len(windows), generator=order).tolist()
        chosen, queue = [windows[n] for n in queue[:batch_size]], queue[batch_size:]
        loss = _loss(model, chosen)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise TrainingDiverged(f"the base model's loss was {losses[-1]} at step {step}; lower the learning rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        on_progress(step + 1, steps, f"base model, loss {losses[-1]:.2f}")
    return losses


def _loss(model: LlamaForCausalLM, windows: Sequence[Sequence[int]]) -> torch.Tensor:
    width = max(len(window) for window in windows)
    ids = torch.tensor([[*window, *[0] * (width - len(window))] for window in windows])
    mask = torch.tensor([[1] * len(window) + [0] * (width - len(window)) for window in windows])
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    targets = ids[:, 1:].masked_fill(mask[:, 1:] == 0, IGNORED)
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED)
