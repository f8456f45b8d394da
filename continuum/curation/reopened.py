"""Interactions that an earlier training set considered, and of which people said something else since: they are considered again.

What people had said is hashed before anything of it is read for the training set. Whatever reaches the store while one is made
is so found later, and opens its interaction again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.provenance.earlier import line_of_datasets
from continuum.provenance.line import head_of_line
from continuum.records import Example
from continuum.store.late_feedback import NOTHING, OVERLAP
from continuum.store.reopenings import Reopening

if TYPE_CHECKING:
    from continuum.curation.pool import Traffic
    from continuum.store.database import Store


@dataclass(frozen=True)
class Heard:
    """What people had said of a task when its training set was begun."""

    at: datetime
    again: frozenset[str]
    """Interactions that are to be considered again."""
    said: Mapping[str, str]
    """Hash over the verdicts on each of these, and on those of which something was said just before."""
    learned: tuple[str, ...]
    """Datasets that the line has learned from."""


def listen(store: "Store", task: str, at: datetime) -> Heard:
    """Note what is to be considered again, and what has been said by now; must come before feedback is read.

    What a dataset considered that the line did not learn from, such as a blocked candidate's, comes round again too.
    """
    learned = tuple(line_of_datasets(store, head_of_line(store, task)))
    again = frozenset(store.reopenings.to_consider(task, learned))
    recent = {spoken.interaction_id for spoken in store.late_feedback.since(at - OVERLAP, [task])}
    said = store.late_feedback.said(again | recent)
    return Heard(at, again, {one: said.get(one, NOTHING) for one in again | recent}, learned)


def remember(store: "Store", heard: Heard, traffic: "Traffic", task: str, dataset: str) -> None:
    """Note what had been said just before a dataset that is about to be stored; means nothing until that is there."""
    considered = {interaction.id for interaction in traffic.interactions} - heard.again
    store.reopenings.remember(
        Reopening(
            interaction_id=one,
            use="dataset",
            used_by=dataset,
            task=task,
            said=heard.said[one],
            settled_at=heard.at,
            settled_by=dataset,
        )
        for one in sorted(considered & heard.said.keys())
    )


def settle(store: "Store", heard: Heard, traffic: "Traffic", dataset: str, at: datetime) -> int:
    """Note that a stored dataset has considered what was reopened; returns how many rows that settles.

    What people said more of meanwhile stays open. The rows are read before their word is, and are settled only as they were read:
    a look that finds more in between is not undone.
    """
    seen = {one: {row.said for row in rows} for one, rows in store.reopenings.of(traffic.again, "dataset").items()}
    today = store.late_feedback.said(traffic.again)
    said = {one: heard.said[one] for one in traffic.again if today.get(one, NOTHING) == heard.said[one]}
    return store.reopenings.consider(said, seen=seen, by=dataset, at=at, learned=heard.learned)


def told(heard: Heard, again: frozenset[str], examples: Iterable[Example]) -> dict[str, Any]:
    """What a manifest says of it: when people's word was read, and what became of the reopened interactions."""
    taken = len(again & {example.interaction_id for example in examples})
    return {"read_at": heard.at.isoformat(), "reopened": len(again), "taken": taken}


def note(feedback: Mapping[str, Any]) -> list[str]:
    """The same for a reader; nothing where nothing was reopened."""
    if not (again := feedback.get("reopened")):
        return []
    taken = feedback["taken"]
    return [
        f"{again} interactions are considered again, because people said something of them after an earlier version had "
        f"considered them: {taken} of them are examples, {again - taken} are not"
    ]
