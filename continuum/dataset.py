"""A dataset version: the examples, what they were made from, and the Parquet files they travel in.

Written by curation, read by training, guard and analytics. Beside the examples stand what people preferred (rows for DPO and
KTO), a control drawn at random, and what was removed as superfluous; each table has its file, and validation rows have theirs,
so that nobody who loads `train` trains on them.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.artifacts.copies import local
from continuum.artifacts.places import above, name_of
from continuum.dataset_rows import (
    COLUMNS,
    FORMAT,
    ROWS,
    VALIDATION,
    PreferencePair,
    RatedAnswer,
    Removed,
    fingerprint_of,
    frame_of,
    place,
    read_rows,
    settle,
    sides_of,
    sync,
)
from continuum.errors import StoreError
from continuum.records import Example

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars

MANIFEST = "manifest.json"

logger = logging.getLogger(__name__)


class Dataset:
    """Examples of one task, with a fingerprint over their content and the configuration that chose them.

    `len()` and iteration cover the training and validation rows, by interaction id.

    Args:
        examples: what to learn.
        manifest: how it was made; see `curation/manifest.py`.
        preferences: pairs of answers for DPO.
        rated_answers: answers that people called good or bad, for KTO.
        control: as many examples as were chosen, drawn at random from the same eligible ones.
        removed: what stages took out, with the reason; not part of the fingerprint.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        manifest: dict[str, Any],
        *,
        preferences: Sequence[PreferencePair] = (),
        rated_answers: Sequence[RatedAnswer] = (),
        control: Sequence[Example] = (),
        removed: Sequence[Removed] = (),
    ) -> None:
        # In one order wherever they come from, so that the same version read from disk trains as it did when it was built.
        self.examples = tuple(sorted(examples, key=place))
        self.preferences = tuple(sorted(preferences, key=place))
        self.rated_answers = tuple(sorted(rated_answers, key=place))
        self.removed = tuple(sorted(removed, key=place))
        self._drawn = tuple(sorted(control, key=place))
        self.manifest = {**manifest, "files": self.files}

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} examples, fingerprint={self.fingerprint[:12]!r})"

    @property
    def fingerprint(self) -> str:
        """A sha256 over the canonical rows and the configuration: same inputs, same fingerprint on any machine."""
        return self.manifest["fingerprint"]

    @property
    def task(self) -> str:
        """The task it belongs to."""
        return self.manifest["task"]

    @property
    def name(self) -> str:
        """`<task>_<kind>_v<version>`."""
        return self.manifest["name"]

    @property
    def erased(self) -> int:
        """How many of its rows were erased since it was made; the others are what is served."""
        return int((self.manifest.get("erased") or {}).get("rows", 0))

    @property
    def source_interactions(self) -> int:
        """How many interactions it was chosen from."""
        return self.manifest["source_interactions"]

    @property
    def avg_score(self) -> float:
        """Mean score of the examples, 1 to 5; 0 when there are none."""
        return sum(example.score for example in self) / len(self) if self.examples else 0.0

    @property
    def min_score(self) -> float:
        """Lowest score of the examples, 1 to 5; 0 when there are none."""
        return min((example.score for example in self), default=0.0)

    @property
    def intent_coverage(self) -> float:
        """Share of the intents seen in the eligible traffic that have an example, 0 to 1."""
        return self.manifest.get("intent_coverage", 0.0)

    @cached_property
    def control(self) -> "Dataset | None":
        """As many eligible examples, drawn at random: train on it too, and the difference is what choosing was worth.

        A dataset of its own, whose manifest names the version it stands beside. None where none was drawn.
        """
        if not self._drawn:
            return None
        config = {**self.manifest.get("config", {}), "control_of": self.fingerprint}
        inherited = ("format", "task", "version", "source_interactions", "after", "through", "created_at")
        manifest = {name: self.manifest[name] for name in inherited if name in self.manifest} | {
            "kind": "control",
            "name": control_name(self.name),
            "config": config,
            "parents": {"control_of": self.fingerprint},
            "fingerprint": fingerprint_of(self.task, config, self._drawn),
        }
        return Dataset(self._drawn, manifest)

    @property
    def files(self) -> dict[str, int]:
        """The Parquet files that `write` leaves, and how many rows each holds."""
        return {name: len(rows) for name, (_, rows) in self._files().items()}

    def split(self, name: str) -> list[Example]:
        """The examples of one side: train, validation or golden."""
        return [example for example in self if example.split == name]

    def write(self, folder: Path) -> Path:
        """Write the tables and then the manifest into `folder`; returns it. What is left after a crash does not count as one."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (f"{stem}{ending}.parquet" for stem in COLUMNS for ending in ("", VALIDATION)):
            (folder / name).unlink(missing_ok=True)
        for name, (stem, rows) in self._files().items():
            frame = frame_of(stem, rows)
            settle(folder / name, lambda path, frame=frame: frame.write_parquet(path, compression="zstd"))
        # The manifest is written last: its presence means the dataset is complete.
        text = json.dumps(self.manifest, indent=2, sort_keys=True)
        settle(folder / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
        sync(folder)
        return folder

    @classmethod
    def read(cls, folder: str | Path, *, verify: bool = False) -> "Dataset":
        """Read a version that `write` left, or the control of one by the path of its `control.parquet`.

        Args:
            folder: where it is, as a path or as the store's row has it.
            verify: also compare the rows with the fingerprint: were the files changed since?

        Raises:
            StoreError: the folder holds no complete dataset, or not the one that was written.
        """
        if name_of(folder) == "control.parquet":
            control = cls.read(above(folder), verify=verify).control
            if control is None:
                raise StoreError(f"the dataset in {above(folder)} has no control; build it with the policy's curation.control on")
            return control
        path = local(folder)
        missing = [name for name in (MANIFEST, ROWS) if not (path / name).is_file()]
        if missing:
            raise StoreError(f"{path} holds no complete dataset: {' and '.join(missing)} missing; build the dataset again")
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except ValueError as error:
            raise StoreError(f"{path / MANIFEST} is not JSON ({error}); build the dataset again") from error
        if not isinstance(manifest, dict):
            raise StoreError(f"{path / MANIFEST} is not the manifest of a dataset; restore it, or build the dataset again")
        # Versions from before there was a list of files have one.
        files = manifest.get("files", {ROWS: None})
        tables: dict[str, list[Any]] = {stem: [] for stem in COLUMNS}
        for name, rows in files.items():
            stem = name.removesuffix(".parquet").removesuffix(VALIDATION)
            if stem not in tables:
                raise StoreError(f"{path / MANIFEST} names a file {name!r} that no dataset has; build the dataset again")
            tables[stem] += read_rows(path / name, stem, rows, verify)
        examples, control = tables.pop("examples"), tables.pop("control")
        dataset = cls(examples, manifest, control=control, **tables)
        if dataset.erased:
            logger.info("%s: %d of its rows were erased, the other %d are served", dataset.name, dataset.erased, len(dataset))
        if verify:
            dataset.verify()
        return dataset

    def verify(self) -> None:
        """Compare the rows with the fingerprint.

        Raises:
            StoreError: they do not belong together, or another version of Continuum wrote them in another way.
        """
        if self.manifest.get("format") != FORMAT:
            raise StoreError(
                f"{self.name!r} is of format {self.manifest.get('format')}, which this Continuum (format {FORMAT}) reads but "
                "cannot verify; build the dataset again"
            )
        found = fingerprint_of(
            self.task, self.manifest.get("config", {}), self.examples, self.preferences, self.rated_answers, self._drawn
        )
        # What an erasure left has a fingerprint of its own; the store knows which hash its manifest has since.
        wanted = str(self.manifest["erased"]["left"]) if self.manifest.get("erased") else self.fingerprint
        if found != wanted:
            raise StoreError(
                f"{self.name!r} is not what was written: its rows and configuration give the fingerprint {found[:12]}, its "
                f"manifest says {wanted[:12]}; restore its files, or delete its folder and build the dataset again"
            )

    def to_polars(self) -> "polars.DataFrame":
        """The examples as a polars frame; `messages` is in the chat form that trainers take, the answer last."""
        return frame_of("examples", self.examples)

    def to_pandas(self) -> "pandas.DataFrame":
        """The examples as a pandas frame."""
        return self.to_polars().to_pandas()

    def to_hf(self) -> "datasets.Dataset":
        """The examples as a Hugging Face dataset.

        Raises:
            MissingExtra: the training extra is not installed.
        """
        from continuum.errors import MissingExtra

        try:
            import datasets
        except ImportError as error:
            raise MissingExtra.of(error, "Dataset.to_hf") from error
        return datasets.Dataset(self.to_polars().to_arrow())

    def _files(self) -> dict[str, tuple[str, list[Any]]]:
        """File to its table and its rows; only examples have a file without rows."""
        tables = {
            "examples": self.examples,
            "preferences": self.preferences,
            "rated_answers": self.rated_answers,
            "control": self._drawn,
            "removed": self.removed,
        }
        sides = {
            f"{stem}{ending}.parquet": (stem, side) for stem, rows in tables.items() for ending, side in sides_of(rows).items()
        }
        return {name: (stem, rows) for name, (stem, rows) in sides.items() if rows or name == ROWS}


def control_name(name: str) -> str:
    """What the control of a version is called."""
    return name.replace("_training_v", "_control_v") if "_training_v" in name else f"{name}_control"
