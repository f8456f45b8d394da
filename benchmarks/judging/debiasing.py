"""What a biased judge's scores are worth with few labels: how often intervals cover the truth, and how often alarms are right.

People's scores are made up, or with `--data` are the human verdicts of real conversations; the judges are made up throughout:
one whose scores correlate with people's by 0.8 and lie 0.4 above them, and others that are worse or better.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from benchmarks.claims import Entry, Result, Setting, table
from continuum.annotation import anchors, watch
from continuum.statistics.drift import mean_shift
from continuum.statistics.power import POWER
from continuum.statistics.prediction_powered import MeanInterval, PredictionPowered, ppi_mean
from continuum.statistics.rises import rise_of, shortfall_of

Values = NDArray[np.float64]

COVERED = 0.93
POPULATION = 2000
CORRELATION, BIAS = 0.8, 0.4
FALSE_ALARMS = 0.01


@dataclass(frozen=True)
class World:
    """Answers, each with people's score; a trial draws a judge and labels."""

    name: str
    people: Values | None
    """None for new ones in each trial."""
    groups: Sequence[str] | None = None

    def scores(self, rng: np.random.Generator) -> Values:
        """People's scores of this trial."""
        if self.people is not None:
            return self.people
        return np.clip(np.round(rng.normal(3.2, 1.0, POPULATION)), 1, 5)


@dataclass
class Covered:
    """How often each way's interval held the truth."""

    trials: int = 0
    powered: int = 0
    labels_only: int = 0
    judge_only: int = 0
    half_widths: list[float] = field(default_factory=list)
    half_widths_alone: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    correlations: list[float] = field(default_factory=list)
    biases: list[float] = field(default_factory=list)

    def add(self, found: PredictionPowered, truth: float) -> None:
        """One trial."""
        self.trials += 1
        self.powered += found.low <= truth <= found.high
        self.labels_only += holds(found.labels_only, truth)
        self.judge_only += holds(found.judge_only, truth)
        self.half_widths.append((found.high - found.low) / 2)
        self.half_widths_alone.append(found.labels_only.half_width)
        self.gains.append(found.label_gain)

    def cells(self, name: str, labels: int) -> list[str]:
        """A row of the table."""
        shares = (f"{count / self.trials:.3f}" for count in (self.powered, self.labels_only, self.judge_only))
        widths = (f"{fmean(widths):.3f}" for widths in (self.half_widths, self.half_widths_alone))
        judge = f"r {fmean(self.correlations):.2f}, {fmean(self.biases):+.2f}"
        return [name, judge, str(labels), *shares, *widths, f"{median(self.gains):.2f}"]


COLUMNS = ("people's scores", "judge", "labels", "PPI++", "labels only", "judge only", "half-width", "labels only's", "gain")


def holds(interval: MeanInterval, truth: float) -> bool:
    """Whether an interval covers the truth."""
    return interval.low <= truth <= interval.high


def measure(setting: Setting) -> Result:
    """Coverage with made-up and, where they are given, real scores; then the alarms."""
    trials = 300 if setting.quick else 4000
    shown = table("Intervals of 95% that hold the mean of people's scores", *COLUMNS)
    worlds = [World("made up", None), *real(setting.data)]
    entries, notes = [], []
    for world in worlds:
        for labels in (30, 100):
            setting.say(f"debiasing: {world.name}, {labels} labels")
            found = covered(world, labels, CORRELATION, BIAS, trials, setting.seed)
            shown.add_row(*found.cells(world.name, labels))
            claim = f"PPI++ coverage, judge r {CORRELATION:g} and +{BIAS:g}, {labels} labels, {world.name} scores"
            entries.append(Entry.of_value(claim, found.powered / trials, ">=", COVERED, found.judge_only / trials))
    for correlation, bias in ((0.6, 0.0), (0.0, 0.4)):
        shown.add_row(*covered(worlds[0], 100, correlation, bias, trials, setting.seed).cells("made up", 100))
    weighted, plain = rate_changes(trials, setting.seed)
    claim = "PPI++ coverage where the audit rate was raised tenfold as quality rose, recorded probabilities"
    entries.append(Entry.of_value(claim, weighted, ">=", COVERED, plain))
    setting.say("debiasing: alarms")
    entries += alarms(trials, setting.seed)
    notes.append("The peer of coverage is the judge's own mean; of the changed rate, labels counted as if drawn alike.")
    notes.append("An alarm may be false in 1% of the rounds, and two standard errors of the trials more.")
    notes.append(f"{trials:,} trials each. Judges are made up; for real scores their noise is drawn anew in each trial.")
    return Result(entries, shown, notes)


def covered(world: World, labels: int, correlation: float, bias: float, trials: int, seed: int) -> Covered:
    """Draw a judge and labels so many times."""
    rng, counted = np.random.default_rng(seed), Covered()
    for _ in range(trials):
        people = world.scores(rng)
        judge = a_judge(rng, people, correlation, bias)
        counted.correlations.append(float(np.corrcoef(judge, people)[0, 1]))
        counted.biases.append(float((judge - people).mean()))
        asked = np.full(len(people), np.nan)
        chosen = rng.choice(len(people), labels, replace=False)
        asked[chosen] = people[chosen]
        counted.add(ppi_mean(judge.tolist(), as_labels(asked), groups=world.groups), float(people.mean()))
    return counted


def a_judge(rng: np.random.Generator, people: Values, correlation: float, bias: float) -> Values:
    """Scores that correlate with people's and lie above them; not held to the scale, so that the bias is what it is."""
    centred = people - people.mean()
    noise = rng.normal(0, centred.std(), len(people))
    return people.mean() + bias + 0.8 * (correlation * centred + np.sqrt(1 - correlation**2) * noise)


def as_labels(asked: Values) -> list[float | None]:
    """NaN as None."""
    return [None if np.isnan(score) else float(score) for score in asked]


def rate_changes(trials: int, seed: int) -> tuple[float, float]:
    """Coverage with the recorded probabilities and without, where the rate went from 2% to 20% as answers became better."""
    rng, weighted, plain = np.random.default_rng(seed), 0, 0
    late = np.arange(POPULATION) >= POPULATION // 2
    rates = np.where(late, 0.2, 0.02)
    for _ in range(trials):
        people = np.clip(np.round(rng.normal(3.0, 1.0, POPULATION) + 0.8 * late), 1, 5)
        judge = a_judge(rng, people, CORRELATION, BIAS)
        asked = np.where(rng.random(POPULATION) < rates, people, np.nan)
        truth, labels = float(people.mean()), as_labels(asked)
        found = ppi_mean(judge.tolist(), labels, probabilities=rates.tolist())
        alike = ppi_mean(judge.tolist(), labels)
        weighted += found.low <= truth <= found.high
        plain += alike.low <= truth <= alike.high
    return weighted / trials, plain / trials


def real(data: Path | None) -> Iterator[World]:
    """The human verdicts of each file, with their conversations."""
    for file in sorted(data.glob("*.jsonl")) if data else ():
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        scored = [row for row in rows if isinstance((row.get("feedback") or {}).get("score"), int | float)]
        if len(scored) >= 500:
            scores = np.array([row["feedback"]["score"] for row in scored], dtype=float)
            yield World(file.stem, scores, [row.get("conversation_id") or row["id"] for row in scored])


# --- alarms ---


def alarms(trials: int, seed: int) -> list[Entry]:
    """How often the watch and the anchors raise an alarm when they should, and when they should not."""
    # A test at its level errs that often, and so many trials cannot tell it from a little more.
    most = round(FALSE_ALARMS + 2 * math.sqrt(FALSE_ALARMS * (1 - FALSE_ALARMS) / trials), 4)
    honest = max(gamed_share(trials, seed, better=better) for better in (0.0, 0.3, 0.6, 1.0))
    compressed = max(gamed_share(trials, seed, better=better, scale=0.5) for better in (0.3, 0.6, 1.0))
    return [
        Entry.of_value(
            "Goodhart watch, false alarms while answers become better by 0 to 1, highest", max(honest, compressed), "<=", most
        ),
        Entry.of_value(
            "Goodhart watch, gamed judges found: length adds 0.6, quality falls by 0.2, 150 audit labels a side",
            gamed_share(trials, seed, better=-0.2, longer=0.6),
            ">=",
            POWER,
        ),
        Entry.of_value("anchors, 60: false alarms a round", drift_share(trials, seed, 0.0), "<=", most),
        Entry.of_value("anchors, 60: a drift of 0.3 found in one round", drift_share(trials, seed, 0.3), ">=", POWER),
    ]


def gamed_share(trials: int, seed: int, *, better: float = 0.0, longer: float = 0.0, scale: float = 1.0) -> float:
    """Share of the worlds in which the watch calls the judge gamed."""
    rng = np.random.default_rng(seed)
    return fmean(is_gamed(rng, better, longer, scale) for _ in range(trials))


def is_gamed(rng: np.random.Generator, better: float, longer: float, scale: float) -> bool:
    """One world: 1,500 conversations before and after, 150 of each labelled by people, who may be sparing with points."""

    def side(better: float, longer: float) -> tuple[Values, Values]:
        quality = rng.normal(3.3 + better, 0.9, 1500)
        judge = np.clip(quality + rng.normal(longer, 0.5, 1500), 1, 5)
        people = np.clip(np.round(3 + scale * (quality[:150] - 3) + rng.normal(0, 0.5, 150)), 1, 5)
        return judge, people

    (judged, said), (judged_after, said_after) = side(0.0, 0.0), side(better, longer)
    risen = rise_of(judged, judged_after, alpha=watch.ALPHA)
    before, after = (judged[:150].tolist(), said.tolist()), (judged_after[:150].tolist(), said_after.tolist())
    return watch.is_missing(risen, shortfall_of(before, after, alpha=watch.ALPHA), watch.ALPHA)


def drift_share(trials: int, seed: int, added: float) -> float:
    """Share of the rounds in which sixty anchors show a drift; a judge that is asked again differs by 0.4 from itself."""
    rng, groups = np.random.default_rng(seed), [str(n) for n in range(60)]

    def alarm() -> bool:
        quality = rng.normal(3.3, 0.9, 60)
        before, after = (np.clip(quality + rng.normal(more, 0.4, 60), 1, 5).tolist() for more in (0.0, added))
        shift = mean_shift(before, after, groups, alpha=anchors.ALPHA)
        return shift.p < anchors.ALPHA and abs(shift.shift) > anchors.SHIFT

    return share(trials, alarm)


def share(trials: int, event: Callable[[], bool]) -> float:
    """How often an event happens."""
    return fmean(event() for _ in range(trials))
