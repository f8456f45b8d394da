import pytest

from continuum.policy import TaskPolicy
from continuum.provenance.terms import TermsNotAccepted, providers_in, unaccepted
from continuum.records import DatasetRecord
from continuum.store.database import Store

SUPPORT = TaskPolicy(task="support", base_model="models/tiny")


def a_training_set(version: int, models: dict[str, int]) -> DatasetRecord:
    named = {"id": f"d{version}", "name": f"support_training_v{version}", "version": version}
    return DatasetRecord(task="support", kind="training", uri="", manifest={"models": models}, **named)


def test_people_the_own_line_the_base_and_the_nameless_are_free():
    writers = {"gpt-4": 7, "people": 5, "unknown": 4, "support-v2": 3, "hosted_vllm/support-v10": 2, "models/tiny": 1}

    assert providers_in(writers, SUPPORT) == {"gpt-4": 7}


@pytest.mark.parametrize("name", ["support-v0", "support-vx", "other-v2", "support-v2-copy", "my-support-v2"])
def test_a_name_that_only_looks_like_the_own_line_is_anothers(name: str):
    assert providers_in({name: 1}, SUPPORT) == {name: 1}


def test_the_base_that_the_environment_names_is_own_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONTINUUM_BASE_MODEL", "Qwen/Qwen3-0.6B")

    assert providers_in({"Qwen/Qwen3-0.6B": 3}, TaskPolicy(task="support")) == {}


def test_what_waits_is_told_by_the_newest_training_set_until_the_terms_are_accepted(store: Store):
    store.tasks.register(SUPPORT)
    assert unaccepted(store, SUPPORT) == {}

    store.datasets.add(a_training_set(1, {"gpt-4": 7, "people": 2}), [])
    assert unaccepted(store, SUPPORT) == {"gpt-4": 7}
    assert unaccepted(store, SUPPORT.model_copy(update={"provider_terms_accepted": True})) == {}

    store.datasets.add(a_training_set(2, {"people": 2}), [])
    assert unaccepted(store, SUPPORT) == {}


def test_a_hostile_model_name_is_shown_as_an_excerpt_and_the_list_ends():
    error = TermsNotAccepted("support", {f"model-{n}\n\x1b[31m": 1 for n in range(9)})

    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert "and 4 more models" in str(error)
