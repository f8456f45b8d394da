"""The diagonal Fisher information of the merged weights, in factored form, at labels drawn from the model itself.

F is the mean over examples of the squared gradient of the example's mean token loss, at the answer's positions. The labels are
sampled from the model's own distribution: at the labels of the data (the empirical Fisher) it fades by two orders of magnitude as
training converges, and a fixed lambda would mean something else each turn (Kunstner et al. 2019 on why the two differ).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from peft.tuners.lora import LoraLayer

from continuum.models.chat_format import IGNORED, EncodedTurn
from continuum.models.local import padded
from continuum.progress import Progress, silent
from continuum.training.ewc import LayerFisher

ForwardHook = Callable[[torch.nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]


def estimate_fisher(
    model: torch.nn.Module,
    layers: Mapping[str, LoraLayer],
    rows: Sequence[EncodedTurn],
    *,
    pad: int,
    seed: int,
    batch_size: int = 16,
    on_progress: Progress = silent,
) -> dict[str, LayerFisher]:
    """The Fisher of each layer's weight over the rows.

    Args:
        model: the model with the adapter attached; it is left in evaluation mode.
        layers: the layers to look at, by name.
        rows: conversations with their answers.
        pad: id that fills a batch.
        seed: of the sampled labels.
        batch_size: rows of one pass; the result does not depend on it but for rounding and for which labels are drawn.
        on_progress: called after each batch.
    """
    model.eval()
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    sums = FisherSums(layers)
    with sums, torch.enable_grad():
        for start in range(0, len(rows), batch_size):
            ids, mask, labels = padded(rows[start : start + batch_size], pad, device)
            logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            backward_through(logits, sampled_labels(logits, labels[:, 1:], generator))
            model.zero_grad(set_to_none=True)
            on_progress(min(start + batch_size, len(rows)), len(rows), "measuring what the model must keep")
    return sums.mean(len(rows))


def sampled_labels(logits: torch.Tensor, labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Labels drawn from the model where the data have one, -100 elsewhere."""
    wanted = labels != IGNORED
    drawn = torch.multinomial(logits.detach()[wanted].softmax(-1), 1, generator=generator).squeeze(1)
    return labels.masked_scatter(wanted, drawn)


def backward_through(logits: torch.Tensor, labels: torch.Tensor) -> None:
    """Backpropagate the sum over examples of the mean loss over each example's tokens, so that gradients stay per example."""
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    (nats.sum(1) / (labels != IGNORED).sum(1).clamp(min=1)).sum().backward()


class FisherSums:
    """Hooks that, while in use, add up every example's squared gradient of each layer's merged weight.

    With x the inputs of a layer and g the gradients at its outputs, an example's gradient is G = g^T x. Its squared row sums are
    diag(g^T (x x^T) g) and its squared column sums diag(x^T (g g^T) x): tokens by tokens, and G itself is never built.
    """

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
        return {name: LayerFisher(self._rows[name] / count, self._columns[name] / count) for name in self._rows}

    def _watch(self, name: str) -> ForwardHook:
        def forward(_layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen = inputs[0].detach()
            output.register_hook(lambda gradient: self._add(name, seen, gradient))

        return forward

    @torch.no_grad()
    def _add(self, name: str, x: torch.Tensor, g: torch.Tensor) -> None:
        x, g = x.float(), g.float()
        rows = ((x @ x.transpose(1, 2)) @ g * g).sum((0, 1))
        columns = ((g @ g.transpose(1, 2)) @ x * x).sum((0, 1))
        self._rows[name] = self._rows[name] + rows if name in self._rows else rows
        self._columns[name] = self._columns[name] + columns if name in self._columns else columns
