"""The penalty's algebra, on real LoRA layers with random weights."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from continuum.models.local import quiet_peft
from continuum.training.ewc import EWCPenalty, LayerFisher, accumulate, factors, load_fisher, lora_layers, save_fisher


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
def shake(model: PeftModel) -> None:
    for layer in lora_layers(model).values():
        live = factors(layer)
        live.a.add_(torch.randn_like(live.a) * 0.1)
        live.b.add_(torch.randn_like(live.b) * 0.1)


def random_fisher(model: PeftModel) -> dict[str, LayerFisher]:
    fisher = {}
    for name, layer in lora_layers(model).items():
        live = factors(layer)
        rows, columns = torch.rand(live.b.shape[0]), torch.rand(live.a.shape[1])
        fisher[name] = LayerFisher(rows, columns * rows.sum() / columns.sum())
    return fisher


def merged(model: PeftModel) -> dict[str, torch.Tensor]:
    return {name: f.scale * (f.b @ f.a).detach() for name, f in ((n, factors(x)) for n, x in lora_layers(model).items())}


def explicit(
    fisher: dict[str, LayerFisher], before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], strength: float
) -> float:
    total = 0.0
    for name, layer in fisher.items():
        full = torch.outer(layer.rows, layer.columns) / layer.rows.sum()
        total += float((full * (after[name] - before[name]) ** 2).sum())
    return strength / 2 * total


@settings(max_examples=10, deadline=None)
@given(rank=st.integers(1, 5), seed=st.integers(0, 1000), strength=st.floats(0.1, 1e4))
def test_the_penalty_is_the_fisher_weighted_square_of_the_change_in_the_merged_weight(rank: int, seed: int, strength: float):
    model = adapted(rank, seed)
    fisher, before = random_fisher(model), merged(model)
    penalty = EWCPenalty(lora_layers(model), fisher, strength)

    shake(model)

    assert float(penalty().detach()) == pytest.approx(explicit(fisher, before, merged(model), strength), rel=1e-3)


def test_the_penalty_is_zero_and_flat_at_the_anchor():
    model = adapted()
    penalty = EWCPenalty(lora_layers(model), random_fisher(model), 1000)

    value = penalty()
    value.backward()

    assert float(value.detach()) == pytest.approx(0, abs=1e-3)
    for layer in lora_layers(model).values():
        assert factors(layer).a.grad.abs().max() < 1e-3
        assert factors(layer).b.grad.abs().max() < 1e-3


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

    assert float(penalty().detach()) == pytest.approx(value, rel=1e-3)


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
    assert float(EWCPenalty(lora_layers(model), {}, 1000)()) == 0.0


def test_what_mattered_to_earlier_turns_goes_on_mattering():
    model = adapted()
    first, second = random_fisher(model), random_fisher(model)

    both = accumulate(first, second)

    name = next(iter(both))
    assert torch.equal(both[name].rows, first[name].rows + second[name].rows)
    assert accumulate(None, second) == second


def test_a_fisher_comes_back_from_its_file_as_it_was(tmp_path: Path):
    fisher = random_fisher(adapted())

    save_fisher(fisher, tmp_path)
    loaded = load_fisher(tmp_path)

    assert loaded is not None
    assert loaded.keys() == fisher.keys()
    assert all(torch.equal(loaded[name].columns, fisher[name].columns) for name in fisher)
    assert load_fisher(tmp_path / "elsewhere") is None
