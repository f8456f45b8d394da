"""How well a proxy learns people's taste, by the number of labels, on dialogues it has not seen; and what it refuses.

The dialogues to learn from and to test on are told apart by the project's own splits; that no conversation of one side begins
or continues one of the other is then checked by the messages alone.
"""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.claims import Entry, Result, Setting, rounded, table
from benchmarks.judging.verdicts import Verdict, dialogues_of, made_up, of_one_dialogue, recorded, rows_of
from continuum.embedding.embedder import Embedder, HashedEmbedder, open_embedder
from continuum.errors import ConfigurationError, MissingExtra, NotEnoughData
from continuum.judging.proxy import inputs_of, learn, train_proxy
from continuum.judging.proxy_features import measured
from continuum.judging.proxy_labels import Labelled
from continuum.judging.ridge import Inputs, fit
from continuum.splits.ratings import GOOD_SCORE
from continuum.statistics.ranking import Ranking, auroc, ranked_auroc

SIZES = (50, 100, 200, 400, 800, 1600)
TEST_SHARE = 0.4
LEVEL = 0.05
EMBEDDED_AT_ONCE = 500
RANKED_BY_LENGTH = ("text_length", "messages")
"""Single features that rank alone, the better way round: how long the answer is, and how long the conversation is."""


@dataclass
class Curve:
    """What came of one number of labels: a value for each seed."""

    found: list[Ranking] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    lengths: list[list[float]] = field(default_factory=list)
    """AUROC of each of `RANKED_BY_LENGTH`."""

    @property
    def auroc(self) -> float:
        """The mean over the seeds."""
        return fmean(one.value for one in self.found)

    @property
    def interval(self) -> tuple[float, float]:
        """The means of the interval's ends."""
        return fmean(one.low or 0.0 for one in self.found), fmean(one.high or 1.0 for one in self.found)


def measure(setting: Setting) -> Result:
    """Learn from more and more labels, then from shuffled ones."""
    sets = _sets(setting)
    name, verdicts = sets[0]
    shown = table(
        f"A proxy of people's taste ({name}, dialogues disjoint)",
        *("labels", "AUROC", "95% interval", "admits itself", "answer length alone", "conversation length alone"),
    )
    entries: list[Entry] = []
    notes: list[str] = []
    overlaps = 0
    for set_name, some in sets:
        for embedder_name in _embedders(setting, first=set_name == name):
            embedder = _opened(embedder_name)
            if embedder is None:
                notes.append(f"{embedder_name} is not installed: its rows are left out")
                continue
            begun = time.perf_counter()
            inputs = _inputs(setting, some, embedder, f"{set_name}, {embedder_name}")
            notes.append(f"{set_name}, {embedder_name}: {len(some)} verdicts read in {time.perf_counter() - begun:.0f} s")
            curves, common = _curves(setting, some, inputs, embedder, set_name)
            overlaps += common
            for size, curve in curves.items():
                low, high = curve.interval
                lengths = [fmean(one[n] for one in curve.lengths) for n in range(len(RANKED_BY_LENGTH))]
                label = f"{set_name} {embedder_name} {size}"
                admitted = f"{sum(curve.accepted)} of {len(curve.accepted)}"
                figures = (f"{curve.auroc:.3f}", f"{low:.3f} to {high:.3f}", admitted, *(f"{one:.3f}" for one in lengths))
                shown.add_row(label, *figures)
                if set_name == name:
                    claim = f"proxy ({embedder_name}), {size} labels of {name}: AUROC, 95% interval {low:.3f} to {high:.3f}"
                    ratio = rounded(curve.auroc / max(lengths))
                    goal = "interval above 0.5"
                    entries.append(Entry(claim, rounded(curve.auroc), rounded(max(lengths)), ratio, goal, low > 0.5))
    entries.append(Entry.of_value("tested conversations that one learned from begins or continues", float(overlaps), "==", 0))
    refused, rates = _refusals(setting, verdicts, notes)
    entries.append(Entry.of_value("refuses 49 labels", float(refused), "==", 1))
    entries += rates
    notes.append("the constant predictor has an AUROC of 0.5; the peer of each row is the better of the two lengths")
    notes.append("intervals: whole dialogues of the test side drawn again, 1,000 times a seed; the ends are means over the seeds")
    return Result(entries, shown, notes)


def _sets(setting: Setting) -> list[tuple[str, list[Verdict]]]:
    names = ("movie_tickets",) if setting.quick else ("movie_tickets", "coffee_orders")
    files = [setting.data / f"{name}.jsonl" for name in names] if setting.data else []
    found = [(file.stem, recorded(file)) for file in files if file.is_file()]
    return found or [("made_up", made_up(150 if setting.quick else 350, setting.seed))]


def _embedders(setting: Setting, *, first: bool) -> tuple[str, ...]:
    return ("hashed",) if setting.quick or not first else ("hashed", "minilm")


def _opened(name: str) -> Embedder | None:
    try:
        return open_embedder(name)
    except (ConfigurationError, MissingExtra):
        return None


def _inputs(setting: Setting, verdicts: Sequence[Verdict], embedder: Embedder, what: str) -> Inputs:
    rows = list(rows_of(verdicts))
    parts = []
    for start in range(0, len(rows), EMBEDDED_AT_ONCE):
        parts.append(inputs_of(rows[start : start + EMBEDDED_AT_ONCE], embedder))
        setting.say(f"{what}: {min(start + EMBEDDED_AT_ONCE, len(rows))} of {len(rows)} verdicts read")
    fields = ("measured", "question", "answer")
    return Inputs(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def _curves(
    setting: Setting, verdicts: Sequence[Verdict], inputs: Inputs, embedder: Embedder, name: str
) -> tuple[dict[int, Curve], int]:
    """The curve by number of labels, and how many tested conversations were not unseen."""
    scores = np.array([one.score for one in verdicts])
    groups = [one.group for one in verdicts]
    places = [list(measured([], rows[1])).index(one) for rows in [next(rows_of(verdicts))] for one in RANKED_BY_LENGTH]
    curves: dict[int, Curve] = {}
    overlaps = 0
    for seed in range(2 if setting.quick else 5):
        rng = random.Random(f"{setting.seed} {seed}")
        test, pool = dialogues_of(verdicts, TEST_SHARE, rng)
        overlaps += of_one_dialogue([verdicts[n] for n in pool], [verdicts[n] for n in test])
        tested, truth = np.array(test), scores[test] >= GOOD_SCORE
        for size in SIZES if not setting.quick else (50, 200, 800):
            if size > len(pool):
                break
            setting.say(f"{name}, {embedder.id}: {size} labels, seed {seed + 1}")
            rows = np.array(rng.sample(pool, size))
            taught = [groups[row] for row in rows.tolist()]
            ridge = fit(inputs.at(rows), scores[rows], taught, seed=seed)
            curve = curves.setdefault(size, Curve())
            told = [groups[row] for row in test]
            curve.found.append(ranked_auroc(ridge.predict(inputs.at(tested)), truth, told, seed=seed))
            curve.accepted.append(_admits(inputs.at(rows), scores[rows], taught, embedder, seed))
            curve.lengths.append([_either_way(inputs.measured[:, place], scores, rows, tested) for place in places])
    return curves, overlaps


def _admits(inputs: Inputs, scores: NDArray[np.float64], groups: Sequence[str], embedder: Embedder, seed: int) -> bool:
    try:
        learn(inputs, scores, groups, "benchmark", embedder=embedder, seed=seed)
    except (NotEnoughData, ValueError):
        return False
    return True


def _either_way(
    values: NDArray[np.float64], scores: NDArray[np.float64], learned: NDArray[np.intp], tested: NDArray[np.intp]
) -> float:
    """The AUROC of one feature on the tested, the way round that is right on the labels learned from."""
    backward = auroc(values[learned], scores[learned] >= GOOD_SCORE) < 0.5
    return auroc(-values[tested] if backward else values[tested], scores[tested] >= GOOD_SCORE)


def _refusals(setting: Setting, verdicts: Sequence[Verdict], notes: list[str]) -> tuple[bool, list[Entry]]:
    """Whether 49 labels are refused, and how often shuffled labels are not."""
    few = [Labelled(one.interaction.id, *row, one.score, one.group) for one, row in zip(verdicts, rows_of(verdicts), strict=True)]
    rng = random.Random(setting.seed)
    try:
        train_proxy(rng.sample(few, 49), "benchmark")
        refused = False
    except NotEnoughData as error:
        refused = error.available == 49
    embedder = HashedEmbedder()
    inputs = _inputs(setting, verdicts, embedder, "for shuffled labels")
    scores, groups = np.array([one.score for one in verdicts]), np.array([one.group for one in verdicts])
    rounds, sizes = (20, (60,)) if setting.quick else (100, (50, 100, 200))
    accepted = {"labels shuffled": 0, "dialogues' labels exchanged": 0}
    for size in sizes:
        for number in range(rounds):
            setting.say(f"shuffled labels: {size} of them, round {number + 1}")
            rows = np.array(rng.sample(range(len(verdicts)), size))
            for how in accepted:
                drawn = np.random.default_rng([setting.seed, size, number])
                given = (
                    scores[rows][drawn.permutation(size)] if how.startswith("labels") else _exchanged(drawn, rows, scores, groups)
                )
                accepted[how] += _admits(inputs.at(rows), given, groups[rows].tolist(), embedder, number)
    tries = rounds * len(sizes)
    allowed = LEVEL + 1.645 * math.sqrt(LEVEL * (1 - LEVEL) / tries)
    notes.append(f"a true rate of {LEVEL:g} shows as at most {allowed:.3f} in {tries} tries, nineteen times of twenty")
    claims = [
        Entry.of_value(f"wrongly accepted of {tries} sets, {how}", count / tries, "<=", round(allowed, 4))
        for how, count in accepted.items()
    ]
    return refused, claims


def _exchanged(
    rng: np.random.Generator, rows: NDArray[np.intp], scores: NDArray[np.float64], groups: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Labels that stay together as dialogues hold them together, and say nothing of the answers they are given to."""
    held = groups[rows]
    names = np.unique(held)
    sequence = np.concatenate([scores[rows][held == name] for name in rng.permutation(names)])
    sequence = np.roll(sequence, int(rng.integers(len(rows))))
    given, start = np.empty(len(rows)), 0
    for name in rng.permutation(names):
        count = int((held == name).sum())
        given[held == name] = sequence[start : start + count]
        start += count
    return given
