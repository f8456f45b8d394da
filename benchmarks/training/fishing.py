"""The Fisher by hooks beside the loop that gives each row a backward pass of its own: the same numbers, and at what cost.

Weights are random and rows are made up: neither changes how long a product takes. The loop is as lean as it can be: no padding,
no gradients but those of the weights in question, and the same labels.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.claims import Entry, Result, Setting, table
from continuum.models.chat_format import IGNORED, EncodedTurn
from continuum.models.local import padded, quiet_peft
from continuum.training.ewc import Fisher, LayerFisher, factors, lora_layers
from continuum.training.fisher import estimate_fisher, loss_gradient

GOAL = 0.65
QUICK_ROWS = 32


@dataclass(frozen=True)
class Size:
    """Of a model, and of the rows that it is given."""

    name: str
    hidden: int
    layers: int
    vocabulary: int
    rows: int
    batch: int
    longest: int = 60
    rank: int = 16


SMALL = Size("the size of the demo's base", 128, 4, 768, 64, 16)
LARGER = (Size("twice as wide", 256, 4, 1000, 32, 16), Size("eight times as wide", 1024, 3, 2000, 16, 8))


def measure(setting: Setting) -> Result:
    """Both ways in turns, several times; the median of the ratios, with an interval."""
    torch.set_num_threads(1)
    shown = table("The Fisher of every adapted layer, CPU time", "model", "parameters", "rows", "hooks", "loop", "ratio", "95%")
    entries = []
    for size in (SMALL,) if setting.quick else (SMALL, *LARGER):
        setting.say(f"fishing: {size.name}")
        model, rows = adapted(size, setting.seed), made_up_rows(size, setting.seed)[: QUICK_ROWS if setting.quick else None]
        ours, theirs = in_turns(
            lambda model=model, rows=rows, size=size: by_hooks(model, rows, size.batch),
            lambda model=model, rows=rows: one_by_one(model, rows),
            3 if setting.quick else 9,
        )
        ratio, (low, high) = median_ratio(ours, theirs, setting.seed)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        times = (f"{statistics.median(seconds):.3f} s" for seconds in (ours, theirs))
        shown.add_row(size.name, f"{parameters:,}", str(len(rows)), *times, f"{ratio:.3f}", f"{low:.3f} to {high:.3f}")
        if size is SMALL:
            claim = f"time of the Fisher by hooks, {parameters:,} parameters, against a loop over single rows"
            entries.append(Entry.of_ratio(claim, ratio, 1.0, GOAL))
    notes = ["Ours is the median of the ratios of neighbouring runs; the peer's 1 is the loop."]
    if not setting.quick:
        notes.append(
            "On wide models, longer rows and a quiet machine the ratio rises towards 2/3 and over: the two passes that both ways "
            "need are two thirds of the loop's multiplications."
        )
    return Result(entries, shown, notes)


def adapted(size: Size, seed: int) -> PeftModel:
    """A model of random weights with an adapter that has moved."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=8 * size.hidden // 3 // 8 * 8,
        num_hidden_layers=size.layers,
        num_attention_heads=max(2, size.hidden // 64),
        num_key_value_heads=max(2, size.hidden // 64),
        tie_word_embeddings=True,
    )
    lora = LoraConfig(r=size.rank, lora_alpha=2 * size.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with quiet_peft():
        model = get_peft_model(LlamaForCausalLM(config), lora)
    assert isinstance(model, PeftModel)
    move(model, 0.02)
    return model


@torch.no_grad()
def move(model: torch.nn.Module, by: float) -> None:
    """Push every factor of the adapter at random."""
    for layer in lora_layers(model).values():
        live = factors(layer)
        for factor in (live.a, live.b):
            factor.add_(by * torch.randn_like(factor))


def made_up_rows(size: Size, seed: int) -> list[EncodedTurn]:
    """Rows whose second half is the answer."""
    rng, rows = random.Random(seed), []
    for _ in range(size.rows):
        ids = [rng.randrange(size.vocabulary) for _ in range(rng.randint(size.longest // 3, size.longest))]
        rows.append(EncodedTurn(ids, [IGNORED] * (len(ids) // 2) + ids[len(ids) // 2 :]))
    return rows


def by_hooks(model: PeftModel, rows: Sequence[EncodedTurn], batch: int) -> Fisher:
    """Ours."""
    return estimate_fisher(model, lora_layers(model), rows, pad=0, seed=0, batch_size=batch)


def one_by_one(model: PeftModel, rows: Sequence[EncodedTurn]) -> dict[str, LayerFisher]:
    """The reference: each row alone, the weights' own gradients squared."""
    layers = lora_layers(model.eval())
    asked = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.requires_grad_(False)
    weights = {name: layer.base_layer.weight.requires_grad_() for name, layer in layers.items()}
    sums = {name: (torch.zeros(len(weight)), torch.zeros(weight.shape[1])) for name, weight in weights.items()}
    for n, row in enumerate(rows):
        ids, mask, answers = padded([row], 0, torch.device("cpu"))
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        logits.backward(loss_gradient(logits.detach(), answers[:, 1:], [np.random.default_rng((0, n))]))
        for name, weight in weights.items():
            square = weight.grad.square_()
            sums[name][0].add_(square.sum(1))
            sums[name][1].add_(square.sum(0))
            weight.grad = None
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(asked[name])
    return {name: LayerFisher(of_rows / len(rows), of_columns / len(rows)) for name, (of_rows, of_columns) in sums.items()}


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each, one after the other so that both meet the same machine; the first run of each does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for call, spent in zip((ours, theirs), seconds, strict=True):
            begun = time.process_time()
            call()
            if repeat:
                spent.append(time.process_time() - begun)
    return seconds


def median_ratio(ours: Sequence[float], theirs: Sequence[float], seed: int) -> tuple[float, tuple[float, float]]:
    """The median of the ratios of neighbours, and its 95% interval by resampling."""
    ratios = np.asarray(ours) / np.asarray(theirs)
    drawn = np.random.default_rng(seed).choice(ratios, (4000, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(np.median(ratios)), (float(low), float(high))
