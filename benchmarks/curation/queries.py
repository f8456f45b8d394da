"""What the benchmarks of curation read: a bank's queries with their intents, and an assistant's log with people's verdicts.

Real ones where the folder of `--data` has them; else made up, the same for the same seed.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.claims import Setting
from benchmarks.curation.made_up import bank, dialogues
from continuum.policy import CurationPolicy, TaskPolicy

if TYPE_CHECKING:
    from continuum.store.database import Store

MADE_UP_ROWS = 3000
MADE_UP_ROWS_QUICK = 600


@dataclass(frozen=True)
class Queries:
    """Short queries to a bank; no text is both in training and in test."""

    texts: list[str]
    intents: list[str]
    """Of the texts, one each."""
    test_texts: list[str]
    test_intents: list[str]
    made_up: bool
    """Whether nobody ever asked them."""


def bank_queries(setting: Setting) -> Queries:
    """The queries of `banking77/train.csv` and `test.csv` in the data folder (columns `text` and `category`); else made up."""
    folder = setting.data / "banking77" if setting.data else None
    if folder is None or not (folder / "train.csv").is_file():
        train, test = bank(setting.seed)
        return Queries(*_columns(train), *_columns(test), made_up=True)
    train = _distinct(_csv(folder / "train.csv"))
    known = {text for text, _ in train}
    test = [row for row in _distinct(_csv(folder / "test.csv")) if row[0] not in known]
    return Queries(*_columns(train), *_columns(test), made_up=False)


def log_rows(setting: Setting, name: str) -> list[dict[str, Any]]:
    """The rows of `<name>.jsonl` in the data folder, in the plain form of an import; else made-up dialogues of an assistant.

    A row is one answer: id, task, conversation_id, started_at, model, messages, response, feedback. The contexts of the rows
    of one dialogue are prefixes of each other, though their `conversation_id`s differ.
    """
    file = setting.data / f"{name}.jsonl" if setting.data else None
    if file is None or not file.is_file():
        return dialogues(name, MADE_UP_ROWS_QUICK if setting.quick else MADE_UP_ROWS, setting.seed)
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def logs_are_real(setting: Setting, name: str) -> bool:
    """Whether `log_rows` reads a file."""
    return setting.data is not None and (setting.data / f"{name}.jsonl").is_file()


def fill(store: "Store", rows: Sequence[dict[str, Any]], folder: Path, curation: CurationPolicy | None = None) -> TaskPolicy:
    """Import the rows into a store as a user would, and register their task without a judge: people's verdicts decide.

    Args:
        store: where to.
        rows: all of one task, in the plain form.
        folder: where the file to import is written.
        curation: how to choose; the defaults when None.

    Returns:
        The task's policy, as it is registered.

    Raises:
        ValueError: the rows are of several tasks, or the importer refuses one.
    """
    from continuum.signals.importer import import_file

    tasks = {row["task"] for row in rows}
    if len(tasks) != 1:
        raise ValueError(f"the rows are of the tasks {sorted(tasks)}; one is needed")
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    report = import_file(file, store=store, format="plain")
    if report.refused:
        first = report.refused[0]
        raise ValueError(f"{len(report.refused)} of {report.read} rows were refused; {first.place}: {first.reason}")
    policy = TaskPolicy(task=tasks.pop(), curation=curation or CurationPolicy())
    store.tasks.register(policy)
    return policy


def _csv(file: Path) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(lines)]


def _distinct(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(dict(reversed(rows)).items())[::-1]


def _columns(rows: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [text for text, _ in rows], [intent for _, intent in rows]
