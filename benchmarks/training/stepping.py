"""What the penalty adds to an optimizer step on a base of real width: forward, backward, penalty, clipping, AdamW.

The weights are random, which changes nothing of how long a product takes. Steps with and without the penalty take turns, on the
GPU where there is one and else on one core. Every adapted layer is held, and the plain distance is taken beside the penalty, as
in training.
"""

import statistics
import time
from collections.abc import Callable

import torch
from peft import PeftModel

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.training.fishing import Size, adapted, made_up_rows, median_ratio
from continuum.models.local import padded
from continuum.training.ewc import EWCPenalty, LayerFisher, factors, lora_layers

GOAL = 1.05
FULL = Size("full", hidden=768, layers=12, vocabulary=32000, rows=8, batch=8, longest=64)
QUICK = Size("quick", hidden=256, layers=4, vocabulary=2000, rows=8, batch=8, longest=64)


def measure(setting: Setting) -> Result:
    """The median step with the penalty over the median step without."""
    torch.set_num_threads(1)
    size = QUICK if setting.quick else FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = torch.cuda.get_device_name() if device.type == "cuda" else "one core of a CPU, CPU time"
    setting.say(f"stepping: building the base, {where}")
    model = adapted(size, setting.seed).to(device).train()
    if device.type == "cuda":
        model = model.to(torch.bfloat16)
    step, clock = stepper(model, size, setting.seed), clock_of(device)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    repeats = 3 if setting.quick else 10
    for repeat in range(repeats + 1):
        # Who goes first changes, so that neither always meets the warmer cache.
        for held in (True, False) if repeat % 2 else (False, True):
            begun = clock()
            step(held)
            if repeat:
                seconds[held].append(clock() - begun)
        setting.say(f"stepping: {repeat} of {repeats} pairs of steps")
    ours, theirs = (statistics.median(seconds[held]) for held in (True, False))
    _, (low, high) = median_ratio(seconds[True], seconds[False], setting.seed)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    shown = table(
        f"Seconds of an optimizer step, {where}", "parameters", "held layers", "with EWC", "without", "ratio", "95% of pairs"
    )
    cells = (f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.4f}", f"{low:.4f} to {high:.4f}")
    shown.add_row(f"{parameters:,}", str(len(lora_layers(model))), *cells)
    claim = f"step time with EWC over without, {parameters / 1e6:.0f} million parameters, {where}"
    entry = Entry.of_ratio(claim, ours, theirs, GOAL)
    if setting.quick:
        entry = Entry(claim, entry.ours, entry.peer, entry.ratio, f"stated: {GOAL} is the goal from 100 million on", None)
    return Result(
        [entry], shown, [f"{repeats} pairs of steps of {size.rows} rows of up to {size.longest} tokens, rank {size.rank}."]
    )


def stepper(model: PeftModel, size: Size, seed: int) -> Callable[[bool], None]:
    """One optimizer step on a batch, with or without the penalty."""
    layers = lora_layers(model)
    device = next(model.parameters()).device
    penalty = EWCPenalty(layers, {name: alike(factors(layer).b, factors(layer).a) for name, layer in layers.items()}, 1000)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    ids, mask, labels = padded(made_up_rows(size, seed), 0, device)

    def step(held: bool) -> None:
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        if held:
            loss = loss + penalty.displacement().penalty
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def alike(b: torch.Tensor, a: torch.Tensor) -> LayerFisher:
    """A Fisher of one layer, for what it costs and not for what it says."""
    rows, columns = torch.ones(b.shape[0]), torch.ones(a.shape[1])
    return LayerFisher(rows / rows.numel(), columns / columns.numel())


def clock_of(device: torch.device) -> Callable[[], float]:
    """CPU seconds of this process, which others on the machine do not disturb; on a GPU the time until it is done."""
    if device.type != "cuda":
        return time.process_time

    def finished() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return finished
