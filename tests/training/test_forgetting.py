from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from continuum.models.local import LocalModel, load_base, load_tokenizer, quiet_peft
from continuum.training.forgetting import answers_to, held_out_rows, losses_of, measure_losses, trial_answers
from continuum.training.job import Inputs, ReplayRow, Trial
from tests.builders import an_example
from tests.tiny_model import CITIES, UNSURE, lessons, question

pytestmark = pytest.mark.slow

EARLIER = tuple(
    ReplayRow(
        example=an_example(question(city), UNSURE, interaction_id=f"old-{city}", group=f"talk of {city[0]}"),
        dataset="aaaa",
    )
    for city in CITIES
)
INPUTS = Inputs(train=(), validation=tuple(lessons()), earlier=EARLIER)
GENERAL = (an_example("hello", "hello, how can I help?", interaction_id="general-0"),)


@pytest.fixture
def adapted(tiny_base: Path) -> PeftModel:
    torch.manual_seed(0)
    with quiet_peft():
        model = get_peft_model(load_base(tiny_base), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert isinstance(model, PeftModel)
    return model


def test_each_set_of_rows_is_measured_row_by_row(adapted: PeftModel, tiny_base: Path):
    tokenizer = load_tokenizer(tiny_base)
    told: list[tuple[int, int, str]] = []
    held_out = held_out_rows(tokenizer, INPUTS, GENERAL, limit=64)
    adapted.train()

    found = measure_losses(adapted, tokenizer, held_out, on_progress=lambda *said: told.append(said))

    assert {name: len(losses) for name, losses in found.items()} == {"aaaa": 6, "validation": 6, "general": 1}
    assert max(found["aaaa"]) < 0.5 < min(found["validation"]), "the base knows that it is not sure, and not the lessons"
    alone = LocalModel(tiny_base).loss([(row.example.messages, row.example.response) for row in EARLIER])
    assert found["aaaa"] == pytest.approx(alone, rel=1e-4)
    assert measure_losses(adapted, tokenizer, {"aaaa": held_out["aaaa"]})["aaaa"] == found["aaaa"], "whatever else is measured"
    assert adapted.training, "it goes on training"
    assert [done for done, total, _ in told] == [0, 6, 12]

    kept = losses_of(held_out, found, found)["aaaa"]
    assert kept.ids == tuple(f"old-{city}" for city in CITIES)
    assert kept.groups == ("talk of O", "talk of R", "talk of L", "talk of C", "talk of P", "talk of D")
    assert kept.before == kept.after == tuple(found["aaaa"])


def test_a_set_without_rows_is_absent(tiny_base: Path):
    assert held_out_rows(load_tokenizer(tiny_base), Inputs(train=())) == {}


def test_questions_are_answered_as_the_serving_model_answers_them(adapted: PeftModel, tiny_base: Path):
    tokenizer = load_tokenizer(tiny_base)
    questions = ["hello", question("Oslo"), "are you human?"]
    adapted.train()

    answers = answers_to(adapted, tokenizer, questions)

    served = LocalModel(tiny_base).answer([an_example(asked).messages for asked in questions])
    assert answers == [answer.message.text for answer in served]
    assert answers[1] == UNSURE
    assert adapted.training
    assert answers_to(adapted, tokenizer, []) == []

    trials = [Trial(constraint="c", prompt=asked) for asked in questions]
    assert [one.after for one in trial_answers(trials, [""] * 3, answers)] == answers


def test_the_adapter_that_is_on_is_what_answers(adapted: PeftModel, tiny_base: Path):
    tokenizer = load_tokenizer(tiny_base)
    held_out = held_out_rows(tokenizer, INPUTS)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)

    moved = measure_losses(adapted, tokenizer, held_out)["aaaa"]
    with adapted.disable_adapter():
        still = measure_losses(adapted, tokenizer, held_out)["aaaa"]

    assert min(moved) > max(still)
    assert answers_to(adapted, tokenizer, [question("Oslo")]) != [UNSURE]
