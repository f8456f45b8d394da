"""The batched Fisher against the slow and obvious one: a loop that gives each row its own backward pass."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaConfig, LlamaForCausalLM

from continuum.errors import ConfigurationError
from continuum.models.chat_format import IGNORED, EncodedTurn
from continuum.models.local import padded, quiet_peft
from continuum.training import fisher as fisher_module
from continuum.training.ewc import EWCPenalty, Fisher, factors, load_fisher, lora_layers, save_fisher
from continuum.training.fisher import Labels, drawn, estimate_fisher, loss_gradient, squared_gradients
from tests.training.test_ewc import adapted, shake

CPU = torch.device("cpu")
SEED = 3


def some_rows(count: int = 12, seed: int = 0, longest: int = 20) -> list[EncodedTurn]:
    rng, rows = random.Random(seed), []
    for _ in range(count):
        ids = [rng.randrange(48) for _ in range(rng.randint(3, longest))]
        asked = rng.randint(1, len(ids) - 1)
        rows.append(EncodedTurn(ids, [IGNORED] * asked + ids[asked:]))
    return rows


ROWS = some_rows()


def estimate(model: PeftModel, rows: Sequence[EncodedTurn] = ROWS, **options: object) -> Fisher:
    return estimate_fisher(model, lora_layers(model), rows, pad=0, seed=SEED, **options)  # pyright: ignore[reportArgumentType]


def one_by_one(model: PeftModel, labels: Labels = "sampled") -> dict[str, torch.Tensor]:
    """The whole Fisher of every layer: the mean over rows of the square of the weight's own gradient."""
    weights = {name: layer.base_layer.weight.requires_grad_() for name, layer in lora_layers(model.eval()).items()}
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for n, row in enumerate(ROWS):
        mean_loss(model, [row], [n], labels).backward()
        for name, weight in weights.items():
            sums[name] += weight.grad**2
        model.zero_grad()
    for weight in weights.values():
        weight.requires_grad_(False)
    return {name: total / len(ROWS) for name, total in sums.items()}


def mean_loss(model: torch.nn.Module, rows: Sequence[EncodedTurn], places: Sequence[int], labels: Labels) -> torch.Tensor:
    """The mean over rows of each row's mean loss, in torch's own words."""
    ids, mask, answers = padded(rows, 0, CPU)
    logits, answers = model(input_ids=ids, attention_mask=mask).logits[:, :-1], answers[:, 1:].clone()
    losses = []
    for said, answer, place in zip(logits, answers, places, strict=True):
        wanted = answer != IGNORED
        if labels == "sampled":
            answer[wanted] = drawn(said[wanted].detach().softmax(-1), np.random.default_rng((SEED, place)))
        losses.append(torch.nn.functional.cross_entropy(said[wanted], answer[wanted]))
    return torch.stack(losses).mean()


def assert_same(found: Fisher, expected: dict[str, torch.Tensor], within: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, whole in expected.items():
        torch.testing.assert_close(found[name].rows, whole.sum(1), rtol=within, atol=0)
        torch.testing.assert_close(found[name].columns, whole.sum(0), rtol=within, atol=0)


@pytest.mark.parametrize("labels", ["sampled", "observed"])
@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_it_is_the_mean_squared_gradient_of_each_row_whatever_the_batches(labels: Labels, batch_size: int):
    model = adapted(seed=1)

    found = estimate(model, labels=labels, batch_size=batch_size)

    assert_same(found, one_by_one(model, labels))
    assert (found.labels, found.samples, found.turns) == (labels, len(ROWS), 1)


def test_the_square_of_a_batchs_mean_gradient_is_several_times_too_small_and_depends_on_the_batch():
    model = adapted(seed=1)
    right = sum(float(whole.sum()) for whole in one_by_one(model).values())
    weights = [layer.base_layer.weight.requires_grad_() for layer in lora_layers(model).values()]

    def shortcut(size: int) -> float:
        """What a loop over batches gives, weighed by how many rows each holds."""
        total = 0.0
        for start in range(0, len(ROWS), size):
            rows = ROWS[start : start + size]
            mean_loss(model, rows, range(start, start + len(rows)), "sampled").backward()
            total += sum(float((weight.grad**2).sum()) for weight in weights) * len(rows) / len(ROWS)
            model.zero_grad()
        return total

    assert shortcut(1) == pytest.approx(right, rel=1e-5)
    assert shortcut(4) < right / 2
    assert shortcut(12) < right / 4
    assert estimate(adapted(seed=1), batch_size=12).trace == pytest.approx(right, rel=1e-5)


@settings(max_examples=30)
@given(
    examples=st.integers(1, 4),
    tokens=st.integers(1, 40),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    block=st.sampled_from([1, 100, 1 << 22]),
    seed=st.integers(0, 1000),
)
def test_few_tokens_and_many_give_the_same_squares(examples: int, tokens: int, width: int, height: int, block: int, seed: int):
    rng = torch.Generator().manual_seed(seed)
    x, g = torch.randn(examples, tokens, width, generator=rng), torch.randn(examples, tokens, height, generator=rng)
    whole = ((g.double().mT @ x.double()) ** 2).sum(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fisher_module, "BLOCK", block)
        rows, columns = squared_gradients(x, g)

    torch.testing.assert_close(rows, whole.sum(1).float(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(columns, whole.sum(0).float(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_nothing_and_nothing_is_counted_twice(reentrant: bool):
    plain, recomputing = adapted(seed=1), adapted(seed=1)
    calls: list[bool] = []
    recomputing.get_base_model().model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    recomputing.activation_checkpointing_enable({"use_reentrant": reentrant})
    if reentrant:
        recomputing.enable_input_require_grads()

    found = estimate(recomputing, batch_size=len(ROWS))

    assert len(calls) == 2, "the block ran twice"
    assert_same(found, one_by_one(plain))
    assert not any(module.training for module in recomputing.modules())


def test_with_gradient_checkpointing_the_inputs_of_layers_are_not_kept():
    rows = some_rows(8, longest=40)

    def kept(recompute: bool) -> int:
        model = adapted(seed=1)
        if recompute:
            model.activation_checkpointing_enable({"use_reentrant": False})
        sizes: list[int] = []
        inside = torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t)
        with inside:
            estimate(model, rows, batch_size=8)
        return sum(sizes)

    assert kept(recompute=True) < kept(recompute=False) / 3


def test_a_base_in_half_precision_is_added_up_in_full_precision():
    full, half = adapted(seed=1), adapted(seed=1)
    half.get_base_model().to(torch.bfloat16)

    expected, found = estimate(full, labels="observed"), estimate(half, labels="observed")

    assert found.trace == pytest.approx(expected.trace, rel=0.05)
    assert all(layer.rows.dtype == layer.columns.dtype == torch.float32 for layer in found.values())


class Coded(torch.nn.Linear):
    """A linear layer as a quantised base has it: codes in place of weights, to which no gradient goes."""

    @classmethod
    def of(cls, layer: torch.nn.Linear) -> "Coded":
        coded = cls(layer.in_features, layer.out_features, bias=False)
        coded.step = float(layer.weight.detach().abs().max()) / 7
        codes = (layer.weight.detach() / coded.step).round().to(torch.int8)
        coded.weight = torch.nn.Parameter(codes, requires_grad=False)
        return coded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight.float() * self.step).T


def test_a_base_in_four_bits_has_a_fisher_too():
    coded, plain = adapted(seed=1), adapted(seed=1)
    for one, other in zip(lora_layers(coded).values(), lora_layers(plain).values(), strict=True):
        one.base_layer = Coded.of(one.base_layer)
        with torch.no_grad():
            other.base_layer.weight.copy_(one.base_layer.weight.float() * one.base_layer.step)

    assert_same(estimate(coded), one_by_one(plain))


def test_a_model_that_cannot_leave_out_logits_is_measured_all_the_same():
    class Plain(torch.nn.Module):
        def __init__(self, inner: PeftModel) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool) -> object:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    model = adapted(seed=1)

    found = estimate_fisher(Plain(model), lora_layers(model), ROWS, pad=0, seed=SEED)

    assert_same(found, one_by_one(model))


def test_an_adapter_that_changes_nothing_yet_has_a_fisher():
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
    with quiet_peft():
        model = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))

    assert all(layer.trace > 0 for layer in estimate(model).values())


def test_rows_that_cannot_be_told_apart_are_refused():
    model = adapted(seed=1)
    mlp = model.get_base_model().model.layers[0].mlp
    inner = mlp.forward
    mlp.forward = lambda x: inner(x.flatten(0, 1)).view_as(x)

    with pytest.raises(ConfigurationError, match="batch_size=1"):
        estimate(model)
    assert estimate(model, batch_size=1).trace > 0


def test_labels_are_drawn_where_the_data_have_one_and_follow_the_model():
    likely = torch.tensor([1.0, 1.0, 2.0, 0.0]).log().expand(1, 4000, 4)
    answers = torch.full((1, 4000), IGNORED)
    answers[0, 2000:] = 0

    gradient = loss_gradient(likely, answers, [np.random.default_rng(0)])[0]

    said = (gradient < 0)[2000:]
    assert (gradient[:2000] == 0).all()
    assert (said.sum(1) == 1).all()
    shares = said.float().mean(0).tolist()
    assert shares == pytest.approx([0.25, 0.25, 0.5, 0.0], abs=0.04)


def test_same_seed_same_fisher_and_the_model_keeps_its_gradients_clean():
    model = adapted(seed=1)
    asked = [parameter.requires_grad for parameter in model.parameters()]

    one, same = estimate(model), estimate(model)
    other = estimate_fisher(model, lora_layers(model), ROWS, pad=0, seed=SEED + 1)

    name = next(iter(one))
    assert torch.equal(one[name].rows, same[name].rows)
    assert not torch.equal(one[name].rows, other[name].rows)
    assert [parameter.requires_grad for parameter in model.parameters()] == asked
    assert all(parameter.grad is None for parameter in model.parameters())


def test_it_tells_how_far_it_is_and_no_rows_have_no_fisher():
    told: list[tuple[int, int]] = []

    estimate(adapted(), batch_size=5, on_progress=lambda done, total, _: told.append((done, total)))

    assert told == [(5, 12), (10, 12), (12, 12)]
    assert len(estimate(adapted(), [])) == 0


def stepped(model: torch.nn.Module, layers: Mapping[str, LoraLayer], penalty: EWCPenalty, rows: Sequence[EncodedTurn]) -> list:
    """The gradients of the adapter after a step's backward pass: the loss of the rows, and the penalty."""
    (mean_loss(model, rows, range(len(rows)), "observed") + penalty()).backward()
    parameters = [p for layer in layers.values() for p in (factors(layer).a, factors(layer).b)]
    found = [p.grad.full_tensor() if isinstance(p.grad, DTensor) else p.grad.clone() for p in parameters]
    model.zero_grad()
    return found


def in_one_of_two(rank: int, folder: str) -> None:
    """What each process does: the Fisher of its share of the rows, then a step; with copies of the adapter, then with shards."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(f"{folder}/meeting", 2), rank=rank, world_size=2)
    model, share = adapted(seed=1), ROWS[rank::2]
    layers = lora_layers(model)
    found = {"copies": estimate(model, batch_size=4)}
    penalty = EWCPenalty(layers, found["copies"], 10)
    torch.manual_seed(2)
    shake(model)
    steps = {"copies": stepped(DistributedDataParallel(model), layers, penalty, share)}

    sharded = adapted(seed=1)
    layers, mesh = lora_layers(sharded), init_device_mesh("cpu", (2,))
    for block in sharded.get_base_model().model.layers:
        fully_shard(block, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    found["shards"] = estimate(sharded, batch_size=4)
    penalty = EWCPenalty(layers, found["copies"], 10)
    torch.manual_seed(2)
    shake(sharded)
    steps["shards"] = stepped(sharded, layers, penalty, share)
    if rank == 0:
        for name, fisher in found.items():
            (Path(folder) / name).mkdir()
            save_fisher(fisher, Path(folder) / name)
            save_file({str(n): gradient for n, gradient in enumerate(steps[name])}, f"{folder}/{name}/gradients")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_the_rows_and_find_and_do_what_one_does(tmp_path: Path):
    model = adapted(seed=1)
    expected = one_by_one(model)
    layers = lora_layers(model)
    penalty = EWCPenalty(layers, estimate(model), 10)
    torch.manual_seed(2)
    shake(model)
    alone = stepped(model, layers, penalty, ROWS)

    torch.multiprocessing.spawn(in_one_of_two, (str(tmp_path),), nprocs=2)

    for name in ("copies", "shards"):
        found = load_fisher(tmp_path / name)
        assert found is not None
        assert_same(found, expected)
        assert found.samples == len(ROWS)
        gradients = load_file(tmp_path / name / "gradients")
        for n, gradient in enumerate(alone):
            torch.testing.assert_close(gradients[str(n)], gradient, rtol=1e-4, atol=1e-7)
