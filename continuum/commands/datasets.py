"""Dataset versions: which there are, what one holds, what changed from one to another, and a copy to take away."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from continuum.artifacts.copies import is_there, local
from continuum.artifacts.places import above
from continuum.commands.completing import task_names, versions
from continuum.commands.terminal import Json, complain, print_json, say, show_table
from continuum.errors import ConfigurationError, StoreError
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.curation.difference import Difference, Version
    from continuum.dataset import Dataset
    from continuum.records import DatasetRecord
    from continuum.store.database import Store

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name or fingerprint of a version; a task's name for its newest.", autocompletion=versions
    ),
]
CLASSES = 12
CHANGES = 20


def list_versions(
    task: Annotated[str | None, typer.Argument(help="Only of this task.", autocompletion=task_names)] = None,
    as_json: Json = False,
) -> None:
    """List the dataset versions."""
    store = default_store()
    versions = store.datasets.versions(task)
    if task is not None and not versions:
        store.tasks.get(task)
    rows = [
        _listed(store, one.id) | {"name": one.name, "kind": one.kind, "built": f"{one.created_at:%Y-%m-%d %H:%M}"}
        for one in versions
    ]
    for row, one in zip(rows, versions, strict=True):
        row |= {"coverage": one.manifest.get("intent_coverage"), "fingerprint": one.id, "there": _is_there(one)}
    if as_json:
        print_json(rows)
        return
    if not rows:
        say("no dataset yet: continuum curate TASK builds the first")
        return
    table = _table("version", "rows", "mean", "covers", "built", "fingerprint", "")
    for row in rows:
        score, coverage = row["mean_score"], row["coverage"]
        table.add_row(
            row["name"],
            f"{row['rows']:,}",
            "-" if score is None else f"{score:.2f}",
            "-" if coverage is None else f"{coverage:.0%}",
            row["built"][:10],
            row["fingerprint"][:12],
            "" if row["there"] else "no files",
        )
    show_table(table)


def show(
    name: Name,
    removed: Annotated[int, typer.Option(min=0, metavar="N", help="Show so many of the removed answers, and why.")] = 0,
    verify: Annotated[bool, typer.Option("--verify", help="Compare the rows with the fingerprint.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a version holds, how it was made and what was left out."""
    from continuum.curation.difference import load_version
    from continuum.dataset import Dataset

    store = default_store()
    version = load_version(store, name)
    if as_json:
        print_json({**version.manifest, "name": version.name, "fingerprint": version.fingerprint})
    elif isinstance(version, Dataset):
        _show(version)
        _show_removed(store, version, removed)
    else:
        say(f"{version.name}: {len(version)} golden items, {version.with_reference} with a reference; never trained on")
    if verify:
        _verified(store, version)
        complain(f"{version.name}: what is learned from is what was written (the list of what was removed is not compared)")


def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="Name or fingerprint of the earlier version.", autocompletion=versions)
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="Name or fingerprint of the later one.", autocompletion=versions)],
    as_json: Json = False,
) -> None:
    """Say what changed from one version to another."""
    from continuum.curation.difference import difference, load_version

    store = default_store()
    found = difference(load_version(store, before), load_version(store, after))
    if as_json:
        print_json(found.as_dict())
    else:
        _show_difference(found)


def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    as_json: Json = False,
) -> None:
    """Copy a version with its card: a folder that `datasets.load_dataset` and polars read."""
    from continuum.curation.card import write_card
    from continuum.curation.difference import load_version
    from continuum.dataset import Dataset

    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{folder} is there already, and nothing is written over; name a folder that is not")
    store = default_store()
    version = load_version(store, name)
    _verified(store, version)
    unfinished = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        record = store.datasets.get(version.fingerprint)
        if isinstance(version, Dataset) and (record is None or record.kind == "control"):
            write_card(version, unfinished)
            version.write(unfinished)
        elif record is not None:
            shutil.copytree(local(record.uri), unfinished)
        unfinished.rename(folder)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written ({error}); name a folder that can") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if as_json:
        print_json({"name": version.name, "fingerprint": version.fingerprint, "folder": folder})
    else:
        say(f"{version.name} copied to {folder}")


def _is_there(one: "DatasetRecord") -> bool:
    """Whether a version's files are; where nobody can tell, why is said."""
    try:
        return is_there(str(above(one.uri)) if one.kind == "control" else one.uri)
    except StoreError as error:
        complain(str(error))
        return False


def _listed(store: "Store", fingerprint: str) -> dict[str, Any]:
    items = store.datasets.items(fingerprint)
    scores = [item.score for item in items if item.score is not None]
    return {"rows": len(items), "mean_score": round(sum(scores) / len(scores), 4) if scores else None}


def _verified(store: "Store", version: "Version") -> None:
    """Raise where the files are not what was written; versions that cannot be checked are let through with a word."""
    from continuum.dataset import Dataset
    from continuum.dataset_rows import FORMAT

    record = store.datasets.get(version.fingerprint)
    if not isinstance(version, Dataset) or record is None:
        return
    if version.manifest.get("format") != FORMAT:
        complain(f"{version.name} is of format {version.manifest.get('format')}, which cannot be verified")
    else:
        Dataset.read(record.uri, verify=True)


def _show(dataset: "Dataset") -> None:
    from continuum.curation.findings import LEFT_OUT, SOURCES, classes_of, coverage_words, left_out
    from continuum.excerpts import excerpt

    manifest = dataset.manifest
    say(f"{dataset.name}: {len(dataset)} examples from {dataset.source_interactions} interactions, {dataset.fingerprint[:12]}")
    sources = [(sum(one.score_source == source for one in dataset), words) for source, words in SOURCES.items()]
    told = ", ".join(f"{rows} {words}" for rows, words in sources if rows)
    say(f"mean score {dataset.avg_score:.2f}, lowest {dataset.min_score:.2f}: {told or 'no examples'}")
    beside = {
        "preference pairs": dataset.preferences,
        "rated answers": dataset.rated_answers,
        "in the control": dataset.control or (),
    }
    say(", ".join(f"{len(rows)} {what}" for what, rows in beside.items()))
    table = _table("left out", "interactions", "why")
    for stage, count in left_out(dataset).items():
        table.add_row(stage.replace("_", " "), f"{count:,}", LEFT_OUT.get(stage, ""))
    if table.rows:
        show_table(table)
    say(excerpt(coverage_words(dataset), 1200))
    classes = classes_of(dataset)
    table = _table("class", "eligible", "examples", "control", "in words")
    for one in classes[:CLASSES]:
        words = Text("; ".join(excerpt(text, 50) for text in one.words[:2]), overflow="ellipsis", no_wrap=True)
        control = "-" if one.control is None else str(one.control)
        table.add_row(Text(excerpt(one.label, 40)), str(one.eligible), str(one.selected), control, words)
    if classes:
        show_table(table)
    if len(classes) > CLASSES:
        say(f"... and {len(classes) - CLASSES} smaller ones")
    for report in ("duplicates", "decontamination", "generations", "preferences", "referrals"):
        if words := manifest.get(report, {}).get("words"):
            say(f"{report}: {excerpt(str(words), 1200)}")
    for note in manifest.get("notes", ()):
        say(f"note: {excerpt(str(note), 1200)}")


def _show_removed(store: "Store", dataset: "Dataset", most: int) -> None:
    """The removed answers beside those that stayed for them; their words are looked up, for the version holds none."""
    from continuum.excerpts import excerpt

    chosen = dataset.removed[:most]
    there = store.interactions.get_many({id for one in chosen for id in (one.interaction_id, one.kept_id) if id is not None})

    def words(id: str | None) -> Text:
        found = there.get(id) if id is not None else None
        if found is None:
            return Text("-" if id is None else f"{excerpt(id, 36)}: no longer in the store")
        asked = next((message.text for message in reversed(found.messages) if message.role == "user"), "")
        return Text(f"{excerpt(asked, 60)} -> {excerpt(found.response.action if found.response else '', 60)}")

    if chosen:
        table = _table("removed", "why", "stays for it")
        for one in chosen:
            table.add_row(
                words(one.interaction_id), Text(excerpt(f"{one.stage.replace('_', ' ')}: {one.reason}", 160)), words(one.kept_id)
            )
        show_table(table)
        say(f"{len(chosen)} of {len(dataset.removed)} that were removed")


def _show_difference(found: "Difference") -> None:
    from continuum.excerpts import excerpt

    say(found.words())
    table = _table("", "before", "after")
    for what in ("name", "rows", "mean_score", "coverage"):
        table.add_row(what.replace("_", " "), *(_told(getattr(side, what)) for side in (found.before, found.after)))
    for setting, values in found.config.items():
        table.add_row(f"config: {setting}", *(Text(excerpt(_told(value), 60)) for value in values))
    show_table(table)
    if found.classes is None:
        say(found.classes_because)
    else:
        moved = {name: counts for name, counts in found.classes.items() if counts[0] != counts[1]}
        table = _table(f"class ({found.classes_because})", "before", "after")
        for name, counts in list(moved.items())[:CHANGES]:
            table.add_row(Text(excerpt(name, 40)), *(str(count) for count in counts))
        if moved:
            show_table(table)
    _show_ids("joined", found.joined)
    _show_ids("left", found.left)
    for one in found.changed[:CHANGES]:
        fields = ", ".join(f"{field} {_told(was)} -> {_told(now)}" for field, (was, now) in one.fields.items())
        say(f"changed {excerpt(one.interaction_id, 60)}: {excerpt(fields, 300)}")
    if len(found.changed) > CHANGES:
        say(f"... and {len(found.changed) - CHANGES} more changed; --json has all")


def _show_ids(what: str, ids: Sequence[str]) -> None:
    from continuum.excerpts import excerpt

    if ids:
        more = f" and {len(ids) - CHANGES} more; --json has all" if len(ids) > CHANGES else ""
        say(f"{what}: {', '.join(excerpt(id, 60) for id in ids[:CHANGES])}{more}")


def _told(value: Any) -> str:
    if isinstance(value, dict) and "content" in value:
        return str(value.get("content") or value.get("tool_calls"))
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        return _told(value[-1])
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _table(*head: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in head:
        # A name that is cut could not be typed again.
        table.add_column(name, overflow="fold")
    return table
