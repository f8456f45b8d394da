"""The penalty's algebra, on real LoRA layers with random weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import LlamaConfig, LlamaForCausalLM

from continuum.errors import ConfigurationError, StoreError
from continuum.models.local import quiet_peft
from continuum.training.ewc import (
    EWC_FILE,
    EWCPenalty,
    Fisher,
    LayerFisher,
    accumulate,
    factors,
    load_fisher,
    lora_layers,
    save_fisher,
)


@pytest.fixture
def one_process() -> Iterator[DeviceMesh]:
    """A group of this process alone, which is all that sharding needs to be real."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def adapted(rank: int = 3, seed: int = 0) -> PeftModel:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2
    )
    with quiet_peft():
        model = get_peft_model(
            LlamaForCausalLM(config),
            LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
    assert isinstance(model, PeftModel)
    shake(model)
    return model


@torch.no_grad()
def shake(model: PeftModel, by: float = 0.1) -> None:
    for layer in lora_layers(model).values():
        live = factors(layer)
        for live_factor in (live.a, live.b):
            noise = torch.randn(live_factor.shape, dtype=live_factor.dtype) * by
            if isinstance(live_factor, DTensor):
                noise = distribute_tensor(noise, live_factor.device_mesh, live_factor.placements)
            live_factor.add_(noise)


def random_fisher(model: PeftModel) -> Fisher:
    layers = {}
    for name, layer in lora_layers(model).items():
        live = factors(layer)
        rows, columns = torch.rand(live.b.shape[0]), torch.rand(live.a.shape[1])
        layers[name] = LayerFisher(rows, columns * rows.sum() / columns.sum())
    return Fisher(layers, samples=5)


def merged(model: PeftModel) -> dict[str, torch.Tensor]:
    """The change of every weight, in full and in double precision."""
    live = {name: factors(layer) for name, layer in lora_layers(model).items()}
    return {name: f.scale * (f.b.double() @ f.a.double()) for name, f in live.items()}


def explicit(fisher: Fisher, before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], strength: float) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for name, layer in fisher.items():
        full = torch.outer(layer.rows.double(), layer.columns.double()) / layer.rows.double().sum()
        total = total + (full * (after[name] - before[name].detach()) ** 2).sum()
    return strength / 2 * total


def square(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> float:
    return sum(float(((after[name] - before[name]) ** 2).sum().detach()) for name in before)


def gradients(model: PeftModel, value: torch.Tensor) -> list[torch.Tensor]:
    parameters = [p for layer in lora_layers(model).values() for p in (factors(layer).a, factors(layer).b)]
    return list(torch.autograd.grad(value, parameters))


@settings(max_examples=5)
@given(rank=st.integers(1, 5), seed=st.integers(0, 1000), strength=st.floats(0.1, 1e4))
def test_the_penalty_is_the_fisher_weighted_square_of_the_change_however_small_the_change(rank: int, seed: int, strength: float):
    model = adapted(rank, seed)
    fisher, before = random_fisher(model), merged(model)
    penalty = EWCPenalty(lora_layers(model), fisher, strength)

    for moved in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0):
        shake(model, moved)

        found, expected = penalty.displacement(), explicit(fisher, before, merged(model), strength)
        assert float(found.penalty.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
        assert float(found.l2_distance) == pytest.approx(square(before, merged(model)), rel=1e-5)
        for ours, theirs in zip(gradients(model, found.penalty), gradients(model, expected), strict=True):
            assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


def test_the_penalty_is_exactly_zero_and_flat_at_the_anchor():
    model = adapted()
    penalty = EWCPenalty(lora_layers(model), random_fisher(model), 1000)

    value = penalty()

    assert float(value.detach()) == 0.0
    assert penalty.l2_distance() == 0.0
    assert all((gradient == 0).all() for gradient in gradients(model, value))


def test_the_penalty_does_not_depend_on_how_two_factors_share_their_product():
    model = adapted(rank=3)
    penalty = EWCPenalty(lora_layers(model), random_fisher(model), 10)
    shake(model)
    value = float(penalty().detach())

    mix = torch.tensor([[2.0, 0.5, 0.0], [0.0, 1.0, -0.3], [0.4, 0.0, 0.7]])
    with torch.no_grad():
        for layer in lora_layers(model).values():
            live = factors(layer)
            live.a.copy_(mix @ live.a)
            live.b.copy_(live.b @ torch.linalg.inv(mix))

    assert float(penalty().detach()) == pytest.approx(value, rel=1e-4)


def test_a_plain_anchor_weighs_every_held_weight_alike_with_the_mean_of_the_fisher():
    model = adapted()
    fisher, before = random_fisher(model), merged(model)
    weights = sum(change.numel() for change in before.values())
    penalty = EWCPenalty(lora_layers(model), fisher, 10, kind="l2")

    shake(model)

    expected = 10 / 2 * fisher.trace / weights * square(before, merged(model))
    value = penalty()
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    assert all(gradient.abs().max() > 0 for gradient in gradients(model, value))
    assert penalty.l2_distance() == pytest.approx(square(before, merged(model)), rel=1e-5)


def test_where_all_weights_matter_alike_both_kinds_are_the_same():
    model = adapted()
    shapes = {name: (factors(layer).b.shape[0], factors(layer).a.shape[1]) for name, layer in lora_layers(model).items()}
    alike = Fisher({n: LayerFisher(torch.full((o,), 0.3 * i), torch.full((i,), 0.3 * o)) for n, (o, i) in shapes.items()})
    kinds = [EWCPenalty(lora_layers(model), alike, 10), EWCPenalty(lora_layers(model), alike, 10, kind="l2")]

    shake(model)

    ewc, l2 = (float(penalty().detach()) for penalty in kinds)
    assert ewc == pytest.approx(l2, rel=1e-5)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_an_adapter_in_half_precision_is_held_in_full_precision(precision: torch.dtype):
    model = adapted().to(precision)
    fisher, before = random_fisher(model), merged(model)
    penalty = EWCPenalty(lora_layers(model), fisher, 10)

    shake(model)

    value = penalty()
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(float(explicit(fisher, before, merged(model), 10).detach()), rel=1e-5)
    assert all(gradient.dtype == precision and gradient.abs().max() > 0 for gradient in gradients(model, value))


def test_mixed_precision_around_the_loss_does_not_round_the_penalty():
    model = adapted()
    penalty = EWCPenalty(lora_layers(model), random_fisher(model), 10)
    shake(model)
    exact = penalty()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = penalty()

    assert torch.equal(mixed, exact)


def test_sharded_parameters_are_gathered_and_get_their_gradient_back(one_process: DeviceMesh):
    plain, sharded = adapted(), adapted()
    fisher = random_fisher(plain)
    anchored = EWCPenalty(lora_layers(plain), fisher, 10), EWCPenalty(lora_layers(sharded), fisher, 10)
    fully_shard(sharded, mesh=one_process)
    # Half of what is held is anchored before the parameters are sharded, half after.
    later = EWCPenalty(lora_layers(sharded), fisher, 10)
    torch.manual_seed(1)
    shake(plain)
    torch.manual_seed(1)
    shake(sharded)

    expected, value = anchored[0](), anchored[1]()

    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(later(), expected)
    for ours, theirs in zip(gradients(sharded, value), gradients(plain, expected), strict=True):
        assert isinstance(ours, DTensor)
        torch.testing.assert_close(ours.full_tensor(), theirs)


def test_the_penalty_pulls_the_adapter_back():
    model = adapted()
    penalty = EWCPenalty(lora_layers(model), random_fisher(model), 10)
    shake(model)
    parameters = [p for layer in lora_layers(model).values() for p in (factors(layer).a, factors(layer).b)]
    far = float(penalty().detach())

    optimizer = torch.optim.SGD(parameters, lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        penalty().backward()
        optimizer.step()

    assert float(penalty().detach()) < far / 2


def test_layers_without_a_fisher_are_left_free():
    model = adapted()
    free = EWCPenalty(lora_layers(model), {}, 1000)

    shake(model)

    assert float(free()) == 0.0
    assert free.l2_distance() == 0.0


def test_the_fisher_of_another_model_is_refused():
    model = adapted()
    fisher = random_fisher(model)
    name = next(iter(fisher))
    other = {**fisher, name: LayerFisher(torch.ones(7), torch.ones(9))}

    with pytest.raises(ConfigurationError, match="7 x 9"):
        EWCPenalty(lora_layers(model), other, 1000)


def test_layers_keep_their_names_however_the_model_is_wrapped():
    model = adapted()

    assert lora_layers(torch.nn.ModuleDict({"module": model})).keys() == lora_layers(model).keys()
    assert "model.layers.0.self_attn.q_proj" in lora_layers(model)


def test_what_mattered_to_earlier_turns_goes_on_mattering():
    model = adapted()
    first, second = random_fisher(model), random_fisher(model)

    both = accumulate(first, second, decay=0.5)

    for name, layer in both.items():
        torch.testing.assert_close(layer.rows, 0.5 * first[name].rows + second[name].rows)
        torch.testing.assert_close(layer.columns, 0.5 * first[name].columns + second[name].columns)
    assert (both.turns, both.samples, both.decay, both.labels) == (2, 10, 0.5, "sampled")
    assert accumulate(None, second) is second


def test_layers_of_one_turn_only_are_kept_too():
    one, two = LayerFisher(torch.ones(2), torch.ones(2)), LayerFisher(torch.ones(3), torch.ones(3))

    both = accumulate(Fisher({"a": one}), Fisher({"b": two}, labels="observed"))

    assert set(both) == {"a", "b"}
    assert both.labels == "mixed"


def test_a_fisher_comes_back_from_its_file_as_it_was(tmp_path: Path):
    model = adapted()
    fisher = accumulate(random_fisher(model), random_fisher(model), decay=0.9)

    save_fisher(fisher, tmp_path)
    first = (tmp_path / EWC_FILE).read_bytes()
    loaded = load_fisher(tmp_path)
    save_fisher(fisher, tmp_path)

    assert loaded is not None
    assert (loaded.labels, loaded.samples, loaded.decay, loaded.turns) == ("sampled", 10, 0.9, 2)
    assert loaded.keys() == fisher.keys()
    assert all(torch.equal(loaded[name].columns, fisher[name].columns) for name in fisher)
    assert all(torch.equal(loaded[name].rows, fisher[name].rows) for name in fisher)
    assert [file.name for file in tmp_path.iterdir()] == [EWC_FILE]
    assert (tmp_path / EWC_FILE).read_bytes() == first
    assert load_fisher(tmp_path / "elsewhere") is None


def test_a_file_from_before_there_was_more_to_say_still_loads(tmp_path: Path):
    save_file({"layer.rows": torch.ones(2), "layer.columns": torch.ones(3)}, tmp_path / EWC_FILE)

    loaded = load_fisher(tmp_path)

    assert loaded is not None
    assert loaded.turns == 1
    assert loaded["layer"].columns.shape == (3,)


@pytest.mark.parametrize(
    "tensors",
    [
        {"layer.rows": torch.ones(2)},
        {"layer.rows": torch.tensor([1.0, float("nan")]), "layer.columns": torch.ones(2)},
        {"layer.rows": torch.tensor([1.0, -1.0]), "layer.columns": torch.ones(2)},
        {"layer.rows": torch.ones(2, 2), "layer.columns": torch.ones(2)},
    ],
    ids=["half a layer", "no number", "no square", "a matrix"],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]):
    save_file(tensors, tmp_path / EWC_FILE)

    with pytest.raises(StoreError, match="cannot be read as a Fisher"):
        load_fisher(tmp_path)


def test_a_broken_file_is_refused(tmp_path: Path):
    (tmp_path / EWC_FILE).write_bytes(b"no tensors")

    with pytest.raises(StoreError, match="cannot be read as a Fisher"):
        load_fisher(tmp_path)
