from dataclasses import replace
from typing import Any

import pytest

from continuum.curation.difference import difference
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError
from continuum.records import Example
from continuum.splits.golden import GoldenDataset, GoldenItem
from tests.builders import an_example, assistant, user

FROZEN = {"embedder": "hashed", "base64": "AAAA"}


def a_version(number: int, *examples: Example, **fields: Any) -> Dataset:
    manifest = {
        "name": f"support_training_v{number}",
        "task": "support",
        "fingerprint": f"{number}" * 64,
        "source_interactions": 9,
        "intent_coverage": 0.5,
        "config": {"target_size": 3, "splits": {"golden": 0.2, "salt": "s"}},
        "coverage": {"by": "cluster", "frozen": FROZEN},
    }
    return Dataset(examples, manifest | fields)


def a_golden(number: int, *ids: str, **fields: Any) -> GoldenDataset:
    items = tuple(GoldenItem(interaction_id=one, messages=(user(one),), group=one, **fields) for one in ids)
    return GoldenDataset(f"support_golden_v{number}", "support", number, f"{number}" * 64, items, {})


def test_who_joined_left_and_changed() -> None:
    before = a_version(1, an_example("a"), an_example("b", score=4.0), an_example("c"))
    after = a_version(2, an_example("b", score=5.0, generation=1), an_example("c"), an_example("d"), an_example("e"))

    found = difference(before, after)

    assert (found.joined, found.left, found.kept) == (("d", "e"), ("a",), 2)
    assert [(one.interaction_id, one.fields) for one in found.changed] == [("b", {"score": (4.0, 5.0), "generation": (0, 1)})]
    assert found.overlap == 0.4
    assert (found.before.rows, found.after.rows) == (3, 4)
    assert (found.before.mean_score, found.after.mean_score) == (4.6667, 5.0)
    assert "2 joined, 1 left, 1 changed, 1 are the same; 40% of all are in both" in found.words()


def test_another_answer_is_a_change() -> None:
    found = difference(a_version(1, an_example("a")), a_version(2, an_example("a", answer="Never.")))

    assert found.changed[0].fields["answer"][1] == {"role": "assistant", "content": "Never."}


def test_a_version_does_not_differ_from_itself() -> None:
    found = difference(a_version(1, an_example("a")), a_version(1, an_example("a")))

    assert (found.joined, found.left, found.changed, found.config, found.overlap) == ((), (), (), {}, 1.0)
    assert difference(a_version(1), a_version(1)).overlap == 1.0


def test_only_settings_that_changed_are_told() -> None:
    after = a_version(2, config={"target_size": 5, "splits": {"golden": 0.2, "salt": "t"}, "embedder": "minilm"})

    assert difference(a_version(1), after).config == {
        "target_size": (3, 5),
        "splits.salt": ("s", "t"),
        "embedder": (None, "minilm"),
    }


def test_clusters_are_compared_where_both_versions_share_them() -> None:
    before = a_version(1, an_example("a", cluster=0), an_example("b", cluster=1))
    after = a_version(2, an_example("a", cluster=0), an_example("c", cluster=0))

    assert difference(before, after).classes == {"0": (1, 2), "1": (1, 0)}
    fitted_anew = a_version(3, coverage={"by": "cluster", "frozen": {**FROZEN, "base64": "BBBB"}})
    assert difference(before, fitted_anew).classes is None
    assert "fitted anew" in difference(before, fitted_anew).classes_because


def test_intents_are_always_compared() -> None:
    by_intent = {"by": "intent", "frozen": {}}
    before = a_version(1, an_example("a", intent="late"), an_example("b"), coverage=by_intent)
    after = a_version(2, an_example("a", intent="late"), an_example("c", intent="refund"), coverage=by_intent)

    assert difference(before, after).classes == {"late": (1, 1), "refund": (0, 1)}


def test_golden_versions_are_compared_too() -> None:
    before = a_golden(1, "a", "b")
    after = a_golden(2, "b", "c", reference=assistant("so"))

    found = difference(before, after)

    assert (found.joined, found.left, [one.interaction_id for one in found.changed]) == (("c",), ("a",), ["b"])
    assert found.after.mean_score is None


def test_what_has_nothing_in_common_is_not_compared() -> None:
    other = a_version(1, task="sales", name="sales_training_v1")
    with pytest.raises(ConfigurationError, match="compare versions of one task"):
        difference(a_version(1), other)
    with pytest.raises(ConfigurationError, match=r"one of .* is golden"):
        difference(a_version(1), a_golden(1, "a"))
    with pytest.raises(ConfigurationError, match="compare versions of one task"):
        difference(a_golden(1, "a"), replace(a_golden(1, "a"), task="sales"))
