from pathlib import Path

import pytest

from continuum.errors import ConfigurationError, StoreError
from continuum.models.answering import LocalAnswerer, LossMeasurer
from continuum.records import Checkpoint
from tests.builders import assistant, user
from tests.tiny_model import CITIES, RIGHT, UNSURE, question


async def test_without_a_base_model_it_says_which_settings_name_one() -> None:
    with pytest.raises(ConfigurationError, match=r"set base_model .* or CONTINUUM_BASE_MODEL"):
        await LocalAnswerer().answer(None, [[user("hello")]])


@pytest.mark.slow
async def test_the_checkpoint_answers_and_the_base_stays_what_it_was(tiny_base: Path, tiny_checkpoint: Checkpoint) -> None:
    answerer = LocalAnswerer(tiny_base, max_new_tokens=24)
    asked = [[user(question(city))] for city in CITIES]

    before = await answerer.answer(None, asked)
    tuned = await answerer.answer(tiny_checkpoint, asked)
    after = await answerer.answer(None, asked)

    assert [found.text for found in tuned if found is not None] == [RIGHT] * len(CITIES)
    assert [found.text for found in before if found is not None] == [UNSURE] * len(CITIES)
    assert before == after


@pytest.mark.slow
async def test_right_answers_surprise_the_checkpoint_less_than_the_base(tiny_base: Path, tiny_checkpoint: Checkpoint) -> None:
    answerer = LocalAnswerer(tiny_base)
    examples = [([user(question(city))], assistant(RIGHT)) for city in CITIES]

    base, tuned = await answerer.loss(None, examples), await answerer.loss(tiny_checkpoint, examples)

    assert isinstance(answerer, LossMeasurer)
    assert sum(tuned) < sum(base)


@pytest.mark.slow
async def test_an_adapter_that_is_not_what_the_store_says_is_not_loaded(tiny_checkpoint: Checkpoint) -> None:
    name = next(iter(tiny_checkpoint.manifest))
    forged = tiny_checkpoint.model_copy(update={"manifest": tiny_checkpoint.manifest | {name: "0" * 64}})

    with pytest.raises(StoreError, match="not the manifest that the store holds"):
        await LocalAnswerer().answer(forged, [[user("hello")]])
