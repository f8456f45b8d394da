"""The files of a golden dataset: its items as Parquet, and a manifest that says what each file's bytes must be.

A version that was altered anywhere is refused, and the message names the file. What lies here is read, never run. Of an item that
was erased its hash alone stays, in the manifest: by the hashes the items that are left are known to be those that were written.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from continuum.artifacts.copies import local
from continuum.dataset_rows import settle, sync
from continuum.errors import ConfigurationError, StoreError
from continuum.records import Message
from continuum.splits.checkers import Checker
from continuum.splits.golden_items import OWN, WRITTEN, GoldenItem, fingerprint_of, item_hash

ROWS = "golden.parquet"
MANIFEST = "manifest.json"
FORMAT = 2
"""Versions without a number are of format 1: they hold no kind, checker or date, and call the slice an intent."""
MENDING = "restore it from a copy, or build the version again"
ROWS_NAME = re.compile(r"golden(-[0-9a-f]{16})?\.parquet")
"""What a file of rows may be called. Where items were erased its name has its hash, so that it is never half replaced."""
GUARDS = ("files", "seal", "erased", "left")
"""What a manifest says of the files as they stand, beside what it says of the version."""


@dataclass(frozen=True)
class Written:
    """A version as it was read."""

    items: tuple[GoldenItem, ...]
    manifest: dict[str, Any]
    """Without what only guards the files."""
    files: dict[str, str]
    erased: tuple[str, ...] = ()
    """Ids of the items that were in it and are erased."""


def write_golden(folder: Path, items: Sequence[GoldenItem], manifest: Mapping[str, Any]) -> None:
    """Write a version into a folder that is there; the manifest is last, so that its presence means that all is."""
    import polars  # the one door to frames

    frame = polars.DataFrame([_row(item) for item in items], schema=dict.fromkeys(_COLUMNS, polars.String))
    settle(folder / ROWS, frame.write_parquet)
    files = {ROWS: sha256((folder / ROWS).read_bytes()).hexdigest()}
    text = sealed_text({**manifest, "format": FORMAT, "files": files})
    settle(folder / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
    sync(folder)


def write_whole(folder: Path, items: Sequence[GoldenItem], manifest: Mapping[str, Any]) -> None:
    """Write a version in the place of what an erasure left of it."""
    write_golden(folder, items, manifest)
    remove_strays(folder, {ROWS})


def write_left(folder: Path, items: Sequence[GoldenItem], manifest: Mapping[str, Any], erased: Collection[str]) -> None:
    """Write what is left of a version in the place of all of it.

    Whoever reads meanwhile finds the one or the other, and a run that is killed leaves at worst the old rows beside the new ones:
    `remove_strays` takes them away.
    """
    import polars

    out = BytesIO()
    polars.DataFrame([_row(item) for item in items], schema=dict.fromkeys(_COLUMNS, polars.String)).write_parquet(out)
    digest = sha256(out.getvalue()).hexdigest()
    name = f"golden-{digest[:16]}.parquet"
    settle(folder / name, lambda path: path.write_bytes(out.getvalue()))
    left = _found_fingerprint(manifest, items)
    text = sealed_text({**manifest, "files": {name: digest}, "erased": sorted(erased), "left": left})
    settle(folder / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
    remove_strays(folder, {name: digest})


def remove_strays(folder: Path, files: Collection[str]) -> None:
    """Delete rows that the manifest does not speak of: they are those of before an erasure, or half written."""
    for path in folder.iterdir():
        if path.name not in files and ROWS_NAME.fullmatch(path.name.removesuffix(".part")):
            path.unlink(missing_ok=True)
    sync(folder)


def read_golden(folder: str | Path, recorded: Mapping[str, Any] | None = None) -> tuple[tuple[GoldenItem, ...], dict[str, Any]]:
    """The items of a version and its manifest; see `read_version`."""
    written = read_version(folder, recorded)
    return written.items, written.manifest


def read_version(uri: str | Path, recorded: Mapping[str, Any] | None = None) -> Written:
    """Read a version and make sure that it is what was written, or what an erasure left of that.

    Args:
        uri: where it is, as a path or as the store's row has it.
        recorded: what the store says the manifest is; None where the version came from elsewhere.

    Raises:
        StoreError: a file is gone or altered; the message says which.
    """
    while True:
        folder = local(uri)
        name = None
        try:
            manifest = _read_manifest(folder / MANIFEST)
            name = _rows_name(folder, manifest)
            rows = _bytes_of(folder / name)
        except StoreError:
            # An erasure may have put another file in its place at this moment, or another copy in the place of this one.
            now = local(uri)
            if now == folder and (name is None or _rows_name(now, _read_manifest(now / MANIFEST)) == name):
                raise
        else:
            return _compared(folder, name, rows, manifest, recorded)


def _rows_name(folder: Path, manifest: Mapping[str, Any]) -> str:
    files = manifest.get("files", {ROWS: None})
    if not isinstance(files, dict) or len(files) != 1 or not ROWS_NAME.fullmatch(name := str(*files)):
        raise StoreError(f"{folder / MANIFEST} names no file of rows; {MENDING}")
    return name


def _compared(folder: Path, name: str, rows: bytes, manifest: dict[str, Any], recorded: Mapping[str, Any] | None) -> Written:
    guards = {guard: manifest.pop(guard, None) for guard in GUARDS}
    if recorded is not None and manifest != recorded:
        named = ", ".join(sorted(field for field in {*manifest, *recorded} if manifest.get(field) != recorded.get(field)))
        raise StoreError(f"{folder / MANIFEST} says otherwise than the store of: {named}; {MENDING}")
    files, digest = guards["files"] or {}, sha256(rows).hexdigest()
    if (manifest.get("format", 1) >= FORMAT or files) and files.get(name) != digest:
        raise StoreError(
            f"{folder / name} is not what was written: its bytes have another hash than its manifest says; {MENDING}"
        )
    items = _items(folder / name, rows)
    found, erased = _found_fingerprint(manifest, items), tuple(map(str, guards["erased"] or ()))
    wanted = guards["left"] if erased else manifest.get("fingerprint")
    if found != wanted:
        raise StoreError(
            f"{folder / name} is not what was written: its items give the fingerprint {found[:12]}, its manifest says "
            f"{str(wanted)[:12]}; {MENDING}"
        )
    if any(one.startswith(OWN) for one in erased) or (erased and not _are_left(items, manifest.get("item_hashes"), erased)):
        raise StoreError(f"{folder / name} holds other items than an erasure of {len(erased)} left; {MENDING}")
    return Written(items, manifest, {name: digest}, erased)


def _are_left(items: Sequence[GoldenItem], hashes: Any, erased: Collection[str]) -> bool:
    """Whether these items, in their order, and as many as were erased, are all that the version held."""
    if hashes is None:
        # A version from before each item had a hash: nothing but the manifest's own seal speaks for what is left.
        return True
    if len(items) + len(set(erased)) != len(hashes) or any(item.interaction_id in erased for item in items):
        return False
    there = iter(hashes)
    return all(item_hash(item) in there for item in items)


def _found_fingerprint(manifest: Mapping[str, Any], items: Sequence[GoldenItem]) -> str:
    return fingerprint_of(str(manifest.get("task")), items, manifest.get("part"), format=manifest.get("format", 1))


def sealed_text(manifest: Mapping[str, Any]) -> str:
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
    if ("format" in manifest or "seal" in manifest) and sealed_text(manifest).encode() != text:
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
