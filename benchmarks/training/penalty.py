"""The penalty and the Fisher against the plain way of computing them: in full, in double precision, a row at a time.

The full-matrix form squares the change of the whole weight and weighs each entry, as published code for EWC on LoRA does.
"""

import random
import statistics
from collections.abc import Callable, Iterator

import torch
from peft import LoraConfig, get_peft_model

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.training.fishing import SMALL, Size, adapted, by_hooks, in_turns, made_up_rows, move, one_by_one
from continuum.training.ewc import EWCPenalty, Factors, LayerFisher, factors, lora_layers

EXACT = 1e-5
WIDTH, RANK = 4096, 16
COST = 1 / 50
STRENGTH = 1000.0
MOVES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def measure(setting: Setting) -> Result:
    """How far from the reference, then how much cheaper."""
    torch.set_num_threads(1)
    setting.say("penalty: against the full matrix in double precision")
    shown = table("Relative difference from the reference", "what", "compared", "largest")
    draws = 5 if setting.quick else 40
    worst = dict.fromkeys(MOVES, (0.0, 0.0, 0.0))
    for draw in range(draws):
        for moved, found in differences(setting.seed * 1000 + draw):
            worst[moved] = (max(worst[moved][0], found[0]), max(worst[moved][1], found[1]), max(worst[moved][2], found[2]))
    for moved, (value, slope, plain) in worst.items():
        shown.add_row(f"penalty, factors moved by {moved:g}", f"{draws} draws", f"{value:.1e}")
        shown.add_row("  its gradient, plain distance", "", f"{slope:.1e}, {plain:.1e}")
    setting.say("penalty: the Fisher against single rows")
    size = Size("", 64, 2, 300, 12, 5) if setting.quick else SMALL
    fisher = fisher_difference(size, setting.seed)
    shown.add_row("Fisher, each row and column sum", f"{size.rows} rows in batches of {size.batch}", f"{fisher:.1e}")
    setting.say("penalty: what it costs")
    ours, theirs = in_turns(*both_forms(setting.seed), 2 if setting.quick else 9)
    cost, full = statistics.median(ours), statistics.median(theirs)
    shown.add_row(f"cost at {WIDTH} x {WIDTH}, rank {RANK}", "forward and backward", f"{1000 * cost:.1f} of {1000 * full:.0f} ms")
    value, slope, plain = (max(found) for found in zip(*worst.values(), strict=True))
    entries = [
        Entry.of_value("Gram penalty from the full matrix in float64, factors moved by 1e-7 to 1", value, "<=", EXACT),
        Entry.of_value("gradient of the Gram penalty, likewise", slope, "<=", EXACT),
        Entry.of_value("plain L2 distance by Gram matrices, likewise", plain, "<=", EXACT),
        Entry.of_value("largest of the penalty and its gradient at the anchor", at_anchor(setting.seed), "==", 0),
        Entry.of_value("Fisher by hooks from a loop over single rows, each entry", fisher, "<=", EXACT),
        Entry.of_ratio(f"CPU time of the penalty at {WIDTH} x {WIDTH}, rank {RANK}, against the full matrix", cost, full, COST),
    ]
    return Result(entries, shown)


def adapted_linear(height: int, width: int, rank: int, seed: int) -> torch.nn.Module:
    """One linear layer with an adapter that has moved from nothing."""
    torch.manual_seed(seed)
    layer = torch.nn.Sequential(torch.nn.Linear(width, height, bias=False))
    model = get_peft_model(layer, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["0"]))  # pyright: ignore[reportArgumentType]
    move(model, 0.05)
    return model


def a_fisher(live: Factors, seed: int) -> LayerFisher:
    """Sums that differ by orders of magnitude, as measured ones do."""
    rng = torch.Generator().manual_seed(seed)
    rows, columns = (torch.rand(n, generator=rng).mul(-9).exp() for n in (len(live.b), live.a.shape[1]))
    return LayerFisher(1e-4 * rows, 1e-4 * columns * rows.sum() / columns.sum())


def differences(seed: int) -> Iterator[tuple[float, tuple[float, float, float]]]:
    """For each distance from the anchor: by how much the penalty, its gradient and the plain distance are off."""
    rng = random.Random(seed)
    model = adapted_linear(rng.randint(20, 400), rng.randint(20, 400), rng.randint(1, 16), seed)
    layers = lora_layers(model)
    name, layer = next(iter(layers.items()))
    fisher = a_fisher(factors(layer), seed)
    for moved in MOVES:
        anchor = double(factors(layer)).detach()
        penalty = EWCPenalty(layers, {name: fisher}, STRENGTH)
        move(model, moved)
        live = factors(layer)
        found, change = penalty.displacement(), double(live) - anchor
        expected = STRENGTH / 2 * (entries_of(fisher) * change**2).sum()
        slopes = [torch.autograd.grad(value, (live.a, live.b)) for value in (found.penalty, expected)]
        off = max(float((one - other).norm() / other.norm()) for one, other in zip(*slopes, strict=True))
        yield moved, (relative(found.penalty, expected), off, relative(found.l2_distance, (change**2).sum()))


def at_anchor(seed: int) -> float:
    """How much is pulled where nothing has moved."""
    model = adapted_linear(100, 80, 8, seed)
    layers = lora_layers(model)
    name, layer = next(iter(layers.items()))
    live = factors(layer)
    value = EWCPenalty(layers, {name: a_fisher(live, seed)}, STRENGTH)()
    return max(float(found.detach().abs().max()) for found in (value, *torch.autograd.grad(value, (live.a, live.b))))


def double(live: Factors) -> torch.Tensor:
    """The change of the weight, in full and in double precision."""
    return live.scale * (live.b.double() @ live.a.double())


def entries_of(fisher: LayerFisher) -> torch.Tensor:
    """The Fisher of every entry of the weight."""
    return torch.outer(fisher.rows.double(), fisher.columns.double()) / fisher.rows.double().sum()


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """By how much a number is off."""
    return float(((found.double() - expected).abs() / expected.abs()).detach())


def fisher_difference(size: Size, seed: int) -> float:
    """The largest relative difference of any row or column sum."""
    model, rows = adapted(size, seed), made_up_rows(size, seed)
    found, expected = by_hooks(model, rows, size.batch), one_by_one(model, rows)
    return max(
        float(((one - other).abs() / other).max())
        for name, layer in expected.items()
        for one, other in ((found[name].rows, layer.rows), (found[name].columns, layer.columns))
    )


def both_forms(seed: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Forward and backward of the penalty on one wide layer, ours and over the whole matrix."""
    model = adapted_linear(WIDTH, WIDTH, RANK, seed)
    layers = lora_layers(model)
    name, layer = next(iter(layers.items()))
    live = factors(layer)
    fisher = a_fisher(live, seed)
    penalty = EWCPenalty(layers, {name: fisher}, STRENGTH)
    whole, anchor = entries_of(fisher).float(), (live.scale * (live.b @ live.a)).detach()
    move(model, 0.01)

    def gram() -> None:
        torch.autograd.grad(penalty(), (live.a, live.b))

    def full() -> None:
        change = live.scale * (live.b @ live.a) - anchor
        torch.autograd.grad(STRENGTH / 2 * (whole * change**2).sum(), (live.a, live.b))

    return gram, full
