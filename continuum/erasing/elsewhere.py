"""What lies beside the store: the databases of Dagster and MLflow on this machine, their files, indexes, copies and logs.

A file is read as what its name says it is. What belongs to an artifact that proofs hash is left to those who know the artifact.
"""

import os
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from continuum.config import Settings
from continuum.erasing.words import Taking

PLACES = {
    "continuum.db": "the store: rows go, quotes are taken out, the file is written anew",
    "spool": "drained first; what waits in the files of living processes is refused when they drain it",
    "snapshots": "the parts that held a row are written anew without it",
    "datasets": "rows go, the manifest says how many; of golden sets the hash of each item stays",
    "checkpoints": "adapters that learned from it are deleted; manifests and proofs, which are hashes, stay",
    "training": "folders of trainings that hold it are deleted",
    "embeddings": "its vectors are deleted",
    "artifacts": "copies of what was at a URL go with it",
    "models": "base models, made before anything was captured",
    "merged": "models merged with their base for a server, gone once it has them",
    "mlflow.db": "words and ids are taken out",
    "mlartifacts": "runs of the deleted adapters are deleted; words and ids are taken out of the files of others",
    "dagster": "words and ids are taken out of its databases and logs",
    "constitution": "words and ids are taken out",
    "curves": "words and ids are taken out",
    "gateway": "routes, counts and limits",
    "user_key": "the key of the hashes of user ids",
    "demo.json": "figures of the demo",
    "logs": "words and ids are taken out",
}
"""What lies in a home, by the first part of its path, and what an erasure does with it."""
DATABASE = b"SQLite format 3\x00"
TEXTS = (".json", ".jsonl", ".txt", ".log", ".md", ".html", ".xml", ".out", ".err", ".csv", ".svg", ".yaml", ".complete")
LARGEST_TEXT = 256 * 2**20
"""Bytes of a file that is still read whole."""
OWN = ("spool", "snapshots", "datasets", "checkpoints", "training", "embeddings", "artifacts", "models", "merged", "gateway")
"""Places in the home that are seen to by those who know what lies there."""
WAIT_S = 30.0


def places_of(settings: Settings) -> list[Path]:
    """The folders in which files may quote what was captured: the home, and Dagster's where that lies elsewhere."""
    dagster = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").resolve()
    return [settings.home] if dagster.is_relative_to(settings.home) else [settings.home, dagster]


def take_out_of_files(settings: Settings, taking: Taking) -> tuple[dict[str, int], list[str]]:
    """Take words and ids out of databases and files beside the store; may be repeated at any time.

    Returns:
        How many rows and files changed, and what could not be changed, in words.
    """
    done, troubles = {"rows of other databases": 0, "files": 0}, []
    for path in _files(settings):
        try:
            # By what it holds: Dagster calls one of its databases `.db`, which has no ending.
            if _is_database(path):
                done["rows of other databases"] += take_out_of_database(path, taking)
            elif path.name.endswith(TEXTS) and path.stat().st_size > LARGEST_TEXT:
                troubles.append(f"{path}: {path.stat().st_size} bytes are too many to be read; delete it, and forget again")
            elif path.name.endswith(TEXTS):
                done["files"] += _take_out_of_text(path, taking)
        except FileNotFoundError:
            continue  # gone since it was listed
        except (OSError, sqlite3.Error, UnicodeError) as error:
            troubles.append(f"{path}: {type(error).__name__}, {error}; forget again when nobody uses it")
    return done, troubles


def _files(settings: Settings) -> Iterator[Path]:
    store = settings.database_url.get_secret_value().removeprefix("sqlite:///").partition("?")[0]
    for root in places_of(settings):
        for folder, folders, names in os.walk(root):
            here = Path(folder)
            if here == settings.home:
                folders[:] = [name for name in folders if name not in OWN]
            folders.sort()
            for name in sorted(names):
                path = here / name
                if not path.is_symlink() and path.is_file() and str(path) != store:
                    yield path


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(DATABASE)) == DATABASE


def take_out_of_database(path: Path, taking: Taking) -> int:
    """Take words and ids out of every text of an SQLite database, and have it give up the bytes; how many rows changed."""
    changed = 0
    with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as connection:
        # Not every program that writes here writes UTF-8.
        connection.text_factory = lambda held: held.decode("utf-8", "surrogateescape")
        query = (
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%WITHOUT ROWID%'"
        )
        for (table,) in connection.execute(query).fetchall():
            changed += _take_out_of_table(connection, table, taking)
        # Always: what others deleted, or an attempt that was killed took out, stands in free pages until then.
        connection.execute("VACUUM")
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("its log is in use and was not emptied")
    return changed


def _take_out_of_table(connection: sqlite3.Connection, table: str, taking: Taking) -> int:
    quoted = _name(table)
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({quoted})")]
    chosen = ", ".join(map(_name, columns))
    changed, last = 0, -1
    page = f"SELECT rowid, {chosen} FROM {quoted} WHERE rowid > ? ORDER BY rowid LIMIT 500"  # noqa: S608  names of the schema
    while rows := connection.execute(page, (last,)).fetchall():
        last = rows[-1][0]
        for number, *values in rows:
            held = dict(zip(columns, values, strict=True))
            left = _left_of_row(held, taking)
            if left:
                # As bytes, which need not be UTF-8, and of the kind that the column had.
                setting = ", ".join(
                    f"{_name(name)} = {'CAST(? AS TEXT)' if isinstance(held[name], str) else '?'}" for name in left
                )
                try:
                    connection.execute(f"UPDATE {quoted} SET {setting} WHERE rowid = ?", (*left.values(), number))  # noqa: S608  as above
                except sqlite3.IntegrityError:
                    # Two rows that differed in what is erased alone, where each must be another: one of them stays.
                    connection.execute(f"DELETE FROM {quoted} WHERE rowid = ?", (number,))  # noqa: S608  as above
                changed += 1
    return changed


def _left_of_row(row: dict[str, Any], taking: Taking) -> dict[str, bytes]:
    """The columns of a row that hold something of it, with what is left of each."""
    left: dict[str, bytes] = {}
    for name, value in row.items():
        text = _text_in(value)
        if text is not None and (made := taking.out_of_text(text)) != text:
            left[name] = made.encode("utf-8", "surrogateescape")
    return left


def _text_in(value: Any) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else None


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _take_out_of_text(path: Path, taking: Taking) -> int:
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    left = taking.out_of_text(text)
    if left == text:
        return 0
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(left, encoding="utf-8", errors="surrogateescape")
    shutil.copymode(path, unfinished)
    unfinished.replace(path)
    return 1


def forget_vectors(settings: Settings, keys: Collection[str]) -> tuple[int, list[str]]:
    """Delete the vectors of texts by their keys; those of other embedders, whose keys nobody knows, are deleted whole.

    Returns:
        How many vectors and folders went, and what could not be deleted, in words.
    """
    from continuum.embedding.cache import cached_embedder, folder_name

    embedder, gone, troubles = cached_embedder(settings), 0, list[str]()
    own = folder_name(embedder.id)
    for folder in sorted(settings.embeddings_dir.iterdir()) if settings.embeddings_dir.is_dir() else ():
        if folder.is_dir() and folder.name != own:
            try:
                shutil.rmtree(folder)
                gone += 1
            except OSError as error:
                troubles.append(f"the vectors in {folder}: {error.strerror or type(error).__name__}; delete the folder")
    return gone + embedder.forget_keys(bytes.fromhex(one) for one in keys), troubles
