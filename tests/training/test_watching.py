from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from continuum.errors import TrainingDiverged, TrainingInterrupted
from continuum.training.reporting import SilentEvents
from continuum.training.states import States
from continuum.training.watching import STEPS_ABOVE, Watch


def watched(folder: Path, losses: list[float]) -> Watch:
    """A watch that has seen these losses, with a state saved after every step that it trusts."""
    states = States(folder)
    watch = Watch(states, 100, SilentEvents())
    for step, loss in enumerate(losses, start=1):
        watch.on_log(None, SimpleNamespace(global_step=step), None, {"loss": loss, "grad_norm": 1.0})
        if not watch.is_suspicious:
            states.save(step, {"adapter": {"a": torch.zeros(1)}}, {})
    return watch


def test_a_loss_that_stays_far_above_the_first_ends_the_run_at_the_last_sound_state(tmp_path: Path):
    with pytest.raises(TrainingDiverged, match=r"after 1\.000 at the start.* lower learning_rate.* state after step 2 is kept"):
        watched(tmp_path, [1.0, 0.9, 0.8, *[3.5] * STEPS_ABOVE])

    # The weights after the third step are those whose loss was 3.5.
    assert [path.name for path in tmp_path.iterdir()] == ["00000002"]


@pytest.mark.parametrize(
    "losses",
    [
        [1.0, *[3.5] * (STEPS_ABOVE - 1), 2.0, *[3.5] * (STEPS_ABOVE - 1)],
        [0.1, *[0.9] * 30],
        [5.0, *[9.0] * 30],
    ],
    ids=["it comes down again", "it was next to nothing", "it is not three times as high"],
)
def test_a_rough_run_is_no_divergence(tmp_path: Path, losses: list[float]):
    watched(tmp_path, losses)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_at_once(tmp_path: Path, loss: float):
    with pytest.raises(TrainingDiverged, match="at step 3 of 100"):
        watched(tmp_path, [1.0, 0.9, loss])

    assert [path.name for path in tmp_path.iterdir()] == ["00000001"]


def test_who_is_asked_to_stop_after_the_last_step_is_done_anyway(tmp_path: Path):
    watch = Watch(States(tmp_path), 4, SilentEvents(), stopping=lambda: True)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    watch.on_step_end(None, SimpleNamespace(global_step=4), control)

    assert control.should_save
    assert control.should_training_stop
    watch.settle(4)
    with pytest.raises(TrainingInterrupted, match="after step 3 of 4"):
        watch.settle(3)
