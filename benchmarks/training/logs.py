"""Two assistants' logs, one after another on one base: what the second turn costs the first, with and without what holds it.

The base has read the training side of both, good answers and bad, and no held-out word. The first turn learns the answers that
people called good in the first log, the second those of the other; that turn is trained twice from the same parent, once as the
product does by default and once as a plain LoRA. The matrix is the product's own (`continuum/training/forgetting_report.py`). How
far the two ways differ is asked row by row, of the held-out answers of the first log.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, rounded, table
from benchmarks.curation.queries import fill, log_rows, logs_are_real
from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.policy import SplitPolicy
from continuum.records import Checkpoint, Example, Interaction, Message
from continuum.splits.sides import task_sides, unit_hash
from continuum.statistics.means import estimate
from continuum.store.database import Store, open_store
from continuum.training.base import build_base
from continuum.training.bases import SMALL_MODEL_RATE, training_conversations
from continuum.training.forgetting_report import ForgettingReport, report_of
from continuum.training.job import FitReport, Inputs, Job, Losses, ReplayRow, write_job
from continuum.training.loop import run_job
from continuum.training.measured import Measured
from continuum.training.replay import ReplayBuffer
from continuum.training.reporting import ProgressEvents

FIRST, SECOND = "movie_tickets", "coffee_orders"
SPLITS = SplitPolicy(golden=0, validation=0.25)
"""Good answers are few in the first log, and nothing is judged here: a quarter is held out to measure on."""
GOOD = 4.0
OTHER_WORDS = {
    **{"film": "drink", "cinema": "café", "seat": "cup", "hall": "bar", "ticket": "order", "row": "table", "book": "brew"},
    **{"Film": "Drink", "watch": "taste", "showtimes": "toppings", "ramp": "terrace", "pensioner": "student"},
    **{"begins": "is served", "euros": "dollars", "ground floor": "corner", "next to": "beside", "noted": "put down"},
}
"""By which made-up dialogues become another assistant's."""


@dataclass(frozen=True)
class Size:
    """How much of it."""

    rows: int | None
    """Of each log that are read; None for all."""
    train: int
    """Rows a turn learns from, at most."""
    held_out: int
    """Rows a turn is measured on, at most."""
    hidden: int
    base_steps: int
    epochs: float
    window: int


FULL = Size(rows=None, train=320, held_out=96, hidden=96, base_steps=240, epochs=3, window=192)
QUICK = Size(rows=120, train=16, held_out=8, hidden=32, base_steps=6, epochs=1, window=64)


@dataclass(frozen=True)
class Log:
    """What a turn learns, and what it is measured on."""

    name: str
    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    conversations: list[tuple[Message, ...]]
    """Of the training side, whole."""


@dataclass(frozen=True)
class Turn:
    """One training that is done."""

    checkpoint: Checkpoint
    report: FitReport
    measured: Measured


def measure(setting: Setting, size: Size | None = None) -> Result:
    """Build the base, learn the first log, then the second in two ways."""
    size = size or (QUICK if setting.quick else FULL)
    torch.set_num_threads(1)
    logs = [read(setting, name, size) for name in (FIRST, SECOND)]
    base = build_base(
        [conversation for log in logs for conversation in log.conversations],
        setting.folder / "base",
        hidden=size.hidden,
        length=size.window,
        steps=size.base_steps,
        batch_size=16,
        seed=setting.seed,
        on_progress=lambda done, total, note: setting.say(f"{note} {done}/{total}"),
    )
    holds = FineTuneConfig(
        lora_rank=16,
        # What a base of so few parameters needs; a real one takes the default.
        learning_rate=SMALL_MODEL_RATE,
        epochs=size.epochs,
        max_length=size.window,
        seed=setting.seed,
    )
    plain = holds.model_copy(
        update={"forgetting_prevention": EWCConfig(enabled=False), "replay_share": 0.0, "general_share": 0.0}
    )
    first = learn(setting, base.folder, holds, logs[0])
    ways = {"with": learn(setting, base.folder, holds, logs[1], first, logs[0]),
            "without": learn(setting, base.folder, plain, logs[1], first, logs[0])}  # fmt: skip
    reports = {
        way: report_of(turn.checkpoint, [("v1", first.measured), (f"v2 {way}", turn.measured)]) for way, turn in ways.items()
    }
    real = all(logs_are_real(setting, log.name) for log in logs)
    notes = [
        f"{'verdicts of people on real assistants' if real else 'made-up dialogues'}; learned: "
        + ", ".join(f"{len(log.train)} rows of {log.name}, measured on {len(log.held_out)}" for log in logs),
        f"base of {base.parameters:,} parameters, {size.base_steps} steps, loss {base.first_loss:.2f} to {base.final_loss:.2f}; "
        f"lambda {ways['with'].report.lambda_ewc:g}, {ways['with'].report.replayed} rows replayed",
        *(told(way, report) for way, report in reports.items()),
    ]
    return Result(claims(ways, setting.quick), shown(reports), notes)


def read(setting: Setting, name: str, size: Size) -> Log:
    """Import a log as a user would, and take the good answers of each side."""
    rows = log_rows(setting, name)[: size.rows]
    if name == SECOND and not logs_are_real(setting, name):
        rows = [retold(row) for row in rows]
    setting.say(f"importing {len(rows)} rows of {name}")
    folder = setting.folder / name
    folder.mkdir()
    store = open_store(f"sqlite:///{folder / 'logs.db'}")
    try:
        policy = fill(store, rows, folder).model_copy(update={"splits": SPLITS})
        sides = task_sides(store, policy)
        good = {row["id"] for row in rows if row["feedback"]["score"] >= GOOD}
        examples = _examples(store, name, good, sides.side, sides.group)
        conversations = training_conversations(store, policy)
    finally:
        store.close()
    drawn = sorted(examples, key=lambda one: unit_hash(f"{name}/{setting.seed}", one.interaction_id))
    train = [one for one in drawn if one.split == "train"][: size.train]
    held_out = [one for one in drawn if one.split == "validation"][: size.held_out]
    return Log(name, tuple(train), tuple(held_out), conversations)


def retold(row: dict[str, Any]) -> dict[str, Any]:
    """A made-up row in another assistant's words and with its tools."""
    text = json.dumps(row["messages"] + [row["response"]], ensure_ascii=False)
    for word, other in OTHER_WORDS.items():
        text = text.replace(word, other)
    *messages, response = json.loads(text)
    return row | {"messages": messages, "response": response}


def learn(
    setting: Setting, base: Path, config: FineTuneConfig, log: Log, parent: Turn | None = None, earlier: Log | None = None
) -> Turn:
    """One training as the product's worker does it."""
    held = config.forgetting_prevention.enabled
    name = f"{log.name}-{'held' if held else 'plain'}"
    folder = setting.folder / name
    job = Job(
        task="orders",
        base_model=str(base),
        config=config,
        dataset=log.name,
        artifact=str(folder / "artifact"),
        parent=parent.checkpoint.uri if parent else None,
        parent_id=parent.checkpoint.id if parent else None,
        parent_manifest=parent.report.manifest if parent else None,
    )
    inputs = Inputs(
        train=log.train,
        validation=log.held_out,
        replay=ReplayBuffer.load(Path(parent.checkpoint.uri)).rows if parent else (),
        earlier=tuple(ReplayRow(example=one, dataset=earlier.name) for one in earlier.held_out) if earlier else (),
    )
    write_job(folder, job, inputs)
    report = run_job(folder, ProgressEvents(lambda done, total, note: setting.say(f"{name}: {note} {done}/{total}")))
    checkpoint = Checkpoint(
        id=name, task="orders", version=2 if parent else 1, base_model=str(base), uri=job.artifact, dataset_id=log.name
    )
    return Turn(checkpoint, report, Measured.of(log.name, report))


def claims(ways: dict[str, Turn], quick: bool) -> list[Entry]:
    """What was forgotten of the first log with prevention, beside what was forgotten without."""
    held, plain = (ways[way].report.losses[FIRST] for way in ("with", "without"))
    lost, lost_plain = (_mean_change(losses) for losses in (held, plain))
    apart = estimate([a - b for a, b in zip(held.after, plain.after, strict=True)], held.groups)
    what = f"{FIRST} then {SECOND}"
    high = 1.0 if apart.high is None else apart.high
    entries = [
        Entry(
            f"{what}: nats forgotten of {FIRST} with prevention, and without as peer",
            *(rounded(lost), rounded(lost_plain), None, "below the peer's", lost < lost_plain),
        ),
        Entry.of_value(
            f"{what}: nats forgotten with less those without, {apart.mean:+.3f} over {apart.groups} conversations, upper end of "
            "the paired 95 % interval",
            *(high, "<=", 0),
        ),
    ]
    if quick:
        entries = [replace(entry, goal="stated: so small a run shows nothing", holds=None) for entry in entries]
    new, new_plain = (ways[way].report.final_validation_loss for way in ("with", "without"))
    ratio = new / new_plain if new is not None and new_plain else None
    learned = f"{what}: loss on {SECOND} with prevention, and without as peer"
    return [*entries, Entry(learned, rounded(new), rounded(new_plain), rounded(ratio), "stated", None)]


def shown(reports: dict[str, ForgettingReport]) -> Table:
    """Both matrices in one: their first rows are the same."""
    matrices = [report.matrix for report in reports.values()]
    titles = [f"{column.key} ({column.rows} rows)" for column in matrices[0].columns]
    made = table("What each version knows: probability of an answer's tokens (nats)", "version", *titles)
    rows = [*zip(matrices[0].versions, matrices[0].cells, strict=True), (matrices[1].versions[-1], matrices[1].cells[-1])]
    for version, cells in rows:
        made.add_row(version, *("" if cell is None else f"{cell.probability:.3f} ({cell.nats:.3f})" for cell in cells))
    return made


def told(way: str, report: ForgettingReport) -> str:
    """The figures of one way in a line."""
    (back,) = report.backward
    spread = "" if back.nats_low is None or back.nats_high is None else f" ({back.nats_low:+.3f} to {back.nats_high:+.3f})"
    general = f"; general {report.general.nats:+.3f} nats since the base" if report.general else ""
    return (
        f"v2 {way} prevention: backward transfer {back.probability:+.4f} in probability, {back.nats:+.3f} nats{spread} "
        f"on {back.rows} rows of {back.conversations} conversations{general}"
    )


def _examples(store: Store, task: str, good: set[str], side: dict[str, Any], group: dict[str, str]) -> list[Example]:
    return [
        _example(one, one.response, side[one.id], group[one.id])
        for one in store.interactions.scan(task)
        if one.id in good and one.response is not None and side.get(one.id) in ("train", "validation")
    ]


def _example(one: Interaction, response: Message, split: Any, group: str) -> Example:
    return Example(
        interaction_id=one.id,
        messages=one.messages,
        response=response,
        score=5.0,
        score_source="human",
        split=split,
        group=group,
        reason="people called it good",
    )


def _mean_change(losses: Losses) -> float:
    before, after = estimate(losses.before, losses.groups), estimate(losses.after, losses.groups)
    return after.mean - before.mean
