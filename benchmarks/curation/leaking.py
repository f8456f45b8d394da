"""Dialogues grow for ten cycles, and a golden and a training dataset are made in each: what of the one is in the other?

Leaks are counted from the rows alone, by code that knows nothing of the product's grouping. The peer's rule is that of NVIDIA's
data-flywheel blueprint, written anew from its description: one record of each tuple of all user messages is kept, and the
records are then split at random.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.curation.dialogues import FIRST, Told, dialogues
from benchmarks.curation.queries import log_rows, logs_are_real
from continuum.curation.curator import DataCurator
from continuum.embedding.embedder import HashedEmbedder
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.records import Annotation, Interaction, Message
from continuum.splits.sides import task_sides
from continuum.store.database import Store, open_store

KINDS = ("dialogue", "context", "beginning", "conversation", "near-duplicate")
SPLITS = SplitPolicy()
CYCLES = 10
EVALUATED = 100
"""Records that the peer holds out."""


def measure(setting: Setting) -> Result:
    """Made-up dialogues always, and the rows of a real log where there are some."""
    told = dialogues(80 if setting.quick else 300, CYCLES, setting.seed)
    cycles = 4 if setting.quick else CYCLES
    logs = {"dialogues": told}
    if logs_are_real(setting, "movie_tickets") and not setting.quick:
        logs["movie_tickets"] = _recorded(log_rows(setting, "movie_tickets"))
    shown = table("What golden rows share with rows that were trained on", "log and splitter", "golden", "train", *KINDS)
    shown.add_column("changed side", justify="right")
    entries: list[Entry] = []
    for name, rows in logs.items():
        golden, train, changed, quarantined = _grown(setting, name, rows, cycles)
        ours = leaks(rows, golden, train)
        held, rest = _random_split([one.row for one in rows], setting.seed)
        peer = leaks(rows, held, rest)
        anything = {kind: len(found) for kind, found in peer.items()}
        shown.add_row(f"{name}: ours, {quarantined} left out", *_figures(golden, train, ours), str(changed))
        shown.add_row(f"{name}: by user messages, at random", *_figures(held, rest, peer), "-")
        leaked = len(set().union(*ours.values()))
        goes = len(set().union(*peer.values()))
        entries += [
            Entry.of_value(f"{name}: golden rows that leak, of {len(golden)}; peer's of {len(held)}", leaked, "==", 0, peer=goes),
            Entry.of_value(f"{name}: rows that changed side in {cycles} cycles", changed, "==", 0),
            Entry.of_value(f"{name}: golden rows after the last cycle", len(golden), ">=", 20),
        ]
        setting.say(f"{name}: peer leaks {anything}")
    notes = [
        "dialogue: another row of the same one was trained on; beginning: through the first user turn or further, shared by "
        f"at most {SPLITS.opening_cap} rows; near-duplicate: the same last messages and answer, swapped letters aside",
        "a row that is nothing but a beginning more rows share is nobody's dialogue; left out: tied to both sides",
    ]
    return Result(entries, shown, notes)


def _grown(setting: Setting, name: str, told: Sequence[Told], cycles: int) -> tuple[set[str], set[str], int, int]:
    """Golden and trained ids over all cycles, how many rows changed side, and how many stand on none."""
    store = open_store(f"sqlite:///{setting.folder / f'{name}.db'}")
    task = told[0].row.task
    policy = TaskPolicy(task=task, judge=JudgePolicy(model="judge"), splits=SPLITS)
    store.tasks.register(policy)
    was: dict[str, str] = {}
    now: Mapping[str, str] = {}
    changed: set[str] = set()
    trained: set[str] = set()
    chance = random.Random(setting.seed)
    for cycle in range(cycles):
        setting.say(f"{name}: cycle {cycle + 1} of {cycles}")
        new = [one.row for one in told if one.cycle * cycles // CYCLES == cycle]
        store.interactions.add(new)
        store.annotations.add(_scored(row, chance, FIRST) for row in new)
        trained |= _built(store, task, len(told) // 4, setting.seed)
        now = task_sides(store, policy).side
        changed |= {one for one, side in was.items() if "quarantined" not in (side, now[one]) and now[one] != side}
        # Who is left out for a while comes back to where it was.
        was |= {one: side for one, side in now.items() if side != "quarantined" or one not in was}
    golden = store.datasets.member_ids(task, "golden")
    left_out = Counter(now.values())["quarantined"]
    store.close()
    return golden, trained, len(changed), left_out


def _built(store: Store, task: str, size: int, seed: int) -> set[str]:
    curator = DataCurator(target_size=size, min_examples=1, store=store, embedder=HashedEmbedder(), seed=seed)
    dataset = asyncio.run(curator.build(task, time_window=None))
    found = {one.interaction_id for one in (*dataset, *dataset.preferences, *dataset.rated_answers)}
    return found | {one.interaction_id for one in dataset.control or ()}


def _scored(row: Interaction, chance: random.Random, at: datetime) -> Annotation:
    return Annotation(
        id=f"note {row.id}",
        interaction_id=row.id,
        task=row.task,
        judge="judge",
        rubric="rubric",
        overall=chance.choice((2.0, 4.0, 4.5, 5.0)),
        created_at=at,
    )


def _random_split(rows: Sequence[Interaction], seed: int) -> tuple[set[str], set[str]]:
    """The peer: one record of each tuple of user messages, then a random draw."""
    kept: dict[tuple[str, ...], str] = {}
    for row in rows:
        kept.setdefault(tuple(message.text for message in row.messages if message.role == "user"), row.id)
    ids = sorted(kept.values())
    held = set(random.Random(seed).sample(ids, min(EVALUATED, len(ids) // 3)))
    return held, set(ids) - held


def leaks(told: Sequence[Told], golden: Collection[str], train: Collection[str]) -> dict[str, set[str]]:
    """For each kind the golden rows that share something with a row that was trained on."""
    rows = {one.row.id: one for one in told}
    prefixes = {name: _prefixes(one.row.messages) for name, one in rows.items()}
    common = {
        prefix for prefix, count in Counter(p for some in prefixes.values() for p in some).items() if count > SPLITS.opening_cap
    }
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    theirs: Mapping[str, set[object]] = defaultdict(set)
    for name in train:
        for kind, value in _told_by(rows[name], prefixes[name], common):
            theirs[kind].add(value)
    for name in golden:
        for kind, value in _told_by(rows[name], prefixes[name], common):
            if value in theirs[kind]:
                found[kind].add(name)
    found["near-duplicate"] = _near([rows[name].row for name in golden], [rows[name].row for name in train])
    return found


def _told_by(one: Told, prefixes: Sequence[str], common: set[str]) -> Iterable[tuple[str, object]]:
    yield "context", prefixes[-1]
    if prefixes[-1] in common:
        return
    if one.dialogue >= 0:
        yield "dialogue", one.dialogue
    if one.row.conversation_id is not None:
        yield "conversation", one.row.conversation_id
    for prefix in prefixes:
        if prefix not in common:
            yield "beginning", prefix


def _prefixes(messages: Sequence[Message]) -> list[str]:
    lines = [f"{message.role}: {message.action}".casefold() for message in messages]
    first = next((n for n, message in enumerate(messages) if message.role == "user"), len(messages) - 1)
    return ["\n".join(lines[: n + 1]) for n in range(first, len(lines))]


def _near(golden: Sequence[Interaction], train: Sequence[Interaction]) -> set[str]:
    """Those whose last messages and answer say what a trained row says, word for word but for letters that changed places."""
    trained = {_spelled(row) for row in train if row.response}
    return {row.id for row in golden if row.response and _spelled(row) in trained}


def _spelled(row: Interaction) -> tuple[tuple[str, ...], ...]:
    said = [*row.messages[-4:], *([row.response] if row.response else [])]
    # The letters of a word in order of the alphabet: a transposition changes nothing.
    return tuple((message.role, *("".join(sorted(word)) for word in message.action.casefold().split())) for message in said)


def _figures(golden: Collection[str], train: Collection[str], found: Mapping[str, Collection[str]]) -> list[str]:
    return [f"{len(golden):,}", f"{len(train):,}", *(str(len(found[kind])) for kind in KINDS)]


def _recorded(rows: Sequence[Mapping[str, object]]) -> list[Told]:
    """The rows of a log, a tenth of them in each cycle; what dialogue they belong to nobody wrote down."""
    fields = ("id", "task", "started_at", "messages", "response", "model", "conversation_id")
    made = [Interaction.model_validate({name: row[name] for name in fields if name in row}) for row in rows]
    order = random.Random(len(made)).sample(range(len(made)), len(made))
    return [Told(made[position], -1, place * CYCLES // len(made)) for place, position in enumerate(order)]
