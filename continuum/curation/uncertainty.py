"""How unsure we are of a scored row: does the score surprise, and does the row lie where good answers and bad ones meet?

A ridge regression predicts each row's score from the embeddings of its question and of its answer. It is fitted without the
row's whole group, so that no row vouches for itself or for its own dialogue. Where the judge's score is far from what the judge
says of like rows, the judge is more often wrong than elsewhere; the spread of the neighbours' scores tells next to nothing.

A person's score is no guess that could be caught out: such a row surprises neither much nor little, it takes the middle rank,
so that selection neither prefers what a person has settled nor avoids it, and `settled` keeps it from being asked about again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from continuum.curation.quality import Rated
from continuum.curation.selection import ranks
from continuum.embedding.embedder import Embedder
from continuum.similarity.normalise import canonical, prompt_tail

FOLDS = 5
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""In rows, for features of unit mean square together."""
FEWEST_ROWS = 50
FEWEST_GROUPS = 10
FIT_ROWS = 20_000
"""A fit learns from so many rows at most; more would tell the weights no better than it costs."""
LEAST_GAIN = 0.01
"""Share of the variance of the scores that a model must predict of left-out groups to be asked at all."""
BLOCK = 4096
DECIMALS = 2
"""Predictions are rounded to hundredths of a point, so that no machine's arithmetic decides a rank."""
NEUTRAL = 0.5


@dataclass(frozen=True)
class Scored:
    """All scored rows, good and bad, in an order that does not depend on how they were read."""

    question: np.ndarray
    """Embeddings of the ends of the prompts, shape (rows, dimensions)."""
    answer: np.ndarray
    """Embeddings of the answers, shape (rows, dimensions)."""
    scores: np.ndarray
    """1 to 5, shape (rows,)."""
    groups: Sequence[str]
    """Rows of one group are left out together."""
    settled: np.ndarray
    """Whether a person gave the score, shape (rows,)."""

    @classmethod
    def of(cls, rated: Sequence[Rated], groups: Mapping[str, str], embedder: Embedder) -> "Scored":
        """The rows of rated interactions.

        Args:
            rated: everything with a score, by interaction id.
            groups: interaction id to group.
            embedder: of questions and answers.
        """
        return cls(
            question=embedder.embed([prompt_tail(one.interaction.messages) for one in rated]),
            answer=embedder.embed([canonical(one.response.action) for one in rated]),
            scores=np.array([one.score for one in rated], dtype=np.float64),
            groups=[groups[one.interaction.id] for one in rated],
            settled=np.array([one.score_source != "judge" for one in rated], dtype=bool),
        )


@dataclass(frozen=True)
class Predicted:
    """The score that was to be expected of each row, from the rows of other groups."""

    scores: np.ndarray | None
    """1 to 5, in hundredths, shape (rows,); None where nothing better than the mean can be expected."""
    explained: float
    """Share of the variance of the scores that was predicted of left-out groups; 0 where nothing was."""
    because: str
    """Which model, or why there is none."""


@dataclass(frozen=True)
class Uncertainty:
    """How unsure we are of some rows, and why."""

    value: np.ndarray
    """0 to 1, the mean of the two ranks below; 0.5 for all where scores cannot be predicted."""
    surprise: np.ndarray
    """Distance of the score from the predicted one in points; not a number for a person's score or without a prediction."""
    predicted: np.ndarray
    """1 to 5; not a number without a prediction."""
    settled: np.ndarray
    """Rows whose score is a person's: there is no judge's error to find."""
    evidence: dict[str, Any]
    """For the manifest."""


def uncertainty_of(scored: Scored, rows: np.ndarray, min_score: float, seed: int = 0) -> Uncertainty:
    """The mean of two ranks among the rows asked about: of |score - predicted|, and of the closeness of predicted to a threshold.

    Args:
        scored: all scored rows; the prediction learns from good and bad.
        rows: positions of the rows asked about, the eligible ones.
        min_score: the boundary between examples and others, 1 to 5.
        seed: of the folds.
    """
    expected = predict_scores(scored, seed)
    settled = scored.settled[rows]
    evidence = {
        "predicted_by": expected.because,
        "explained_variance": expected.explained,
        "rows": len(scored.scores),
        "by_people": int(scored.settled.sum()),
    }
    if expected.scores is None:
        unknown = np.full(len(rows), np.nan)
        return Uncertainty(np.full(len(rows), NEUTRAL), unknown, unknown, settled, evidence)
    predicted = expected.scores[rows]
    surprise = np.where(settled, np.nan, np.abs(scored.scores[rows] - predicted))
    surprising = np.full(len(rows), NEUTRAL)
    surprising[~settled] = ranks(surprise[~settled])
    value = (surprising + ranks(-np.abs(predicted - min_score))) / 2
    return Uncertainty(value, surprise, predicted, settled, evidence)


def predict_scores(scored: Scored, seed: int = 0) -> Predicted:
    """What a ridge regression on the other folds expects of each row; whole groups make the folds.

    Groups fall into folds by a hash, so a row's fold does not depend on what else there is. The penalty is the one of a few
    whose predictions of left-out folds are best.
    """
    scores = scored.scores.astype(np.float64)
    groups = len(set(scored.groups))
    if len(scores) < FEWEST_ROWS or groups < FEWEST_GROUPS:
        found = f"{len(scores)} scored rows in {groups} groups"
        return Predicted(None, 0.0, f"no prediction: {found}, {FEWEST_ROWS} in {FEWEST_GROUPS} are needed")
    learned = _learned(scored.groups, seed)
    # What is not learned from decides nothing else either, so that it need not be there.
    variance = float(scores[learned].var())
    if variance < 1e-9:
        return Predicted(None, 0.0, "no prediction: all scores are equal")
    fold = np.array([_fold(group, seed) for group in scored.groups])
    blocks = [np.flatnonzero(learned & (fold == number)) for number in range(FOLDS)]
    parts = [_moments(scored, scores, block) for block in blocks]
    whole = sum((part[0] for part in parts), start=np.zeros_like(parts[0][0]))
    target = sum((part[1] for part in parts), start=np.zeros_like(parts[0][1]))
    predicted = np.zeros((len(PENALTIES), len(scores)))
    for number, (gram, moment) in enumerate(parts):
        weights = np.stack([_solve(whole - gram, target - moment, penalty) for penalty in PENALTIES], axis=1)
        held = np.flatnonzero(fold == number)
        for begin in range(0, len(held), BLOCK):
            some = held[begin : begin + BLOCK]
            predicted[:, some] = (_features(scored, some) @ weights).T
    errors = ((predicted - scores) ** 2)[:, learned].mean(axis=1)
    best = int(np.argmin(np.round(errors, 6)))
    explained = round(1 - float(errors[best]) / variance, 4)
    if explained < LEAST_GAIN:
        return Predicted(None, max(0.0, explained), "no prediction: question and answer tell nothing of the score")
    because = f"ridge on question and answer, penalty {PENALTIES[best]:g}, {FOLDS} folds of whole groups"
    return Predicted(np.round(np.clip(predicted[best], 1, 5), DECIMALS), explained, because)


def needed(groups: Sequence[str], rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Which of all scored rows must be embedded to predict some: those rows, and what a fit learns from; sorted positions.

    What is left out changes no prediction: a fit would not have learned from it.
    """
    return np.union1d(rows, np.flatnonzero(_learned(groups, seed)))


def _fold(group: str, seed: int) -> int:
    return _hashed(group, seed) % FOLDS


def _learned(groups: Sequence[str], seed: int) -> np.ndarray:
    """Which rows a fit learns from: all, or where they are very many, those whose groups have the lowest hashes."""
    if len(groups) <= FIT_ROWS:
        return np.ones(len(groups), dtype=bool)
    order = np.array([_hashed(group, seed) // FOLDS for group in groups], dtype=np.uint64)
    return order <= np.partition(order, FIT_ROWS)[FIT_ROWS]


def _hashed(group: str, seed: int) -> int:
    return int.from_bytes(sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _features(scored: Scored, rows: np.ndarray) -> np.ndarray:
    """Question, answer, and the constant one, in double precision: shape (rows, 2 * dimensions + 1)."""
    question, answer = scored.question[rows].astype(np.float64), scored.answer[rows].astype(np.float64)
    return np.hstack([question, answer, np.ones((len(rows), 1))])


def _moments(scored: Scored, scores: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    width = scored.question.shape[1] + scored.answer.shape[1] + 1
    gram, moment = np.zeros((width, width)), np.zeros(width)
    for begin in range(0, len(rows), BLOCK):
        some = rows[begin : begin + BLOCK]
        features = _features(scored, some)
        gram += features.T @ features
        moment += features.T @ scores[some]
    return gram, moment


def _solve(gram: np.ndarray, moment: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of a ridge regression whose constant is not held back."""
    held_back = np.full(len(gram), penalty)
    held_back[-1] = 1e-6
    return np.linalg.solve(gram + np.diag(held_back), moment)
