"""What the tests of the formats share: a file with given records, imported, and what is in the store after it."""

import json
from pathlib import Path
from typing import Any

import pytest

from continuum.records import Feedback, Interaction
from continuum.signals.importer import ImportReport, import_file
from continuum.store.database import Store


class Logs:
    """Writes logs and imports them."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store

    def lines(self, *records: Any, name: str = "log.jsonl") -> Path:
        """A file with one record a line."""
        path = self.folder / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    def document(self, record: Any, name: str = "log.json") -> Path:
        """A file that is one document, over several lines."""
        path = self.folder / name
        path.write_text(json.dumps(record, indent=2))
        return path

    def take(self, *records: Any, task: str | None = "support", **options: Any) -> ImportReport:
        """Import records, one a line."""
        return import_file(self.lines(*records), store=self.store, task=task, **options)

    def take_document(self, record: Any, task: str | None = "support", **options: Any) -> ImportReport:
        """Import one document."""
        return import_file(self.document(record), store=self.store, task=task, **options)

    def stored(self, task: str = "support") -> list[Interaction]:
        """What is in the store."""
        return list(self.store.interactions.scan(task, status=None))

    def said(self, task: str = "support") -> list[Feedback]:
        """What was said of it."""
        return [one for opinions in self.store.feedback.of(self.stored(task)).values() for one in opinions]


@pytest.fixture
def logs(tmp_path: Path, store: Store) -> Logs:
    """Logs that are imported into the store."""
    return Logs(tmp_path, store)
