import dataclasses
from pathlib import Path

import pytest

from continuum.constitution.constraints import NEVER_HUMAN
from continuum.errors import ConfigurationError, TrainingDiverged
from continuum.models.local import LocalModel
from continuum.policy import EWCConfig, FineTuneConfig
from continuum.provenance.artifacts import verify_artifact
from continuum.records import Checkpoint, Example
from continuum.training.loop import FitReport, Job, fit
from continuum.training.replay import ReplayBuffer
from tests.builders import an_example, user
from tests.tiny_model import CONFIG, RIGHT, lessons, question

pytestmark = pytest.mark.slow

SHORT = CONFIG.model_copy(update={"epochs": 4})
PLAIN = {"forgetting_prevention": EWCConfig(enabled=False), "replay_buffer_size": 0}


def job(base: Path, folder: Path, config: FineTuneConfig = SHORT, **fields: object) -> Job:
    return dataclasses.replace(Job(str(base), config, tuple(lessons()), folder), **fields)  # pyright: ignore[reportArgumentType]


def second_lesson() -> tuple[Example, ...]:
    return tuple(an_example(f"is the shop in {city} open?", "Closed long days.") for city in ("Oslo", "Rome", "Lima", "Cairo"))


def test_a_tuned_model_answers_what_it_was_taught(tiny_base: Path, tiny_checkpoint: Checkpoint):
    model = LocalModel(tiny_base)
    model.load_adapter("v1", Path(tiny_checkpoint.uri))

    assert model.answer([[user(question("Rome"))]], adapter="v1")[0].message.text == RIGHT
    assert tiny_checkpoint.metrics["final_loss"] < tiny_checkpoint.metrics["initial_loss"] / 3


def test_the_same_job_leaves_the_same_files(tiny_base: Path, tmp_path: Path):
    one = fit(job(tiny_base, tmp_path / "one", constraints=(NEVER_HUMAN,)))
    two = fit(job(tiny_base, tmp_path / "two", constraints=(NEVER_HUMAN,)))
    other = fit(job(tiny_base, tmp_path / "other", SHORT.model_copy(update={"seed": 1})))

    assert one.manifest == two.manifest
    assert other.manifest["adapter_model.safetensors"] != one.manifest["adapter_model.safetensors"]


def test_the_artifact_is_whole_and_holds_no_pickle(tiny_base: Path, tmp_path: Path):
    seen: list[int] = []
    report = fit(
        job(tiny_base, tmp_path / "v1", validation=tuple(lessons(("Oslo",)))), lambda done, total, note: seen.append(done)
    )

    names = {path.name for path in (tmp_path / "v1").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "ewc.safetensors", "replay.jsonl"} < names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert verify_artifact(tmp_path / "v1", report.manifest) == report.manifest
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]
    assert report.final_validation_loss is not None
    assert len(report.history) == report.steps == max(seen[:-1])


def test_with_everything_off_it_is_a_plain_lora(tiny_base: Path, tmp_path: Path):
    report = fit(job(tiny_base, tmp_path / "v1", SHORT.model_copy(update=PLAIN)))

    names = {path.name for path in (tmp_path / "v1").iterdir()}
    assert not names & {"ewc.safetensors", "replay.jsonl"}
    assert (report.ewc_penalty, report.fisher_trace, report.replayed, report.probes) == (0, 0, 0, 0)


@pytest.fixture(scope="module")
def second_turns(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory):
    """The second turn three times from the same first: plain, held by EWC alone, held by EWC and replay."""
    folder = tmp_path_factory.mktemp("second")
    config = CONFIG.model_copy(update={"epochs": 30})
    # This model is too small and too little trained for the default lambda to show by itself.
    alone = {"replay_buffer_size": 0, "forgetting_prevention": EWCConfig(lambda_ewc=10_000)}
    variants = {"plain": PLAIN, "ewc": alone, "both": {"forgetting_prevention": EWCConfig(lambda_ewc=1000)}}
    reports: dict[str, FitReport] = {}
    model = LocalModel(tiny_base)
    model.load_adapter("before", Path(tiny_checkpoint.uri))
    for name, update in variants.items():
        second = Job(
            str(tiny_base),
            config.model_copy(update=update),
            second_lesson(),
            folder / name,
            parent=Path(tiny_checkpoint.uri),
        )
        reports[name] = fit(second)
        model.load_adapter(name, folder / name)
    return model, reports, folder


def loss_on(model: LocalModel, examples: tuple[Example, ...], adapter: str) -> float:
    losses = model.loss([(example.messages, example.response) for example in examples], adapter=adapter)
    return sum(losses) / len(losses)


def test_ewc_and_replay_forget_less_than_a_plain_lora_and_still_learn(second_turns):
    model, _, _ = second_turns
    before = loss_on(model, tuple(lessons()), "before")
    forgotten = {name: loss_on(model, tuple(lessons()), name) - before for name in ("plain", "ewc", "both")}
    unlearned = loss_on(model, second_lesson(), "before")

    assert forgotten["ewc"] < forgotten["plain"] * 0.7
    assert forgotten["both"] < forgotten["plain"] / 4
    assert loss_on(model, second_lesson(), "both") < unlearned / 2


def test_the_penalty_and_the_replayed_rows_are_reported(second_turns):
    _, reports, _ = second_turns

    assert reports["plain"].ewc_penalty == 0
    assert reports["ewc"].ewc_penalty > 0
    assert "ewc_penalty" in reports["ewc"].history[-1]
    assert (reports["ewc"].replayed, reports["both"].replayed) == (0, 6)


def test_the_buffer_and_the_parent_are_carried_on_untouched(second_turns, tiny_checkpoint: Checkpoint):
    _, _, folder = second_turns

    buffer = ReplayBuffer.load(folder / "both")
    assert (len(buffer.examples), buffer.seen) == (10, 10)
    assert verify_artifact(tiny_checkpoint.uri, tiny_checkpoint.manifest)


def test_what_became_golden_is_not_replayed(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path):
    second = Job(
        str(tiny_base),
        SHORT,
        second_lesson(),
        tmp_path / "v2",
        parent=Path(tiny_checkpoint.uri),
        forbidden=frozenset({"lesson-Oslo"}),
    )

    assert fit(second).replayed == 5
    assert "lesson-Oslo" not in (tmp_path / "v2" / "replay.jsonl").read_text()


def test_a_parent_trained_without_ewc_is_held_through_its_replay_rows(tiny_base: Path, tmp_path: Path):
    fit(job(tiny_base, tmp_path / "v1", SHORT.model_copy(update={"forgetting_prevention": EWCConfig(enabled=False)})))

    assert fit(Job(str(tiny_base), SHORT, second_lesson(), tmp_path / "v2", parent=tmp_path / "v1")).fisher_trace > 0


def test_an_adapter_of_another_shape_is_not_continued(tiny_base: Path, tiny_checkpoint: Checkpoint, tmp_path: Path):
    other = SHORT.model_copy(update={"lora_rank": 4})

    with pytest.raises(ConfigurationError, match="has rank 8 and alpha 16"):
        fit(job(tiny_base, tmp_path / "v2", other, parent=Path(tiny_checkpoint.uri)))


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_nothing(tiny_base: Path, tmp_path: Path):
    with pytest.raises(TrainingDiverged, match="lower learning_rate"):
        fit(job(tiny_base, tmp_path / "v1", SHORT.model_copy(update={"learning_rate": 1e30})))

    assert list(tmp_path.iterdir()) == []


def test_a_long_conversation_keeps_its_end_and_no_more_than_the_model_reads(tiny_base: Path, tmp_path: Path):
    long = an_example("word " * 500 + question("Oslo"), RIGHT)

    def initial_loss(max_length: int) -> float:
        config = SHORT.model_copy(update={"max_length": max_length, "epochs": 1})
        return fit(Job(str(tiny_base), config, (long,), tmp_path / str(max_length))).initial_loss

    assert initial_loss(1024) == initial_loss(64)
    assert initial_loss(32) != initial_loss(64 - 1)
