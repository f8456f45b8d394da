"""The diagonal Fisher information of the merged weights, in factored form, at labels drawn from the model itself.

F is the mean over examples of the squared gradient of the example's mean token loss, at the answer's positions. The labels are
sampled from the model's own distribution: at the labels of the data (the empirical Fisher) it fades by two orders of magnitude as
training converges, and a fixed lambda would mean something else each turn (Kunstner et al. 2019 on why the two differ).

The square is of each example's own gradient. The square of a batch's mean gradient, which is what a loop over batches gives, is
smaller by about the size of the batch and is not the Fisher.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from peft.tuners.lora import LoraLayer
from torch.distributed.tensor import DTensor
from transformers.modeling_layers import GradientCheckpointingLayer

from continuum.errors import ConfigurationError
from continuum.models.chat_format import IGNORED, EncodedTurn
from continuum.models.local import padded
from continuum.progress import Progress, silent
from continuum.training.ewc import Fisher, LayerFisher

Labels = Literal["sampled", "observed"]
BLOCK = 1 << 22
"""Numbers of a gradient that are looked at together, at most: a large layer's whole gradient is never built."""


def estimate_fisher(
    model: torch.nn.Module,
    layers: Mapping[str, LoraLayer],
    rows: Sequence[EncodedTurn],
    *,
    pad: int,
    seed: int,
    labels: Labels = "sampled",
    batch_size: int = 16,
    on_progress: Progress = silent,
) -> Fisher:
    """The Fisher of each layer's weight over the rows.

    Where several processes train together, each must call this with the same rows; they share the passes and get one result.

    Args:
        model: the model with the adapter attached; it is left in evaluation mode and without gradients.
        layers: the layers to look at, by name.
        rows: conversations with their answers.
        pad: id that fills a batch.
        seed: of the sampled labels; each row's draws depend on it and on the row's place, whatever the batches.
        labels: `observed` takes the answers' own tokens: the empirical Fisher, for comparison.
        batch_size: rows of one pass; the result does not depend on it but for rounding.
        on_progress: called after each batch.

    Raises:
        ConfigurationError: a layer mixes the rows of a batch.
    """
    model.eval()
    device = next(model.parameters()).device
    # Rows of like length stand together, so that little is padded.
    order = sorted(range(len(rows)), key=lambda n: (len(rows[n].input_ids), n))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)
    sums = FisherSums(layers)
    with sums, _frozen(model), _recomputing(model), torch.enable_grad():
        for start in range(0, len(batches), processes):
            # Sharded parameters are gathered by all processes together, so that one without a batch goes along for nothing.
            idle = start + rank >= len(batches)
            batch = batches[start if idle else start + rank]
            chosen = [rows[n] for n in batch]
            ids, mask, answers = padded(chosen, pad, device)
            sums.examples = len(batch)
            logits, answers = _logits(model, ids, mask, answers)
            draws = [np.random.default_rng((seed, n)) for n in batch] if labels == "sampled" else None
            logits.backward(loss_gradient(logits.detach(), answers, draws) * (not idle))
            done = min((start + processes) * batch_size, len(rows))
            on_progress(done, len(rows), "measuring what the model must keep")
    model.zero_grad(set_to_none=True)
    if processes > 1:
        sums.add_up(device)
    return Fisher(sums.mean(len(rows)), labels, len(rows))


def loss_gradient(logits: torch.Tensor, answers: torch.Tensor, draws: Sequence[np.random.Generator] | None) -> torch.Tensor:
    """Gradient, at the logits, of the sum over examples of the mean loss over each example's answer.

    It is a sum over examples, so that what flows back to one example is its own gradient whatever else is in the batch.

    Args:
        logits: examples x tokens x vocabulary.
        answers: examples x tokens: the token that follows, -100 where no loss is taken.
        draws: a generator for each example, to take tokens that the model would say; None for the answer's own.
    """
    gradient = torch.zeros_like(logits)
    for n, answer in enumerate(answers):
        wanted = (answer != IGNORED).nonzero().squeeze(1)
        if not len(wanted):
            continue
        likely = logits[n, wanted].float().softmax(-1)
        said = answer[wanted] if draws is None else drawn(likely, draws[n])
        likely[torch.arange(len(said), device=said.device), said] -= 1
        gradient[n, wanted] = (likely / len(wanted)).to(gradient.dtype)
    return gradient


def drawn(likely: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One token from each row's distribution, by its cumulated shares: the same on every kind of device but for rounding."""
    cumulated = likely.cumsum(-1)
    points = torch.from_numpy(rng.random((len(likely), 1))).to(likely) * cumulated[:, -1:]
    return torch.searchsorted(cumulated, points, right=True).squeeze(1).clamp(max=likely.shape[1] - 1)


def squared_gradients(x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column sums of every example's squared gradient G = g^T x, added up over the examples; float32.

    The row sums are diag(g^T (x x^T) g) and the column sums diag(x^T (g g^T) x): tokens by tokens, which is the cheaper where
    tokens are few beside the layer's width. Elsewhere G itself is looked at, a block at a time.

    Args:
        x: inputs of the layer, examples x tokens x d_in.
        g: gradients at its outputs, examples x tokens x d_out.
    """
    x, g = x.float(), g.float()
    examples, tokens, width = x.shape
    if 2 * tokens * (width + g.shape[2]) < width * g.shape[2]:
        return ((x @ x.mT) @ g * g).sum((0, 1)), ((g @ g.mT) @ x * x).sum((0, 1))
    rows, columns = [], x.new_zeros(width)
    for part in g.split(max(1, BLOCK // (examples * width)), dim=2):
        square = (part.mT @ x).square_()
        rows.append(square.sum((0, 2)))
        columns += square.sum((0, 1))
    return torch.cat(rows), columns


class FisherSums:
    """Hooks that, while in use, add up every example's squared gradient of each layer's merged weight.

    Only a layer's inputs and the gradients at its outputs are looked at, so that its weights may be in four bits.
    """

    examples = 1
    """In the batch under way."""

    def __init__(self, layers: Mapping[str, LoraLayer]) -> None:
        self._layers = layers
        self._rows: dict[str, torch.Tensor] = {}
        self._columns: dict[str, torch.Tensor] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "FisherSums":
        for name, layer in self._layers.items():
            assert isinstance(layer, torch.nn.Module)  # noqa: S101 - PEFT mixes LoraLayer into modules
            self._hooks.append(layer.register_forward_hook(self._watch(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def mean(self, count: int) -> dict[str, LayerFisher]:
        """The Fisher: the sums over `count` examples."""
        return {
            name: LayerFisher((self._rows[name] / count).clamp(min=0), (self._columns[name] / count).clamp(min=0))
            for name in self._layers
            if name in self._rows
        }

    def add_up(self, device: torch.device) -> None:
        """Replace this process's sums by those over all processes."""
        for sums in (self._rows, self._columns):
            names = sorted(sums)
            together = torch.cat([sums[name].to(device) for name in names])
            dist.all_reduce(together)
            parts = together.split([len(sums[name]) for name in names])
            sums.update((name, part.to(sums[name].device)) for name, part in zip(names, parts, strict=True))

    def _watch(self, name: str) -> Callable[..., torch.Tensor]:
        def forward(_layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            if not torch.is_grad_enabled():
                return output
            # Everything below the first adapted layers is frozen: the graph begins here.
            return _Watched.apply(output if output.requires_grad else output.requires_grad_(), inputs[0].detach(), self, name)  # pyright: ignore[reportReturnType]

        return forward

    def take(self, name: str, x: torch.Tensor, g: torch.Tensor) -> None:
        """Add the squared gradients of a batch, from a layer's inputs and the gradients at its outputs."""
        if x.ndim == 2 and self.examples == 1:
            x, g = x.unsqueeze(0), g.unsqueeze(0)
        if x.ndim != 3 or len(x) != self.examples:
            raise ConfigurationError(
                f"layer {name} was given an input of {tuple(x.shape)} for {self.examples} rows, whose gradients cannot be told "
                "apart in it; estimate the Fisher with batch_size=1, or leave the layer out"
            )
        rows, columns = squared_gradients(x, g)
        self._rows[name] = self._rows[name] + rows if name in self._rows else rows
        self._columns[name] = self._columns[name] + columns if name in self._columns else columns


class _Watched(torch.autograd.Function):
    """An output that tells its gradient, with the layer's input.

    The input is saved as autograd saves it, so that with gradient checkpointing it is not kept but computed again.
    """

    @staticmethod
    def forward(ctx: Any, output: torch.Tensor, x: torch.Tensor, sums: FisherSums, name: str) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.sums, ctx.name = sums, name
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        ctx.sums.take(ctx.name, *ctx.saved_tensors, gradients[0])
        return gradients[0], None, None, None


def _logits(
    model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor, answers: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model says at each token but the last, and the tokens that follow; from the first answer on where it can."""
    following = answers[:, 1:]
    base = model.get_base_model() if hasattr(model, "get_base_model") else model  # pyright: ignore[reportCallIssue]
    wanted = (following != IGNORED).any(0).nonzero()
    first = int(wanted[0]) if len(wanted) else 0
    if "logits_to_keep" not in inspect.signature(base.forward).parameters:
        return model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1], following
    kept = ids.shape[1] - first
    return model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=kept).logits[:, :-1], following[:, first:]


@contextmanager
def _frozen(model: torch.nn.Module) -> Iterator[None]:
    """No gradient of a parameter is computed: the layers' outputs are all that is watched."""
    # FSDP2 has parameters of its own in use, which do not hear of it; their gradients are thrown away afterwards.
    live = [parameter for parameter in model.parameters() if parameter.requires_grad and not isinstance(parameter, DTensor)]
    for parameter in live:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in live:
            parameter.requires_grad_(True)


@contextmanager
def _recomputing(model: torch.nn.Module) -> Iterator[None]:
    """Gradient checkpointing, where it is switched on, holds in evaluation mode too."""
    # A block asks whether it trains before it forgets its activations; what is inside it, such as dropout, stays in evaluation.
    blocks = [block for block in model.modules() if isinstance(block, GradientCheckpointingLayer)]
    for block in blocks:
        block.training = bool(block.gradient_checkpointing)
    try:
        yield
    finally:
        for block in blocks:
            block.training = False
