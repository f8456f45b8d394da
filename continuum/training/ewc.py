"""Elastic weight consolidation on the merged weight of a LoRA adapter (Kirkpatrick et al. 2017, eq. 3).

The penalty is lambda/2 * sum_ij F_ij (dW - dW*)_ij^2 with dW = s B A, s = alpha/r, and dW* the adapter that training started
from. It depends on the product BA alone, so it is the same however B and A share it. F is kept as row sums R and column sums C,
F_ij ~ R_i C_j / S with S = sum R (the rank-one form of Adafactor, Shazeer and Stern 2018). With U = s[B, -B*] and V = [A; A*] the
sum is tr((U^T diag(R) U)(V diag(C) V^T)) / S: two matrices of 2r x 2r for each layer, and never one of the size of the weight.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

EWC_FILE = "ewc.safetensors"
TINY = 1e-30


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


Fisher = Mapping[str, LayerFisher]
"""Layer name to its Fisher."""


@dataclass(frozen=True)
class Factors:
    """The adapter of one layer as live parameters: dW = scale * b @ a."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float


def lora_layers(model: torch.nn.Module, adapter: str = "default") -> dict[str, LoraLayer]:
    """The layers that the adapter changes, by the name they have in the base model."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and adapter in module.lora_A:
            found[name.removeprefix("base_model.model.")] = module
    return found


def factors(layer: LoraLayer, adapter: str = "default") -> Factors:
    """The two matrices of a layer's adapter and the scale of their product."""
    a, b = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
    return Factors(a, b, float(layer.scaling[adapter]))  # pyright: ignore[reportArgumentType]


def accumulate(old: Fisher | None, new: Fisher) -> dict[str, LayerFisher]:
    """Online EWC with gamma = 1: what mattered to any earlier turn goes on mattering (Schwarz et al. 2018, eq. 9)."""
    if not old:
        return dict(new)
    return {
        name: LayerFisher(old[name].rows + layer.rows, old[name].columns + layer.columns) if name in old else layer
        for name, layer in new.items()
    }


def save_fisher(fisher: Fisher, folder: Path) -> None:
    """Write the Fisher beside the adapter; the anchor is the adapter itself."""
    tensors = {f"{name}.rows": layer.rows for name, layer in fisher.items()}
    tensors |= {f"{name}.columns": layer.columns for name, layer in fisher.items()}
    save_file({name: tensor.cpu().contiguous() for name, tensor in sorted(tensors.items())}, folder / EWC_FILE)


def load_fisher(folder: Path) -> dict[str, LayerFisher] | None:
    """The Fisher that `save_fisher` left; None where there is none."""
    if not (folder / EWC_FILE).is_file():
        return None
    tensors = load_file(folder / EWC_FILE)
    names = sorted(name.removesuffix(".rows") for name in tensors if name.endswith(".rows"))
    return {name: LayerFisher(tensors[f"{name}.rows"], tensors[f"{name}.columns"]) for name in names}


class EWCPenalty:
    """The penalty on an adapter's distance from where it stands now, which becomes the anchor.

    Args:
        layers: the layers of the adapter being trained; those without a Fisher are left free.
        fisher: what the old data need, layer by layer.
        strength: lambda; the Fisher's scale is that of `training/fisher.py`.
        adapter: PEFT's name of the adapter.
    """

    def __init__(self, layers: Mapping[str, LoraLayer], fisher: Fisher, strength: float, adapter: str = "default") -> None:
        self.strength = strength
        by_shape: dict[tuple[torch.Size, torch.Size, float], list[tuple[Factors, LayerFisher]]] = defaultdict(list)
        for name, layer in layers.items():
            if name in fisher:
                live = factors(layer, adapter)
                by_shape[live.a.shape, live.b.shape, live.scale].append((live, fisher[name]))
        self._groups = [_Group(members) for members in by_shape.values()]

    def __call__(self) -> torch.Tensor:
        """The penalty of the adapter as it is now: zero at the anchor, never negative but for rounding."""
        if not self._groups:
            return torch.zeros(())
        return self.strength / 2 * torch.stack([group.distance() for group in self._groups]).sum()


class _Group:
    """Layers of one shape, so that one batched product serves them all."""

    def __init__(self, members: list[tuple[Factors, LayerFisher]]) -> None:
        self._live = [live for live, _ in members]
        device = members[0][0].a.device
        self._rows = torch.stack([fisher.rows for _, fisher in members]).to(device).unsqueeze(2)
        self._columns = torch.stack([fisher.columns for _, fisher in members]).to(device).unsqueeze(1)
        self._total = self._rows.sum((1, 2)).clamp(min=TINY)
        self._anchor_a = torch.stack([live.a.detach().float().clone() for live in self._live])
        self._anchor_b = torch.stack([live.b.detach().float().clone() for live in self._live])
        self._scale = members[0][0].scale

    def distance(self) -> torch.Tensor:
        a = torch.stack([live.a for live in self._live]).float()
        b = torch.stack([live.b for live in self._live]).float()
        u = self._scale * torch.cat([b, -self._anchor_b], dim=2)
        v = torch.cat([a, self._anchor_a], dim=1)
        left = u.transpose(1, 2) @ (self._rows * u)
        right = (v * self._columns) @ v.transpose(1, 2)
        # Both are symmetric, so the trace of their product is the sum of their elementwise product.
        return ((left * right).sum((1, 2)) / self._total).sum()
