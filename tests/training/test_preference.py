from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.errors import TrainingDiverged, TrainingInterrupted
from continuum.models.chat_format import EncodedTurn, encode_prompts, encode_turns, parse_answer
from continuum.models.local import answer_losses, greedy_answers, load_base, load_tokenizer, pad_id
from continuum.training.ewc import EWCPenalty, lora_layers
from continuum.training.fisher import estimate_fisher
from continuum.training.loading import adapted
from continuum.training.preference import Preferred, tune_preferences
from continuum.training.reporting import SilentEvents
from continuum.training.sft import Rows, train
from continuum.training.states import States
from continuum.training.trainers import copy_of_adapter, set_adapter
from tests.builders import assistant, user
from tests.tiny_model import CITIES, CONFIG, RIGHT, question

pytestmark = pytest.mark.slow

CORRECTED = "It takes two days by ship."
LEARNED, HELD_OUT = CITIES[:4], CITIES[4:]
TUNED = CONFIG.model_copy(update={"preference_epochs": 20, "preference_learning_rate": 1e-2, "checkpoint_every": 3})


@dataclass
class Tuned:
    """A model that answers RIGHT, and what it was when it had learned that."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    start: dict[str, torch.Tensor]
    rows: list[EncodedTurn]

    def logps(self, answer: str, cities: tuple[str, ...]) -> list[float]:
        rows = encode_turns(self.tokenizer, [((user(question(city)),), assistant(answer)) for city in cities])
        tokens = [sum(label >= 0 for label in row.labels) for row in rows]
        losses = answer_losses(self.model.eval(), rows, pad_id(self.tokenizer))
        return [-loss * count for loss, count in zip(losses, tokens, strict=True)]

    def margin(self, cities: tuple[str, ...] = HELD_OUT) -> float:
        return fmean(self.logps(CORRECTED, cities)) - fmean(self.logps(RIGHT, cities))

    def says(self, city: str) -> str:
        prompts = encode_prompts(self.tokenizer, [(user(question(city)),)])
        (tokens,) = greedy_answers(self.model.eval(), self.tokenizer, prompts, 20)
        return parse_answer(str(self.tokenizer.decode(tokens, skip_special_tokens=True))).text

    def learn(self, folder: Path, **given: Any) -> Preferred:
        values: dict[str, Any] = {
            "pairs": (),
            "answers": (),
            "config": TUNED,
            "limit": 64,
            "penalty": None,
            "events": SilentEvents(),
        }
        set_adapter(self.model, self.start)
        return tune_preferences(self.model, self.tokenizer, states=States(folder), **(values | given))


@pytest.fixture(scope="module")
def supervised(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    tokenizer = load_tokenizer(tiny_base)
    model = adapted(load_base(tiny_base), None, CONFIG)
    rows = encode_turns(tokenizer, [((user(question(city)),), assistant(RIGHT)) for city in CITIES])
    train(model, tokenizer, Rows(rows), CONFIG, None, States(tmp_path_factory.mktemp("states")), SilentEvents())
    return Tuned(model, tokenizer, copy_of_adapter(model), rows)


@pytest.fixture
def tuned(supervised: Tuned) -> Iterator[Tuned]:
    set_adapter(supervised.model, supervised.start)
    yield supervised
    set_adapter(supervised.model, supervised.start)


def pairs(cities: tuple[str, ...] = LEARNED) -> list[PreferencePair]:
    return [
        PreferencePair(
            interaction_id=city,
            rejected_id=city,
            messages=(user(question(city)),),
            chosen=assistant(CORRECTED),
            rejected=assistant(RIGHT),
            source="correction",
            group=city,
        )
        for city in cities
    ]


def ratings(cities: tuple[str, ...] = LEARNED) -> list[RatedAnswer]:
    return [
        RatedAnswer(
            interaction_id=f"{city}-{good}",
            messages=(user(question(city)),),
            response=assistant(CORRECTED if good else RIGHT),
            desirable=good,
            source="verdict",
            group=city,
        )
        for city in cities
        for good in (True, False)
    ]


class Steps(SilentEvents):
    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []

    def step(self, values: dict[str, float]) -> None:
        self.values.append(values)


def test_what_people_corrected_is_preferred_where_nobody_corrected_it_yet(tuned: Tuned, tmp_path: Path):
    margin, chosen = tuned.margin(), fmean(tuned.logps(CORRECTED, HELD_OUT))
    assert tuned.says(HELD_OUT[0]) == RIGHT

    done = tuned.learn(tmp_path, pairs=pairs())

    assert (done.rows, done.pairs, len(done.history)) == (4, 4, 20)
    assert tuned.margin() > margin + 5
    assert fmean(tuned.logps(CORRECTED, HELD_OUT)) > chosen
    assert [tuned.says(city) for city in HELD_OUT] == [CORRECTED] * len(HELD_OUT)


def test_thumbs_make_good_answers_likelier_and_bad_ones_less_so(tuned: Tuned, tmp_path: Path):
    good, bad = fmean(tuned.logps(CORRECTED, HELD_OUT)), fmean(tuned.logps(RIGHT, HELD_OUT))

    done = tuned.learn(tmp_path, answers=ratings())

    assert (done.rows, done.answers) == (8, 8)
    assert fmean(tuned.logps(CORRECTED, HELD_OUT)) > good + 1
    assert fmean(tuned.logps(RIGHT, HELD_OUT)) < bad - 1


def test_the_reference_is_the_adapter_as_the_examples_left_it(tuned: Tuned, tmp_path: Path):
    chosen, rejected = fmean(tuned.logps(CORRECTED, LEARNED)), fmean(tuned.logps(RIGHT, LEARNED))
    with tuned.model.disable_adapter():
        assert abs(fmean(tuned.logps(RIGHT, LEARNED)) - rejected) > 1
    steps = Steps()

    tuned.learn(
        tmp_path, pairs=pairs(), answers=ratings(), config=TUNED.model_copy(update={"preference_epochs": 1}), events=steps
    )

    first, second = steps.values
    assert first["logps/chosen"] == pytest.approx(chosen, abs=1e-3)
    assert first["logps/rejected"] == pytest.approx(rejected, abs=1e-3)
    # A reward is beta times what an answer has gained on the reference: before the first step that is nothing.
    for gained in ("rewards/chosen", "rewards/rejected"):
        assert first[gained] == pytest.approx(0, abs=1e-5)
        assert second[gained] == pytest.approx(0, abs=1e-5)
    assert second["kl"] == pytest.approx(0, abs=1e-4)


def test_nothing_of_the_reference_is_left_in_the_model(tuned: Tuned, tmp_path: Path):
    base = tuned.model.get_base_model()
    forward = vars(base).get("forward")

    tuned.learn(tmp_path / "states", pairs=pairs(), answers=ratings(), config=TUNED.model_copy(update={"preference_epochs": 1}))

    assert list(tuned.model.peft_config) == ["default"]
    assert tuned.model.active_adapter == "default"
    assert set(copy_of_adapter(tuned.model)) == set(tuned.start)
    assert vars(base).get("forward") is forward
    assert not list((tmp_path / "states").rglob("*.bin"))
    assert not list((tmp_path / "states").rglob("*.pt"))


def test_the_penalty_holds_while_preferences_are_learned(tuned: Tuned, tmp_path: Path):
    layers = lora_layers(tuned.model)
    fisher = estimate_fisher(tuned.model, layers, tuned.rows, pad=pad_id(tuned.tokenizer), seed=0)
    free, held = EWCPenalty(layers, fisher, 1e-6), EWCPenalty(layers, fisher, 1e4)

    tuned.learn(tmp_path / "free", pairs=pairs(), penalty=free)
    moved = held.l2_distance()
    done = tuned.learn(tmp_path / "held", pairs=pairs(), penalty=held)

    assert held.l2_distance() < moved / 2
    assert done.history[0]["ewc_penalty"] == 0 < done.history[-1]["ewc_penalty"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_stopped_at_any_step_of_either_part_it_goes_on_to_the_same_weights(tuned: Tuned, tmp_path: Path):
    config = TUNED.model_copy(update={"preference_epochs": 4})
    given: dict[str, Any] = {"pairs": pairs(), "answers": ratings(), "config": config}
    whole = tuned.learn(tmp_path / "whole", **given)
    expected = copy_of_adapter(tuned.model)

    for stops in (2, 3, 6):
        seen = Steps()
        with pytest.raises(TrainingInterrupted, match="learning preferences was asked to stop"):
            tuned.learn(
                tmp_path / f"{stops}", **given, events=seen, stopping=lambda seen=seen, stops=stops: len(seen.values) >= stops
            )
        after = Steps()
        resumed = tuned.learn(tmp_path / f"{stops}", **given, events=after)

        assert len(after.values) < len(whole.history)
        assert same(expected, copy_of_adapter(tuned.model))
        assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]

    again = tuned.learn(tmp_path / "whole", **given, events=seen)
    assert again == whole
    assert same(expected, copy_of_adapter(tuned.model))


def test_with_nothing_said_by_anybody_nothing_is_trained(tuned: Tuned, tmp_path: Path):
    twice_the_same = pairs()[0].model_copy(update={"chosen": assistant(RIGHT)})

    for given in ((), (twice_the_same,)):
        done = tuned.learn(tmp_path, pairs=given)

        assert (done.rows, done.history) == (0, [])
        assert same(tuned.start, copy_of_adapter(tuned.model))


def test_one_pair_and_one_thumb_are_enough(tuned: Tuned, tmp_path: Path):
    margin = tuned.margin()

    done = tuned.learn(tmp_path, pairs=pairs()[:1], answers=ratings()[:1])

    assert (done.pairs, done.answers) == (1, 1)
    assert tuned.margin() > margin


def test_a_single_step_is_a_step(tuned: Tuned, tmp_path: Path):
    margin = tuned.margin()

    done = tuned.learn(tmp_path, pairs=pairs(), config=TUNED.model_copy(update={"preference_epochs": 1}))

    assert len(done.history) == 1
    assert tuned.margin() > margin


def test_a_batch_in_parts_learns_what_a_whole_one_does(tuned: Tuned, tmp_path: Path):
    config = TUNED.model_copy(update={"preference_epochs": 3})
    tuned.learn(tmp_path / "whole", pairs=pairs(), config=config)
    whole = tuned.margin()
    tuned.learn(tmp_path / "parts", pairs=pairs(), config=config.model_copy(update={"gradient_accumulation": 2}))

    assert tuned.margin() == pytest.approx(whole, rel=1e-3)


def test_a_loss_that_is_no_number_stops_it(tuned: Tuned, tmp_path: Path):
    config = TUNED.model_copy(update={"preference_learning_rate": 1e30})

    with pytest.raises(TrainingDiverged, match="learning preferences"):
        tuned.learn(tmp_path, pairs=pairs(), config=config)

    assert list(tuned.model.peft_config) == ["default"]
