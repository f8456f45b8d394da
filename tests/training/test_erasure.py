"""Erasure in the folders of trainings that were begun: what holds an erased row goes, what is trained from stays."""

import fcntl
import time
from pathlib import Path

import pytest

from continuum.dataset_rows import RatedAnswer
from continuum.fine_tuning import FineTuneConfig
from continuum.records import DatasetRecord
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.retention import erase
from continuum.training.erasure import STARTING_S, erase_from_trainings
from continuum.training.job import LOCK, Inputs, Job, ReplayRow, write_job
from tests.builders import NOON, an_example, an_interaction, assistant, user

SECRET = "my account is DE89 3704 0044"  # noqa: S105 - what somebody said


def later() -> float:
    return time.time() + 2 * STARTING_S


def begun(home: Path, key: str, inputs: Inputs) -> Path:
    """The folder of a training that was begun, with a state."""
    folder = home / "training" / "support" / key
    write_job(folder, Job(task="support", base_model="base", config=FineTuneConfig(), dataset="d" * 64, artifact="a"), inputs)
    (folder / "states").mkdir()
    (folder / "states" / "adapter_model.safetensors").write_bytes(b"learned")
    return folder


def rated(name: str) -> RatedAnswer:
    return RatedAnswer(
        interaction_id=name, messages=(user(SECRET),), response=assistant("No."), desirable=False, source="verdict", group=name
    )


@pytest.fixture
def filled(store: Store) -> Store:
    """Two interactions in the store and in a dataset version of it, and a third that only stands beside."""
    store.interactions.add([an_interaction(id=name) for name in ("secret", "other", "rated")])
    record = DatasetRecord(
        id="d" * 64, task="support", name="support_training_v1", version=1, uri="gone", manifest={}, created_at=NOON
    )
    store.datasets.add(record, [DatasetItem(interaction_id=name, split="train") for name in ("secret", "other")])
    return store


SECRET_ROW = an_example(interaction_id="secret", messages=(user(SECRET),))
OTHER_ROW = an_example(interaction_id="other")


@pytest.mark.parametrize(
    "inputs",
    [
        Inputs(train=(OTHER_ROW, SECRET_ROW)),
        Inputs(train=(OTHER_ROW,), validation=(SECRET_ROW,)),
        Inputs(train=(OTHER_ROW,), replay=(ReplayRow(example=SECRET_ROW, dataset="d"),)),
        Inputs(train=(OTHER_ROW,), earlier=(ReplayRow(example=SECRET_ROW, dataset="d"),)),
    ],
    ids=["train", "validation", "replay", "earlier"],
)
def test_a_folder_with_an_erased_row_goes_as_a_whole_and_another_stays(filled: Store, home: Path, inputs: Inputs) -> None:
    hit, spared = begun(home, "hit", inputs), begun(home, "spared", Inputs(train=(OTHER_ROW,)))
    assert erase_from_trainings(filled, "support", {"never"}, clock=later) == 0
    erase(filled, ["secret"])

    assert erase_from_trainings(filled, "support", {"secret"}, clock=later) == 1

    assert not hit.exists()
    assert (spared / "states" / "adapter_model.safetensors").is_file()


def test_a_rated_answer_that_no_version_names_is_known_by_its_absence(filled: Store, home: Path) -> None:
    folder = begun(home, "hit", Inputs(train=(OTHER_ROW,), answers=(rated("rated"),)))
    assert erase_from_trainings(filled, "support", set(), clock=later) == 0
    erase(filled, ["rated"])

    assert erase_from_trainings(filled, "support", set(), clock=later) == 1

    assert not folder.exists()


def test_rows_of_a_dataset_that_the_store_does_not_know_are_left_alone(store: Store, home: Path) -> None:
    folder = begun(home, "own", Inputs(train=(an_example(interaction_id="mine"),), answers=(rated("mine"),)))

    assert erase_from_trainings(store, "support", set(), clock=later) == 0
    assert folder.is_dir()


def test_a_training_that_runs_or_begins_is_left_until_it_is_over(filled: Store, home: Path) -> None:
    folder = begun(home, "running", Inputs(train=(SECRET_ROW,)))
    assert erase_from_trainings(filled, "support", {"secret"}) == 0
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert erase_from_trainings(filled, "support", {"secret"}, clock=later) == 0
    assert folder.is_dir()

    assert erase_from_trainings(filled, "support", {"secret"}, clock=later) == 1


def test_where_nothing_was_ever_trained_nothing_is_done(store: Store) -> None:
    assert erase_from_trainings(store, "support", {"secret"}) == 0
