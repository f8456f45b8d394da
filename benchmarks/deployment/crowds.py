"""Conversations whose scores are known in distribution, and trials made of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

POOL = 100_000
"""Conversations that a crowd is drawn from."""
GRADES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True)
class Crowd:
    """Where conversations come from."""

    name: str
    scores: Values
    """Of the stable model's conversations, 0 to 1; drawn with replacement."""
    loss: float = 1.0
    """What a conversation loses that went worse: a grade of a five-point judge, or all."""

    @property
    def mean(self) -> float:
        """Of the stable model."""
        return float(self.scores.mean())

    def worse(self, rng: np.random.Generator, shape: tuple[int, ...], drop: float) -> Values:
        """Scores of a candidate whose mean is lower by `drop`: each conversation goes worse with the same chance."""
        drawn = self.scores[rng.integers(len(self.scores), size=shape)]
        if not drop:
            return drawn
        chance = drop / float(np.minimum(self.scores, self.loss).mean())
        if chance > 1:
            raise ValueError(f"{self.name}: a mean of {self.mean:.2f} cannot fall by {drop}")
        return np.where(rng.random(shape) < chance, np.maximum(drawn - self.loss, 0.0), drawn)


def passing(name: str, mean: float) -> Crowd:
    """Conversations that pass or fail."""
    scores = np.ones(POOL)
    scores[: round(POOL * (1 - mean))] = 0.0
    return Crowd(name, scores)


def graded(name: str, shares: tuple[float, ...], *, grades_lost: int = 1) -> Crowd:
    """Conversations with a grade from 1 to 5, brought to 0 to 1."""
    return Crowd(name, np.repeat(GRADES, np.round(np.array(shares) * POOL).astype(int)), loss=0.25 * grades_lost)


def of_turns(name: str, mean: float) -> Crowd:
    """Mean scores of conversations of one to ten turns that pass or fail, alike within a conversation (ICC 0.5)."""
    rng = np.random.default_rng(20)
    chance = rng.beta(mean, 1 - mean, POOL)  # a beta of total 1 has an intraclass correlation of 1 / (1 + 1)
    turns = rng.integers(1, 11, POOL)
    return Crowd(name, rng.binomial(turns, chance) / turns)


def of_files(folder: Path) -> Crowd:
    """Real scores: the numbers named `score` in a folder's JSONL files, from 0 to 1 or from 1 to 5."""
    lines = (line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines() if line)
    scores = [float(row["score"]) for row in map(json.loads, lines) if isinstance(row, dict) and "score" in row]
    if len(scores) < 100:
        raise ValueError(f"{folder} holds {len(scores)} rows with a `score`; 100 are needed to draw trials from")
    values = np.array(scores)
    return Crowd("real scores", values if values.max() <= 1 else (values - 1) / 4, loss=0.25)


JUDGED = graded("judge's grades, sd .27", (0.04, 0.06, 0.15, 0.35, 0.40))
PASSING = passing("pass or fail at .90", 0.90)
RARE = Crowd(
    "rare failures", np.repeat([0.0, 0.9, 0.95, 1.0], [POOL * 3 // 100, POOL * 30 // 100, POOL * 37 // 100, POOL * 3 // 10])
)
NEARLY = passing("pass or fail at .99", 0.99)
NEVER = passing("never fails", 1.0)
TURNS = of_turns("conversations of 1-10 turns", 0.90)
CROWDS = (JUDGED, PASSING, NEARLY, NEVER, RARE, TURNS)


@dataclass(frozen=True)
class Looks:
    """What has been seen of one arm at each look of each trial."""

    n: NDArray[np.int64]
    """Conversations, by look."""
    mean: Values
    """By trial and look."""
    squares: Values
    """Sum of squared distances from the mean, by trial and look."""

    @property
    def variance(self) -> Values:
        """As estimated from a sample."""
        return self.squares / np.maximum(1, self.n - 1)


@dataclass(frozen=True)
class Split:
    """How many judged conversations each look adds to the arms."""

    name: str
    candidate: int
    stable: int


def trials(crowd: Crowd, split: Split, drop: float, *, count: int, looks: int, seed: int) -> Iterator[tuple[Looks, Looks]]:
    """Trials in blocks that fit memory: the candidate's and the stable arm's looks."""
    rng = np.random.default_rng([seed, round(drop * 1000), split.candidate, split.stable, *crowd.name.encode()])
    block = max(1, min(count, 10_000_000 // (looks * (split.candidate + split.stable))))
    for start in range(0, count, block):
        size = min(block, count - start)
        candidate = crowd.worse(rng, (size, looks, split.candidate), drop)
        stable = crowd.worse(rng, (size, looks, split.stable), 0.0)
        yield looked(candidate), looked(stable)


def looked(scores: Values) -> Looks:
    """Sum up scores, by trial, look and conversation, over the looks."""
    n = scores.shape[2] * np.arange(1, scores.shape[1] + 1)
    mean = scores.sum(axis=2).cumsum(axis=1) / n
    squares = (scores**2).sum(axis=2).cumsum(axis=1) - n * mean**2
    return Looks(n, mean, np.maximum(squares, 0.0))
