"""Golden datasets: the held-out interactions that every candidate of a task is measured on.

A golden dataset is written before the first training set and only ever grows towards its cap, so that verdicts of different
months speak of the same questions. Nothing that shares a group with one of its items is trained on.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from continuum.errors import ConfigurationError, StoreError
from continuum.policy import TaskPolicy
from continuum.records import DatasetRecord, Interaction, Message, Record
from continuum.similarity.fingerprints import context_fingerprint
from continuum.splits.ratings import HumanRating, human_rating, reference_answer
from continuum.splits.sides import Sides, task_sides, unit_hash
from continuum.store import default_store
from continuum.store.versions import publish
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

ROWS = "golden.parquet"
MANIFEST = "manifest.json"

DECISIVE_SIZE = 200
"""Below this many items most verdicts come out inconclusive: a 3-point difference cannot be told from none."""


class GoldenItem(Record):
    """One held-out question."""

    interaction_id: str
    messages: tuple[Message, ...]
    reference: Message | None = None
    """A correction, or an answer that a person called good; None where only a judge can tell."""
    production: Message | None = None
    """What the model in production answered: the baseline until there is a champion."""
    group: str
    """Items of one group are not independent."""
    intent: str | None = None


@dataclass(frozen=True)
class GoldenDataset:
    """One version of a task's golden dataset; iterating gives its items by interaction id."""

    name: str
    task: str
    version: int
    fingerprint: str
    items: tuple[GoldenItem, ...]
    manifest: dict[str, Any]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[GoldenItem]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"GoldenDataset({self.name!r}, {len(self)} items, {self.with_reference} with a reference)"

    @property
    def with_reference(self) -> int:
        """How many items have an answer to compare with."""
        return sum(item.reference is not None for item in self.items)

    @classmethod
    def load(cls, name: str, *, store: "Store | None" = None) -> Self:
        """Load a version by name, `<task>_golden_v<n>`.

        Raises:
            ConfigurationError: there is none of this name; the message says which there are.
            StoreError: its files are gone.
        """
        opened = store or default_store()
        record = opened.datasets.get(name)
        if record is None or record.kind != "golden":
            newest = [opened.datasets.latest(task, "golden") for task in opened.tasks.names()]
            known = ", ".join(found.name for found in newest if found is not None) or "none yet"
            raise ConfigurationError(
                f"there is no golden dataset {name!r} (newest of each task: {known}); curating a task holds one out"
            )
        return cls.of(record)

    @classmethod
    def latest(cls, task: str, *, store: "Store | None" = None) -> Self | None:
        """The newest version of a task's golden dataset; None before anything was held out."""
        record = (store or default_store()).datasets.latest(task, "golden")
        return None if record is None else cls.of(record)

    @classmethod
    def of(cls, record: DatasetRecord) -> Self:
        """The version that a row of the store stands for.

        Raises:
            StoreError: its files are gone.
        """
        path = Path(record.uri) / ROWS
        if not path.is_file():
            raise StoreError(f"golden dataset {record.name!r} should lie at {path}, where nothing is; restore it or curate again")
        return cls(record.name, record.task, record.version, record.id, _read(path), record.manifest)


def hold_out(
    store: "Store", policy: TaskPolicy, *, now: Callable[[], datetime] = utc_now, sides: Sides | None = None
) -> GoldenDataset | None:
    """Bring a task's golden dataset up to date; must come before anything of the task is trained on.

    Items that are in stay in, with newer corrections, and new items of the golden side join them, so that what users ask today
    is measured too. A new version is written only when items or their content changed.

    Args:
        store: where the task's traffic is.
        policy: whose traffic; its splits say how much is held out.
        now: the clock.
        sides: the sides where they are known already.

    Returns:
        The newest version; None while nothing on the golden side can be measured.
    """
    sides = sides or task_sides(store, policy)
    newest = store.datasets.latest(policy.task, "golden")
    before = {item.interaction_id for item in store.datasets.items(newest.id)} if newest else set()
    held = store.interactions.get_many(sides.ids("golden"))
    candidates = _candidates(store, policy, held.values(), sides)
    chosen = _choose(candidates, before, policy)
    if not chosen:
        return None
    record = _publish(store, policy, chosen, len(held), now)
    return GoldenDataset.of(record)


def _candidates(store: "Store", policy: TaskPolicy, held: Iterable[Interaction], sides: Sides) -> list[GoldenItem]:
    """What could be measured: answered questions with a reference, or any where the task has a judge."""
    answered = [one for one in held if one.status == "ok" and one.messages and one.response]
    feedback = store.feedback.of(answered)
    judged = policy.judge.model is not None or store.annotations.count(policy.task) > 0
    raters = store.raters.of(policy.task)
    items = [
        _item(interaction, human_rating(feedback.get(interaction.id, []), raters), sides.group[interaction.id])
        for interaction in answered
    ]
    return [item for item in items if judged or item.reference is not None]


def _item(interaction: Interaction, rating: HumanRating, group: str) -> GoldenItem:
    return GoldenItem(
        interaction_id=interaction.id,
        messages=interaction.messages,
        reference=reference_answer(interaction, rating),
        # What a canary answered is a candidate's word, not production's.
        production=None if interaction.variant == "canary" else interaction.response,
        group=group,
        intent=interaction.tags.get("intent"),
    )


def _choose(candidates: list[GoldenItem], before: set[str], policy: TaskPolicy) -> list[GoldenItem]:
    """One item a context: an old one if there is one, then one with a reference, then in hash order; sorted by id."""

    def rank(item: GoldenItem) -> tuple[bool, bool, float, str]:
        position = unit_hash(policy.splits.salt, item.interaction_id)
        return item.interaction_id not in before, item.reference is None, position, item.interaction_id

    distinct: dict[str, GoldenItem] = {}
    for item in sorted(candidates, key=rank):
        # The same question twice is one observation, however often it was asked.
        distinct.setdefault(context_fingerprint(item.messages), item)
    return sorted(distinct.values(), key=lambda item: item.interaction_id)


def _publish(
    store: "Store", policy: TaskPolicy, items: list[GoldenItem], side_size: int, now: Callable[[], datetime]
) -> DatasetRecord:
    from continuum.store.learning import DatasetItem

    with_reference = sum(item.reference is not None for item in items)
    manifest: dict[str, Any] = {
        "items": len(items),
        "with_reference": with_reference,
        "groups": len({item.group for item in items}),
        "golden_side": side_size,
        "splits": policy.splits.model_dump(mode="json"),
    }
    if len(items) < DECISIVE_SIZE:
        manifest["note"] = (
            f"{len(items)} golden items are few: below about {DECISIVE_SIZE} most verdicts are inconclusive; "
            "more traffic, more human verdicts or a larger golden share help"
        )
    return publish(
        store,
        task=policy.task,
        kind="golden",
        fingerprint=_fingerprint(policy.task, items),
        manifest=manifest,
        items=[
            DatasetItem(
                interaction_id=item.interaction_id,
                split="golden",
                reason="held out by the salted hash of its group" + ("" if item.reference is None else ", with a reference"),
            )
            for item in items
        ],
        write=lambda folder, full: _write(folder, items, full),
        now=now,
    )


def _fingerprint(task: str, items: list[GoldenItem]) -> str:
    digest = sha256(f"golden\n{task}\n".encode())
    for item in items:
        digest.update(json.dumps(item.model_dump(mode="json", exclude_none=True), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _write(folder: Path, items: list[GoldenItem], manifest: dict[str, Any]) -> None:
    import polars  # the one door to frames

    rows = [
        {
            "interaction_id": item.interaction_id,
            "messages": json.dumps([message.to_openai() for message in item.messages]),
            "reference": None if item.reference is None else json.dumps(item.reference.to_openai()),
            "production": None if item.production is None else json.dumps(item.production.to_openai()),
            "group": item.group,
            "intent": item.intent,
        }
        for item in items
    ]
    polars.DataFrame(rows, schema=dict.fromkeys(rows[0], polars.String)).write_parquet(folder / ROWS)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")


def _read(path: Path) -> tuple[GoldenItem, ...]:
    import polars

    def message(text: str | None) -> Message | None:
        return None if text is None else Message.model_validate_json(text)

    return tuple(
        GoldenItem(
            interaction_id=row["interaction_id"],
            messages=tuple(Message.model_validate(value) for value in json.loads(row["messages"])),
            reference=message(row["reference"]),
            production=message(row["production"]),
            group=row["group"],
            intent=row["intent"],
        )
        for row in polars.read_parquet(path).iter_rows(named=True)
    )
