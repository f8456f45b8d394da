"""Does the removal of duplicates find what was edited, and leave what is different?

Edited copies are planted among a bank's queries, where every removal of one real query for another is a phrasing lost. The
rule was chosen on the training queries; the test queries were held out. On an assistant's logs each removed pair is checked
for another verdict, another number or another action, by this file's own reading of them.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.curation.edits import KINDS, Planted, plant, plant_slips
from benchmarks.curation.queries import bank_queries, log_rows
from continuum.curation.duplicates import remove_duplicates
from continuum.curation.quality import Rated
from continuum.policy import CurationPolicy
from continuum.records import Interaction, Message
from continuum.similarity.minhash import candidates, signatures
from continuum.similarity.normalise import canonical
from continuum.similarity.simhash import fingerprints

EACH, EACH_QUICK = 150, 30
QUERIES_QUICK = 2000
FOUND = 0.97
MOST_LOST = 0.03
MUST_BE_FOUND = ("typo", "case", "space", "punctuation")
COSINE, JACCARD, BITS = 0.92, 0.7, 3
LOGS = ("movie_tickets", "coffee_orders")
THRESHOLD = CurationPolicy().deduplication_threshold

ASKED_AT = datetime(2026, 1, 1, tzinfo=UTC)

Keepers = list[int]
"""For each text the position of the one that stands for it."""


@dataclass(frozen=True)
class Corpus:
    """Real queries, then edited copies of some."""

    real: list[str]
    planted: list[Planted]
    intents: list[str]
    """Of the real ones."""

    @property
    def texts(self) -> list[str]:
        """All of them."""
        return [*self.real, *(one.text for one in self.planted)]


@dataclass(frozen=True)
class Figures:
    """What a rule did to a corpus."""

    found: dict[str, float]
    """Kind of edit to the share of copies that stand behind one example with their original."""
    lost: float
    """Share of the real queries that were removed for something else than their own copy."""
    crossed: float
    """Of these, the share whose keeper has another intent."""
    largest: int
    """Most that one example replaces."""


def measure(setting: Setting) -> Result:
    """The table of rules on the bank's queries, and what was removed from the logs."""
    queries = bank_queries(setting)
    each = EACH_QUICK if setting.quick else EACH
    limit = QUERIES_QUICK if setting.quick else None
    corpus = planted_among(queries.texts[:limit], queries.intents[:limit], each, setting.seed)
    held_out = planted_among(queries.test_texts[:limit], queries.test_intents[:limit], each // 3, setting.seed + 1)
    slips = slipped_among(queries.test_texts[:limit], queries.test_intents[:limit], each, setting.seed + 2)
    shown = table(
        f"Duplicates: {len(corpus.real)} distinct queries and {len(corpus.planted)} edited copies; share found",
        *("rule", *KINDS, "lost", "crossed", "largest"),
    )
    setting.say("removing duplicates")
    ours = figures(corpus, by_our_rule(corpus.texts, setting.seed))
    row(shown, f"ours, {THRESHOLD:g}", ours)
    row(shown, "  on the held-out queries", figures(held_out, by_our_rule(held_out.texts, setting.seed)))
    slipped = figures(slips, by_our_rule(slips.texts, setting.seed))
    shown.add_section()
    setting.say("MinHash and SimHash")
    row(shown, f"MinHash {JACCARD:g}", figures(corpus, by_minhash(corpus.texts, setting.seed)))
    row(shown, f"SimHash, {BITS} bits", figures(corpus, by_simhash(corpus.texts, setting.seed)))
    if not setting.quick:
        setting.say(f"embedding {len(corpus.texts)} texts for cosine {COSINE:g}; minutes")
        row(shown, f"cosine {COSINE:g}, MiniLM", figures(corpus, by_cosine(corpus.texts, setting.seed)))
    entries = [Entry.of_value(f"duplicates: {kind} found", ours.found[kind], ">=", FOUND) for kind in MUST_BE_FOUND]
    entries.append(Entry.of_value("duplicates: share of distinct real queries lost", ours.lost, "<=", MOST_LOST))
    notes = [
        f"of {len(slips.planted)} other slips in the held-out queries (a letter lost, doubled, or the one beside it on the "
        f"keyboard) {slipped.found['slip']:.3f} are found",
        *([] if not setting.quick else ["cosine is left out of a quick run"]),
    ]
    counted: Counter[str] = Counter()
    for name in LOGS:
        setting.say(f"removing duplicates from {name}")
        counted.update(of_log(log_rows(setting, name), notes, name))
    for what in ("verdict", "number", "action"):
        entries.append(Entry.of_value(f"duplicates: removed from the logs with another {what}", counted[what], "==", 0))
    if not counted["removed"]:
        raise ValueError("nothing was removed from the logs, so that nothing was checked")
    return Result(entries, shown, notes)


def planted_among(texts: Sequence[str], intents: Sequence[str], each: int, seed: int) -> Corpus:
    """The distinct texts with edited copies of some."""
    real, of = distinct(texts, intents)
    return Corpus(real, plant(real, each, seed), of)


def slipped_among(texts: Sequence[str], intents: Sequence[str], count: int, seed: int) -> Corpus:
    """The distinct texts with copies that hold one slip of the keyboard."""
    real, of = distinct(texts, intents)
    return Corpus(real, plant_slips(real, count, seed), of)


def distinct(texts: Sequence[str], intents: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts that differ in more than case, space and typography."""
    first = {canonical(text): position for position, text in reversed(list(enumerate(texts)))}
    kept = sorted(first.values())
    return [texts[position] for position in kept], [intents[position] for position in kept]


def scores_of(count: int, seed: int) -> list[float]:
    """Who is better than whom, at random, and no two verdicts apart."""
    rng = random.Random(seed)
    return [round(4 + rng.random(), 3) for _ in range(count)]


def by_our_rule(texts: Sequence[str], seed: int) -> Keepers:
    """What the product does with questions to which the answers are alike."""
    scores = scores_of(len(texts), seed)
    answer = Message(role="assistant", content="")
    rated = [
        Rated(query(text, position), answer, score, "judge")
        for position, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]
    kept_as = list(range(len(texts)))
    for one in remove_duplicates(rated, THRESHOLD).removed:
        kept_as[int(one.interaction_id)] = int(one.kept_id)
    return kept_as


def query(text: str, position: int) -> Interaction:
    """A query as it was asked."""
    return Interaction(id=f"{position:06}", task="bank", started_at=ASKED_AT, messages=(Message(role="user", content=text),))


def by_minhash(texts: Sequence[str], seed: int) -> Keepers:
    """Whose sketches agree in seven cells of ten."""
    forms = [canonical(text) for text in texts]
    pairs = candidates(signatures(forms), forms, least=JACCARD)
    return stars(len(texts), zip(pairs.first.tolist(), pairs.second.tolist(), strict=True), seed)


def by_simhash(texts: Sequence[str], seed: int) -> Keepers:
    """Whose fingerprints differ in three bits of 64."""
    values = np.array([int(value, 16) for value in fingerprints(texts)], dtype=np.uint64)
    pairs = []
    for position, value in enumerate(values):
        near = np.flatnonzero(np.bitwise_count(values[position + 1 :] ^ value) <= BITS)
        pairs += [(position, position + 1 + int(other)) for other in near]
    return stars(len(texts), pairs, seed)


def by_cosine(texts: Sequence[str], seed: int) -> Keepers:
    """Whose meaning is nearly the same to MiniLM."""
    from continuum.embedding.embedder import open_embedder  # torch starts here

    vectors = open_embedder("minilm").embed([canonical(text) for text in texts])
    pairs = []
    for begin in range(0, len(texts), 512):
        near = np.argwhere(vectors[begin : begin + 512] @ vectors.T >= COSINE)
        pairs += [(begin + int(row), int(other)) for row, other in near if begin + row < other]
    return stars(len(texts), pairs, seed)


def stars(count: int, pairs: Iterable[tuple[int, int]], seed: int) -> Keepers:
    """Best-first, as the product does: what stays replaces its direct neighbours."""
    scores = scores_of(count, seed)
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for first, second in pairs:
        neighbours[first].append(second)
        neighbours[second].append(first)
    kept_as = [-1] * count
    for position in sorted(range(count), key=lambda position: (-scores[position], position)):
        if kept_as[position] < 0:
            kept_as[position] = position
            for other in neighbours[position]:
                if kept_as[other] < 0:
                    kept_as[other] = position
    return kept_as


def figures(corpus: Corpus, kept_as: Keepers) -> Figures:
    """How a rule did."""
    size = len(corpus.real)
    found: dict[str, list[bool]] = {}
    for place, one in enumerate(corpus.planted, size):
        found.setdefault(one.kind, []).append(kept_as[place] == kept_as[one.original])
    # A keeper that was planted stands for its original.
    real = [keeper if keeper < size else corpus.planted[keeper - size].original for keeper in kept_as]
    lost = [position for position in range(size) if real[position] != position]
    crossed = [position for position in lost if corpus.intents[position] != corpus.intents[real[position]]]
    return Figures(
        found={kind: sum(hits) / len(hits) for kind, hits in found.items()},
        lost=len(lost) / size,
        crossed=len(crossed) / max(1, len(lost)),
        largest=Counter(kept_as).most_common(1)[0][1] - 1,
    )


def row(shown: Any, name: str, made: Figures) -> None:
    """One line of the table."""
    kinds = [f"{made.found[kind]:.3f}" for kind in KINDS]
    shown.add_row(name, *kinds, f"{made.lost:.1%}", f"{made.crossed:.1%}", str(made.largest))


def of_log(rows: Sequence[dict[str, Any]], notes: list[str], name: str) -> Counter[str]:
    """What was removed from a log, and how many of the pairs differ in what must not."""
    by_id = {row["id"]: row for row in rows}
    distinct_rows = remove_duplicates([rated(row) for row in rows], THRESHOLD)
    counted: Counter[str] = Counter(removed=len(distinct_rows.removed))
    earlier = 0
    for one in distinct_rows.removed:
        gone, kept = by_id[one.interaction_id], by_id[one.kept_id]
        counted["verdict"] += gone["feedback"]["label"] != kept["feedback"]["label"]
        counted["number"] += digits(gone, 4) != digits(kept, 4)
        counted["action"] += action(gone) != action(kept)
        earlier += digits(gone, None) != digits(kept, None)
    notes.append(
        f"{name}: of {len(rows)} rows {len(distinct_rows.removed)} removed, {distinct_rows.exact} of them exact copies; "
        f"{distinct_rows.fallback} rows in no known language; {contrasts(rows)} contexts with a good and a bad answer, "
        f"{contrasts([by_id[one.interaction.id] for one in distinct_rows.kept])} among what stayed; "
        f"{earlier} removed pairs have other numbers further back in the dialogue than is compared"
    )
    return counted


def rated(row: dict[str, Any]) -> Rated:
    """A row of a log as an example that may be trained on."""
    interaction = Interaction(
        id=row["id"],
        task=row["task"],
        started_at=datetime.fromisoformat(row["started_at"]),
        messages=tuple(Message(**message) for message in row["messages"]),
        response=Message(**row["response"]),
    )
    return Rated(interaction, Message(**row["response"]), float(row["feedback"]["score"]), "human")


def digits(row: dict[str, Any], last: int | None) -> list[list[str]]:
    """The numbers of the last messages, of each in its order, and those of the answer."""
    messages = [message for message in row["messages"] if message["role"] not in ("system", "developer")]
    texts = [said(message) for message in [*messages[-last if last else None :], row["response"]]]
    return [re.findall(r"\d+", text) for text in texts]


def said(message: dict[str, Any]) -> str:
    """A message's words and calls."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return json.dumps(calls, ensure_ascii=False) if calls else str(message.get("content"))


def action(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """The calls of an answer; case and the form of an apostrophe make no other call."""
    calls = [call["function"] for call in row["response"].get("tool_calls") or ()]
    read = [(call["name"], json.dumps(json.loads(call["arguments"]), sort_keys=True, ensure_ascii=False)) for call in calls]
    return [(name, arguments.casefold().replace("\u2019", "'")) for name, arguments in read]


def contrasts(rows: Sequence[dict[str, Any]]) -> int:
    """How many contexts have both a good and a bad answer."""
    labels: dict[str, set[str]] = {}
    for one in rows:
        labels.setdefault(json.dumps([said(message) for message in one["messages"]]), set()).add(one["feedback"]["label"])
    return sum(len(seen) > 1 for seen in labels.values())
