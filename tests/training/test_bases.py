import json
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError, NotEnoughData
from continuum.policy import SplitPolicy, TaskPolicy
from continuum.splits.sides import task_sides
from continuum.store.database import Store
from continuum.training.bases import BaseSize, build_base_for_task, training_conversations
from tests.builders import an_interaction, interactions

SMALL = BaseSize(vocabulary=400, hidden=16, layers=1, heads=2, window=64, steps=3, batch_size=4)


def test_only_the_training_side_is_read(store: Store):
    policy = TaskPolicy(task="support", splits=SplitPolicy(golden=0.4, validation=0.2))
    store.interactions.add(interactions(60))
    side = task_sides(store, policy).side
    expected = {i.messages[0].text for i in interactions(60) for key in [i.conversation_id] if key}
    held_out = {
        interaction.messages[0].text for interaction in store.interactions.scan("support") if side[interaction.id] != "train"
    }

    read = {conversation[0].text for conversation in training_conversations(store, policy)}

    assert held_out
    assert read == expected - held_out


def test_a_failed_call_teaches_nothing(store: Store):
    store.interactions.add([an_interaction(response=None, status="error"), an_interaction("other", "answer")])

    assert len(training_conversations(store, TaskPolicy(task="support", splits=SplitPolicy(golden=0, validation=0)))) == 1


@pytest.mark.slow
def test_a_base_is_built_where_it_was_asked_for_or_in_the_home(store: Store, home: Path, tmp_path: Path):
    store.tasks.ensure("support")
    store.interactions.add(interactions(20))

    at_home = build_base_for_task("support", size=SMALL)
    elsewhere = build_base_for_task("support", tmp_path / "base", store=store, size=SMALL, seed=1)

    assert at_home.folder == home / "models" / "support-base"
    assert elsewhere.folder == tmp_path / "base"
    assert json.loads((at_home.folder / "config.json").read_text())["max_position_embeddings"] == 64


def test_an_unknown_task_and_an_empty_one_are_said_so(store: Store):
    with pytest.raises(ConfigurationError, match="no task 'support'"):
        build_base_for_task("support", store=store)
    with pytest.raises(NotEnoughData, match="0 conversations"):
        build_base_for_task(TaskPolicy(task="support"), store=store)
