"""The benchmark of two logs, one after another: what its claims stand on."""

import json

import pytest

from benchmarks.curation.made_up import dialogues
from benchmarks.training.logs import FIRST, SECOND, Turn, claims, retold
from continuum.records import Checkpoint, Message
from continuum.training.job import FitReport, Losses
from continuum.training.measured import Measured


def turn(after: list[float], learned: float) -> Turn:
    """A second turn that leaves these losses on the first log's rows, and this one on its own."""
    losses = Losses(
        ids=tuple(f"row {n}" for n in range(len(after))),
        groups=tuple(f"dialogue {n // 2}" for n in range(len(after))),
        before=(1.0,) * len(after),
        after=tuple(after),
    )
    report = FitReport(initial_loss=3.0, final_loss=1.0, final_validation_loss=learned, steps=1, epochs=1, losses={FIRST: losses})
    checkpoint = Checkpoint(task="orders", version=2, base_model="base", uri="-", dataset_id=SECOND)
    return Turn(checkpoint, report, Measured.of(SECOND, report))


def test_what_forgets_less_row_by_row_holds_and_what_forgets_more_is_missed():
    less, more = [1.1, 1.2, 1.1, 1.2, 1.0, 1.1], [2.0, 2.2, 2.1, 2.1, 1.9, 2.0]

    held = claims({"with": turn(less, 0.9), "without": turn(more, 0.8)}, quick=False)
    missed = claims({"with": turn(more, 0.9), "without": turn(less, 0.8)}, quick=False)

    assert [entry.holds for entry in held] == [True, True, None]
    assert [entry.holds for entry in missed] == [False, False, None]
    assert held[0].ours == pytest.approx(0.1167, abs=1e-3)
    assert held[0].peer == pytest.approx(1.05)


def test_a_difference_that_may_be_chance_is_missed():
    apart = claims({"with": turn([1.0, 1.0, 3.0, 3.0], 0.9), "without": turn([3.0, 3.0, 1.1, 1.1], 0.8)}, quick=False)

    assert apart[0].holds
    assert apart[1].holds is False


def test_so_small_a_run_decides_nothing():
    same = turn([1.0, 1.0], 0.9)

    assert {entry.holds for entry in claims({"with": same, "without": same}, quick=True)} == {None}


def test_a_made_up_log_is_told_again_as_another_assistants():
    row = next(row for row in dialogues(SECOND, 200, seed=0) if row["response"].get("tool_calls"))
    again = retold(row)

    assert Message.model_validate(again["response"]).tool_calls
    assert json.dumps(again["messages"]) != json.dumps(row["messages"])
    assert "film" not in json.dumps(again).lower()
