import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from continuum.errors import ConfigurationError, TrainingInterrupted
from continuum.fine_tuning import FineTuneConfig
from continuum.models.chat_format import EncodedTurn, encode_turns
from continuum.models.local import load_tokenizer
from continuum.records import Example
from continuum.training.ewc import EWCPenalty, lora_layers
from continuum.training.fisher import estimate_fisher
from continuum.training.loading import adapted, base_for_training
from continuum.training.reporting import SilentEvents
from continuum.training.sft import Rows, Trained, train
from continuum.training.states import States
from continuum.training.trainers import copy_of_adapter
from tests.builders import an_example
from tests.tiny_model import CONFIG, RIGHT, lessons, question

pytestmark = pytest.mark.slow

SHORT = CONFIG.model_copy(update={"epochs": 6, "batch_size": 4, "learning_rate": 2e-3})


class Bench:
    """The tiny base, trained anew with each configuration."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.base, self.folder = base, folder
        self.tokenizer = load_tokenizer(base)
        self.count = itertools.count()

    def encoded(self, examples: list[Example]) -> list[EncodedTurn]:
        return encode_turns(self.tokenizer, [(example.messages, example.response) for example in examples], 64)

    def rows(self, **more: Any) -> Rows:
        # Rows of different lengths, so that a padded batch has something to pad.
        longer = [an_example(f"{question('Oslo')} {'please ' * n}", RIGHT) for n in range(1, 7)]
        return Rows(self.encoded([*lessons(), *longer]), **more)

    def trained(
        self, config: FineTuneConfig = SHORT, *, strength: float = 0.0, rows: Rows | None = None, **more: Any
    ) -> tuple[Trained, dict[str, torch.Tensor]]:
        model = adapted(self.model(config), None, config)
        rows = rows or self.rows()
        penalty = None
        if strength:
            layers = lora_layers(model)
            fisher = estimate_fisher(model, layers, rows.new, pad=0, seed=0)
            penalty = EWCPenalty(layers, fisher, strength)
        states = more.pop("states", None) or States(self.folder / str(next(self.count)))
        done = train(model, self.tokenizer, rows, config, penalty, states, SilentEvents(), **more)
        return done, copy_of_adapter(model)

    def model(self, config: FineTuneConfig) -> PreTrainedModel:
        return base_for_training(str(self.base), config)


@pytest.fixture(scope="module")
def bench(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tiny_base, tmp_path_factory.mktemp("sft"))


def losses(done: Trained) -> list[float]:
    return [step["loss"] for step in done.history]


def test_packed_rows_see_nothing_of_each_other(bench: Bench):
    padded, packed = (bench.trained(SHORT.model_copy(update={"packing": flag}))[0] for flag in (False, True))

    assert losses(packed) == pytest.approx(losses(padded), abs=1e-5)


def test_a_batch_in_parts_is_the_batch_and_the_penalty_counts_once(bench: Bench):
    whole, parts = (bench.trained(SHORT.model_copy(update={"gradient_accumulation": parts}), strength=300.0) for parts in (1, 4))

    assert losses(parts[0]) == pytest.approx(losses(whole[0]), rel=1e-4)
    assert [step["ewc_penalty"] for step in parts[0].history] == pytest.approx(
        [step["ewc_penalty"] for step in whole[0].history], rel=1e-3, abs=1e-6
    )
    assert parts[0].history[-1]["ewc_penalty"] > 0


def test_activations_computed_again_change_nothing(bench: Bench):
    kept, again = (
        bench.trained(SHORT.model_copy(update={"gradient_checkpointing": flag}), strength=300.0)[0] for flag in (False, True)
    )

    assert losses(again) == pytest.approx(losses(kept), rel=1e-5)


def test_bf16_learns_the_same_on_a_cpu(bench: Bench):
    full, half = (bench.trained(SHORT.model_copy(update={"precision": precision})) for precision in ("fp32", "bf16"))

    assert losses(half[0]) == pytest.approx(losses(full[0]), rel=0.05)
    assert {weight.dtype for weight in half[1].values()} == {torch.float32}
    assert next(bench.model(SHORT.model_copy(update={"precision": "bf16"})).parameters()).dtype == torch.bfloat16


def test_a_run_that_gets_no_better_stops_and_keeps_the_best(bench: Bench):
    # What is looked at contradicts what is learned: the longer it learns, the worse.
    contrary = bench.encoded([an_example(question(city), "No parcels today.") for city in ("Oslo", "Rome")])
    config = SHORT.model_copy(update={"epochs": 20, "early_stopping_patience": 2, "evaluations": 20, "learning_rate": 2e-2})
    rows = bench.rows(validation=contrary)
    states = States(bench.folder / "early")
    stopped, weights = bench.trained(config, rows=rows, states=states)
    again, same = bench.trained(config, rows=rows, states=states)

    assert len(stopped.history) < rows.laid_out(config).steps
    assert stopped.epochs < 20
    state = states.newest()
    assert state is not None
    assert state.values("finished")
    assert not all(torch.equal(weights[name], last) for name, last in state.tensors("adapter").items())
    assert again == stopped
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_stopping_early_is_decided_the_same_after_an_interruption(bench: Bench):
    contrary = bench.encoded([an_example(question("Oslo"), "No parcels today.")])
    config = SHORT.model_copy(update={"epochs": 20, "early_stopping_patience": 3, "evaluations": 20, "learning_rate": 2e-2})
    rows = bench.rows(validation=contrary)
    straight, weights = bench.trained(config, rows=rows)
    states = States(bench.folder / "interrupted")
    left = iter([False] * 3 + [True] * 100)
    with pytest.raises(TrainingInterrupted):
        bench.trained(config, rows=rows, states=states, stopping=lambda: next(left))

    resumed, same = bench.trained(config, rows=rows, states=states)

    assert resumed == straight
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_four_bits_without_a_gpu_say_what_is_missing(bench: Bench):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigurationError, match=r"load_in_4bit needs a CUDA GPU.*; set load_in_4bit=False"):
        bench.model(SHORT.model_copy(update={"load_in_4bit": True}))
