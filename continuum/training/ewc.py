"""Elastic weight consolidation on the merged weight of a LoRA adapter (Kirkpatrick et al. 2017, eq. 3).

The penalty is lambda/2 * sum_ij F_ij (dW - dW*)_ij^2 with dW = s B A, s = alpha/r, and dW* the adapter that training started
from. It depends on the product BA alone, so it is the same however B and A share it. F is kept as row sums R and column sums C,
F_ij ~ R_i C_j / S with S = sum R (the rank-one form of Adafactor, Shazeer and Stern 2018).

As dW - dW* = s ((B - B*) A + B* (A - A*)) = s U V with U = [B - B*, B*] and V = [A; A - A*], the sum is
s^2 tr((U^T diag(R) U)(V diag(C) V^T)) / S: two matrices of 2r x 2r for each layer, and never one of the size of the weight.
What is subtracted are the factors and not their squares, so that it is exact near the anchor, and 0 at it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from continuum.errors import ConfigurationError, StoreError

EWC_FILE = "ewc.safetensors"
TINY = 1e-30
# What PEFT and those who wrap its model put before or into the names of layers.
WRAPPINGS = ("_orig_mod.", "_checkpoint_wrapped_module.")
PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class LayerFisher:
    """The factored Fisher of one linear layer's weight."""

    rows: torch.Tensor
    """Sums over the inputs, one for each output of the layer."""
    columns: torch.Tensor
    """Sums over the outputs, one for each input of the layer."""

    @property
    def trace(self) -> float:
        """The sum of the whole Fisher diagonal."""
        return float(self.rows.sum())


@dataclass(frozen=True, eq=False)
class Fisher(Mapping[str, LayerFisher]):
    """Layer name to its Fisher, and what it was estimated from."""

    layers: Mapping[str, LayerFisher]
    labels: str = "sampled"
    """`sampled` from the model or `observed` in the data; `mixed` where turns differ."""
    samples: int = 0
    """Examples that it was estimated on, over all turns."""
    decay: float = 1.0
    """Share that the last turn kept of those before."""
    turns: int = 1

    def __getitem__(self, name: str) -> LayerFisher:
        return self.layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def trace(self) -> float:
        """Over all layers."""
        return sum(layer.trace for layer in self.layers.values())


@dataclass(frozen=True)
class Factors:
    """The adapter of one layer as live parameters: dW = scale * b @ a, b of d_out x r and a of r x d_in."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float


@dataclass(frozen=True)
class Displacement:
    """How far an adapter is from its anchor; scalars on the adapter's device, so that reading neither makes a GPU wait."""

    penalty: torch.Tensor
    """With its gradient: what is added to the loss."""
    l2_distance: torch.Tensor
    """sum (dW - dW*)^2 over all held layers, without a gradient: what a plain L2 anchor would see."""


def lora_layers(model: torch.nn.Module, adapter: str = "default") -> dict[str, LoraLayer]:
    """The layers that the adapter changes, by the name they have in the base model."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and adapter in module.lora_A:
            for wrapping in WRAPPINGS:
                name = name.replace(wrapping, "")
            found[name.rpartition(PEFT_PREFIX)[2]] = module
    return found


def factors(layer: LoraLayer, adapter: str = "default") -> Factors:
    """The two matrices of a layer's adapter and the scale of their product."""
    a, b = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
    return Factors(a, b, float(layer.scaling[adapter]))  # pyright: ignore[reportArgumentType]


def accumulate(old: Fisher | None, new: Fisher, decay: float = 1.0) -> Fisher:
    """Online EWC: decay * old + new, so that what mattered to earlier turns goes on mattering (Schwarz et al. 2018, eq. 9).

    Args:
        old: of the turns before; None, or empty, where there were none.
        new: of this turn.
        decay: gamma, in (0, 1]: with 1 every turn counts alike.
    """
    if not old:
        return new
    layers = {name: LayerFisher(decay * layer.rows, decay * layer.columns) for name, layer in old.items()}
    for name, layer in new.items():
        kept = layers.get(name)
        rows, columns = layer.rows, layer.columns
        layers[name] = LayerFisher(kept.rows.to(rows) + rows, kept.columns.to(columns) + columns) if kept else layer
    labels = new.labels if new.labels == old.labels else "mixed"
    return Fisher(layers, labels, old.samples + new.samples, decay, old.turns + 1)


def save_fisher(fisher: Fisher, folder: Path) -> None:
    """Write the Fisher and what it was estimated from beside the adapter, which is the anchor; the file is whole or absent."""
    tensors = {f"{name}.rows": layer.rows for name, layer in fisher.items()}
    tensors |= {f"{name}.columns": layer.columns for name, layer in fisher.items()}
    about = {"labels": fisher.labels, "samples": fisher.samples, "decay": fisher.decay, "turns": fisher.turns}
    unfinished = folder / f"{EWC_FILE}.part"
    # One entry: safetensors writes several in an order of its own, and the same Fisher shall make the same file.
    metadata = {"fisher": json.dumps(about, sort_keys=True)}
    save_file({name: tensor.cpu().contiguous() for name, tensor in sorted(tensors.items())}, unfinished, metadata)
    unfinished.replace(folder / EWC_FILE)


def load_fisher(folder: Path) -> Fisher | None:
    """The Fisher that `save_fisher` left; None where there is none.

    Raises:
        StoreError: the file holds something else.
    """
    path = folder / EWC_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("fisher", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        names = sorted(name.removesuffix(".rows") for name in tensors if name.endswith(".rows"))
        layers = {name: LayerFisher(tensors[f"{name}.rows"], tensors[f"{name}.columns"]) for name in names}
        fisher = Fisher(layers, **about)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _no_fisher(path, str(error)) from error
    sums = [tensor for layer in layers.values() for tensor in (layer.rows, layer.columns)]
    if not all(tensor.ndim == 1 and bool((tensor >= 0).all()) and bool(tensor.isfinite().all()) for tensor in sums):
        raise _no_fisher(path, "it holds other numbers than sums of squares")
    return fisher


class EWCPenalty:
    """The penalty on an adapter's distance from where it stands now, which becomes the anchor.

    Calling it gives the penalty; `displacement` gives the plain distance beside it at little cost. It computes in float32
    whatever the parameters' precision and under autocast, and each layer may be on a device of its own. Under DDP it is the same
    in every process; the shards of FSDP2 are gathered, so every process must make it, and call it, together with the others.

    Args:
        layers: the layers of the adapter being trained; those without a Fisher are left free.
        fisher: what the old data need, layer by layer.
        strength: lambda; the Fisher's scale is that of `training/fisher.py`.
        kind: `ewc`, or `l2` for the mean of the Fisher over all held weights in place of each one's own.
        adapter: PEFT's name of the adapter.

    Raises:
        ConfigurationError: the Fisher is of layers of another shape.
    """

    def __init__(
        self,
        layers: Mapping[str, LoraLayer],
        fisher: Mapping[str, LayerFisher],
        strength: float,
        *,
        kind: Literal["ewc", "l2"] = "ewc",
        adapter: str = "default",
    ) -> None:
        self.strength, self.kind = strength, kind
        by_shape: dict[tuple[object, ...], list[_Held]] = defaultdict(list)
        trace, weights = 0.0, 0
        for name, layer in layers.items():
            if name in fisher:
                held = _Held(layer, adapter, fisher[name])
                live = held.live
                _require_same_shape(name, live, fisher[name])
                by_shape[live.a.shape, live.b.shape, live.scale, live.a.device].append(held)
                trace += fisher[name].trace
                weights += live.b.shape[0] * live.a.shape[1]
        self._groups = [_Group(members) for members in by_shape.values()]
        self._mean = trace / max(weights, 1)

    def __call__(self) -> torch.Tensor:
        """The penalty of the adapter as it is now: exactly 0 at the anchor."""
        return self.displacement().penalty

    def displacement(self) -> Displacement:
        """The penalty and the plain distance, of one computation."""
        if not self._groups:
            return Displacement(torch.zeros(()), torch.zeros(()))
        weighted, plain = [], []
        for group in self._groups:
            moved = group.moved()
            if self.kind == "ewc":
                weighted.append(group.weighted(*moved))
                with torch.no_grad():
                    plain.append(group.plain(*moved))
            else:
                plain.append(group.plain(*moved))
        distance = _total(plain)
        needed = _total(weighted) if self.kind == "ewc" else self._mean * distance
        return Displacement(self.strength / 2 * needed, distance.detach())

    @torch.no_grad()
    def l2_distance(self) -> float:
        """sum (dW - dW*)^2 over all held layers, whatever the kind."""
        return float(self.displacement().l2_distance)


@dataclass(frozen=True)
class _Held:
    layer: LoraLayer
    adapter: str
    fisher: LayerFisher

    @property
    def live(self) -> Factors:
        # Asked for at each use: those who shard a model put other parameters in place of those that it had.
        return factors(self.layer, self.adapter)


class _Group:
    """Layers of one shape on one device, so that one batched product serves them all."""

    def __init__(self, members: Sequence[_Held]) -> None:
        self._members = members
        with torch.no_grad():
            self._anchor_a, self._anchor_b = (factor.clone() for factor in self._factors())
        device = self._anchor_a.device
        rows = torch.stack([held.fisher.rows.float() for held in members]).to(device)
        columns = torch.stack([held.fisher.columns.float() for held in members]).to(device)
        self._rows = rows.unsqueeze(2)
        # Divided here, so that no product of three small numbers is ever taken.
        self._columns = (columns / rows.sum(1, keepdim=True).clamp(min=TINY)).unsqueeze(1)
        self._square = members[0].live.scale ** 2

    def moved(self) -> tuple[torch.Tensor, torch.Tensor]:
        """U and V, without the scale."""
        a, b = self._factors()
        if a.device != self._anchor_a.device:
            for name in ("_anchor_a", "_anchor_b", "_rows", "_columns"):
                setattr(self, name, getattr(self, name).to(a.device))
        return torch.cat([b - self._anchor_b, self._anchor_b], dim=2), torch.cat([a, a - self._anchor_a], dim=1)

    def weighted(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self._traced(u, self._rows * u, v, self._columns * v)

    def plain(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self._traced(u, u, v, v)

    def _traced(self, u: torch.Tensor, weighted_u: torch.Tensor, v: torch.Tensor, weighted_v: torch.Tensor) -> torch.Tensor:
        # Mixed precision covers whoever adds to the loss, and would round these to three digits.
        with torch.autocast(u.device.type, enabled=False):
            left, right = u.mT @ weighted_u, weighted_v @ v.mT
        # Both are symmetric, so the trace of their product is the sum of their elementwise product.
        return self._square * (left * right).sum()

    def _factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        live = [held.live for held in self._members]
        return torch.stack([_whole(layer.a).float() for layer in live]), torch.stack([_whole(layer.b).float() for layer in live])


def _require_same_shape(name: str, live: Factors, fisher: LayerFisher) -> None:
    found, needed = (len(fisher.rows), len(fisher.columns)), (live.b.shape[0], live.a.shape[1])
    if found != needed:
        raise ConfigurationError(
            f"the Fisher of {name} is of {found[0]} x {found[1]} weights and the layer has {needed[0]} x {needed[1]}; "
            "continue the adapter on the base model that it was trained on"
        )


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """A parameter that FSDP2 shards is gathered, and its gradient goes back to the shards."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _total(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([part.to(parts[0].device) for part in parts]).sum()


def _no_fisher(path: Path, why: str) -> StoreError:
    return StoreError(f"{path} cannot be read as a Fisher ({why}); train the parent again or continue an earlier version")
