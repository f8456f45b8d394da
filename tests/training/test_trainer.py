import shutil
import sys
from pathlib import Path

import pytest

from continuum.dataset import Dataset
from continuum.errors import ConfigurationError, NotEnoughData, StoreError, TrainingInterrupted
from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.policy import TaskPolicy
from continuum.provenance.artifacts import verify_artifact
from continuum.provenance.terms import TermsNotAccepted
from continuum.records import Checkpoint, DatasetRecord, Verdict, VerdictStatus
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.tracking.tracker import FolderTracker
from continuum.training.launch import InlineLauncher
from continuum.training.trainer import Trainer
from tests.builders import an_example, an_interaction
from tests.tiny_model import CONFIG, lessons

SHORT = CONFIG.model_copy(update={"epochs": 2})


def a_dataset(examples=None) -> Dataset:
    rows = lessons() if examples is None else examples
    return Dataset(
        rows, {"task": "support", "name": "support_training_v1", "fingerprint": "f" * 64, "source_interactions": len(rows)}
    )


def a_checkpoint(version: int, base: str = "base", **fields: object) -> Checkpoint:
    values = {"id": f"c{version}", "task": "support", "version": version, "base_model": base, "uri": "nowhere", "dataset_id": "d"}
    return Checkpoint.model_validate(values | fields)


def a_verdict(checkpoint: str, status: VerdictStatus) -> Verdict:
    approved = status is not VerdictStatus.BLOCKED
    return Verdict(
        task="support", checkpoint_id=checkpoint, baseline="production", golden_id="g", status=status, approved=approved
    )


@pytest.mark.slow
async def test_a_training_leaves_a_checkpoint_and_the_next_continues_it(tiny_base: Path, store: Store, tmp_path: Path):
    tracker = FolderTracker(tmp_path / "runs")
    trainer = Trainer(str(tiny_base), SHORT, store=store, tracker=tracker)

    first = await trainer.train(a_dataset())
    store.verdicts.add(a_verdict(first.model.id, VerdictStatus.INCONCLUSIVE))
    second = await trainer.train(a_dataset([an_example("is it open?", "Closed long days.")]))

    assert (first.model.version, first.model.generation, first.model.parent_id) == (1, 1, None)
    assert (second.model.version, second.model.generation, second.model.parent_id) == (2, 2, first.model.id)
    assert store.checkpoints.of("support") == [first.model, second.model]
    assert first.epochs_completed == 2
    assert first.final_loss < first.initial_loss
    assert second.metrics["replayed_examples"] == 6
    assert tracker.run(first.mlflow_run_id or "")["checkpoint"]["id"] == first.model.id
    assert tracker.aliases("support") == {"candidate": "2"}


@pytest.mark.slow
async def test_an_altered_parent_is_not_continued(tiny_base: Path, store: Store, tmp_path: Path):
    trainer = Trainer(str(tiny_base), SHORT, store=store, tracker=FolderTracker(tmp_path))
    first = await trainer.train(a_dataset())
    (Path(first.model.uri) / "replay.jsonl").write_text("poison")

    with pytest.raises(StoreError, match=r"replay\.jsonl was altered"):
        await Trainer(str(tiny_base), SHORT, store=store, parent=first.model).train(a_dataset())


@pytest.mark.slow
async def test_a_tracking_server_that_is_down_does_not_cost_the_training(
    tiny_base: Path, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/nowhere/mlflow.db")

    result = await Trainer(str(tiny_base), SHORT, store=store).train(a_dataset())

    assert result.mlflow_run_id is None
    assert store.checkpoints.get(result.model.id) is not None
    assert "stored but not logged" in caplog.text


async def test_nothing_golden_is_ever_trained_on(store: Store):
    golden = DatasetRecord(id="g", task="support", kind="golden", name="support_golden_v1", version=1, uri="", manifest={})
    store.datasets.add(golden, [DatasetItem(interaction_id="lesson-Rome", split="golden")])

    with pytest.raises(ConfigurationError, match="'lesson-Rome', which is in the golden set"):
        await Trainer("base", store=store).train(a_dataset())


async def test_without_a_base_model_it_says_where_one_comes_from(store: Store):
    with pytest.raises(ConfigurationError, match="continuum base build --task support"):
        await Trainer(store=store).train(a_dataset())


async def test_the_task_and_the_environment_can_name_the_base_model(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONTINUUM_BASE_MODEL", "/no/such/model")
    with pytest.raises(ConfigurationError, match="/no/such/model"):
        await Trainer(store=store).train(a_dataset())

    policy = TaskPolicy(task="support", base_model="/not/this/either")
    store.tasks.register(policy)
    with pytest.raises(ConfigurationError, match="/not/this/either"):
        await Trainer.for_task(policy, store=store).train(a_dataset())


async def test_validation_rows_alone_are_not_enough(store: Store):
    with pytest.raises(NotEnoughData, match="0 training rows"):
        await Trainer("base", store=store).train(a_dataset([an_example(split="validation")]))


async def test_a_parent_on_another_base_is_refused(store: Store):
    with pytest.raises(ConfigurationError, match=r"support-v3 was trained on 'other' .* parent=None"):
        await Trainer("base", store=store, parent=a_checkpoint(3, base="other")).train(a_dataset())
    with pytest.raises(ConfigurationError, match="no checkpoint 'support-v9'"):
        await Trainer("base", store=store, parent="support-v9").train(a_dataset())


def test_a_constraint_that_nothing_tries_is_refused_at_once():
    with pytest.raises(ConfigurationError, match="zero probes"):
        Trainer("base", FineTuneConfig(constitutional_constraints=("Always rhyme",)))


async def test_training_on_another_providers_answers_is_refused_until_it_is_accepted(store: Store):
    store.interactions.add([an_interaction(id="asked", model="gpt-4")])
    dataset = a_dataset([an_example(interaction_id="asked")])

    with pytest.raises(
        TermsNotAccepted, match=r"answers of gpt-4 \(1\).*continuum tasks set support provider_terms_accepted=true"
    ):
        await Trainer("/no/model", store=store).train(dataset)

    store.tasks.register(TaskPolicy(task="support", provider_terms_accepted=True))
    with pytest.raises(ConfigurationError, match="/no/model"):
        await Trainer("/no/model", store=store).train(dataset)


async def test_what_people_wrote_needs_no_acceptance_though_another_provider_was_corrected(store: Store):
    store.interactions.add([an_interaction(id="asked", model="gpt-4")])

    with pytest.raises(ConfigurationError, match="/no/model"):
        await Trainer("/no/model", store=store).train(a_dataset([an_example(interaction_id="asked", score_source="correction")]))


def test_the_facade_is_light():
    import subprocess

    code = (
        "import sys, continuum.training.trainer, continuum.training.bases;"
        "print([name for name in ('torch', 'numpy', 'mlflow', 'sqlalchemy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.slow
async def test_a_report_whose_artifact_is_gone_is_trained_again(tiny_base: Path, store: Store, tmp_path: Path):
    class DiesBeforeItRecords(InlineLauncher):
        def launch(self, folder, on_progress, stop=None):
            super().launch(folder, on_progress, stop)
            raise TrainingInterrupted("the caller died here")

    with pytest.raises(TrainingInterrupted):
        await Trainer(str(tiny_base), SHORT, store=store, launcher=DiesBeforeItRecords()).train(a_dataset())
    (artifact,) = (tmp_path / "home" / "checkpoints" / "support").iterdir()
    shutil.rmtree(artifact)

    result = await Trainer(str(tiny_base), SHORT, store=store, tracker=FolderTracker(tmp_path / "runs")).train(a_dataset())

    assert verify_artifact(result.model.uri) == result.model.manifest


@pytest.mark.slow
async def test_a_budget_that_cannot_be_measured_is_said(
    tiny_base: Path, tiny_checkpoint: Checkpoint, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    config = SHORT.model_copy(update={"forgetting_prevention": EWCConfig(budget=0.01, lambda_ewc=50)})
    trainer = Trainer(str(tiny_base), config, store=store, parent=tiny_checkpoint, tracker=FolderTracker(tmp_path / "runs"))

    result = await trainer.train(a_dataset([an_example("is it open?", "Closed long days.")]))

    assert "the budget cannot be measured: lambda_ewc=50 is taken as it is" in caplog.text
    assert result.metrics["lambda_ewc"] == 50
