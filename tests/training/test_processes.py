"""Real workers: one in a process of its own, and two that train together under `accelerate launch` (gloo, on the CPU)."""

import threading
from pathlib import Path

import pytest
from safetensors.torch import load_file

from continuum.errors import StoreError, TrainingInterrupted
from continuum.fine_tuning import EWCConfig
from continuum.progress import silent
from continuum.records import Example
from continuum.training.job import FitReport, Inputs, ReplayRow, Trial, read_report
from continuum.training.launch import InlineLauncher, ProcessLauncher
from tests.builders import an_example
from tests.tiny_model import CITIES, CONFIG, lessons, write_tiny_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CLOSE = 1e-4
"""Of the largest weight: sums are taken in another order."""


def prices() -> tuple[Example, ...]:
    rows = [(city, f"It costs {2 + n} coins.") for n, city in enumerate(CITIES)]
    return tuple(an_example(f"what does a parcel to {city} cost?", price, interaction_id=f"price-{city}") for city, price in rows)


def second_turn(folder: Path, base: Path, parent: Path, processes: int) -> Path:
    """A job with all that is shared out among processes: the penalty, the parts of a batch, replay, early stopping, figures."""
    ewc = EWCConfig(lambda_ewc=1000)
    update = {"processes": processes, "gradient_accumulation": 2, "epochs": 8.0, "early_stopping_patience": 3}
    config = CONFIG.model_copy(update=update | {"forgetting_prevention": ewc})
    replay = tuple(ReplayRow(example=example, dataset="tiny-dataset") for example in lessons())
    inputs = Inputs(
        train=prices(),
        validation=prices()[:2],
        replay=replay,
        earlier=replay[:3],
        trials=(Trial(constraint="c", prompt="hello"),),
    )
    return write_tiny_job(base, folder, config, inputs=inputs, parent=parent, dataset="prices")


def report_of(folder: Path) -> FitReport:
    report = read_report(folder)
    assert report is not None
    return report


def apart(one: Path, other: Path) -> float:
    """The largest difference of two files of tensors, as a share of the largest value of its tensor."""
    ours, theirs = load_file(one), load_file(other)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max() / ours[name].abs().max().clamp_min(1e-9)) for name in ours)


def test_two_processes_that_were_interrupted_give_what_one_gives(tiny_base: Path, tmp_path: Path) -> None:
    parent = write_tiny_job(tiny_base, tmp_path / "first", CONFIG.model_copy(update={"epochs": 10.0}))
    InlineLauncher().launch(tmp_path / "first", silent)
    alone, together = tmp_path / "alone", tmp_path / "together"
    artifacts = [second_turn(folder, tiny_base, parent, n) for n, folder in ((1, alone), (2, together))]
    InlineLauncher().launch(alone, silent)
    stop = threading.Event()

    with pytest.raises(TrainingInterrupted, match=r"asked to stop after step \d+ of 10"):
        ProcessLauncher().launch(together, lambda done, _, note: stop.set() if done == 3 and "loss" in note else None, stop)
    ProcessLauncher().launch(together, silent)

    one, two = report_of(alone), report_of(together)
    assert len(two.resumed_at) == 1
    assert [row["step"] for row in two.history] == [row["step"] for row in one.history]
    for name in ("loss", "ewc_penalty", "l2_distance"):
        assert [row[name] for row in two.history] == pytest.approx([row[name] for row in one.history], rel=CLOSE, abs=CLOSE)
    assert apart(artifacts[0] / "adapter_model.safetensors", artifacts[1] / "adapter_model.safetensors") < CLOSE
    assert apart(artifacts[0] / "ewc.safetensors", artifacts[1] / "ewc.safetensors") < CLOSE
    assert two.losses["tiny-dataset"].after == pytest.approx(one.losses["tiny-dataset"].after, rel=CLOSE)
    assert two.trials == one.trials


def test_a_worker_in_a_process_of_its_own_says_in_its_own_words_what_it_cannot_read(tiny_base: Path, tmp_path: Path) -> None:
    write_tiny_job(tiny_base, tmp_path / "job")
    (tmp_path / "job" / "inputs" / "train.jsonl").write_text("{}\n")
    with pytest.raises(StoreError, match=r"train.jsonl is missing or was altered since the job was written"):
        ProcessLauncher().launch(tmp_path / "job", silent)
