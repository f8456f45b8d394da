"""One bit turned anywhere upstream of a checkpoint: is the deployment refused, and is what was altered named?

A line of two models with real rows, opinions, curated datasets, a golden set, verdicts of the guard and their proofs; what the
adapters hold is drawn at random, for no hash asks what it means. Each trial turns one random bit of one random byte (files keep
their times), asks the deployer, and puts it back. Beside it: what a manifest of the checkpoint's own files would have caught.
"""

import asyncio
import json
import logging
import os
import random
import sqlite3
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.claims import Entry, Result, Setting, table
from continuum.curation.curator import DataCurator
from continuum.deployment.deployer import ModelDeployer
from continuum.errors import ContinuumError
from continuum.guard.guard import RegressionGuard
from continuum.policy import TaskPolicy
from continuum.provenance.artifacts import verify_artifact, write_manifest
from continuum.provenance.verifying import require_proof
from continuum.records import Annotation, Checkpoint, Feedback, Interaction, Message, Verdict
from continuum.store.database import Store, open_store
from continuum.timespan import utc_now

TASK = "tampered"
TRIALS, QUICK_TRIALS = 200, 30
ROWS, QUICK_ROWS = 1000, 60
"""Interactions of a turn."""
NOWHERE = "http://127.0.0.1:9/v1"
SKIPPED = {"commitments": {"task", "created_at"}}
"""Columns that nothing rests on."""


@dataclass(frozen=True)
class Target:
    """One thing that can be altered, and the words of which one must stand in the refusal."""

    kind: str
    names: tuple[str, ...]
    path: Path | None = None
    row: tuple[str, int] | None = None
    """Table and row number of SQLite."""


@dataclass
class Line:
    """What the trials are made on."""

    store: Store
    database: Path
    base: Path
    parent: Checkpoint
    candidate: Checkpoint


class Production:
    """Answers every golden question as production did, so that the guard lets the candidate serve."""

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        """Production's answers."""
        return [Message(role="assistant", content=answer_to(conversation[-1].text)) for conversation in conversations]


def measure(setting: Setting) -> Result:
    """Turn bits, ask the deployer, count."""
    logging.getLogger("continuum").setLevel(logging.ERROR)
    rng = random.Random(setting.seed)
    trials, rows = (QUICK_TRIALS, QUICK_ROWS) if setting.quick else (TRIALS, ROWS)
    setting.say(f"tampering: two turns of {rows} rows")
    line = asyncio.run(build_line(setting.folder, rows, rng))
    targets = group(upstream(line))
    refused, named, by_manifest, made, seconds = Counter[str](), Counter[str](), Counter[str](), Counter[str](), 0.0
    missed: list[str] = []
    for trial in range(trials):
        setting.say(f"tampering: {trial} of {trials}")
        # Every kind in turn, so that a few trials see them all.
        kind = sorted(targets)[trial % len(targets)]
        target = rng.choice(targets[kind])
        with turned(line, target, rng) as place:
            begun = time.monotonic()
            told = asyncio.run(deployment_of(line))
            seconds += time.monotonic() - begun
            by_manifest[kind] += not manifest_holds(line.candidate)
        made[kind] += 1
        refused[kind] += told is not None
        found = told is not None and any(name in told for name in target.names)
        named[kind] += found
        if not found:
            missed.append(f"{place}: {told or 'deployed'}")
    begun = time.monotonic()
    untouched = require_proof(line.store, line.candidate)
    whole = time.monotonic() - begun
    told = asyncio.run(deployment_of(line))
    missed += [f"put back: {told}"] if told else []
    line.store.close()
    title = f"one bit turned upstream of a checkpoint, {trials} trials"
    shown = table(title, "artifact", "trials", "refused", "named", "manifest")
    for kind in sorted(made):
        shown.add_row(kind, *(str(count[kind]) for count in (made, refused, named, by_manifest)))
    shown.add_row("all", *(str(count.total()) for count in (made, refused, named, by_manifest)))
    entries = [
        Entry.of_value("altered artifacts that are refused", refused.total(), "==", trials, by_manifest.total()),
        Entry.of_value("refusals that name the artifact", named.total(), "==", trials),
        Entry.of_value("the same line, put back, is deployed", float(told is None), "==", 1),
    ]
    members = sum(len(link.content["rows"]) for link in untouched.proof.links if link.kind == "interactions") if untouched else 0
    notes = [
        "manifest: what the check of the checkpoint's own files against the store's manifest catches by itself",
        f"a whole check of {members:,} rows, {len(untouched.links) if untouched else 0} links: {whole:.2f} s; "
        f"until a refusal {seconds / trials:.2f} s on average",
        *missed[:5],
    ]
    return Result(entries, shown, notes)


async def deployment_of(line: Line) -> str | None:
    """Ask the deployer; what it says where it refuses."""
    try:
        await ModelDeployer(store=line.store, backend_url=NOWHERE).deploy(line.candidate)
    except ContinuumError as error:
        return str(error)
    return None


def manifest_holds(model: Checkpoint) -> bool:
    """Whether a plain manifest sees nothing wrong."""
    try:
        verify_artifact(model.uri, model.manifest)
    except ContinuumError:
        return False
    return True


# --- the line --------------------------------------------------------------------------------------------------------


async def build_line(folder: Path, rows: int, rng: random.Random) -> Line:
    """Two turns: capture, opinions, curation, a model, the guard."""
    database = folder / "continuum.db"
    store = open_store(f"sqlite:///{database}")
    store.tasks.register(TaskPolicy(task=TASK))
    base = folder / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps({"hidden": 64}))
    write_weights(base / "model.safetensors", rng, 4096)
    models: list[Checkpoint] = []
    for version in (1, 2):
        capture(store, rows, start=(version - 1) * rows, rng=rng)
        curator = DataCurator(store=store, target_size=rows, min_quality_score=3.0, only_new=version == 2, control=False)
        dataset = await curator.build(task=TASK)
        models.append(add_model(store, folder, base, version, dataset.fingerprint, models[-1:], rng))
        guard = RegressionGuard(metrics=["action_match"], answerer=Production(), store=store)
        await guard.evaluate(models[-1])
    return Line(store, database, base, *models)


def capture(store: Store, rows: int, *, start: int, rng: random.Random) -> None:
    """Answered questions, what a judge says of each, and what people say of some."""
    begun = utc_now() - timedelta(days=2)
    places = ["Oslo", "Rome", "Lima", "Cairo", "Paris", "Delhi", "Quito", "Accra", "Hanoi", "Minsk"]
    words = ["parcel", "letter", "crate", "pallet", "envelope", "box", "tube", "barrel"]
    batch = []
    for n in range(start, start + rows):
        place = rng.choice(places)
        question = f"Order {n}: when does {rng.choice(words)} {n * 37 % 9973} reach {place} ({n * 101})?"
        batch.append(
            Interaction(
                task=TASK,
                messages=(Message(role="user", content=question),),
                response=Message(role="assistant", content=answer_to(question)),
                started_at=begun + timedelta(seconds=n),
                model="gpt-4",
                conversation_id=f"conversation-{n}",
                provider_response_id=f"chat-{n}",
                latency_ms=100.0 + n % 7,
                input_tokens=20 + n % 5,
                tags={"intent": place},
            )
        )
    store.interactions.add(batch)
    store.annotations.add(
        Annotation(interaction_id=one.id, task=TASK, judge="j", rubric="r", scores={"tone": 4.0}, overall=4.0) for one in batch
    )
    store.feedback.add(
        Feedback(interaction_id=one.provider_response_id or one.id, score=rng.choice([4, 5]), comment="Thank you.")
        for one in batch[::2]
    )


def answer_to(question: str) -> str:
    """What production says."""
    words = question.rstrip("?").split()
    return f"{words[4].title()} {words[5]} reaches {words[7]} on day {int(words[5]) % 27 + 1}, order {words[1]}"


def add_model(
    store: Store, folder: Path, base: Path, version: int, dataset_id: str, parents: list[Checkpoint], rng: random.Random
) -> Checkpoint:
    """A checkpoint with files of its own."""
    artifact = folder / f"{TASK}-v{version}"
    artifact.mkdir()
    write_weights(artifact / "adapter_model.safetensors", rng, 1024)
    (artifact / "adapter_config.json").write_text(json.dumps({"r": 8}))
    (artifact / "training.json").write_text(json.dumps({"epochs": 3}))
    model = Checkpoint(
        task=TASK,
        version=version,
        base_model=str(base),
        uri=str(artifact),
        dataset_id=dataset_id,
        parent_id=parents[0].id if parents else None,
        manifest=write_manifest(artifact),
        metrics={"final_loss": 0.5},
        config={"seed": version},
    )
    store.checkpoints.add(model)
    return model


def write_weights(path: Path, rng: random.Random, size: int) -> None:
    """A safetensors file with one tensor of random bytes."""
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + rng.randbytes(size))


# --- what can be altered ---------------------------------------------------------------------------------------------


def upstream(line: Line) -> Iterator[Target]:
    """Every file and every row that the candidate rests on."""
    for dataset in line.store.datasets.versions(TASK):
        kind = "golden set" if dataset.kind == "golden" else "dataset"
        folder = Path(dataset.uri)
        if kind == "golden set" and dataset.id != newest_verdict(line).golden_id:
            continue
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            yield Target(f"{kind} file", (path.relative_to(folder).as_posix(),), path)
    for path in sorted(line.base.iterdir()):
        yield Target("base model file", (path.name,), path)
    for kind, model in (("parent", line.parent), ("checkpoint", line.candidate)):
        for path in sorted(Path(model.uri).iterdir()):
            if path.name.startswith("proof"):
                yield Target("proof", (path.name, path.parent.name), path)
            else:
                yield Target(f"{kind} file", (path.name,), path)
    with closing(sqlite3.connect(line.database)) as connection:
        yield from rows_of(line, connection)


def rows_of(line: Line, connection: sqlite3.Connection) -> Iterator[Target]:
    """Rows that are upstream: of what is committed to, of the line, and of its verdicts."""
    queries = {
        "interaction": ("interactions", "SELECT rowid, id FROM interactions WHERE id IN {ids}"),
        "words": ("bodies", "SELECT b.rowid, i.id FROM bodies b JOIN interactions i ON i.body = b.hash WHERE i.id IN {ids}"),
        "feedback": (
            "feedback",
            "SELECT f.rowid, i.id FROM feedback f JOIN interactions i ON f.interaction_id = i.provider_response_id "
            "WHERE i.id IN {ids}",
        ),
        "annotation": ("annotations", "SELECT rowid, interaction_id FROM annotations WHERE interaction_id IN {ids}"),
        "commitment": ("commitments", "SELECT rowid, commitment FROM commitments"),
    }
    for kind, (name, query) in queries.items():
        for number, named in connection.execute(query.format(ids="(SELECT interaction_id FROM commitments)")).fetchall():
            owner = connection.execute("SELECT interaction_id FROM commitments WHERE commitment = ?", (named,)).fetchone()
            yield Target(f"{kind} row", (named, *(owner or ())), row=(name, number))
    golden = newest_verdict(line).golden_id
    for number, dataset, name in connection.execute(
        "SELECT rowid, id, name FROM datasets WHERE kind = 'training' OR id = ?", (golden,)
    ).fetchall():
        yield Target("dataset row", (name, dataset), row=("datasets", number))
        members = connection.execute("SELECT rowid FROM dataset_items WHERE dataset_id = ?", (dataset,)).fetchall()
        yield from (Target("membership row", (name,), row=("dataset_items", found)) for (found,) in members)
    for model in (line.parent, line.candidate):
        (number,) = connection.execute("SELECT rowid FROM checkpoints WHERE id = ?", (model.id,)).fetchone()
        yield Target("checkpoint row", (model.name,), row=("checkpoints", number))
    for number, verdict in connection.execute("SELECT rowid, id FROM verdicts").fetchall():
        yield Target("verdict row", (verdict,), row=("verdicts", number))


def newest_verdict(line: Line) -> Verdict:
    """The verdict on the candidate."""
    verdict = line.store.verdicts.latest(line.candidate.id)
    assert verdict is not None
    return verdict


def group(targets: Iterator[Target]) -> dict[str, list[Target]]:
    """Targets by kind."""
    found: dict[str, list[Target]] = {}
    for target in targets:
        found.setdefault(target.kind, []).append(target)
    return found


# --- altering --------------------------------------------------------------------------------------------------------


@contextmanager
def turned(line: Line, target: Target, rng: random.Random) -> Iterator[str]:
    """Turn one bit of it while the caller looks; what was there is put back."""
    if target.path is not None:
        with file_turned(target.path, rng) as place:
            yield place
    elif target.row is not None:
        with row_turned(line.database, *target.row, rng) as place:
            yield place


@contextmanager
def file_turned(path: Path, rng: random.Random) -> Iterator[str]:
    """One bit of a file, which keeps its size and times."""
    held, state = path.read_bytes(), path.stat()
    at, altered = bit_turned(held, rng)
    try:
        path.write_bytes(altered)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        yield f"byte {at} of {path.name}"
    finally:
        path.write_bytes(held)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@contextmanager
def row_turned(database: Path, name: str, number: int, rng: random.Random) -> Iterator[str]:
    """One bit of one value that is not empty, as SQLite holds it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})") if row[1] not in SKIPPED.get(name, ())]
        while True:
            column = rng.choice(columns)
            query = f"SELECT typeof({column}), CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END "
            kind, held = connection.execute(f"{query} FROM {name} WHERE rowid = ?", (number,)).fetchone()
            if kind == "null" or held == b"":
                continue
            altered = altered_value(kind, held, rng)
            # The one column by which SQLite numbers the rows themselves.
            now = altered if isinstance(altered, int) and column == "sequence" else number
            try:
                set_value(connection, name, column, kind, altered, number)
                break
            except sqlite3.Error:
                # Another row has this key already.
                continue
        try:
            yield f"{column} of {name} {number}"
        finally:
            set_value(connection, name, column, kind, held, now)


def set_value(connection: sqlite3.Connection, name: str, column: str, kind: str, value: object, number: int) -> None:
    """Write a value past every type of ours."""
    written = "CAST(? AS TEXT)" if kind == "text" else "?"
    # Names of this file's own tables and columns; the value is a parameter.
    connection.execute(f"UPDATE {name} SET {column} = {written} WHERE rowid = ?", (value, number))  # noqa: S608


def altered_value(kind: str, held: object, rng: random.Random) -> int | float | bytes:
    """A value with one bit turned, of the same kind."""
    if isinstance(held, int):
        return struct.unpack(">q", bit_turned(struct.pack(">q", held), rng)[1])[0]
    if isinstance(held, float):
        return struct.unpack(">d", bit_turned(struct.pack(">d", held), rng)[1])[0]
    assert isinstance(held, bytes), kind
    return bit_turned(held, rng)[1]


def bit_turned(held: bytes, rng: random.Random) -> tuple[int, bytes]:
    """The bytes with one bit turned, and at which of them."""
    at = rng.randrange(len(held))
    return at, held[:at] + bytes([held[at] ^ 1 << rng.randrange(8)]) + held[at + 1 :]
