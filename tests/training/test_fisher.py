"""The batched Fisher against the slow and obvious one."""

import torch

from continuum.models.chat_format import IGNORED, EncodedTurn
from continuum.models.local import padded
from continuum.training.ewc import lora_layers
from continuum.training.fisher import FisherSums, backward_through, estimate_fisher, sampled_labels
from tests.training.test_ewc import adapted

ROWS = [
    EncodedTurn([1, 5, 9, 13, 17, 21], [IGNORED, IGNORED, 9, 13, 17, 21]),
    EncodedTurn([2, 6, 10], [IGNORED, 6, 10]),
    EncodedTurn([3, 7, 11, 15, 19], [IGNORED, IGNORED, IGNORED, 15, 19]),
]


def summed_in_batches_of(size: int):
    model = adapted(seed=1).eval()
    layers = lora_layers(model)
    with FisherSums(layers) as sums:
        for start in range(0, len(ROWS), size):
            ids, mask, labels = padded(ROWS[start : start + size], 0, torch.device("cpu"))
            backward_through(model(input_ids=ids, attention_mask=mask).logits[:, :-1], labels[:, 1:])
            model.zero_grad()
        return sums.mean(len(ROWS))


def test_a_batch_gives_the_sum_of_its_examples_and_not_the_square_of_their_mean():
    one_by_one, together = summed_in_batches_of(1), summed_in_batches_of(3)

    assert one_by_one.keys() == together.keys()
    for name in one_by_one:
        torch.testing.assert_close(together[name].rows, one_by_one[name].rows, rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(together[name].columns, one_by_one[name].columns, rtol=1e-4, atol=1e-9)


def test_it_is_the_squared_gradient_of_the_merged_weight():
    model = adapted(seed=1).eval()
    layers = lora_layers(model)
    weights = {name: layer.base_layer.weight.requires_grad_() for name, layer in layers.items()}
    expected = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for row in ROWS:
        ids, mask, labels = padded([row], 0, torch.device("cpu"))
        model.zero_grad()
        backward_through(model(input_ids=ids, attention_mask=mask).logits[:, :-1], labels[:, 1:])
        for name, weight in weights.items():
            expected[name] += weight.grad**2 / len(ROWS)

    fisher = summed_in_batches_of(2)

    for name, full in expected.items():
        torch.testing.assert_close(fisher[name].rows, full.sum(1), rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(fisher[name].columns, full.sum(0), rtol=1e-4, atol=1e-9)


def test_labels_are_drawn_where_the_data_have_one_and_follow_the_model():
    logits = torch.zeros(1, 2000, 3)
    logits[..., 2] = torch.log(torch.tensor(2.0))
    labels = torch.full((1, 2000), IGNORED)
    labels[0, 1000:] = 0

    drawn = sampled_labels(logits, labels, torch.Generator().manual_seed(0))

    assert (drawn[0, :1000] == IGNORED).all()
    share = (drawn[0, 1000:] == 2).float().mean()
    assert 0.45 < share < 0.55


def test_same_seed_same_fisher_and_the_model_keeps_its_gradients_clean():
    def estimate(seed: int):
        model = adapted(seed=1)
        layers = lora_layers(model)
        fisher = estimate_fisher(model, layers, ROWS, pad=0, seed=seed, batch_size=2)
        assert all(parameter.grad is None for parameter in model.parameters())
        return fisher

    one, same, other = estimate(3), estimate(3), estimate(4)
    name = next(iter(one))

    assert torch.equal(one[name].rows, same[name].rows)
    assert not torch.equal(one[name].rows, other[name].rows)
    torch.testing.assert_close(one[name].rows.sum(), one[name].columns.sum(), rtol=1e-4, atol=0)
