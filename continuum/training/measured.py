"""What one training measured of itself, as its artifact keeps it: `forgetting.json`."""

import json
from pathlib import Path
from typing import Self

from continuum.errors import StoreError
from continuum.records import Record
from continuum.training.job import FitReport, Losses, TrialAnswer, write_json

FORGETTING_FILE = "forgetting.json"
VALIDATION, GENERAL = "validation", "general"
"""Names of two sets of rows; the others are named by the fingerprint of the dataset that they validate."""


class Measured(Record):
    """Losses on held-out rows and answers to trials, before and after a training."""

    dataset: str
    """Fingerprint of the dataset that was learned; its validation rows are called `validation`."""
    losses: dict[str, Losses] = {}
    trials: tuple[TrialAnswer, ...] = ()

    @classmethod
    def of(cls, dataset: str, report: FitReport) -> Self:
        """What a report of a training on a dataset holds of it."""
        return cls(dataset=dataset, losses=report.losses, trials=report.trials)

    @property
    def by_dataset(self) -> dict[str, Losses]:
        """The losses with the validation rows under their dataset's fingerprint."""
        return {self.dataset if name == VALIDATION else name: losses for name, losses in self.losses.items()}

    def save(self, folder: Path) -> None:
        """Write it into an artifact's folder; the same figures give the same bytes."""
        write_json(folder / FORGETTING_FILE, self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What an artifact holds; None of one that measured nothing.

        Raises:
            StoreError: the file is not what `save` wrote.
        """
        path = folder / FORGETTING_FILE
        if not path.is_file():
            return None
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read as what a training measured: {error}") from error
