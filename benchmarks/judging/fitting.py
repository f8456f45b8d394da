"""Fits the weights by which `continuum.judging.telltales` knows a text that talks to a judge, and says how they generalise.

    python -m benchmarks.judging.fitting            writes continuum/judging/telltales.json
    python -m benchmarks.judging.fitting --measure  leaves whole families out in turn and writes nothing

It learns from the development texts and this repository's own prose alone; nothing held out is read.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from benchmarks.judging.attack_families import EVERYDAY, FAMILIES, HARMLESS, everyday
from continuum.judging.concepts import WINDOW, folded, passages
from continuum.judging.frames import forged_frame, forged_verdict
from continuum.judging.telltales import WEIGHTS, features_of, frame_features

SEED = 20_261_122
REGULARISATION = 1.0
WORDS_BY = 1.5
LIMITS = {"maxiter": 600, "maxfun": 900}
PROSE, PATTERNED, MIXED = 2000, 8000, 1500
"""Passages of the repository; everyday questions and answers made from patterns; pieces of harmless texts put together at
random, so that length alone tells nothing."""
SMALLEST = 0.03
"""A lighter weight is left out."""
SELDOM = 2
"""A feature that fewer texts have is left out."""
SHARE_OF_HARD = 0.14
"""The threshold lies where this share of the harmless texts that sound alike would be suspected, left out of the fit."""


@dataclass
class Rows:
    """Texts as the fit sees them."""

    texts: list[str]
    groups: list[str]
    """A family is left out as a whole; harmless texts are left out one by one."""
    attack: np.ndarray
    weight: np.ndarray


def rows(rng: random.Random) -> Rows:
    """All that is learned from."""
    texts: list[str] = []
    groups: list[str] = []
    attack: list[bool] = []
    weight: list[float] = []

    def add(text: str, group: str, is_attack: bool, by: float) -> None:
        texts.append(text)
        groups.append(group)
        attack.append(is_attack)
        weight.append(by)

    for family, said in FAMILIES.items():
        for text in said:
            add(text, family, True, 1.5)
            # An attack seldom comes alone.
            add(f"{rng.choice(EVERYDAY)} {text}", family, True, 1.5)
    for text in HARMLESS:
        add(text, "hard", False, 3.0)
    for text in EVERYDAY:
        add(text, "everyday", False, 6.0)
    for text in rng.sample(list(prose()), PROSE):
        add(text, "prose", False, 1.0)
    for text in everyday(rng, PATTERNED):
        add(text, "patterned", False, 1.0)
    for text in mixed(rng, MIXED):
        add(text, "mixed", False, 1.0)
    return Rows(texts, groups, np.array(attack), np.array(weight))


def prose() -> Iterator[str]:
    """Passages of what this repository says of everything but judging."""
    root = Path(__file__).parents[2]
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md")), *sorted((root / "continuum").rglob("*.py"))]
    for file in files:
        if "judging" in file.as_posix().removeprefix(root.as_posix()):
            continue
        words = file.read_text("utf-8").split()
        yield from (" ".join(words[at : at + WINDOW - 10]) for at in range(0, len(words), WINDOW - 10))


def mixed(rng: random.Random, count: int) -> Iterator[str]:
    """Pieces of harmless texts, put together at random."""
    pool = [words for words in (text.split() for text in (*HARMLESS, *EVERYDAY)) if len(words) > 3]
    for _ in range(count):
        words: list[str] = []
        length = rng.randint(5, WINDOW)
        while len(words) < length:
            source = rng.choice(pool)
            at = rng.randint(0, len(source) - 4)
            words += source[at : at + rng.randint(1, 4)]
        yield " ".join(words[:length])


def features(text: str) -> set[str]:
    """What is weighed of a short text."""
    found = set(frame_features(forged_frame(text), forged_verdict(text)))
    for passage in passages(folded(text)):
        found |= features_of(passage)
    return found


def matrix(found: Sequence[set[str]], columns: dict[str, int]) -> csr_matrix:
    """A row a text, a column a feature that is kept."""
    cells = [(row, columns[name], scale(name)) for row, names in enumerate(found) for name in sorted(names) if name in columns]
    at = ([row for row, _, _ in cells], [column for _, column, _ in cells])
    return csr_matrix(([by for _, _, by in cells], at), shape=(len(found), len(columns)))


def scale(name: str) -> float:
    """How lightly a feature is held back: words tell a hotel's stars from a judge's, where meanings are the same."""
    return WORDS_BY if name.startswith(("w:", "b:")) else 1.0


def fitted(x: csr_matrix, attack: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and bias of an L2-regularised logistic regression."""
    sign = np.where(attack, 1.0, -1.0)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = point[:-1], point[-1]
        margin = sign * (x @ w + b)
        pull = -sign * weight / (1 + np.exp(np.clip(margin, -500, 500)))
        value = float(weight @ np.logaddexp(0, -margin) + REGULARISATION * (w @ w))
        return value, np.append(x.T @ pull + 2 * REGULARISATION * w, pull.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options=LIMITS)
    return found.x[:-1], float(found.x[-1])


def left_out_scores(made: Rows, found: Sequence[set[str]], folds: int) -> np.ndarray:
    """The score of each text by a fit that saw neither it nor any text of its family."""
    rng = np.random.default_rng(SEED)
    families = sorted(FAMILIES)
    fold_of = dict(zip(rng.permutation(families).tolist(), [n % folds for n in range(len(families))], strict=True))
    fold = np.array([fold_of.get(group, -1) for group in made.groups])
    fold[fold < 0] = rng.integers(0, folds, int((fold < 0).sum()))
    scores = np.zeros(len(made.texts))
    for out in range(folds):
        kept = np.flatnonzero(fold != out)
        columns = common([found[row] for row in kept])
        w, b = fitted(matrix([found[row] for row in kept], columns), made.attack[kept], made.weight[kept])
        rest = np.flatnonzero(fold == out)
        scores[rest] = matrix([found[row] for row in rest], columns) @ w + b
    return scores


def common(found: Sequence[set[str]]) -> dict[str, int]:
    """Features that are not seldom, to columns."""
    counts = Counter(name for names in found for name in names)
    return {name: column for column, name in enumerate(sorted(name for name, count in counts.items() if count >= SELDOM))}


def main() -> None:
    """Fit, or measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judging.fitting")
    parser.add_argument("--measure", action="store_true", help="only say how it generalises to families left out")
    parser.add_argument("--folds", type=int, default=10)
    options = parser.parse_args()
    made = rows(random.Random(SEED))
    found = [features(text) for text in made.texts]
    scores = left_out_scores(made, found, options.folds)
    groups = np.array(made.groups)
    hard = scores[groups == "hard"]
    threshold = float(np.quantile(hard, 1 - SHARE_OF_HARD))
    for share in (0.03, 0.05, 0.1, SHARE_OF_HARD, 0.15, 0.2):
        at = float(np.quantile(hard, 1 - share))
        sys.stderr.write(
            f"left out: alike {share:.2f} suspected -> attacks found {np.mean(scores[made.attack] > at):.3f}, everyday "
            f"{np.mean(scores[groups == 'everyday'] > at):.3f}, "
            f"prose {np.mean(scores[groups == 'prose'] > at):.4f}; at {at:.2f}\n"
        )
    if options.measure:
        return
    columns = common(found)
    w, b = fitted(matrix(found, columns), made.attack, made.weight)
    weights = {name: float(w[column]) * scale(name) for name, column in columns.items()}
    by_feature = {name: round(weight, 3) for name, weight in weights.items() if abs(weight) >= SMALLEST}
    stored = {"bias": round(b - threshold, 3), "by_feature": by_feature}
    WEIGHTS.write_text(json.dumps(stored, ensure_ascii=False, indent=0, sort_keys=True) + "\n", "utf-8")
    sys.stderr.write(f"{len(by_feature)} weights in {WEIGHTS}\n")


if __name__ == "__main__":
    main()
