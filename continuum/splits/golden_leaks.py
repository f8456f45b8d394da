"""Which golden questions a task's training sets hold, word for word or nearly so: what they measure is partly memory.

The sides keep dialogues apart, and curation leaves near-equal questions out; what was golden too late, or was brought by
somebody, may still have been learned from before. So may the held-out probes of a constitution, which users ask as well.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from continuum.dataset import Dataset
from continuum.errors import StoreError
from continuum.records import Message
from continuum.similarity.fingerprints import context_fingerprint
from continuum.similarity.normalise import prompt_tail
from continuum.splits.golden_items import GoldenItem
from continuum.splits.groups import NEAR

if TYPE_CHECKING:
    from continuum.constitution.constraints import Constraint
    from continuum.store.database import Store

PROBE = "held-out probe: "
"""Begins the id of a held-out probe among items."""
How = Literal["the same row", "the same question", "nearly the same question"]


@dataclass(frozen=True)
class Leak:
    """A golden item that something was trained on."""

    item_id: str
    dataset: str
    """Name of the first training set that holds it."""
    interaction_id: str
    """Of the row that does."""
    how: How


@dataclass(frozen=True)
class Leakage:
    """What was found, by the item's id."""

    leaks: dict[str, Leak]
    unread: tuple[str, ...] = ()
    """Training sets whose files are gone, so that nothing is known of them."""


@dataclass(frozen=True, slots=True)
class _Row:
    dataset: str
    interaction_id: str
    messages: tuple[Message, ...]


def leakage_of(store: "Store", task: str, items: Sequence[GoldenItem], *, threshold: float = NEAR) -> Leakage:
    """Look for golden questions in all training sets that a task ever had.

    Args:
        store: knows the training sets.
        task: whose.
        items: the golden items.
        threshold: character similarity of the last few messages from which two questions are nearly the same.
    """
    unread: list[str] = []
    rows = list(_trained_rows(store, task, unread)) if items else []
    found: dict[str, Leak] = {}
    by_id, by_context = {item.interaction_id: item for item in items}, _by(items, lambda item: context_fingerprint(item.messages))
    tails: dict[str, _Row] = {}
    for row in rows:
        twin = by_id.get(row.interaction_id)
        if twin is not None:
            _note(found, [twin], row, "the same row")
        _note(found, by_context.get(context_fingerprint(row.messages), ()), row, "the same question")
        tails.setdefault(prompt_tail(row.messages), row)
    left = _by([item for item in items if item.interaction_id not in found], lambda item: prompt_tail(item.messages))
    for golden_tail, trained_tail in _near(list(left), list(tails), threshold):
        _note(found, left[golden_tail], tails[trained_tail], "nearly the same question")
    return Leakage(dict(sorted(found.items())), tuple(unread))


def held_out_probes(constraints: "Iterable[Constraint]") -> dict[str, GoldenItem]:
    """The questions of constraints that no training may see, by what they ask, in the form that `leakage_of` looks for."""
    asked = dict.fromkeys(probe.prompt for constraint in constraints for probe in constraint.held_out)
    return {
        prompt: GoldenItem(
            interaction_id=f"{PROBE}{prompt}",
            messages=(Message(role="user", content=prompt),),
            group=f"{PROBE}{prompt}",
            kind="alignment",
        )
        for prompt in asked
    }


def _note(found: dict[str, Leak], items: Iterable[GoldenItem], row: _Row, how: How) -> None:
    for item in items:
        found.setdefault(item.interaction_id, Leak(item.interaction_id, row.dataset, row.interaction_id, how))


def _by(items: Sequence[GoldenItem], key: Callable[[GoldenItem], str]) -> dict[str, list[GoldenItem]]:
    found: dict[str, list[GoldenItem]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def _trained_rows(store: "Store", task: str, unread: list[str]) -> Iterator[_Row]:
    """The contexts of all training rows, oldest set first, each once."""
    seen: set[tuple[str, str]] = set()
    for record in store.datasets.versions(task):
        if record.kind != "training":
            continue
        try:
            dataset = Dataset.read(record.uri)
        except StoreError:
            unread.append(record.name)
            continue
        for row in (*dataset.examples, *dataset.preferences, *dataset.rated_answers):
            key = (row.interaction_id, context_fingerprint(row.messages))
            if row.split == "train" and key not in seen:
                seen.add(key)
                yield _Row(record.name, row.interaction_id, row.messages)


def _near(golden: list[str], trained: list[str], threshold: float) -> Iterator[tuple[str, str]]:
    """Pairs of a golden and a trained text that are nearly equal."""
    from continuum.similarity.near import near_pairs  # rensa and rapidfuzz start here

    if not golden or not trained:
        return
    same = set(golden) & set(trained)
    yield from ((text, text) for text in sorted(same))
    texts = [*golden, *(text for text in trained if text not in same)]
    for first, second in near_pairs(texts, threshold, corpus=()):
        if first < len(golden) <= second:
            yield texts[first], texts[second]
