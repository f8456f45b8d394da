"""After a rebuilding the guard looks at the newest model, and it goes on trial as the policy says."""

from pathlib import Path

import pytest

from continuum.dataset import Dataset
from continuum.deployment.settling import Hooks
from continuum.erasing.finding import Request
from continuum.erasing.rebuilding import rebuild
from continuum.erasure import forget
from continuum.fine_tuning import FineTuneConfig
from continuum.flywheel import turn
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint, Feedback
from continuum.serving_records import DeploymentState
from continuum.store.database import Store
from continuum.tracking.tracker import FolderTracker
from continuum.training.trainer import Trainer
from tests.builders import an_example, an_interaction
from tests.erased_world import hashes, remains
from tests.erasing.test_rebuilding import captured
from tests.tiny_model import CONFIG, lessons

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RIGHT = "It takes two days."
TRAINING = FineTuneConfig(learning_rate=1e-2, epochs=4, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16)


def corrected(store: Store, count: int = 240) -> None:
    """Questions of twelve people that production could not answer and somebody else could."""
    rows = [
        an_interaction(
            f"order {n}: how long does it take? I am zqx7{'abcdefghijkl'[n % 12]}{n % 12}",
            "I do not know.",
            conversation_id=f"c{n}",
            user_id=f"person-{n % 12}",
            id=f"call-{n:04}",
        )
        for n in range(count)
    ]
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=1.0, correction=RIGHT) for row in rows)


def learned_from(store: Store, model: Checkpoint | None) -> tuple[str, str]:
    """One of the people whom a model learned from, and the word that only they said."""
    record = store.datasets.get(model.dataset_id) if model is not None else None
    assert record is not None
    row = store.interactions.get(Dataset.read(record.uri).split("train")[0].interaction_id)
    assert row is not None
    return row.user_id or "", row.messages[-1].text.rpartition(" ")[2]


async def test_a_canary_that_learned_from_her_is_taken_back_and_its_like_without_her_is_judged_and_goes_on_trial(
    store: Store, tiny_base: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No server holds models yet: one that starts later takes up what is deployed.
    monkeypatch.setenv("CONTINUUM_SERVING_URL", "http://127.0.0.1:9/v1")
    store.tasks.register(
        TaskPolicy(
            task="support", base_model=str(tiny_base), training=TRAINING, auto_deploy_if_better=True, provider_terms_accepted=True
        )
    )
    corrected(store)
    turned = await turn("support", store=store)
    assert turned.outcome == "canary"
    person, word = learned_from(store, turned.checkpoint)

    receipt = await forget(Request(user=person), store=store)
    after = {one.model: one.state for one in store.deployments.of("support")}
    found = await rebuild("support", store=store, guarded=True)

    assert receipt.quarantined == ("support-v1",)
    assert receipt.serving == {"support": "production"}
    assert after == {"support-v1": DeploymentState.ABORTED}
    assert found.models == {"support-v1": "support-v2"}
    assert found.verdict is not None
    assert found.verdict.approved
    assert found.outcome.startswith("support-v2: canary")
    [serving] = store.deployments.serving("support")
    assert (serving.model, serving.verdict_id) == ("support-v2", found.verdict.id)
    assert remains(store, [home], (word, person + '"')) == []
    assert [one.state for one in store.erasures.every()] == ["done"]


async def test_of_four_in_a_line_those_from_the_second_on_are_trained_anew_and_the_first_is_not_touched(
    store: Store, tiny_base: Path, tmp_path: Path
) -> None:
    store.tasks.register(TaskPolicy(task="support", base_model=str(tiny_base), provider_terms_accepted=True))
    tracker, brief = FolderTracker(tmp_path / "runs"), CONFIG.model_copy(update={"epochs": 1})
    parent, line = None, []
    for version in range(1, 5):
        rows = [an_example(f"how long does parcel {version} take?", RIGHT, interaction_id=f"row-{version}")]
        hers = [an_example("how long does badge 9 take?", "ship two by train", interaction_id="jane-9")] if version == 2 else []
        dataset = captured(store, [*rows, *hers, *(lessons() if version == 1 else ())], version)
        parent = (await Trainer(str(tiny_base), brief, store=store, tracker=tracker, parent=parent).train(dataset)).model
        line.append(parent)
    first = hashes(Path(line[0].uri))

    receipt = await forget(Request(user="jane"), store=store, tracker=tracker, hooks=Hooks(tracker=lambda: tracker, drain_s=0))
    found = await rebuild("support", store=store, tracker=tracker, guarded=False)

    assert receipt.quarantined == ("support-v2", "support-v3", "support-v4")
    assert found.models == {"support-v2": "support-v5", "support-v3": "support-v6", "support-v4": "support-v7"}
    anew = store.checkpoints.of("support")[4:]
    assert [one.parent_id for one in anew] == [line[0].id, anew[0].id, anew[1].id]
    assert hashes(Path(line[0].uri)) == first
    for old in line[1:]:
        assert {path.name for path in Path(old.uri).iterdir()} == {"manifest.json"}
