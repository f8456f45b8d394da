"""The benchmark of attribution: harm is planted, the attribution is not told of it, and a wrong one misses the goals."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.analytics import attributing
from benchmarks.analytics.attributing import Case, Tally, attributed, classified, shop_queries
from benchmarks.claims import Setting
from continuum.analytics.attribution import Attribution, attribute
from continuum.dataset import Dataset
from continuum.splits.golden import GoldenItem
from continuum.store.database import Store


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """A quick run of two seeds and ten intents, without a word."""
    monkeypatch.setattr(attributing, "SEEDS", 2)
    monkeypatch.setattr(attributing, "INTENTS", 10)
    return Setting(quick=True, folder=tmp_path, data=None, seed=0, say=lambda text: None)


def altered(**change: Any) -> Any:
    """The product's attribution with its clusters changed."""

    def wrong(*arguments: Any, **fields: Any) -> Attribution:
        found = attribute(*arguments, **fields)
        return replace(found, clusters=tuple(replace(one, **change) for one in found.clusters))

    return wrong


def test_the_planted_cluster_is_named_and_no_clean_one(setting: Setting) -> None:
    result = attributing.measure(setting)

    assert [(entry.ours, entry.holds) for entry in result.entries] == [(2, True), (0, True)]
    assert all("2 seeds" in entry.claim for entry in result.entries)
    assert any("the model under study is a classifier" in note for note in result.notes)


def test_an_attribution_that_tells_no_cluster_from_another_misses_the_first_goal(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributing, "attribute", lambda *given, **fields: replace(attribute(*given, **fields), common=-1.0))

    assert [entry.holds for entry in attributing.measure(setting).entries] == [False, True]


def test_an_attribution_that_calls_all_harmful_misses_the_second(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributing, "attribute", altered(probability_harmful=1.0))

    assert [entry.holds for entry in attributing.measure(setting).entries] == [True, False]


def test_harm_is_the_wrong_answers_of_one_intent_and_the_twin_has_none() -> None:
    planted, twin = classified(0, range(1), shop_queries(0))

    right = {one.interaction_id: one.response.text for one in twin.examples}
    wrong = {one.intent for one in planted.examples if one.response.text != right[one.interaction_id]}
    assert wrong == {planted.harmful}
    assert twin.harmful is None
    assert all(one.response.text == one.intent for one in twin.examples)
    lost = [item for item in planted.items if (planted.after[item.interaction_id] or 0) < (twin.after[item.interaction_id] or 0)]
    assert {item.slice for item in lost} == {planted.harmful}


def test_no_golden_question_is_a_training_question() -> None:
    queries = shop_queries(0)

    assert not set(queries.texts) & set(queries.test_texts)


def test_the_attribution_is_not_told_the_intents(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []

    def looked_into(store: Store, task: str, items: list[GoldenItem], *scores: Any, candidate: Any, **fields: Any) -> Attribution:
        record = store.datasets.get(candidate.dataset_id)
        assert record is not None
        told.extend(example.intent for example in Dataset.read(record.uri))
        return attribute(store, task, items, *scores, candidate=candidate, **fields)

    monkeypatch.setattr(attributing, "attribute", looked_into)
    planted, _ = classified(0, range(1), shop_queries(0))

    attributed(store, tmp_path, 0, planted)

    assert len(told) == len(planted.examples)
    assert set(told) == {None}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_language_model_is_trained_on_what_its_case_holds(
    setting: Setting, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.training import corpus

    monkeypatch.setattr(corpus, "build_corpus_base", partial(corpus.build_corpus_base, texts=200, steps=4))
    for name, little in (("FIRST_EPOCHS", 1), ("EPOCHS", 1), ("LESSONS", 2), ("NEW_LESSONS", 2), ("QUESTIONS", 2)):
        monkeypatch.setattr(attributing, name, little)

    cases: Iterator[Case] = attributing.tuned(setting, range(1))
    tally = Tally()
    planted, twin = cases
    tally.planted(planted, attributed(store, setting.folder, 0, planted))
    tally.clean(attributed(store, setting.folder, 1, twin))

    assert {one.intent for one in planted.examples} == {one.intent for one in twin.examples}
    assert planted.before == twin.before
    assert (tally.seeds, tally.twins) == (1, 1)
    assert (setting.folder / "candidate-0-False" / "artifact" / "adapter_model.safetensors").is_file()
    assert len(planted.after) == len(planted.items)
