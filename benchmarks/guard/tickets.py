"""A real log of a ticket seller, and three candidates that learned from it: what the guard says of each.

The base has read the training side of the log, good answers and bad, and no held-out word. The champion learned from half of the
answers that people called good there. Each candidate is a first turn on the same base by the product's own trainer, and differs
from the others only in what it learned. (In runs that continued from the champion the shuffled one was hardly worse than
the champion, and there was little to block.)

| candidate | learned from |
|---|---|
| honest | the other half of the good answers |
| badly rated | as many answers that people called bad |
| shuffled | the rows of the honest one, each with the answer of another |

They are measured by the product's own guard on golden items, whose references are answers that people called good. `action_match`
is whether a model does what the reference does. `accuracy` is the share of words that an answer has in common with the reference
(F1), given by a rule in the place of a judge: no model judge is there, and a proxy that is fitted to people's verdicts may not
decide over a deployment. The capability gate reads general text and what the champion learned. Where nothing of the log
is there, dialogues are made up.
"""

import asyncio
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, rounded, table
from benchmarks.curation.queries import fill, log_rows, logs_are_real
from continuum.dataset import Dataset
from continuum.dataset_rows import FORMAT, fingerprint_of
from continuum.fine_tuning import FineTuneConfig
from continuum.guard.guard import RegressionGuard
from continuum.guard.html import to_html
from continuum.guard.report import to_markdown
from continuum.judging.scripted import ScriptedJudge
from continuum.models.answering import LocalAnswerer
from continuum.policy import SplitPolicy
from continuum.progress import Progress
from continuum.records import Checkpoint, Example, Interaction, Message, Verdict, VerdictStatus
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.similarity.fingerprints import context_fingerprint
from continuum.splits.golden import GoldenDataset
from continuum.splits.sides import Sides, task_sides, unit_hash
from continuum.store.database import Store, open_store
from continuum.store.learning import DatasetItem
from continuum.store.versions import publish
from continuum.tracking.tracker import FolderTracker
from continuum.training.bases import SMALL_MODEL_RATE, BaseSize, build_base_for_task
from continuum.training.launch import InlineLauncher
from continuum.training.trainer import Trainer

TASK = "movie_tickets"
SPLITS = SplitPolicy(golden=0.4, validation=0.1)
"""Good answers are few in this log, and come in few dialogues: more than by default is held out."""
GOOD = 4.0
HONEST, BADLY_RATED, SHUFFLED = "honest", "badly rated", "shuffled"
METRICS = ("accuracy", "action_match")


@dataclass(frozen=True)
class Size:
    """How much of it."""

    rows: int | None
    """Of the log that are read; None for all."""
    learned: int
    """Rows that the champion and each candidate learn from, at most."""
    base: BaseSize
    epochs: float
    tokens: int
    """Of an answer, at most."""


FULL = Size(
    rows=None, learned=160, base=BaseSize(vocabulary=1024, hidden=96, layers=2, window=128, steps=1000), epochs=10, tokens=48
)
QUICK = Size(
    rows=200, learned=16, base=BaseSize(vocabulary=512, hidden=32, layers=1, heads=2, window=64, steps=6), epochs=1, tokens=8
)


@dataclass(frozen=True)
class Line:
    """What all candidates have in common."""

    store: Store
    golden: GoldenDataset
    base: Path
    sides: Sides
    good: list[Interaction]
    """On the training side, in the order of a hash."""
    bad: list[Interaction]
    validation: list[Interaction]
    """Good answers that nothing learns from and the guard does not ask: what was learned is measured on them."""


def measure(setting: Setting, size: Size | None = None) -> Result:
    """Build the base, train the champion and the candidates, and let the guard speak."""
    size = size or (QUICK if setting.quick else FULL)
    torch.set_num_threads(1)
    store = open_store(f"sqlite:///{setting.folder / 'tickets.db'}")
    try:
        line = begin(setting, store, size)
        half = min(size.learned, len(line.good) // 2)
        first, second = line.good[:half], line.good[half : 2 * half]
        champion = train(setting, line, size, "champion", answered(line, first))
        crown(store, champion)
        lessons = {
            HONEST: answered(line, second),
            BADLY_RATED: answered(line, line.bad[: len(second)], score=1.0),
            SHUFFLED: shuffled(answered(line, second), setting.seed),
        }
        verdicts = {name: guarded(setting, line, size, train(setting, line, size, name, rows)) for name, rows in lessons.items()}
    finally:
        store.close()
    reports = written(verdicts)
    real = logs_are_real(setting, TASK)
    asked = next(iter(verdicts.values())).evidence["golden"]
    notes = [
        f"{'verdicts of people on a real assistant' if real else 'made-up dialogues'}; the champion and each candidate learned "
        f"from {half} rows; {asked['items']} golden items in {asked['groups']} groups",
        *(f"{name}: {'; '.join(verdict.failed_checks) or verdict.status.value}" for name, verdict in verdicts.items()),
        f"reports: {reports}",
    ]
    print(f"tickets: the verdicts' reports are in {reports}", file=sys.stderr)
    return Result(claims(verdicts, real and not setting.quick), shown(verdicts), notes)


def begin(setting: Setting, store: Store, size: Size) -> Line:
    """Import the log as a user would, hold out golden items, and build the base from the training side."""
    rows = log_rows(setting, TASK)[: size.rows]
    setting.say(f"tickets: importing {len(rows)} rows")
    policy = fill(store, rows, setting.folder).model_copy(update={"splits": SPLITS, "provider_terms_accepted": True})
    store.tasks.register(policy)
    golden = GoldenDataset.from_task(TASK, store=store)
    base = build_base_for_task(
        policy,
        setting.folder / "base",
        store=store,
        size=size.base,
        seed=setting.seed,
        on_progress=told(setting, "base"),
    )
    sides = task_sides(store, policy)
    liked = {row["id"] for row in rows if row["feedback"]["score"] >= GOOD}
    by_side: dict[tuple[str, bool], list[Interaction]] = {}
    for one in sorted(store.interactions.scan(TASK), key=lambda one: unit_hash(f"tickets/{setting.seed}", one.id)):
        if one.response is not None and one.messages:
            by_side.setdefault((sides.side.get(one.id, ""), one.id in liked), []).append(one)
    return Line(
        *(store, golden, base.folder, sides),
        good=by_side.get(("train", True), []),
        bad=by_side.get(("train", False), []),
        validation=by_side.get(("validation", True), []),
    )


def answered(
    line: Line, interactions: Sequence[Interaction], split: Literal["train", "validation"] = "train", score: float = 5.0
) -> list[Example]:
    """Rows to learn from or to measure on: what was asked, what the assistant answered, and how people rated it."""
    return [
        Example(
            interaction_id=one.id,
            messages=one.messages,
            response=one.response,
            score=score,
            score_source="human",
            split=split,
            group=line.sides.group[one.id],
            reason="a person rated it",
        )
        for one in interactions
        if one.response is not None
    ]


def shuffled(rows: Sequence[Example], seed: int) -> list[Example]:
    """The same questions and the same answers, none where it was."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    # Each takes the answer of the next in a random ring.
    taken = {order[n]: rows[order[(n + 1) % len(order)]].response for n in range(len(order))}
    return [row.model_copy(update={"response": taken[n]}) for n, row in enumerate(rows)]


def train(setting: Setting, line: Line, size: Size, name: str, rows: Sequence[Example]) -> Checkpoint:
    """A first turn of the product's trainer, in this process."""
    config = FineTuneConfig(
        # What a base of so few parameters needs; a real one takes the default.
        learning_rate=SMALL_MODEL_RATE,
        epochs=size.epochs,
        max_length=size.base.window,
        seed=setting.seed,
    )
    validation = answered(line, line.validation, "validation")
    trainer = Trainer(
        str(line.base),
        config,
        store=line.store,
        tracker=FolderTracker(setting.folder / "runs"),
        parent=None,
        launcher=InlineLauncher(),
    )
    trained = asyncio.run(trainer.train(published(line.store, name, [*rows, *validation]), told(setting, name)))
    return trained.model


def published(store: Store, name: str, examples: Sequence[Example]) -> Dataset:
    """A version of the task's training data with these rows."""
    config = {"made_for": name}
    manifest = {"format": FORMAT, "source_interactions": len(examples), "config": config, "through": 0}
    record = publish(
        store,
        task=TASK,
        kind="training",
        fingerprint=fingerprint_of(TASK, config, examples),
        manifest=manifest,
        items=[
            DatasetItem(interaction_id=one.interaction_id, split=one.split, score=one.score, reason=one.reason)
            for one in examples
        ],
        write=lambda folder, full: Dataset(examples, full).write(folder),
    )
    return Dataset(examples, record.manifest)


def crown(store: Store, champion: Checkpoint) -> None:
    """Let a checkpoint serve, so that it is what candidates are compared with."""
    record = DeploymentRecord(
        task=TASK,
        checkpoint_id=champion.id,
        model=champion.name,
        stable_model="production",
        state=DeploymentState.LIVE,
        traffic=1.0,
    )
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="benchmark", action="deploy"))


def guarded(setting: Setting, line: Line, size: Size, candidate: Checkpoint) -> Verdict:
    """The guard's verdict on a candidate."""
    guard = RegressionGuard(
        golden_dataset=line.golden,
        metrics=list(METRICS),
        judge=reference_reader(line.golden),
        answerer=LocalAnswerer(candidate.base_model, max_new_tokens=size.tokens),
        store=line.store,
    )
    return asyncio.run(guard.evaluate(candidate_model=candidate, on_progress=told(setting, f"guarding {candidate.name}")))


def reference_reader(golden: GoldenDataset) -> ScriptedJudge:
    """A rule that knows the references: 1 for no word in common with the reference, 5 for all and no other."""
    references = {context_fingerprint(item.messages): item.reference for item in golden if item.reference is not None}

    def score(conversation: Sequence[Message], answer: Message, criterion: object) -> float | None:
        reference = references.get(context_fingerprint(conversation))
        return None if reference is None else 1 + 4 * words_shared(reference, answer)

    return ScriptedJudge("words shared with the answer that people called good", score)


def words_shared(reference: Message, answer: Message) -> float:
    """F1 of the words of two answers, 0 to 1."""
    wanted, given = (Counter(re.findall(r"\w+", one.action.lower())) for one in (reference, answer))
    both, total = (wanted & given).total(), wanted.total() + given.total()
    return 2 * both / total if total else 0.0


def claims(verdicts: Mapping[str, Verdict], decides: bool) -> list[Entry]:
    """The shuffled one is blocked; of the others the verdict is stated."""
    entries = []
    for name, verdict in verdicts.items():
        delta = rounded(verdict.deltas.get(METRICS[0]))
        blocked = verdict.status == VerdictStatus.BLOCKED
        holds = blocked if name == SHUFFLED and decides else None
        goal = "blocked" if name == SHUFFLED else f"stated: {verdict.status.value}"
        if name == SHUFFLED and not decides:
            goal = f"stated: {verdict.status.value}; so small or made-up a run shows nothing"
        claim = f"{TASK}, the {name} candidate: change of {METRICS[0]} against the champion; {verdict.status.value}"
        entries.append(Entry(claim, delta, None, None, goal, holds))
    return entries


def shown(verdicts: Mapping[str, Verdict]) -> Table:
    """What the guard found of each candidate."""
    made = table(f"The guard's word on three candidates of {TASK}", "candidate", "check", "delta", "95 %", "p of a fall", "word")
    for name, verdict in verdicts.items():
        for check, found in verdict.deltas.items():
            interval = verdict.intervals[check]
            outcome = verdict.evidence["metrics"].get(check, {}).get("outcome", "")
            numbers = (f"{found:+.3f}", f"{interval.low:+.3f} to {interval.high:+.3f}", f"{verdict.p_values[check]:.4f}")
            made.add_row(name, check, *numbers, outcome)
        made.add_row(name, "verdict", "", "", "", verdict.status.value, end_section=True)
    return made


def written(verdicts: Mapping[str, Verdict]) -> Path:
    """The reports, in a folder that stays."""
    folder = Path(tempfile.mkdtemp(prefix="continuum-tickets-"))
    for name, verdict in verdicts.items():
        stem = name.replace(" ", "-")
        (folder / f"{stem}.md").write_text(to_markdown(verdict), "utf-8")
        (folder / f"{stem}.html").write_text(to_html(verdict), "utf-8")
    return folder


def told(setting: Setting, what: str) -> Progress:
    """Progress of a part, as the benchmark says it."""
    return lambda done, total, note: setting.say(f"tickets, {what}: {note} {done}/{total}")
