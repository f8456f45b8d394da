"""An assistant's log, imported as a user would: what the training set is, its clusters in words, what was removed and why.

Whether it is sound is asked of the rows of the file alone, by code that knows nothing of the product's: do golden and training
side share a conversation, a context or a beginning, and does any pair of a removed and a kept row differ in what matters?
"""

import asyncio
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.curation.queries import fill, log_rows, logs_are_real
from continuum.curation.curator import DataCurator
from continuum.curation.findings import classes_of, funnel
from continuum.dataset import Dataset
from continuum.dataset_rows import Removed
from continuum.policy import SplitPolicy
from continuum.store.database import open_store

NAME = "movie_tickets"
TARGET = 200
TAIL = 4
"""Messages before the answer that are compared, as the product says it does."""
SHOWN_PAIRS = 6
SHOWN_CLUSTERS = 12
DUPLICATES = ("exact_duplicates", "near_duplicates", "meaning_duplicates")

Row = dict[str, Any]


def measure(setting: Setting) -> Result:
    """Build once, and look at it."""
    rows = {row["id"]: row for row in log_rows(setting, NAME)}
    store = open_store(f"sqlite:///{setting.folder / 'logs.db'}")
    try:
        setting.say(f"importing {len(rows)} rows")
        policy = fill(store, list(rows.values()), setting.folder)
        setting.say("building")
        curator = DataCurator(target_size=TARGET, store=store, seed=setting.seed)
        dataset = asyncio.run(curator.build(policy.task, time_window=None))
        golden = store.datasets.member_ids(policy.task, "golden")
    finally:
        store.close()
    train = learned_from(dataset)
    removed = [one for one in dataset.removed if one.stage in DUPLICATES and one.kept_id is not None]
    differing = Counter(name for one in removed for name in differences(rows[one.interaction_id], rows[one.kept_id or ""]))
    crossed = crossings(rows, golden, train, policy.splits)
    entries = [Entry.of_value(f"{NAME}: golden rows whose {name}", count, "==", 0) for name, count in crossed.items()] + [
        Entry.of_value(f"{NAME}: duplicates removed for a row of another {name}", differing[name], "==", 0)
        for name in ("number", "action", "verdict")
    ]
    whose = "people's verdicts on a real assistant" if logs_are_real(setting, NAME) else "made-up dialogues"
    notes = [
        f"{whose}: {len(rows):,} rows, {len(golden)} of them golden, {len(train)} learned from in any table",
        f"fingerprint {dataset.fingerprint[:16]}, embedder {dataset.manifest['config']['embedder']}, target {TARGET}",
    ]
    return Result(entries, card(dataset, rows, removed, setting.seed), notes)


def learned_from(dataset: Dataset) -> set[str]:
    """Ids of all rows that anything is learned from: examples, preferences, rated answers and the control."""
    found = {one.interaction_id for one in (*dataset, *dataset.preferences, *dataset.rated_answers)}
    found |= {pair.rejected_id for pair in dataset.preferences}
    found |= {one.interaction_id for one in dataset.control or ()}
    return found | {id for one in dataset for id in one.duplicates}


# --- what is shown ------------------------------------------------------------------------------------------------


def card(dataset: Dataset, rows: Mapping[str, Row], removed: Sequence[Removed], seed: int) -> Table:
    """The stages, the clusters in words and some of the removed pairs, one below the other."""
    stages = table(dataset.name, "what each stage left", "rows")
    for name, left in funnel(dataset):
        stages.add_row(name, f"{left:,}")
    classes = classes_of(dataset)
    clusters = table(
        f"Clusters: the {min(SHOWN_CLUSTERS, len(classes))} largest of {len(classes)}", *("eligible", "selected", "score")
    )
    clusters.add_column("nearest to its centre", overflow="ellipsis", no_wrap=True, max_width=78)
    for one in classes[:SHOWN_CLUSTERS]:
        score = "-" if one.score is None else f"{one.score:.2f}"
        clusters.add_row(str(one.eligible), str(one.selected), score, plain(" | ".join(one.words)))
    counts = ", ".join(f"{count} {stage.replace('_', ' ')}" for stage, count in Counter(one.stage for one in removed).items())
    pairs = table(f"Removed as duplicates: {counts or 'none'}; some of them", "removed")
    pairs.add_column("kept", no_wrap=True)
    pairs.add_column("why", max_width=34)
    pairs.add_column("asked last; answered", overflow="ellipsis", no_wrap=True, max_width=36)
    for one in random.Random(seed).sample(removed, min(SHOWN_PAIRS, len(removed))):
        row = rows[one.interaction_id]
        said = f"{said_last(row)}; {acted(row['response'])}"
        pairs.add_row(one.interaction_id, one.kept_id, one.reason, plain(said))
    whole = Table.grid()
    for part in (stages, clusters, pairs):
        whole.add_row(part)
        whole.add_row("")
    return whole


def plain(text: str) -> str:
    """Captured text without what a terminal or rich would obey."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).replace("[", "(").replace("]", ")")


# --- what is checked, by the rows alone ---------------------------------------------------------------------------


def said_last(row: Row) -> str:
    """The last words of the user."""
    return next((words(message) for message in reversed(row["messages"]) if message["role"] == "user"), "")


def words(message: Row) -> str:
    """The words of a message, however they are wrapped."""
    content = message.get("content")
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content)
    return content or ""


def acted(message: Row) -> str:
    """What a message says or calls."""
    calls = [
        f"{call['function']['name']}({json.dumps(json.loads(call['function']['arguments']), sort_keys=True)})"
        for call in message.get("tool_calls") or ()
    ]
    return " ".join([*calls, words(message)]).strip()


def differences(removed: Row, kept: Row) -> list[str]:
    """In what a removed row differs from the one that stays for it, of all that forbids removing it."""
    said = [[*(acted(message) for message in row["messages"][-TAIL:]), acted(row["response"])] for row in (removed, kept)]
    numbers, kept_numbers = (re.findall(r"\d+", "\n".join(texts)) for texts in said)
    called, kept_called = (
        [
            (call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in row["response"].get("tool_calls") or ()
        ]
        for row in (removed, kept)
    )
    found = {
        "number": numbers != kept_numbers,
        "action": called != kept_called,
        "verdict": abs(removed["feedback"]["score"] - kept["feedback"]["score"]) > 1,
    }
    return [name for name, differs in found.items() if differs]


def crossings(rows: Mapping[str, Row], golden: Iterable[str], train: Iterable[str], splits: SplitPolicy) -> dict[str, int]:
    """Golden rows that share something with a row that is learned from, by what they share.

    An opening is the context through the first words of the user. One that more rows than the policy's cap begin with is a
    greeting: it links nothing, but whoever shares more than it is of one dialogue.
    """
    begun = {id: beginnings(row["messages"]) for id, row in rows.items()}
    openings = Counter(found[0] for found in begun.values())
    learned = list(train)
    trained_whole = {begun[id][-1] for id in learned}
    trained_within = {part for id in learned for part in begun[id]}
    conversations = {rows[id]["conversation_id"] for id in learned}
    crossed: dict[str, int] = defaultdict(int, dict.fromkeys(SHARED, 0))
    for id in golden:
        found = begun[id]
        seldom = openings[found[0]] <= splits.opening_cap
        beyond = set(found[1:])
        crossed[SHARED[0]] += rows[id]["conversation_id"] in conversations
        crossed[SHARED[1]] += found[-1] in trained_whole
        crossed[SHARED[2]] += seldom and found[0] in trained_within
        crossed[SHARED[3]] += not beyond.isdisjoint(trained_whole) or (len(found) > 1 and found[-1] in trained_within)
    return dict(crossed)


SHARED = (
    "conversation is learned from",
    "whole context is learned from",
    "opening is learned from, though few begin so",
    "context continues or begins one that is learned from",
)


def beginnings(messages: Sequence[Row]) -> list[str]:
    """A context as it grew: through the first words of the user, then message by message."""
    lines = [f"{message['role']}: {' '.join(acted(message).lower().split())}" for message in messages]
    first = next((n for n, message in enumerate(messages) if message["role"] == "user"), len(messages) - 1)
    return ["\n".join(lines[: end + 1]) for end in range(first, len(messages))]
