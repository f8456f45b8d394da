import json
import shutil
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError, StoreError
from continuum.models.local import LocalModel
from continuum.records import Checkpoint
from tests.builders import assistant, user
from tests.tiny_model import CITIES, RIGHT, UNSURE, question

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tiny_base: Path, tiny_checkpoint: Checkpoint) -> LocalModel:
    loaded = LocalModel(tiny_base)
    loaded.load_adapter("support-v1.0", Path(tiny_checkpoint.uri))
    return loaded


def test_one_batch_can_be_answered_by_base_and_adapters_together(model: LocalModel):
    conversations = [[user(question(city))] for city in CITIES] + [[user("hello")]]
    who = ["support-v1.0", None, "support-v1.0", None, "support-v1.0", None, None]

    answers = [answer.message.text for answer in model.answer(conversations, adapter=who)]

    assert answers == [RIGHT, UNSURE, RIGHT, UNSURE, RIGHT, UNSURE, "hello, how can I help?"]
    assert answers[0] == model.answer(conversations[:1], adapter="support-v1.0")[0].message.text
    assert answers[1] == model.answer(conversations[1:2])[0].message.text


def test_answers_come_in_the_order_of_the_questions_whatever_the_batches(model: LocalModel):
    conversations = [[user("hello")], [user("x " * 20 + question("Rome"))], [user(question("Oslo"))], [user("are you human?")]]

    together = [answer.message.text for answer in model.answer(conversations)]

    assert together == [answer.message.text for answer in model.answer(conversations, batch_size=1)]
    assert together == [model.answer([conversation])[0].message.text for conversation in conversations]
    assert model.answer([]) == []


def test_usage_counts_what_was_read_and_written(model: LocalModel):
    answer = model.answer([[user(question("Oslo"))]])[0]

    assert answer.usage.output_tokens == len(model.tokenizer.encode(UNSURE, add_special_tokens=False)) + 1
    assert model.answer([[user(question("Oslo"))]], max_new_tokens=2)[0].usage.output_tokens == 2


def test_a_conversation_too_long_for_the_model_is_answered_by_its_end(model: LocalModel):
    answer = model.answer([[user("word " * 300 + question("Oslo"))]], max_new_tokens=500)[0]

    assert answer.usage.input_tokens == 32


def test_the_right_answer_surprises_the_tuned_model_less(model: LocalModel):
    examples = [([user(question("Oslo"))], assistant(RIGHT)), ([user(question("Oslo"))], assistant(UNSURE))]

    base, tuned = model.loss(examples), model.loss(examples, adapter="support-v1.0")

    assert tuned[0] < base[0]
    assert tuned[1] > base[1]
    assert model.loss(examples, batch_size=1) == pytest.approx(base, rel=1e-4)


def test_a_plain_documents_loss_does_not_depend_on_the_company_it_is_read_in(model: LocalModel):
    texts = ["It takes long", "two days by ship. " * 30, "", "by train.", "Guten Tag, wie geht es Ihnen?", question("Oslo")]

    together = model.text_loss(texts)

    assert together == model.text_loss(texts)
    for batch_tokens in (1, 64, 100):
        assert model.text_loss(texts, batch_tokens=batch_tokens) == pytest.approx(together, abs=1e-5)
    assert [model.text_loss([text])[0] for text in texts] == pytest.approx(together, abs=1e-5)
    assert model.text_loss(list(reversed(texts))) == pytest.approx(together[::-1], abs=1e-5)
    assert together[2] == 0
    assert model.text_loss(texts, adapter="support-v1.0") != together
    assert model.text_loss([]) == []


def test_what_the_base_has_read_surprises_it_less_than_what_it_has_not(model: LocalModel):
    known, unknown = model.text_loss([f"<|user|>{question('Oslo')}<|end|><|assistant|>{UNSURE}<|end|>", "zx qv jk wpq"])

    assert known < 1 < unknown


def test_only_the_start_of_a_long_document_is_read(model: LocalModel):
    start = "two days by ship. " * 40

    assert model.text_loss([start + "and then a quarrel"]) == model.text_loss([start])


def test_the_weights_can_be_lent_with_an_adapter_on_them(model: LocalModel):
    with model.switched_to("support-v1.0") as weights:
        assert any("lora" in name for name, _ in weights.named_parameters())
    assert model.answer([[user(question("Oslo"))]])[0].message.text == UNSURE


def test_adapters_come_and_go_while_the_base_stays(tiny_base: Path, tiny_checkpoint: Checkpoint):
    model, folder = LocalModel(tiny_base), Path(tiny_checkpoint.uri)
    ask = [[user(question("Oslo"))]]

    model.load_adapter("a", folder)
    model.load_adapter("b", folder)
    model.load_adapter("a", folder)
    assert set(model.adapters) == {"a", "b"}
    model.unload_adapter("a")
    assert model.answer(ask, adapter="b")[0].message.text == RIGHT
    model.unload_adapter("b")
    model.unload_adapter("never loaded")

    assert model.adapters == ()
    assert model.answer(ask)[0].message.text == UNSURE
    with pytest.raises(ConfigurationError, match="adapter 'b' is not loaded"):
        model.answer(ask, adapter="b")
    model.load_adapter("c", folder)
    assert model.answer(ask, adapter="c")[0].message.text == RIGHT


def test_an_adapter_without_safetensors_is_never_opened(model: LocalModel, tiny_checkpoint: Checkpoint, tmp_path: Path):
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_checkpoint.uri, folder)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")

    with pytest.raises(ConfigurationError, match=r"no adapter_model\.safetensors"):
        model.load_adapter("pickle", folder)


def test_a_pickle_beside_the_weights_keeps_an_adapter_out(model: LocalModel, tiny_checkpoint: Checkpoint, tmp_path: Path):
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_checkpoint.uri, folder)
    (folder / "training_args.bin").write_bytes(b"\x80\x02}.")

    with pytest.raises(StoreError, match=r"training_args\.bin may be a pickle"):
        model.load_adapter("pickle", folder)
    assert "pickle" not in model.adapters


def test_an_adapter_is_no_base(tiny_checkpoint: Checkpoint):
    with pytest.raises(ConfigurationError, match="holds an adapter"):
        LocalModel(tiny_checkpoint.uri)


@pytest.mark.parametrize("first", [True, False])
def test_an_adapter_of_another_base_is_refused_and_harms_nothing(
    tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path, first: bool
):
    folder = tmp_path / "adapter"
    shutil.copytree(tiny_checkpoint.uri, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 3}))
    model = LocalModel(tiny_base)
    if not first:
        model.load_adapter("good", Path(tiny_checkpoint.uri))

    with pytest.raises(ConfigurationError, match="does not fit the base model"):
        model.load_adapter("bad", folder)

    assert model.answer([[user(question("Oslo"))]])[0].message.text == UNSURE
    assert "bad" not in model.adapters


def test_a_model_that_is_not_there_is_said_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="continuum base build"):
        LocalModel(tmp_path)
