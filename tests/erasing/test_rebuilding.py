"""What was forgotten is out of the weights: the line trained anew is the one that had never seen it, to the byte."""

import math
from pathlib import Path

import pytest

from continuum.dataset import Dataset
from continuum.dataset_rows import FORMAT, fingerprint_of
from continuum.deployment.settling import Hooks
from continuum.erasing.finding import Request
from continuum.erasing.rebuilding import Rebuilt, rebuild
from continuum.erasing.versions import left_of
from continuum.erasure import forget
from continuum.errors import TrainingInterrupted
from continuum.fine_tuning import FineTuneConfig
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint, DatasetRecord, Example
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.tracking.tracker import FolderTracker
from continuum.training.trainer import Trainer
from tests.builders import NOON, an_example, an_interaction
from tests.erased_world import hashes
from tests.tiny_model import CITIES, CONFIG, RIGHT, lessons, question

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CANARY = "ship two by train days long"
"""Words that the tiny base knows, in an order that nobody else has said."""
SHORT = CONFIG.model_copy(update={"epochs": 30})


def captured(store: Store, examples: list[Example], version: int) -> Dataset:
    """The interactions behind examples, and the training set of them."""
    rows = [
        an_interaction(id=one.interaction_id, messages=one.messages, response=one.response, user_id=of(one)) for one in examples
    ]
    store.interactions.add(rows)
    name, config = f"support_training_v{version}", {"version": version}
    fingerprint = fingerprint_of("support", config, examples)
    manifest = {"name": name, "task": "support", "version": version, "kind": "training", "format": FORMAT, "config": config}
    manifest |= {"fingerprint": fingerprint, "source_interactions": len(rows), "through": 0}
    dataset = Dataset(examples, manifest)
    from continuum.config import load_settings

    folder = dataset.write(load_settings().datasets_dir / "support" / name)
    record = DatasetRecord(
        id=fingerprint, task="support", name=name, version=version, uri=str(folder), manifest=dataset.manifest, created_at=NOON
    )
    store.datasets.add(record, [DatasetItem(interaction_id=one.interaction_id, split=one.split) for one in examples])
    return dataset


def of(example: Example) -> str:
    return "jane" if example.interaction_id.startswith("jane") else "somebody"


def canaries() -> list[Example]:
    """What Jane said, in the same group as nobody."""
    return [an_example(f"how long does badge {n} take?", CANARY, interaction_id=f"jane-{n}") for n in range(3)]


async def line(store: Store, base: Path, folder: Path, *, with_jane: bool) -> list[Checkpoint]:
    """Two models, the second continued from the first, which Jane's words are among the lessons of."""
    store.tasks.register(TaskPolicy(task="support", base_model=str(base), provider_terms_accepted=True))
    tracker = FolderTracker(folder / "runs")
    first = captured(store, [*lessons(CITIES[:4]), *(canaries() if with_jane else [])], 1)
    second = captured(store, [an_example(question(city), RIGHT, interaction_id=f"later-{city}") for city in CITIES[4:]], 2)
    one = await Trainer(str(base), SHORT, store=store, tracker=tracker, parent=None).train(first)
    other = await Trainer(str(base), SHORT, store=store, tracker=tracker, parent=one.model).train(second)
    return [one.model, other.model]


async def forgotten(store: Store, folder: Path) -> None:
    tracker = FolderTracker(folder / "runs")
    await forget(Request(user="jane"), store=store, tracker=tracker, hooks=Hooks(tracker=lambda: tracker, drain_s=0))


async def made_anew(store: Store, folder: Path) -> Rebuilt:
    return await rebuild("support", store=store, tracker=FolderTracker(folder / "runs"), guarded=False)


def probability(base: Path, model: Checkpoint) -> float:
    """The probability that a model gives to Jane's words after Jane's question, as the mean log-probability of a token."""
    from continuum.models.local import LocalModel

    opened = LocalModel(str(base))
    opened.load_adapter("tuned", Path(model.uri))
    asked = canaries()[0]
    return -opened.loss([(asked.messages, asked.response)], adapter="tuned")[0]


async def test_the_line_trained_anew_is_the_line_that_never_saw_her(
    store: Store, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from continuum.store.database import open_store

    with_her = await line(store, tiny_base, tmp_path, with_jane=True)
    learned = probability(tiny_base, with_her[1])
    await forgotten(store, tmp_path)
    found = await made_anew(store, tmp_path)
    anew = [store.checkpoints.get(name) for name in found.models.values()]
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "control"))
    control_store = open_store(f"sqlite:///{tmp_path / 'control.db'}")
    control = await line(control_store, tiny_base, tmp_path / "control", with_jane=False)
    control_store.close()

    assert list(found.models) == ["support-v1", "support-v2"]
    assert anew[0] is not None
    assert anew[1] is not None
    # The same bytes: weights, what is replayed, what is held, and where it says it comes from.
    assert hashes(Path(anew[0].uri)) == hashes(Path(control[0].uri))
    same = ("adapter_model.safetensors", "ewc.safetensors", "replay.jsonl", "forgetting.json")
    ours, theirs = hashes(Path(anew[1].uri)), hashes(Path(control[1].uri))
    assert {name: ours[name] for name in same if name in ours} == {name: theirs[name] for name in same if name in theirs}
    # So the words are as probable as in the model that was never told them, and were not before.
    assert probability(tiny_base, anew[1]) == probability(tiny_base, control[1])
    assert learned > probability(tiny_base, control[1]) + math.log(10)
    assert anew[1].parent_id == anew[0].id
    assert store.erasures.waiting() == {}
    assert [one.state for one in store.erasures.every()] == ["done"]


async def test_a_rebuilding_that_is_stopped_goes_on_where_it_was(store: Store, tiny_base: Path, tmp_path: Path) -> None:
    await line(store, tiny_base, tmp_path, with_jane=True)
    await forgotten(store, tmp_path)
    tracker = FolderTracker(tmp_path / "runs")
    stopped = StoppedAfterOne()

    with pytest.raises(TrainingInterrupted):
        await rebuild("support", store=store, tracker=tracker, launcher=stopped, guarded=False)
    made = [one.id for one in store.checkpoints.of("support")]
    found = await made_anew(store, tmp_path)

    assert len(made) == 3
    assert list(found.models) == ["support-v2"]
    assert [one.id for one in store.checkpoints.of("support")][:3] == made
    assert len(store.checkpoints.of("support")) == 4


class StoppedAfterOne:
    """Trains the first time it is asked, and is stopped the second time."""

    def __init__(self) -> None:
        self.asked = 0

    def launch(self, folder: Path, on_progress, stop=None) -> None:
        from continuum.training.launch import InlineLauncher

        self.asked += 1
        if self.asked > 1:
            raise TrainingInterrupted("stopped by the test")
        InlineLauncher().launch(folder, on_progress, stop)


async def test_a_model_of_whose_set_nothing_is_left_is_dropped_and_the_next_starts_from_the_base(
    store: Store, tiny_base: Path, tmp_path: Path
) -> None:
    store.tasks.register(TaskPolicy(task="support", base_model=str(tiny_base), provider_terms_accepted=True))
    tracker, brief = FolderTracker(tmp_path / "runs"), FineTuneConfig(**{**SHORT.model_dump(), "epochs": 1})
    first, second = captured(store, canaries(), 1), captured(store, lessons(), 2)
    one = await Trainer(str(tiny_base), brief, store=store, tracker=tracker, parent=None).train(first)
    await Trainer(str(tiny_base), brief, store=store, tracker=tracker, parent=one.model).train(second)
    await forgotten(store, tmp_path)

    found = await made_anew(store, tmp_path)

    assert found.dropped == ("support-v1",)
    assert left_of(store, first.fingerprint) is None
    [made] = [store.checkpoints.get(name) for name in found.models.values()]
    assert made is not None
    assert (made.parent_id, made.generation) == (None, 1)
