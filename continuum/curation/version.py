"""Storing what was built as the next version: rows, card and pictures, manifest, and the row of its control beside it."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.artifacts.places import below
from continuum.curation.card import write_card
from continuum.curation.manifest import Assembled, manifest_of, removed_rows
from continuum.dataset import Dataset
from continuum.dataset_rows import fingerprint_of
from continuum.judging.calibration import calibrate
from continuum.records import DatasetRecord, Example
from continuum.store.learning import DatasetItem
from continuum.store.versions import publish

if TYPE_CHECKING:
    from continuum.store.database import Store

MOST_JUDGES = 3


def publish_version(
    store: "Store",
    task: str,
    built: Assembled,
    config: dict[str, Any],
    *,
    golden: str | None,
    notes: Sequence[str] = (),
    before: Callable[[str], object] = str,
    now: Callable[[], datetime],
) -> Dataset:
    """Store a training set under the next free number, with its card; the version that has this content already comes back.

    Args:
        store: where its row goes.
        task: whose it is.
        built: the results of all stages.
        config: everything that decided them.
        golden: fingerprint of the golden dataset that was kept out.
        notes: what a reader must know besides what is to be said of the scores.
        before: given the fingerprint before anything is stored.
        now: the clock.
    """
    previous = store.datasets.latest(task)
    tables = {
        "preferences": built.preferences,
        "rated_answers": built.rated_answers,
        "control": built.control,
    }
    parents = {"golden": golden, "previous": previous.id if previous else None}
    removed = removed_rows(built)

    def whole(manifest: dict[str, Any]) -> Dataset:
        return Dataset(built.examples, manifest, removed=removed, **tables)

    def write(folder: Path, manifest: dict[str, Any]) -> None:
        # The card comes first: the manifest, which `write` leaves last, says that all is there.
        dataset = whole(manifest)
        write_card(dataset, folder)
        dataset.write(folder)

    fingerprint = fingerprint_of(task, config, built.examples, **tables)
    before(fingerprint)
    record = publish(
        store,
        task=task,
        kind="training",
        fingerprint=fingerprint,
        manifest=manifest_of(built, config, parents, [*notes, *score_notes(store, task, built.examples)]),
        items=[_item(example) for example in built.examples],
        write=write,
        now=now,
    )
    dataset = whole(record.manifest)
    if dataset.control is not None:
        _register_control(store, record, dataset.control)
    return dataset


def score_notes(store: "Store", task: str, examples: Sequence[Example]) -> list[str]:
    """What must be said of scores that a judge gave: how far people have confirmed them."""
    judged = [example.interaction_id for example in examples if example.score_source == "judge"]
    if not judged:
        return []
    annotations = store.annotations.of(judged)
    judges = Counter((annotations[one].judge, annotations[one].rubric) for one in judged if one in annotations)
    notes = []
    for (judge, rubric), rows in sorted(judges.items(), key=lambda item: (-item[1], item[0]))[:MOST_JUDGES]:
        found = calibrate(store, task, judge=judge, rubric=rubric)
        notes.append(
            f"{rows} of {len(examples)} scores are those of the judge {judge}, whose mean on this task is {found.words()}"
        )
    return notes


def _item(example: Example) -> DatasetItem:
    return DatasetItem(interaction_id=example.interaction_id, split=example.split, score=example.score, reason=example.reason)


def _register_control(store: "Store", record: DatasetRecord, control: Dataset) -> None:
    """Make the control a dataset that can be trained on by name and found in a lineage; its rows lie in the version's folder."""
    stood_for = record.model_copy(
        update={
            "id": control.fingerprint,
            "kind": "control",
            "name": control.name,
            "uri": below(record.uri, "control.parquet"),
            "manifest": control.manifest,
        }
    )
    store.datasets.add(stood_for, [_item(example) for example in control])
