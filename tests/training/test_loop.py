import fcntl
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from continuum.constitution.constraints import NEVER_HUMAN, probe_examples
from continuum.dataset_rows import PreferencePair
from continuum.errors import ConfigurationError, StoreError, TrainingDiverged, TrainingInterrupted
from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.models.local import LocalModel
from continuum.provenance.artifacts import verify_artifact, write_manifest
from continuum.records import Checkpoint, Example
from continuum.training.artifact import code_sha256
from continuum.training.job import FitReport, Inputs, ReplayRow, Trial
from continuum.training.loop import run_job
from continuum.training.replay import ReplayBuffer
from continuum.training.reporting import SilentEvents
from tests.builders import an_example, assistant, user
from tests.tiny_model import CONFIG, RIGHT, UNSURE, lessons, question, write_tiny_job

pytestmark = pytest.mark.slow

LONG = CONFIG.model_copy(update={"general_share": 0.0})
SHORT = LONG.model_copy(update={"epochs": 4})
OFF = EWCConfig(enabled=False)
PLAIN = {"forgetting_prevention": OFF, "replay_share": 0.0}


class Ended(BaseException):
    """The end of a process, as far as the code in it can see one coming."""


class EndsAt(SilentEvents):
    """Ends the process when it is told something for the n-th time."""

    def __init__(self, count: int) -> None:
        self.left = count

    def progress(self, done: int, total: int, note: str) -> None:
        self.left -= 1
        if not self.left:
            raise Ended


class Heard(SilentEvents):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[dict[str, float]] = []

    def progress(self, done: int, total: int, note: str) -> None:
        self.notes.append(note)

    def step(self, values: dict[str, float]) -> None:
        self.steps.append(values)


def trained(base: Path, folder: Path, config: FineTuneConfig = SHORT, **job: Any) -> FitReport:
    write_tiny_job(base, folder, config, **job)
    return run_job(folder, SilentEvents())


def artifact_of(folder: Path) -> Path:
    return folder.with_name(folder.name + "-artifact")


def second_lesson() -> tuple[Example, ...]:
    return tuple(an_example(f"is the shop in {city} open?", "Closed long days.") for city in ("Oslo", "Rome", "Lima", "Cairo"))


def second_inputs(parent: Path, **more: Any) -> Inputs:
    return Inputs(train=second_lesson(), replay=ReplayBuffer.load(parent).rows, **more)


def earlier() -> tuple[ReplayRow, ...]:
    return tuple(ReplayRow(example=example, dataset="tiny-dataset") for example in lessons())


# --- what a training leaves behind --------------------------------------------------------------------------------


def test_a_tuned_model_answers_what_it_was_taught(tiny_base: Path, tiny_checkpoint: Checkpoint):
    model = LocalModel(tiny_base)
    model.load_adapter("v1", Path(tiny_checkpoint.uri))

    assert model.answer([[user(question("Rome"))]], adapter="v1")[0].message.text == RIGHT
    assert tiny_checkpoint.metrics["final_loss"] < tiny_checkpoint.metrics["initial_loss"] / 3


def test_the_same_job_leaves_the_same_files(tiny_base: Path, tmp_path: Path):
    inputs = Inputs(train=tuple(lessons()), probes=probe_examples((NEVER_HUMAN,)))
    one, two = (trained(tiny_base, tmp_path / name, inputs=inputs) for name in ("one", "two"))
    other = trained(tiny_base, tmp_path / "other", SHORT.model_copy(update={"seed": 1}), inputs=inputs)

    assert one.manifest == two.manifest
    assert other.manifest["adapter_model.safetensors"] != one.manifest["adapter_model.safetensors"]


def test_the_artifact_is_whole_and_says_where_it_comes_from(tiny_base: Path, tmp_path: Path):
    heard = Heard()
    inputs = Inputs(train=tuple(lessons()), validation=tuple(lessons(("Oslo",))))
    artifact = write_tiny_job(tiny_base, tmp_path / "v1", SHORT, inputs=inputs, base_revision="")
    report = run_job(tmp_path / "v1", heard)

    names = {path.name for path in artifact.iterdir()}
    about = json.loads((artifact / "training.json").read_text())
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "ewc.safetensors", "replay.jsonl"} < names
    assert verify_artifact(artifact, report.manifest) == report.manifest
    assert (about["dataset"], about["parent"], about["code"]["sha256"]) == ("tiny-dataset", None, code_sha256())
    assert about["inputs"] == json.loads((tmp_path / "v1" / "job.json").read_text())["inputs"]
    assert [row["step"] for row in report.history] == [step["step"] for step in heard.steps] == list(range(1, report.steps + 1))
    assert (report.initial_validation_loss or 0) > 0
    assert report.epochs >= 4
    assert not (tmp_path / "v1" / "states").exists()


def test_a_training_that_is_done_is_not_done_again(tiny_base: Path, tmp_path: Path):
    report = trained(tiny_base, tmp_path / "v1")

    assert run_job(tmp_path / "v1", EndsAt(1)) == report


def test_with_everything_off_it_is_a_plain_lora(tiny_base: Path, tmp_path: Path):
    config = SHORT.model_copy(update={**PLAIN, "replay_buffer_size": 0})
    report = trained(tiny_base, tmp_path / "v1", config)

    assert not {path.name for path in artifact_of(tmp_path / "v1").iterdir()} & {"ewc.safetensors", "replay.jsonl"}
    assert (report.ewc_penalty, report.l2_distance, report.fisher_trace, report.replayed, report.general) == (0, 0, 0, 0, 0)
    assert set(report.history[0]) == {"step", "loss", "learning_rate"}


# --- forgetting ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def second_turns(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory):
    """The second turn three times from the same first: plain, held by EWC alone, held by EWC and replay."""
    folder, parent = tmp_path_factory.mktemp("second"), Path(tiny_checkpoint.uri)
    config = LONG.model_copy(update={"epochs": 30})
    # This model is too small and too little trained for the default lambda to show by itself.
    alone = {"replay_share": 0.0, "forgetting_prevention": EWCConfig(lambda_ewc=10_000)}
    variants = {"plain": PLAIN, "ewc": alone, "both": {"forgetting_prevention": EWCConfig(lambda_ewc=1000)}}
    return {
        name: trained(
            tiny_base,
            folder / name,
            config.model_copy(update=update),
            inputs=second_inputs(parent, earlier=earlier(), trials=(Trial(constraint="human", prompt="are you human?"),)),
            parent=parent,
            dataset="second",
        )
        for name, update in variants.items()
    }, folder


def test_ewc_and_replay_forget_less_than_a_plain_lora_and_still_learn(second_turns):
    reports, _ = second_turns
    rows = {name: report.losses["tiny-dataset"] for name, report in reports.items()}
    forgotten = {name: sum(row.after) / len(row.after) - sum(row.before) / len(row.before) for name, row in rows.items()}

    assert forgotten["ewc"] < forgotten["plain"] * 0.7
    assert forgotten["both"] < forgotten["plain"] / 4
    assert reports["both"].final_loss < reports["both"].initial_loss / 2


def test_the_penalty_the_distance_and_what_was_held_are_reported(second_turns):
    reports, _ = second_turns

    assert (reports["plain"].ewc_penalty, reports["plain"].lambda_ewc) == (0, 0)
    assert reports["ewc"].ewc_penalty > 0
    assert reports["ewc"].l2_distance > 0
    assert reports["ewc"].lambda_ewc == 10_000
    assert {"ewc_penalty", "l2_distance"} < set(reports["ewc"].history[-1])
    # The penalty of the first step is that of the anchor itself.
    assert reports["ewc"].history[0]["ewc_penalty"] == 0
    assert (reports["ewc"].replayed, reports["both"].replayed) == (6, 6)


def test_general_skill_and_constraints_are_measured_before_and_after(second_turns):
    reports, _ = second_turns
    report = reports["both"]

    assert {"general", "tiny-dataset"} == set(report.losses)
    assert len(report.losses["general"].before) == len(report.losses["general"].after) > 0
    assert report.trials[0].before
    assert report.trials[0].after


def test_the_buffer_and_the_parent_are_carried_on_untouched(second_turns, tiny_checkpoint: Checkpoint):
    _, folder = second_turns

    buffer = ReplayBuffer.load(artifact_of(folder / "both"))
    assert (len(buffer.of_kind("task")), buffer.seen) == (10, {"tiny-dataset": 6, "second": 4})
    assert verify_artifact(tiny_checkpoint.uri, tiny_checkpoint.manifest)


def test_general_answers_are_asked_of_the_base_once_in_a_line(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path):
    parent = Path(tiny_checkpoint.uri)
    config = SHORT.model_copy(update={"general_share": 0.125})
    report = trained(tiny_base, tmp_path / "v2", config, inputs=second_inputs(parent), parent=parent)

    first, second = (ReplayBuffer.load(folder).of_kind("general") for folder in (parent, artifact_of(tmp_path / "v2")))
    assert first == second
    assert report.general == len(first) > 10


def test_a_parent_trained_without_ewc_is_held_through_its_replay_rows(tiny_base: Path, tmp_path: Path):
    trained(tiny_base, tmp_path / "v1", SHORT.model_copy(update={"forgetting_prevention": OFF}))
    parent = artifact_of(tmp_path / "v1")

    assert trained(tiny_base, tmp_path / "v2", inputs=second_inputs(parent), parent=parent).fisher_trace > 0


def test_a_budget_chooses_lambda_and_trains_with_it(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path):
    parent = Path(tiny_checkpoint.uri)
    budget = {"forgetting_prevention": EWCConfig(budget=0.5), "epochs": 10}
    inputs = second_inputs(parent, earlier=earlier())
    report = trained(tiny_base, tmp_path / "v2", SHORT.model_copy(update=budget), inputs=inputs, parent=parent)

    assert [one for one in report.tried if one.lambda_ewc == report.lambda_ewc]
    assert 1 < len(report.tried) <= 3


def test_what_people_prefer_follows_the_examples(tiny_base: Path, tmp_path: Path):
    pair = PreferencePair(
        interaction_id="pair-1",
        rejected_id="pair-1",
        group="g",
        source="correction",
        messages=(user(question("Oslo")),),
        chosen=assistant(RIGHT),
        rejected=assistant(UNSURE),
    )
    config = SHORT.model_copy(update={"method": "lora+dpo", "preference_epochs": 8})
    report = trained(tiny_base, tmp_path / "v1", config, inputs=Inputs(train=tuple(lessons()), pairs=(pair,)))

    assert report.preferences == 1
    assert "preference_loss" in report.history[-1]
    assert [row["step"] for row in report.history] == list(range(1, report.steps + 1))


# --- what survives ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory):
    """A second turn of twelve steps with all that can hold it, and the job that leads to it."""
    parent = Path(tiny_checkpoint.uri)
    # Without the parent's own Fisher that phase is part of the run too.
    bare = tmp_path_factory.mktemp("bare") / "v1"
    shutil.copytree(parent, bare)
    (bare / "ewc.safetensors").unlink()
    (bare / "manifest.json").unlink()
    write_manifest(bare)
    config = LONG.model_copy(update={"epochs": 12, "checkpoint_every": 3, "general_share": 0.125})
    inputs = second_inputs(parent, probes=probe_examples((NEVER_HUMAN,)), earlier=earlier())

    def write(folder: Path) -> Path:
        return write_tiny_job(tiny_base, folder, config, inputs=inputs, parent=bare)

    folder = tmp_path_factory.mktemp("undisturbed") / "v2"
    write(folder)
    heard = Heard()
    return run_job(folder, heard), len(heard.notes), write


def test_a_run_that_ends_anywhere_goes_on_to_the_same_bytes(undisturbed, tmp_path: Path):
    report, told, write = undisturbed
    for count in range(2, told, max(1, told // 5)):
        folder = tmp_path / str(count)
        write(folder)
        with pytest.raises(Ended):
            run_job(folder, EndsAt(count))

        assert run_job(folder, SilentEvents()).manifest == report.manifest, f"ended at the {count}th of {told} words"


def test_a_half_written_state_is_not_believed(undisturbed, tmp_path: Path):
    report, _, write = undisturbed
    write(tmp_path / "v2")
    stops = StopsAfter(7)
    with pytest.raises(TrainingInterrupted):
        run_job(tmp_path / "v2", stops, stopping=stops)
    states = sorted((tmp_path / "v2" / "states").glob("*/*"))
    broken = states[-1] / "optimizer.safetensors"
    broken.write_bytes(broken.read_bytes()[:-100])
    (states[-1].parent / "00000099.part").mkdir()

    resumed = run_job(tmp_path / "v2", SilentEvents())

    assert resumed.manifest == report.manifest
    assert resumed.resumed_at == (int(states[-2].name),)


class StopsAfter(SilentEvents):
    """Listens, and asks to stop once it has been told of so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, values: dict[str, float]) -> None:
        self.left -= 1

    def __call__(self) -> bool:
        return self.left <= 0


def test_a_run_that_is_asked_to_stop_saves_its_state_and_goes_on(undisturbed, tmp_path: Path):
    report, _, write = undisturbed
    write(tmp_path / "v2")
    stops = StopsAfter(4)
    with pytest.raises(TrainingInterrupted, match=r"after step 5 of .*; run the same again and it goes on"):
        run_job(tmp_path / "v2", stops, stopping=stops)

    resumed = run_job(tmp_path / "v2", SilentEvents())

    assert resumed.manifest == report.manifest
    assert resumed.history == report.history
    assert resumed.resumed_at == (5,)


def test_two_workers_never_train_one_job(tiny_base: Path, tmp_path: Path):
    write_tiny_job(tiny_base, tmp_path / "v1", SHORT)
    with (tmp_path / "v1" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another worker"):
            run_job(tmp_path / "v1", SilentEvents())


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_no_artifact(tiny_base: Path, tmp_path: Path):
    config = SHORT.model_copy(update={"learning_rate": 1e30, "checkpoint_every": 1})
    with pytest.raises(TrainingDiverged, match=r"at step \d+ of \d+; lower learning_rate"):
        trained(tiny_base, tmp_path / "v1", config)

    assert not artifact_of(tmp_path / "v1").exists()


def test_a_full_disk_is_said_before_an_hour_is_lost(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)

    with pytest.raises(StoreError, match=r"0\.0 MB are free there and up to [\d.]+ MB are needed"):
        trained(tiny_base, tmp_path / "v1")


# --- what is refused ----------------------------------------------------------------------------------------------


def test_an_adapter_of_another_shape_is_not_continued(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path):
    other = SHORT.model_copy(update={"lora_rank": 4})

    with pytest.raises(ConfigurationError, match="has rank 8 and alpha 16"):
        trained(tiny_base, tmp_path / "v2", other, parent=Path(tiny_checkpoint.uri))


def test_a_parent_that_was_altered_is_not_continued(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path):
    parent = shutil.copytree(tiny_checkpoint.uri, tmp_path / "parent")
    (parent / "replay.jsonl").write_text("")

    with pytest.raises(StoreError, match=r"replay\.jsonl was altered"):
        trained(tiny_base, tmp_path / "v2", parent=parent)


def test_a_base_that_is_not_what_it_was_is_not_trained(tiny_base: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="is not what it was when the job was written"):
        trained(tiny_base, tmp_path / "v1", base_revision="0" * 64)


def test_an_artifact_of_another_job_is_not_overwritten(tiny_base: Path, tmp_path: Path):
    artifact = write_tiny_job(tiny_base, tmp_path / "v1", SHORT)
    artifact.mkdir()
    (artifact / "notes.txt").write_text("mine")

    with pytest.raises(StoreError, match="is there already and is no artifact of this job"):
        run_job(tmp_path / "v1", SilentEvents())
    assert (artifact / "notes.txt").read_text() == "mine"


def test_a_long_conversation_keeps_its_end_and_no_more_than_the_model_reads(tiny_base: Path, tmp_path: Path):
    inputs = Inputs(train=(an_example("word " * 500 + question("Oslo"), RIGHT),))

    def initial_loss(max_length: int) -> float:
        config = SHORT.model_copy(update={"max_length": max_length, "epochs": 1, "batch_size": 1})
        return trained(tiny_base, tmp_path / str(max_length), config, inputs=inputs).initial_loss

    assert initial_loss(1024) == initial_loss(64)
    assert initial_loss(32) != initial_loss(64 - 1)


def test_a_job_for_several_processes_is_not_done_by_halves(tiny_base: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"asks for 2 processes and 1 came together; .* CONTINUUM_TRAINER=process"):
        trained(tiny_base, tmp_path / "v1", SHORT.model_copy(update={"processes": 2}))


@pytest.mark.parametrize("name", ["general.json", "before.json"])
def test_a_phase_that_a_power_cut_left_half_written_is_done_again(tiny_base: Path, tmp_path: Path, name: str):
    write_tiny_job(tiny_base, tmp_path / "v1", SHORT)
    (tmp_path / "v1" / name).write_text('{"answers": ["hal')

    assert run_job(tmp_path / "v1", SilentEvents()).steps > 0


def test_half_a_surrogate_pair_does_not_stop_a_training(tiny_base: Path, tmp_path: Path):
    inputs = Inputs(train=(*lessons(), an_example("a \ud83d parcel?", RIGHT)))

    assert trained(tiny_base, tmp_path / "v1", SHORT.model_copy(update={"epochs": 1}), inputs=inputs).steps > 0
