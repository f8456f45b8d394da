"""The files of a golden dataset: its items as Parquet, and a manifest that says what each file's bytes must be.

A version that was altered anywhere is refused, and the message names the file. What lies here is read, never run.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from continuum.dataset_rows import settle, sync
from continuum.errors import ConfigurationError, StoreError
from continuum.records import Message
from continuum.splits.checkers import Checker
from continuum.splits.golden_items import WRITTEN, GoldenItem, fingerprint_of

ROWS = "golden.parquet"
MANIFEST = "manifest.json"
FORMAT = 2
"""Versions without a number are of format 1: they hold no kind, checker or date, and call the slice an intent."""
MENDING = "restore it from a copy, or build the version again"


def write_golden(folder: Path, items: Sequence[GoldenItem], manifest: Mapping[str, Any]) -> None:
    """Write a version into a folder that is there; the manifest is last, so that its presence means that all is."""
    import polars  # the one door to frames

    frame = polars.DataFrame([_row(item) for item in items], schema=dict.fromkeys(_COLUMNS, polars.String))
    settle(folder / ROWS, frame.write_parquet)
    files = {ROWS: sha256((folder / ROWS).read_bytes()).hexdigest()}
    text = _sealed_text({**manifest, "format": FORMAT, "files": files})
    settle(folder / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
    sync(folder)


def read_golden(folder: Path, recorded: Mapping[str, Any] | None = None) -> tuple[tuple[GoldenItem, ...], dict[str, Any]]:
    """Read a version and make sure that it is what was written.

    Args:
        folder: where it is.
        recorded: what the store says the manifest is; None where the version came from elsewhere.

    Returns:
        The items, and the manifest without what only guards the files.

    Raises:
        StoreError: a file is gone or altered; the message says which.
    """
    manifest = _read_manifest(folder / MANIFEST)
    guards = {name: manifest.pop(name, None) for name in ("files", "seal")}
    if recorded is not None and manifest != recorded:
        named = ", ".join(sorted(name for name in {*manifest, *recorded} if manifest.get(name) != recorded.get(name)))
        raise StoreError(f"{folder / MANIFEST} says otherwise than the store of: {named}; {MENDING}")
    rows = _bytes_of(folder / ROWS)
    if manifest.get("format", 1) >= FORMAT:
        files = guards["files"]
        wanted = files.get(ROWS) if isinstance(files, dict) else None
        if wanted != sha256(rows).hexdigest():
            raise StoreError(
                f"{folder / ROWS} is not what was written: its bytes have another hash than its manifest says; {MENDING}"
            )
    items = _items(folder / ROWS, rows)
    part = manifest.get("part")
    found = fingerprint_of(str(manifest.get("task")), items, part, format=manifest.get("format", 1))
    if found != manifest.get("fingerprint"):
        raise StoreError(
            f"{folder / ROWS} is not what was written: its items give the fingerprint {found[:12]}, its manifest says "
            f"{str(manifest.get('fingerprint'))[:12]}; {MENDING}"
        )
    return items, manifest


def _sealed_text(manifest: Mapping[str, Any]) -> str:
    """The manifest with a hash of itself, as text; any byte of it that is changed can be told."""
    bare = {name: value for name, value in manifest.items() if name != "seal"}
    seal = sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()
    return json.dumps({**bare, "seal": seal}, indent=2, sort_keys=True)


def _read_manifest(path: Path) -> dict[str, Any]:
    text = _bytes_of(path)
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is not JSON ({error}); {MENDING}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format", 1), int):
        raise StoreError(f"{path} is not the manifest of a golden dataset; {MENDING}")
    if manifest.get("format", 1) > FORMAT:
        raise StoreError(
            f"{path} is of format {manifest['format']}, this Continuum reads up to {FORMAT}; bring Continuum up to date"
        )
    if ("format" in manifest or "seal" in manifest) and _sealed_text(manifest).encode() != text:
        raise StoreError(f"{path} was altered after it was written; {MENDING}")
    return manifest


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(f"a golden dataset should have {path}, where nothing is; restore it or curate again") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error}); {MENDING}") from error


_COLUMNS = (
    "interaction_id",
    "messages",
    "reference",
    "production",
    "group",
    "lot",
    "slice",
    "kind",
    "checker",
    "asked_at",
    "confirmed",
)


def _row(item: GoldenItem) -> dict[str, str | None]:
    fields = item.model_dump(mode="json", include={"interaction_id", "group", "lot", "slice", "kind", "asked_at"})
    return fields | {
        "messages": json.dumps([message.to_openai() for message in item.messages]),
        "reference": None if item.reference is None else json.dumps(item.reference.to_openai()),
        "production": None if item.production is None else json.dumps(item.production.to_openai()),
        "checker": None if item.checker is None else json.dumps(item.checker.as_json()),
        "confirmed": "yes" if item.confirmed else "no",
    }


def _items(path: Path, rows: bytes) -> tuple[GoldenItem, ...]:
    import polars

    try:
        return tuple(_item(row) for row in polars.read_parquet(BytesIO(rows)).iter_rows(named=True))
    except (OSError, polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        raise StoreError(f"{path} cannot be read ({error}); {MENDING}") from error
    except (KeyError, TypeError, ValueError, ValidationError, ConfigurationError) as error:
        raise StoreError(f"{path} holds what is no golden item ({error}); {MENDING}") from error


def _item(row: Mapping[str, Any]) -> GoldenItem:
    def message(text: str | None) -> Message | None:
        return None if text is None else Message.model_validate(json.loads(text))

    checker = row.get("checker")
    fields = {
        "interaction_id": row["interaction_id"],
        "messages": tuple(Message.model_validate(value) for value in json.loads(row["messages"])),
        "reference": message(row["reference"]),
        "production": message(row["production"]),
        "group": row["group"],
        "lot": row.get("lot"),
        "slice": row["slice"] if "slice" in row else row["intent"],
        "kind": row.get("kind", "task"),
        "checker": None if checker is None else Checker.model_validate(json.loads(checker)),
        "asked_at": row.get("asked_at"),
        "confirmed": row.get("confirmed") == "yes",
    }
    return GoldenItem.model_validate(fields, context={WRITTEN: True})
