"""Ridge regression on measured features and embeddings, in closed form, with everything chosen by leaving whole groups out.

The measured features come in twice: as they are, and through random Fourier features of a Gaussian kernel (Rahimi and Recht
2007), which let two of them count together. What is kept of the training data are weights, never a row of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

FREQUENCIES = 192
LENGTH = 0.8
"""Length scale of the kernel, for features of unit spread, in units of the root of their number."""
CLIP = 4.0
"""Standard deviations from the mean that a measured feature is taken for at most: one odd text is no lever."""
INTERCEPT = 10.0
"""Size of the constant feature, beside rows of length about one: so large that the penalty does not feel it."""
PENALTIES = tuple(float(penalty) for penalty in np.geomspace(0.03, 100.0, 8))


@dataclass(frozen=True)
class Inputs:
    """What is known of some answers: a row each."""

    measured: Values
    question: Values
    """Embedding of what was asked."""
    answer: Values
    """Embedding of the answer."""

    def __len__(self) -> int:
        return len(self.measured)

    def at(self, rows: NDArray[np.intp]) -> "Inputs":
        """Some of the rows."""
        return Inputs(self.measured[rows], self.question[rows], self.answer[rows])


@dataclass(frozen=True)
class Design:
    """How rows become features of one scale: means, spreads and frequencies of the training rows."""

    kind: str
    """`measured`, `answers` for the answer's embedding besides, `products` for its products with the question's."""
    mean: Values
    spread: Values
    frequencies: Values
    phases: Values
    embedding_mean: Values
    embedding_scale: float

    @classmethod
    def of(cls, inputs: Inputs, kind: str, seed: int) -> "Design":
        """The design that fits these rows."""
        rng = np.random.default_rng(seed)
        width = inputs.measured.shape[1]
        spread = inputs.measured.std(0)
        embedded = _embedded(inputs, kind)
        mean = embedded.mean(0)
        scale = float(np.sqrt(((embedded - mean) ** 2).sum(1).mean())) if embedded.size else 0.0
        return cls(
            kind=kind,
            mean=inputs.measured.mean(0),
            # A feature that never varied says nothing, and nothing is made of it when it varies for the first time.
            spread=np.where(spread > 1e-9, spread, np.inf),
            frequencies=rng.normal(0.0, 1 / (LENGTH * np.sqrt(width)), (width, FREQUENCIES)),
            phases=rng.uniform(0.0, 2 * np.pi, FREQUENCIES),
            embedding_mean=mean,
            embedding_scale=scale or 1.0,
        )

    def features(self, inputs: Inputs) -> Values:
        """A row for each answer; the last feature is the constant one."""
        plain = np.clip((inputs.measured - self.mean) / self.spread, -CLIP, CLIP)
        waves = np.sqrt(2 / FREQUENCIES) * np.cos(plain @ self.frequencies + self.phases)
        embedded = (_embedded(inputs, self.kind) - self.embedding_mean) / self.embedding_scale
        blocks = (plain / np.sqrt(2 * plain.shape[1]), waves, embedded / np.sqrt(2))
        return np.hstack([*blocks, np.full((len(inputs), 1), np.sqrt(INTERCEPT))])


DESIGN_ARRAYS = ("mean", "spread", "frequencies", "phases", "embedding_mean")
RIDGE_ARRAYS = ("weights", "directions", "shrinkage")
KINDS = ("measured", "answers", "products")


@dataclass(frozen=True)
class Ridge:
    """A fitted regression."""

    design: Design
    penalty: float
    weights: Values
    directions: Values
    """Orthonormal directions in which training rows lay, as columns."""
    shrinkage: Values
    """Of each direction, how far the data outweighed the penalty: 0 not at all, 1 wholly."""

    def kept(self) -> "Ridge":
        """The same in single precision, as it is written to a file, so that what is loaded predicts what was fitted."""
        design = replace(
            self.design,
            **{
                name: _single(getattr(self.design, name))
                for name in ("mean", "spread", "frequencies", "phases", "embedding_mean")
            },
            embedding_scale=float(np.float32(self.design.embedding_scale)),
        )
        numbers = {name: _single(getattr(self, name)) for name in RIDGE_ARRAYS}
        return replace(self, design=design, **numbers)

    def predict(self, inputs: Inputs) -> Values:
        """The expected score of each answer, not bounded by any scale."""
        return self.design.features(inputs) @ self.weights

    def novelty(self, inputs: Inputs) -> Values:
        """The posterior variance of the prediction in units of the noise: near 0 where there is much like it."""
        rows = self.design.features(inputs)
        known = ((rows @ self.directions) ** 2) @ self.shrinkage
        return np.maximum(0.0, ((rows**2).sum(1) - known) / self.penalty)


def fit(inputs: Inputs, scores: Values, groups: Sequence[str], *, seed: int) -> Ridge:
    """The regression whose predictions of left-out groups are best, over the designs and the penalties.

    Args:
        inputs: what is known of the answers.
        scores: what people said.
        groups: which answers belong together.
        seed: of the frequencies.
    """
    members = [np.flatnonzero(group) for group in _one_hot(groups)]
    best: Ridge | None = None
    least = np.inf
    for kind in KINDS:
        design = Design.of(inputs, kind, seed)
        rows = design.features(inputs)
        directions, sizes = _directions(rows)
        left = (rows @ directions) / np.sqrt(sizes)
        for penalty in PENALTIES:
            shrinkage = sizes / (sizes + penalty)
            left_out = _left_out(left, shrinkage, scores, members)
            error = float(np.mean((scores - left_out) ** 2))
            if error < least:
                weights = directions @ ((left.T @ scores) * np.sqrt(sizes) / (sizes + penalty))
                least, best = error, Ridge(design, penalty, weights, directions, shrinkage)
    assert best is not None  # noqa: S101 - there are kinds and penalties
    return best


def out_of_fold(inputs: Inputs, scores: Values, groups: Sequence[str], *, seed: int, folds: int = 5) -> tuple[Values, Values]:
    """What a fit to the other folds predicts of each answer, and its novelty there; designs and penalties are chosen in each.

    Whole groups make the folds, the largest dealt out first.
    """
    fold = _folds(groups, folds, seed)
    predicted, novelty = np.zeros(len(scores)), np.zeros(len(scores))
    for number in range(folds):
        held, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if not len(held) or not len(rest):
            continue
        fitted = fit(inputs.at(rest), scores[rest], [groups[row] for row in rest.tolist()], seed=seed)
        predicted[held], novelty[held] = fitted.predict(inputs.at(held)), fitted.novelty(inputs.at(held))
    return predicted, novelty


def _single(values: Values) -> Values:
    return values.astype(np.float32).astype(np.float64)


def _embedded(inputs: Inputs, kind: str) -> Values:
    if kind == "answers":
        return inputs.answer
    return inputs.question * inputs.answer if kind == "products" else np.zeros((len(inputs), 0))


def _directions(rows: Values) -> tuple[Values, Values]:
    """The right singular vectors of the rows, as columns, with the squares of their singular values."""
    count, width = rows.shape
    if width <= count:
        sizes, directions = np.linalg.eigh(rows.T @ rows)
        kept = sizes > 1e-9 * sizes[-1]
        return directions[:, kept], sizes[kept]
    sizes, left = np.linalg.eigh(rows @ rows.T)
    kept = sizes > 1e-9 * sizes[-1]
    return (rows.T @ left[:, kept]) / np.sqrt(sizes[kept]), sizes[kept]


def _left_out(left: Values, shrinkage: Values, scores: Values, members: Sequence[NDArray[np.intp]]) -> Values:
    """Predictions of each group by the fit without it, from the one fit: r_G = (I - H_GG)^-1 (y - Hy)_G."""
    residual = scores - left @ (shrinkage * (left.T @ scores))
    found = np.empty_like(scores)
    for rows in members:
        hat = (left[rows] * shrinkage) @ left[rows].T
        found[rows] = scores[rows] - np.linalg.solve(np.eye(len(rows)) - hat, residual[rows])
    return found


def _one_hot(groups: Sequence[str]) -> NDArray[np.bool_]:
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.arange(len(names))[:, None] == group


def _folds(groups: Sequence[str], folds: int, seed: int) -> NDArray[np.intp]:
    names, group, counts = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    filled = np.zeros(folds)
    fold = np.zeros(len(names), dtype=np.intp)
    for name in shuffled[np.argsort(-counts[shuffled], kind="stable")].tolist():
        emptiest = int(filled.argmin())
        fold[name] = emptiest
        filled[emptiest] += counts[name]
    return fold[group]
