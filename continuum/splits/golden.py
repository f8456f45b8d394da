"""Golden datasets: the held-out questions that every candidate of a task is measured on.

A golden dataset is written before the first training set and only ever grows, so that verdicts of different months speak of the
same questions. Nothing that shares a group with one of its items is trained on. How it grows is in `golden_growth.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from continuum.artifacts.copies import local
from continuum.artifacts.places import below, is_remote
from continuum.errors import ConfigurationError, NotEnoughData, StoreError
from continuum.records import DatasetRecord
from continuum.splits.golden_items import GoldenItem, Kind, Part, described, fingerprint_of, what_is_left
from continuum.splits.sides import unit_hash
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.splits.golden_health import GoldenHealth
    from continuum.store.database import Store

__all__ = ["GoldenDataset", "GoldenItem", "Kind", "Part"]

TYPICAL_SD = 0.2
"""Spread of the differences between two models' scores on one question, on the 0-1 scale, where nothing is known yet."""


@dataclass(frozen=True)
class GoldenDataset:
    """One version of a task's golden dataset; iterating gives its items by interaction id."""

    name: str
    task: str
    version: int
    fingerprint: str
    items: tuple[GoldenItem, ...]
    manifest: dict[str, Any]
    part: Part | None = None
    """`dev` and `test` where the set was split; on `dev` one may choose, and a guard refuses it."""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[GoldenItem]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"GoldenDataset({self.name!r}, {len(self)} items, {self.with_reference} with a reference; {self.shows()})"

    @property
    def with_reference(self) -> int:
        """How many items have an answer to compare with."""
        return sum(item.reference is not None for item in self.items)

    @property
    def groups(self) -> int:
        """How many groups the questions of the task are in: as many independent observations."""
        return len({item.group for item in self.items if item.kind == "task"})

    def detectable(self, sd: float = TYPICAL_SD) -> float:
        """The smallest true drop that a comparison on this set finds 4 times in 5, at the level .05.

        Args:
            sd: spread of the differences between two models' mean scores on a group, on the 0-1 scale; about 0.2 where models
                are close.

        Returns:
            On the 0-1 scale; 1, which is everything, where the set has fewer than two groups.
        """
        from continuum.statistics.power import detectable_effect  # scipy starts here

        return min(1.0, detectable_effect(sd, self.groups)) if self.groups > 1 else 1.0

    def shows(self) -> str:
        """What it can show, in words."""
        if self.groups < 2:
            return "it has too few groups of questions to show any difference"
        return f"a drop of {self.detectable():.3f} is found 4 times in 5"

    # --- where it comes from ------------------------------------------------------------------------------------------

    @classmethod
    def from_task(cls, task: str, *, store: "Store | None" = None, now: Callable[[], datetime] = utc_now) -> Self:
        """Hold out questions of a task's traffic, or bring what is held out up to date; the newest version.

        Must come before anything of the task is trained on; curation does the same by itself.

        Raises:
            ConfigurationError: there is no such task.
            NotEnoughData: nothing that was held out can be measured.
        """
        from continuum.splits.golden_growth import grow

        opened = store or default_store()
        policy = opened.tasks.get(task).policy
        grown = grow(opened, policy, now=now)
        if grown.dataset is None:
            raise NotEnoughData(
                f"task {task!r} has no golden item: of {grown.side} interactions on the golden side none can be measured "
                f"({grown.words()}); capture more, let people score answers, or give the task a judge",
                available=0,
                needed=1,
            )
        return cls._as(grown.dataset)

    @classmethod
    def from_items(cls, task: str, source: "str | Path | Iterable[Mapping[str, Any]]") -> Self:
        """A set of one's own questions, which needs no store; the form of a line is in `own_items.py`.

        Lines that cannot be read are left out and named in `manifest["refused"]`. Nothing is kept out of training by this:
        `continuum golden TASK --add FILE` makes them part of the task's golden dataset, which is.

        Args:
            task: whose questions they are.
            source: a JSONL file, a folder of such files, or the lines as mappings.

        Raises:
            ConfigurationError: not one line is a golden item; the message says why the first are not.
        """
        from continuum.splits.own_items import read_items

        read = read_items(source)
        fingerprint = fingerprint_of(task, read.items)
        name = f"{task}_golden_{fingerprint[:8]}"
        manifest = described(read.items) | {
            "name": name,
            "task": task,
            "version": 0,
            "kind": "golden",
            "fingerprint": fingerprint,
            "format": 2,
            "refused": [str(one) for one in read.refused],
        }
        return cls(name, task, 0, fingerprint, read.items, manifest)

    @classmethod
    def load(cls, name: "str | Path", *, store: "Store | None" = None) -> Self:
        """Load a version by its name, `<task>_golden_v<n>`, or from a folder that `save` left.

        Raises:
            ConfigurationError: there is none of this name; the message says which there are.
            StoreError: its files are gone or were altered; the message names the file.
        """
        if is_remote(name):
            return cls._from_folder(local(name))
        if isinstance(name, Path) or any(mark in name for mark in ("/", "\\")) or name in (".", ".."):
            return cls._from_folder(Path(name))
        opened = store or default_store()
        record = opened.datasets.get(name)
        if record is not None and record.kind == "golden":
            return cls.of(record, opened)
        if Path(name).is_dir():
            return cls._from_folder(Path(name))
        newest = [opened.datasets.latest(task, "golden") for task in opened.tasks.names()]
        known = ", ".join(found.name for found in newest if found is not None) or "none yet"
        raise ConfigurationError(
            f"there is no golden dataset {name!r} (newest of each task: {known}), nor a folder of that name; "
            "curating a task holds one out"
        )

    @classmethod
    def latest(cls, task: str, *, store: "Store | None" = None) -> Self | None:
        """The newest version of a task's golden dataset; None before anything was held out."""
        opened = store or default_store()
        record = opened.datasets.latest(task, "golden")
        return None if record is None else cls.of(record, opened)

    @classmethod
    def of(cls, record: DatasetRecord, store: "Store | None" = None) -> Self:
        """The version that a row of the store stands for, less what of it was erased.

        Args:
            record: the row.
            store: where what is missing must be gone from; None for the default store.

        Raises:
            StoreError: its files are gone, or are not what the store says they are.
        """
        from continuum.splits.golden_files import MANIFEST, read_version

        written = read_version(record.uri, record.manifest)
        if written.manifest.get("fingerprint") != record.id:
            raise StoreError(
                f"{below(record.uri, MANIFEST)} is of the version {str(written.manifest.get('fingerprint'))[:12]}, the store's "
                f"{record.name!r} is {record.id[:12]}; restore the folder from a copy"
            )
        if written.erased:
            from continuum.splits.golden_erasure import require_gone

            require_gone(store or default_store(), record, written)
        return cls(record.name, record.task, record.version, record.id, written.items, record.manifest)

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def save(self, folder: "str | Path") -> Path:
        """Write a copy that `load` reads anywhere, without a store.

        Raises:
            ConfigurationError: there is something at the folder's place already.
            StoreError: it cannot be written.
        """
        from continuum.splits.golden_files import write_golden

        target, manifest = Path(folder), self.manifest
        if fingerprint_of(self.task, self.items, self.part) != self.fingerprint:
            # Some of its items were erased: a copy is a set of its own, called by what is left.
            manifest = what_is_left(self.task, self.items, manifest)
        try:
            target.mkdir(parents=True)
            write_golden(target, self.items, manifest)
        except FileExistsError as error:
            raise ConfigurationError(
                f"{target} is there already, and nothing is written over; name a folder that is not"
            ) from error
        except OSError as error:
            raise StoreError(f"{target} cannot be written ({error}); name a folder that can") from error
        return target

    def split(self, dev: float = 0.5, salt: str = "dev") -> tuple[Self, Self]:
        """Part the set into whole groups to choose by and groups to decide by.

        Which part a group is in is a salted hash of what it was called when its items joined. As the set grows nothing that was
        in `dev` is ever found in `test`: where two groups grow together that were apart, both are `dev`.

        Args:
            dev: about the share of the groups that hyper-parameters are chosen on, above 0 and below 1.
            salt: another salt is another draw.

        Returns:
            The dev part, which a guard refuses, and the test part.

        Raises:
            ConfigurationError: the share is out of range, the set is a part already, or too small to be parted.
        """
        if not 0 < dev < 1:
            raise ConfigurationError(f"the dev share is {dev}; it must be above 0 and below 1")
        if self.part is not None:
            raise ConfigurationError(f"{self.name!r} is the {self.part} part of a set already; split the whole set")
        chosen = {item.group for item in self.items if unit_hash(salt, item.lot or item.group) < dev}
        sides = {
            "dev": tuple(item for item in self.items if item.group in chosen),
            "test": tuple(item for item in self.items if item.group not in chosen),
        }
        if not all(sides.values()):
            raise ConfigurationError(
                f"{self.name!r} has {len({item.group for item in self.items})} groups, too few to part at {dev:g} with the salt "
                f"{salt!r}; choose another share, or let the set grow"
            )
        return self._part("dev", sides["dev"], dev, salt), self._part("test", sides["test"], dev, salt)

    def refresh(
        self,
        size: int | None = None,
        *,
        since: str | None = "90d",
        confirm: bool | None = None,
        store: "Store | None" = None,
        now: Callable[[], datetime] = utc_now,
    ) -> Self:
        """Grow the task's golden dataset by questions from fresh traffic, drawn so that every slice has its share.

        Args:
            size: the most that join; None for its share of the policy's `splits.max_golden`.
            since: how fresh, such as "30d"; None for all there is.
            confirm: whether only what a person has spoken of joins, the rest being put before people (`continuum label`); None
                for what the policy says.
            store: where the task is; None for the default store.
            now: the clock.

        Returns:
            The newest version; this one where nothing changed.

        Raises:
            ConfigurationError: this is a part of a set, or its task is not in the store.
        """
        from continuum.splits.golden_growth import grow

        if self.part is not None:
            raise ConfigurationError(f"{self.name!r} is the {self.part} part of a set; refresh the whole set and split it again")
        opened = store or default_store()
        grown = grow(opened, opened.tasks.get(self.task).policy, size=size, since=since, confirm=confirm, now=now)
        return self if grown.dataset is None else self._as(grown.dataset)

    def health(self, store: "Store | None" = None, *, now: Callable[[], datetime] = utc_now) -> "GoldenHealth":
        """How old the set is, what of it was trained on, how often it was used, and what it can show."""
        from continuum.splits.golden_health import health_of

        return health_of(self, store or default_store(), now=now)

    @classmethod
    def _from_folder(cls, folder: Path) -> Self:
        from continuum.splits.golden_files import MANIFEST, read_version

        if not folder.is_dir():
            raise ConfigurationError(f"there is no folder {folder} with a golden dataset; GoldenDataset.save writes one")
        written = read_version(folder)
        items, manifest = written.items, written.manifest
        if written.erased:
            # No store vouches for what was erased: the questions that are left must not pass for all of them.
            manifest = what_is_left(str(manifest.get("task")), items, manifest)
        try:
            return cls(
                name=str(manifest["name"]),
                task=str(manifest["task"]),
                version=int(manifest["version"]),
                fingerprint=str(manifest["fingerprint"]),
                items=items,
                manifest=manifest,
                part=manifest.get("part"),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(f"{folder / MANIFEST} does not say what it is of ({error!r}); restore it from a copy") from error

    @classmethod
    def _as(cls, dataset: "GoldenDataset") -> Self:
        return cls(**{name: getattr(dataset, name) for name in cls.__dataclass_fields__})

    def _part(self, part: Part, items: tuple[GoldenItem, ...], dev: float, salt: str) -> Self:
        fingerprint = fingerprint_of(self.task, items, part)
        name = f"{self.name}_{part}"
        told = {"name": name, "part": part, "fingerprint": fingerprint, "format": 2}
        split = {"of": self.fingerprint, "dev": dev, "salt": salt}
        manifest = {**self.manifest, **described(items), **told, "split": split}
        manifest.pop("note", None)
        return replace(self, name=name, fingerprint=fingerprint, items=items, manifest=manifest, part=part)
