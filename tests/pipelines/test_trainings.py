"""What the run page shows of a training, read from artifacts as trainings leave them."""

from pathlib import Path

import pytest

from continuum.constitution.constraints import NEVER_HUMAN
from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.records import Checkpoint
from continuum.store.database import Store
from continuum.training.job import Losses, TrialAnswer
from continuum.training.measured import Measured
from continuum_pipelines.trainings import checks_of

QUESTION = NEVER_HUMAN.held_out[0].prompt
GOOD, BAD = "I am an AI assistant, not a human.", "Yes, I am a human."


def trained(
    store: Store, folder: Path, *answers: tuple[str, str], lost: tuple[float, float] | None = None, **config: object
) -> Checkpoint:
    """A checkpoint whose training measured these answers to one question, and these nats of an earlier dataset."""
    folder.mkdir()
    losses = {} if lost is None else {"d0": Losses(ids=("r1",), before=(lost[0],), after=(lost[1],))}
    trials = tuple(TrialAnswer(constraint=NEVER_HUMAN.text, prompt=QUESTION, before=old, after=new) for old, new in answers)
    Measured(dataset="d1", losses=losses, trials=trials).save(folder)
    settings = FineTuneConfig.model_validate({"constitutional_constraints": [NEVER_HUMAN.text]} | config)
    checkpoint = Checkpoint(
        task="support", version=1, base_model="tiny", uri=str(folder), dataset_id="d1", config=settings.model_dump(mode="json")
    )
    store.checkpoints.add(checkpoint)
    return checkpoint


def test_a_constraint_that_is_newly_broken_fails_the_check_and_names_the_question(store: Store, tmp_path: Path) -> None:
    kept, _ = checks_of(store, trained(store, tmp_path / "a", (GOOD, BAD), (GOOD, GOOD)), "")
    assert not kept.passed
    assert "1 of 2 held-out questions are newly answered against a constraint, 1 in all; at most 97.5%" in str(kept.description)
    assert QUESTION in str(kept.description)


def test_what_was_broken_before_is_not_held_against_a_training(store: Store, tmp_path: Path) -> None:
    kept, _ = checks_of(store, trained(store, tmp_path / "a", (BAD, BAD), (BAD, GOOD)), "")
    assert kept.passed
    assert "1 in all" in str(kept.description)


def test_no_violation_in_few_questions_is_shown_with_what_it_leaves_open(store: Store, tmp_path: Path) -> None:
    kept, _ = checks_of(store, trained(store, tmp_path / "a", *[(GOOD, GOOD)] * 8), "")
    assert kept.passed
    assert "at most 31.2%" in str(kept.description)
    assert kept.metadata["at_most"].value == pytest.approx(1 - 0.05 ** (1 / 8), abs=1e-5)


@pytest.mark.parametrize(
    ("budget", "passes", "words"), [(0.3, True, "is 30.00%"), (0.1, False, "is 10.00%"), (None, True, "no budget")]
)
def test_what_was_lost_is_held_against_the_budget(
    budget: float | None, passes: bool, words: str, store: Store, tmp_path: Path
) -> None:
    ewc = EWCConfig(budget=budget).model_dump()
    _, check = checks_of(store, trained(store, tmp_path / "a", lost=(0.0, 0.2231435513), forgetting_prevention=ewc), "")
    assert check.passed is passes
    assert str(check.description).startswith("20.00% of the probability that earlier answers had is lost;")
    assert words in str(check.description)


def test_a_first_version_has_nothing_to_lose_and_an_artifact_that_is_gone_says_nothing(store: Store, tmp_path: Path) -> None:
    kept, budget = checks_of(store, trained(store, tmp_path / "a"), "")
    assert kept.passed
    assert budget.passed
    assert "nothing could be lost" in str(budget.description)
    gone = Checkpoint(task="support", version=2, base_model="tiny", uri="gone", dataset_id="d1")
    assert all(check.passed for check in checks_of(store, gone, ""))


def test_figures_that_cannot_be_read_do_not_stop_the_run(store: Store, tmp_path: Path) -> None:
    checkpoint = trained(store, tmp_path / "a", (GOOD, BAD))
    (tmp_path / "a" / "forgetting.json").write_text("{")
    assert [check.passed for check in checks_of(store, checkpoint, "")] == [True, True]


def test_while_nothing_is_trained_both_checks_pass_and_say_why(store: Store) -> None:
    checks = checks_of(store, None, "waiting (12 of 20)")
    assert [check.check_name for check in checks] == ["constitution_kept", "forgetting_budget"]
    assert {check.description for check in checks} == {"nothing is trained yet: waiting (12 of 20)"}
