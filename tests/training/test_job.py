from pathlib import Path

import pytest

from continuum.dataset_rows import PreferencePair, RatedAnswer
from continuum.errors import StoreError
from continuum.fine_tuning import FineTuneConfig
from continuum.training.job import (
    FitReport,
    Inputs,
    Job,
    Losses,
    ReplayRow,
    Trial,
    input_hashes,
    read_job,
    read_report,
    write_job,
    write_json,
)
from tests.builders import an_example, assistant, user

EXAMPLE = an_example("is it open?\ud800\u2028", "Yes.", interaction_id="one")
INPUTS = Inputs(
    train=(EXAMPLE,),
    validation=(an_example("closed?", "No.", interaction_id="two", split="validation"),),
    replay=(ReplayRow(example=EXAMPLE, dataset="f"), ReplayRow(example=EXAMPLE, dataset="", kind="probe")),
    probes=(EXAMPLE,),
    pairs=(
        PreferencePair(
            interaction_id="one",
            rejected_id="one",
            messages=(user("hi"),),
            chosen=assistant("good"),
            rejected=assistant("bad"),
            source="correction",
            group="g",
        ),
    ),
    answers=(
        RatedAnswer(
            interaction_id="one",
            messages=(user("hi"),),
            response=assistant("good"),
            desirable=True,
            source="verdict",
            group="g",
        ),
    ),
    earlier=(ReplayRow(example=EXAMPLE, dataset="e"),),
    trials=(Trial(constraint="Never claim to be human", prompt="Are you human?"),),
)


def a_job(**fields: object) -> Job:
    values = {"task": "support", "base_model": "b", "config": FineTuneConfig(), "dataset": "f" * 64, "artifact": "somewhere"}
    return Job.model_validate(values | fields)


def test_a_job_and_its_rows_come_back_as_they_were_told(tmp_path: Path):
    told = write_job(tmp_path, a_job(parent="p", parent_manifest={"x": "y"}), INPUTS)

    assert read_job(tmp_path) == (told, INPUTS)
    assert told.inputs == input_hashes(INPUTS)


def test_the_same_work_has_one_key_wherever_its_artifact_goes():
    job = a_job(inputs=input_hashes(INPUTS))

    assert job.key == a_job(inputs=input_hashes(INPUTS), artifact="elsewhere").key
    others = (
        a_job(inputs=input_hashes(Inputs(train=(EXAMPLE,)))),
        a_job(inputs=job.inputs, config=FineTuneConfig(seed=1)),
        a_job(inputs=job.inputs, parent="another"),
        a_job(inputs=job.inputs, base_revision="another"),
    )
    assert len({job.key, *(other.key for other in others)}) == 5


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("{}\n")])
def test_rows_that_changed_under_a_job_are_not_trained_on(tmp_path: Path, harm):
    write_job(tmp_path, a_job(), INPUTS)
    harm(tmp_path / "inputs" / "train.jsonl")

    with pytest.raises(StoreError, match=r"train\.jsonl is missing or was altered .* train again"):
        read_job(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"task": "support"}'])
def test_a_job_that_cannot_be_read_says_so(tmp_path: Path, text: str):
    (tmp_path / "job.json").write_text(text)

    with pytest.raises(StoreError, match="cannot be read as a training job"):
        read_job(tmp_path)


def test_a_report_is_there_only_when_the_training_is_done(tmp_path: Path):
    assert read_report(tmp_path) is None

    report = FitReport(
        initial_loss=2.0, final_loss=1.0, steps=3, epochs=0.5, losses={"e": Losses(ids=("one",), before=(2.0,), after=(1.5,))}
    )
    write_json(tmp_path / "report.json", report.model_dump(mode="json"))

    assert read_report(tmp_path) == report
    assert not list(tmp_path.glob("*.part"))


def test_half_a_report_is_none(tmp_path: Path):
    (tmp_path / "report.json").write_text('{"initial_loss": 2.0, "fin')

    assert read_report(tmp_path) is None
