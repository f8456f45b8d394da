"""What finding candidates costs: our MinHash and datasketch's on the same texts cut in the same way, one after the other.

Each runs in a process of its own, so that its CPU time and its peak of memory are its own. Then ours alone on 100,000 texts and
on a million, made of pieces of real ones, to see how time and memory grow.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.claims import Entry, Result, Setting, table
from benchmarks.curation.edits import plant
from benchmarks.curation.queries import bank_queries, log_rows
from continuum.similarity.normalise import canonical

PEER = Path(".venv-peers/bin/python")
SHORT, SHORT_QUICK = 10_000, 1500
LONG, LONG_QUICK = 4000, 500
EACH, EACH_QUICK = 100, 20
SIZES = (100_000, 1_000_000)
EDITED_ONE_IN = 10
PIECE = 6
LONG_WORDS = 25
CHEAPER = 0.2
GROWTH = 30
"""Ten times the texts may cost so many times as much; comparing each with each would cost a hundred times."""
RECALL_SHORT, RECALL_LONG = 0.79, 0.99


@dataclass(frozen=True)
class Texts:
    """Canonical texts, and which of them are an edited copy of which."""

    texts: list[str]
    planted: list[tuple[int, int]]


def measure(setting: Setting) -> Result:
    """CPU and recall beside datasketch, then growth."""
    shown = table("MinHash: pairs of Jaccard 0.7 and more", "texts", "count", "CPU s", "µs a text", "found", "peak MB")
    entries: list[Entry] = []
    notes: list[str] = []
    short, long = short_texts(setting), long_texts(setting)
    sets = (("short", short, RECALL_SHORT), (f"{LONG_WORDS}+ words", long, RECALL_LONG))
    for name, made, goal in sets:
        setting.say(f"MinHash of {len(made.texts)} texts, {name}")
        ours = run(setting, "sketching", sys.executable, made.texts)
        line(shown, f"ours, {name}", made, ours)
        peer = run(setting, "sketching_peer", str(PEER), made.texts) if PEER.exists() else None
        if peer is not None:
            line(shown, f"datasketch, {name}", made, peer)
        entries.append(
            Entry.of_ratio(f"MinHash, {name}: CPU s against datasketch", ours["cpu_s"], peer and peer["cpu_s"], CHEAPER)
        )
        entries.append(
            Entry.of_value(f"MinHash, {name}: edited copies found", recall(made, ours), ">=", goal, peer and recall(made, peer))
        )
    if setting.quick:
        notes.append("100,000 and a million texts are left out of a quick run")
    else:
        entries += growth(setting, shown, notes, [*short.texts, *long.texts])
    return Result(entries, shown, notes)


def growth(setting: Setting, shown: Any, notes: list[str], pool: Sequence[str]) -> list[Entry]:
    """Time and memory of ours from 100,000 texts to a million."""
    found = []
    for size in SIZES:
        setting.say(f"MinHash of {size:,} texts")
        made = many_texts(pool, size, setting.seed)
        figures = run(setting, "sketching", sys.executable, made.texts)
        line(shown, "ours, pieces put together", made, figures)
        found.append(figures)
        notes.append(
            f"{size:,} texts of {sum(map(len, made.texts)) / size:.0f} characters: signatures {figures['signatures_s']:.1f} s, "
            f"{len(figures['pairs']):,} pairs, {figures['crowded']:,} texts with more look-alikes than were compared; "
            f"the texts alone take {figures['corpus_mb']:,.0f} MB"
        )
    return [
        Entry.of_value("MinHash: CPU s of a million texts over 100,000", found[1]["cpu_s"] / found[0]["cpu_s"], "<=", GROWTH),
        Entry.of_value("MinHash: peak GB at a million texts", found[1]["peak_mb"] / 1000, "<=", 2.4),
    ]


def short_texts(setting: Setting) -> Texts:
    """Queries to a bank with edited copies."""
    queries = bank_queries(setting).texts
    forms = list(dict.fromkeys(map(canonical, queries)))[: SHORT_QUICK if setting.quick else SHORT]
    return with_copies(forms, EACH_QUICK if setting.quick else EACH, setting.seed)


def long_texts(setting: Setting) -> Texts:
    """What was said in dialogues, one turn after the other until there are 25 words, with edited copies."""
    wanted = LONG_QUICK if setting.quick else LONG
    queries = list(dict.fromkeys(map(canonical, bank_queries(setting).texts)))
    said = [canonical(str(message["content"])) for row in log_rows(setting, "movie_tickets") for message in row["messages"][-2:]]
    said = [text for text in dict.fromkeys(said) if LONG_WORDS <= len(text.split()) <= 4 * LONG_WORDS]
    rng = random.Random(setting.seed)
    texts = {query: None for query in queries if len(query.split()) >= LONG_WORDS} | dict.fromkeys(said)
    while len(texts) < wanted:
        put_together: list[str] = []
        while sum(len(text.split()) for text in put_together) < LONG_WORDS:
            put_together.append(rng.choice(queries))
        texts[" ".join(put_together)] = None
    return with_copies(list(texts)[:wanted], (EACH_QUICK if setting.quick else EACH) // 2, setting.seed)


def with_copies(texts: list[str], each: int, seed: int) -> Texts:
    """Texts and edited copies of some of them."""
    copies = plant(texts, each, seed)
    planted = [(one.original, len(texts) + place) for place, one in enumerate(copies)]
    return Texts([*texts, *(canonical(one.text) for one in copies)], planted)


def many_texts(pool: Sequence[str], size: int, seed: int) -> Texts:
    """As many texts as wanted: three pieces of six words, each from another text; one in ten is a copy that lost a letter."""
    rng = random.Random(seed)
    words = [text.split() for text in pool]
    pieces = [" ".join(row[at : at + PIECE]) for row in words for at in range(0, len(row), PIECE)]
    fresh = size - size // EDITED_ONE_IN
    texts = [" ".join(rng.choices(pieces, k=3)) for _ in range(fresh)]
    planted = []
    for original in rng.sample(range(fresh), size - fresh):
        text = texts[original]
        place = rng.randrange(max(1, len(text) - 1))
        planted.append((original, len(texts)))
        texts.append(text[:place] + text[place + 1 :])
    return Texts(texts, planted)


def run(setting: Setting, program: str, python: str, texts: Sequence[str]) -> dict[str, Any]:
    """The figures of a program in a process of its own."""
    source, target = setting.folder / "texts.json", setting.folder / f"{program}.json"
    source.write_text(json.dumps(texts), "utf-8")
    file = Path(__file__).with_name(f"{program}.py")
    subprocess.run([python, str(file), str(source), str(target)], check=True, env=alone())
    return json.loads(target.read_text("utf-8"))


def alone() -> dict[str, str]:
    """An environment in which numpy keeps to one core, as datasketch does, and ours is found."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}


def recall(made: Texts, figures: dict[str, Any]) -> float:
    """The share of the edited copies that were paired with their original."""
    found = {tuple(sorted(pair)) for pair in figures["pairs"]}
    return sum(pair in found for pair in made.planted) / len(made.planted)


def line(shown: Any, name: str, made: Texts, figures: dict[str, Any]) -> None:
    """One line of the table."""
    count = len(made.texts)
    shown.add_row(
        name,
        f"{count:,}",
        f"{figures['cpu_s']:.2f}",
        f"{figures['cpu_s'] / count * 1e6:.0f}",
        f"{recall(made, figures):.3f}",
        f"{figures['peak_mb']:,.0f}",
    )
