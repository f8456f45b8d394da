import subprocess
import sys
from pathlib import Path

import pytest

from continuum.config import load_settings
from continuum.errors import StoreError
from continuum.records import Checkpoint, Verdict, VerdictStatus
from continuum.tracking.tracker import FolderTracker, Tracker, open_tracker, tracker_of

HISTORY = (
    {"step": 1, "loss": 2.0, "learning_rate": 1e-3, "ewc_penalty": 0.0, "l2_distance": 0.0},
    {"step": 2, "loss": 1.5, "learning_rate": 5e-4, "ewc_penalty": 0.25, "l2_distance": 4.0},
)
FILES = {"forgetting.json": '{"task": "support"}', "forgetting.svg": "<svg/>"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "manifest.json").write_text("{}")
    return Checkpoint(
        task="support",
        version=1,
        base_model="base",
        uri=str(folder),
        dataset_id="d" * 64,
        metrics={"final_loss": 1.5},
        config={"lora_rank": 16, "forgetting_prevention": {"lambda_ewc": 1000.0}, "method": "lora"},
    )


def a_verdict(checkpoint: Checkpoint) -> Verdict:
    return Verdict(
        task="support",
        checkpoint_id=checkpoint.id,
        baseline="production",
        golden_id="g",
        status=VerdictStatus.BLOCKED,
        approved=False,
        deltas={"accuracy": -0.2},
    )


CURVE = {"learning_curve.html": "<!doctype html>", "learning_curve.md": "| model |"}
CURVE_FIGURES = {"curve v1 helpfulness": 0.5}
REPORTS = {"report.html": "<!doctype html>", "report.md": "# Blocked"}
SLICE = "delta_accuracy@../refunds/\u202e<b>"
FIGURES = {"mde_accuracy": 0.04, SLICE: -0.5, SLICE + "!": -0.25, "x" * 400: 1.0, "nats_candidate_general text": 2.5}


def test_a_model_that_was_logged_has_a_tracker_and_another_has_none(checkpoint: Checkpoint, home: Path) -> None:
    assert tracker_of(checkpoint, load_settings()) is None
    assert tracker_of(checkpoint.model_copy(update={"mlflow_run_id": "run"}), load_settings()) is not None


def test_a_folder_remembers_runs_aliases_and_verdicts(checkpoint: Checkpoint, tmp_path: Path):
    tracker = FolderTracker(tmp_path / "runs")

    logged = tracker.log_training(checkpoint, HISTORY, FILES)
    tracker.set_alias("support", "champion", logged.version)
    tracker.log_verdict(a_verdict(checkpoint), logged.run_id, REPORTS, FIGURES)
    tracker.log_curve(logged.run_id, CURVE, CURVE_FIGURES)

    run = FolderTracker(tmp_path / "runs").run(logged.run_id)
    assert run["history"] == list(HISTORY)
    assert run["checkpoint"]["metrics"] == {"final_loss": 1.5}
    assert run["verdict"]["status"] == "blocked"
    assert run["figures"] == FIGURES
    assert run["curve"] == CURVE_FIGURES
    assert tracker.aliases("support") == {"candidate": "1", "champion": "1"}
    assert tracker.run_url(logged.run_id) is None
    kept = tmp_path / "runs" / "runs" / logged.run_id
    assert {path.name: path.read_text() for path in kept.iterdir()} == FILES | REPORTS | CURVE
    for _ in range(2):
        tracker.drop_alias("support", "champion")
    assert tracker.aliases("support") == {"candidate": "1"}


@pytest.mark.slow
def test_mlflow_holds_the_run_the_files_the_version_and_the_verdict(checkpoint: Checkpoint, home: Path, capfd):
    from mlflow import MlflowClient

    from continuum.tracking.mlflow_tracker import metric_name

    tracker: Tracker = open_tracker(load_settings())
    first = tracker.log_training(checkpoint, HISTORY, FILES)
    second = tracker.log_training(checkpoint.model_copy(update={"version": 2, "metrics": {}}), ())
    tracker.set_alias("support", "champion", first.version)
    tracker.log_verdict(a_verdict(checkpoint), first.run_id, REPORTS, FIGURES)
    for figure in (0.25, 0.5):
        tracker.log_curve(first.run_id, CURVE, {"curve v1 helpfulness": figure})

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    run = client.get_run(first.run_id)
    assert (first.version, second.version) == ("1", "2")
    assert run.info.status == "FINISHED"
    assert run.data.params["forgetting_prevention.lambda_ewc"] == "1000.0"
    last = {f"step_{name}": value for name, value in HISTORY[-1].items() if name != "step"}
    drawn = {metric_name(name): value for name, value in FIGURES.items()}
    assert len(drawn) == len(FIGURES), "no two names become one"
    drawn |= CURVE_FIGURES
    history = client.get_metric_history(first.run_id, "curve v1 helpfulness")
    assert sorted(point.value for point in history) == [0.25, 0.5], "a curve that is measured again is drawn over time"
    assert run.data.metrics == {"final_loss": 1.5, "delta_accuracy": -0.2, **drawn, **last}
    assert {"mde_accuracy", "nats_candidate_general text"} <= drawn.keys(), "a plain name stays as it is"
    for name in ("loss", "learning_rate", "ewc_penalty", "l2_distance"):
        curve = [(point.step, point.value) for point in client.get_metric_history(first.run_id, f"step_{name}")]
        assert curve == [(1, HISTORY[0][name]), (2, HISTORY[1][name])]
    assert {file.path for file in client.list_artifacts(first.run_id)} >= FILES.keys() | REPORTS.keys() | CURVE.keys() | {
        "verdict.json"
    }, "beside the adapter, not in it"
    assert run.data.tags["verdict"] == "blocked"
    assert [client.get_model_version("support", number).tags.get("verdict") for number in "12"] == ["blocked", None]
    assert "support" in (client.get_experiment(run.info.experiment_id).tags or {})["mlflow.note.content"]
    assert {file.path for file in client.list_artifacts(first.run_id, "adapter")} == {
        "adapter/adapter_model.safetensors",
        "adapter/manifest.json",
    }
    assert client.get_model_version_by_alias("support", "candidate").version == 2
    assert client.get_model_version_by_alias("support", "champion").version == 1
    for _ in range(2):
        tracker.drop_alias("support", "champion")
    assert client.get_registered_model("support").aliases == {"candidate": 2}
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_store_that_cannot_be_opened_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/nowhere/mlflow.db")

    with pytest.raises(StoreError, match="/proc/nowhere"):
        open_tracker(load_settings())


@pytest.mark.slow
def test_a_run_has_a_page_only_where_there_is_a_server(home: Path):
    from continuum.tracking.mlflow_tracker import MlflowTracker

    assert MlflowTracker(f"sqlite:///{home / 'mlflow.db'}", artifacts=home).run_url("any") is None


@pytest.mark.slow
def test_processes_that_make_mlflows_database_at_once_leave_one_that_opens(tmp_path: Path):
    program = (
        "import sys, time; from pathlib import Path; from continuum.tracking.mlflow_tracker import MlflowTracker\n"
        "Path(sys.argv[2]).touch(); folder = Path(sys.argv[1])\n"
        "while len(list(folder.glob('ready-*'))) < 2: time.sleep(0.01)\n"
        "MlflowTracker(f'sqlite:///{folder}/mlflow.db', artifacts=folder)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen([*command, str(tmp_path / f"ready-{n}")], stderr=subprocess.PIPE, text=True) for n in range(2)]

    assert [(process.communicate()[1], process.returncode)[1] for process in both] == [0, 0]
