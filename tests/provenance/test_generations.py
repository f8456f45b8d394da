"""Which version of the line wrote an answer."""

import pytest

from continuum.curation.pool import eligible, read_traffic
from continuum.policy import SplitPolicy, TaskPolicy
from continuum.provenance.generations import Lineage, generation_of, read_lineage
from continuum.records import Checkpoint, Feedback
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.store.database import Store
from tests.builders import an_interaction, interactions

LINE = Lineage("support", {"d-4": 4})


@pytest.mark.parametrize(
    ("model", "generation"),
    [
        ("support-v3", 3),
        ("openai/support-v12", 12),
        ("gpt-4", 0),
        (None, 0),
        ("support", 0),
        ("support-v", 0),
        ("support-v0", 0),
        ("support-v2-large", 0),
        ("other-v3", 0),
        ("my-support-v3", 0),
        ("support-v\u00b2", 0),
        ("support-v" + "9" * 40, 0),
    ],
)
def test_the_name_by_which_the_line_is_served_says_the_version(model: str | None, generation: int) -> None:
    assert generation_of(an_interaction(model=model), LINE) == generation


def test_behind_another_name_the_canary_arm_says_it_and_the_stable_arm_nothing() -> None:
    named = {"model": "local", "deployment_id": "d-4"}

    assert generation_of(an_interaction(**named, variant="canary"), LINE) == 4
    assert generation_of(an_interaction(**named, variant="stable"), LINE) == 0
    assert generation_of(an_interaction(**named), LINE) == 0
    assert generation_of(an_interaction(**named | {"deployment_id": "unknown"}, variant="canary"), LINE) == 0
    assert generation_of(an_interaction(**named | {"model": "support-v2"}, variant="canary"), LINE) == 2


def test_the_line_is_read_from_deployments_and_checkpoints(store: Store) -> None:
    store.checkpoints.add(Checkpoint(id="c", task="support", version=5, base_model="b", uri="u", dataset_id="d"))
    for name, checkpoint in (("one", "c"), ("two", "gone")):
        record = DeploymentRecord(
            id=name, task="support", checkpoint_id=checkpoint, model="support-v7", stable_model="production"
        )
        store.deployments.add(record, DeploymentEvent(deployment_id=name, actor="test", action="deploy"))

    assert read_lineage(store, "support") == Lineage("support", {"one": 5, "two": 7})
    assert read_lineage(store, "other") == Lineage("other", {})


def test_the_pool_tells_generations_and_intents_and_keeps_corrected_failures(store: Store) -> None:
    policy = TaskPolicy(task="support", splits=SplitPolicy(golden=0, validation=0))
    store.tasks.register(policy)
    answered, corrected, failed, wordless = interactions(4, model="support-v2", tags={"topic": "parcels"})
    gone = {"response": None, "status": "error"}
    corrected, failed = (one.model_copy(update=gone) for one in (corrected, failed))
    wordless = wordless.model_copy(update=gone | {"messages": ()})
    store.interactions.add([answered, corrected, failed, wordless])
    store.feedback.add(
        [Feedback(interaction_id=answered.id, score=5), Feedback(interaction_id=corrected.id, correction="Two days.")]
    )

    pool = eligible(store, read_traffic(store, policy, None), 3.5, "topic")

    assert {one.interaction.id: (one.generation, one.intent) for one in pool.good} == {
        answered.id: (2, "parcels"),
        corrected.id: (0, "parcels"),
    }
    assert {stage: count for stage, count in pool.counts.items() if count} == {"seen": 4, "failed": 2}
