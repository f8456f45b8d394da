import json
from pathlib import Path

import pytest

from continuum.dataset import Dataset
from continuum.errors import ConfigurationError
from continuum.provenance.lineage import Lineage, lineage
from continuum.records import Checkpoint, DatasetRecord, Feedback, Verdict, VerdictStatus
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from tests.builders import an_example, interactions


def test_a_question_that_somebody_brought_is_none_that_was_lost(store: Store) -> None:
    asked = interactions(1)[0]
    store.interactions.add([asked])
    golden = DatasetRecord(id="gold", task="support", kind="golden", name="g_v1", version=1, uri="nowhere", manifest={})
    store.datasets.add(golden, [DatasetItem(interaction_id=id_, split="golden") for id_ in (asked.id, "gone", "own-12")])

    states = {node.id: node.details["state"] for node in lineage(store, "gold").links}

    assert states == {asked.id: "", "gone": "no longer in the store", "own-12": "own question, not from traffic"}


@pytest.fixture
def turned(store: Store, tmp_path: Path) -> Store:
    """A store after two turns: v2, continued from v1, is deployed; item 0 of the dataset stands for a duplicate."""
    captured = [item.model_copy(update={"id": f"i{n}"}) for n, item in enumerate(interactions(8))]
    store.interactions.add(captured)
    store.feedback.add([Feedback(interaction_id="i0", score=5), Feedback(interaction_id="i0", label="good")])
    for version, members in ((1, ("i0", "i1")), (2, ("i0", "i2", "i3"))):
        examples = [an_example(interaction_id=id_, duplicates=("i7",) if id_ == "i0" else ()) for id_ in members]
        manifest = {"name": f"support_training_v{version}", "task": "support", "fingerprint": f"data{version}"}
        folder = Dataset(examples, manifest).write(tmp_path / f"data{version}")
        record = DatasetRecord(
            id=f"data{version}", task="support", name=manifest["name"], version=version, uri=str(folder), manifest=manifest
        )
        store.datasets.add(record, [DatasetItem(interaction_id=id_, split="train", score=5.0) for id_ in members])
    golden = DatasetRecord(
        id="gold1", task="support", kind="golden", name="support_golden_v1", version=1, uri="nowhere", manifest={}
    )
    store.datasets.add(golden, [DatasetItem(interaction_id="i5", split="golden")])
    for version, parent in ((1, None), (2, "c1")):
        store.checkpoints.add(
            Checkpoint(
                id=f"c{version}",
                task="support",
                version=version,
                base_model="tiny",
                uri="x",
                dataset_id=f"data{version}",
                parent_id=parent,
            )
        )
    store.verdicts.add(
        Verdict(
            id="verdict2",
            task="support",
            checkpoint_id="c2",
            baseline="c1",
            golden_id="gold1",
            status=VerdictStatus.APPROVED,
            approved=True,
        )
    )
    deployment = DeploymentRecord(
        id="d2", task="support", checkpoint_id="c2", model="support-v2", stable_model="support-v1", verdict_id="verdict2"
    )
    store.deployments.add(deployment, DeploymentEvent(deployment_id="d2", actor="test", action="deploy"))
    return store


def test_a_deployment_is_traced_back_to_every_interaction_behind_it(turned: Store) -> None:
    traced = lineage(turned, "d2")

    assert traced.kind == "deployment"
    assert set(traced.interaction_ids()) == {"i0", "i1", "i2", "i3", "i5"}
    kinds = [node.kind for node in traced.walk() if node.kind != "interaction"]
    assert kinds == ["deployment", "verdict", "golden dataset", "checkpoint", "dataset", "checkpoint", "dataset"]


def test_interactions_show_their_feedback_and_the_duplicates_they_stand_for(turned: Store) -> None:
    nodes = {node.id: node for node in lineage(turned, "support_training_v2").walk()}

    assert nodes["i0"].details["feedback"] == 2
    assert nodes["i0"].details["duplicates"] == 1
    assert nodes["i2"].details["feedback"] == 0
    assert nodes["i2"].details["duplicates"] == 0


def test_a_complaint_is_told_with_what_was_said_and_with_the_verdict_on_each_model_that_learned_from_it(turned: Store) -> None:
    turned.feedback.add([Feedback(interaction_id="i2", score=1, correction="On Tuesday.")])

    asked, *onwards = lineage(turned, "i2").render()
    member = next(line for line in lineage(turned, "support_training_v2").render() if "interaction i2" in line)

    assert "rated 1 of 5, corrected by a person" in asked
    assert "rated 1 of 5, corrected by a person" in member
    assert "verdict approved" in next(line for line in onwards if "checkpoint support-v2" in line)


def test_a_score_is_told_without_the_noise_of_its_sum() -> None:
    assert Lineage("interaction", "i", "i", details={"score": 4.6000000000000005}).render() == ["interaction i: score 4.6"]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("verdict2", "verdict"),
        ("c2", "checkpoint"),
        ("support-v2", "checkpoint"),
        ("data1", "dataset"),
        ("gold1", "golden dataset"),
    ],
)
def test_every_kind_of_id_and_name_is_understood(turned: Store, asked: str, kind: str) -> None:
    assert lineage(turned, asked).kind == kind


def test_an_interaction_is_traced_on_to_the_checkpoints_and_deployments_that_learned_from_it(turned: Store) -> None:
    traced = lineage(turned, "i1")

    found = [(node.kind, node.name) for node in traced.walk()]
    assert found == [
        ("interaction", "i1"),
        ("dataset", "support_training_v1"),
        ("checkpoint", "support-v1"),
        ("checkpoint", "support-v2"),
        ("deployment", "support-v2"),
    ]


def test_an_interaction_nothing_learned_from_has_no_links(turned: Store) -> None:
    assert lineage(turned, "i6").links == ()


def test_the_tree_is_printed_with_indentation_and_a_branch_only_once(turned: Store) -> None:
    lines = lineage(turned, "i0").render()

    assert lines[0].startswith("interaction i0: ")
    assert "  in: dataset support_training_v1 (data1)" in lines[1]
    # support-v2 is reached from both datasets, once directly and once as a continuation of support-v1.
    assert [line.endswith("; shown above") for line in lines if "checkpoint support-v2" in line] == [False, True]


def test_the_tree_is_plain_json(turned: Store) -> None:
    assert json.loads(json.dumps(lineage(turned, "d2").to_dict()))["links"][0]["relation"] == "allowed by"


def test_interactions_that_were_erased_are_still_named(turned: Store) -> None:
    golden = DatasetRecord(
        id="gold2", task="support", kind="golden", name="support_golden_v2", version=2, uri="nowhere", manifest={}
    )
    turned.datasets.add(golden, [DatasetItem(interaction_id="gone", split="golden")])

    (node,) = lineage(turned, "gold2").links

    assert node.details["state"] == "no longer in the store"


def test_a_dataset_whose_rows_are_gone_can_still_be_traced(turned: Store, tmp_path: Path) -> None:
    (tmp_path / "data2" / "manifest.json").unlink()

    assert len(lineage(turned, "data2").links) == 3


def test_a_line_that_names_itself_as_parent_ends(turned: Store) -> None:
    turned.checkpoints.add(
        Checkpoint(id="loop", task="other", version=1, base_model="tiny", uri="x", dataset_id="none", parent_id="loop")
    )

    assert lineage(turned, "loop").links == ()


def test_an_unknown_id_is_an_error_that_says_what_can_be_given(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="knows nothing of 'nonsense'"):
        lineage(store, "nonsense")
