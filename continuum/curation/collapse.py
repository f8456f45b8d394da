"""The collapse guard: how much of a training set the task's own line of models may write, and how alike its answers may be.

A model that is trained on what its predecessors wrote loses first the tails and then the variety of what people ask and say
(Shumailov et al. 2023, arXiv 2305.17493), unless enough of what it learns from was written by others (Gerstgrasser et al. 2024,
arXiv 2404.01413). So a share of the chosen rows is kept for answers that no model of this line wrote, and the chosen answers must
amount to about as many different ones as those do. How many that is, is the Vendi score (Friedman and Dieng 2023, arXiv
2210.02410); the mean distance of two answers would not do: a set of 15 answers to 400 questions still has four fifths of it.
Whatever this costs is reported; a smaller training set is the price, never a broken cap.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

COMPARED_ROWS = 2000
"""Answers whose spread is taken; of more, as many that lie evenly among them."""
LEAST_ROWS = 20
"""With fewer answers on either side nothing is said of their spread."""
DECIMALS = 4
"""Spreads are told and compared to this precision, so that another machine's last bits decide nothing."""

Choose = Callable[[np.ndarray, int], Sequence[int]]
"""Chooses so many of some rows: takes their positions and how many are wanted, returns the positions of the chosen ones."""
EmbedAnswers = Callable[[np.ndarray], np.ndarray]
"""Vectors of length one of the answers at some positions, one row each."""


@dataclass(frozen=True)
class CollapseReport:
    """Who wrote the chosen answers, and how far they lie apart."""

    eligible: dict[int, int]
    """Generation to rows that could have been chosen."""
    chosen: dict[int, int]
    """Generation to chosen rows."""
    share: float
    """Of the chosen rows, how many a model of this line wrote; 0 to 1."""
    cap: float
    """The most that share may be."""
    over_cap: int
    """Rows that the strategy had chosen and the cap left out."""
    spread: float | None
    """To how many different answers the chosen ones amount; None where there are too few to say."""
    reference: float | None
    """The same of as many eligible answers that no model of this line wrote."""
    compared: int
    """How many answers of either side were looked at for that."""
    floor: float
    """The least that `spread` may be, as a share of `reference`."""
    below_floor: int
    """Rows that a model of this line wrote and that were left out because the answers were too much alike."""
    holds: bool | None
    """Whether `spread` reaches the floor; None where there is nothing to compare with."""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest; generations as text, as JSON has them."""
        told = asdict(self)
        for name in ("eligible", "chosen"):
            told[name] = {str(generation): rows for generation, rows in told[name].items()}
        return told | {"words": self.words()}

    def words(self) -> str:
        """The report in a sentence or two."""
        rows = sum(self.chosen.values())
        own = rows - self.chosen.get(0, 0)
        parts = [f"this line of models wrote {own} of {rows} chosen answers, {self.cap:.0%} may be its own"]
        if self.over_cap:
            parts.append(f"{self.over_cap} more were left out for that")
        if self.below_floor:
            parts.append(f"{self.below_floor} were left out because the answers would have been too much alike")
        if self.spread is None or self.reference is None or self.holds is None:
            parts.append("there are too few answers to say how different they are")
        else:
            short = "" if self.holds else ", and nothing more could be left out: what others wrote is as narrow"
            parts.append(
                f"{self.compared} chosen answers amount to {self.spread:.1f} different ones, as many of others to "
                f"{self.reference:.1f} ({self.floor:.0%} of that are asked for{short})"
            )
        return "; ".join(parts)


@dataclass(frozen=True)
class Limited:
    """What was chosen under the guard."""

    positions: list[int]
    """The chosen rows, in the order in which they were chosen."""
    report: CollapseReport


def limit_generated(
    generations: Sequence[int], choose: Choose, embed_answers: EmbedAnswers, *, size: int, max_share: float, floor: float
) -> Limited:
    """Choose rows so that the models of this line wrote no more than a share of them, and the answers keep their variety.

    Where the strategy takes more than the cap allows, it picks again: first among those rows, as many as are allowed, and then
    among these and all rows of others. Where the chosen answers are still more alike than the floor allows, the rows of this line
    are left out and the strategy picks once more among the others; what is too narrow then is reported, and stays.

    Args:
        generations: of each eligible row; 0 for a person or a model outside the line.
        choose: the strategy.
        embed_answers: gives the vectors of answers, of those alone that are looked at.
        size: how many rows are wanted.
        max_share: the most of the chosen rows that may be of generation 1 and more, 0 to 1.
        floor: least spread of the chosen answers as a share of that of as many eligible rows of generation 0.

    Returns:
        The chosen rows, fewer than wanted where there are too few rows of others, and the report.
    """
    depth = np.asarray(generations, dtype=np.int64)
    rows = np.arange(len(depth))
    others = rows[depth == 0]
    positions = _chosen(choose, rows, size)
    taken = [row for row in positions if depth[row] > 0]
    allowed = _allowed(len(others), size, max_share)
    over_cap = max(len(taken) - allowed, 0)
    if over_cap:
        kept = _chosen(choose, np.array(sorted(taken)), allowed) if allowed else []
        positions = _chosen(choose, np.union1d(others, np.array(kept, dtype=np.int64)), size)
    found = _compared(positions, others, embed_answers, floor)
    below_floor = sum(depth[row] > 0 for row in positions) if found.holds is False else 0
    if below_floor:
        positions = _chosen(choose, others, size)
        found = _compared(positions, others, embed_answers, floor)
    chosen = _counted(depth[positions])
    report = CollapseReport(
        eligible=_counted(depth),
        chosen=chosen,
        share=round(1 - chosen.get(0, 0) / len(positions), DECIMALS) if positions else 0.0,
        cap=max_share,
        over_cap=over_cap,
        spread=found.spread,
        reference=found.reference,
        compared=found.rows,
        floor=floor,
        below_floor=int(below_floor),
        holds=found.holds,
    )
    return Limited(positions, report)


def spread_of(vectors: np.ndarray) -> float:
    """To how many different rows of length one the rows amount: from 1, where all are equal, to their number.

    The Vendi score with the cosine as similarity: e to the entropy of the eigenvalues of the rows' Gram matrix over their number.
    """
    rows = vectors.astype(np.float64)
    # Both products have the same eigenvalues, but for zeros; the smaller one is had sooner.
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    weights = np.linalg.eigvalsh(gram / len(rows))
    weights = weights[weights > 1e-12]
    return round(float(np.exp(-(weights * np.log(weights)).sum())), DECIMALS)


def _allowed(others: int, size: int, max_share: float) -> int:
    """The most rows of this line among `size` chosen ones; of fewer, where the others do not suffice to fill them up."""
    share = Fraction(str(max_share))  # As it is written: 0.3 of 10 are three, and in binary fractions two.
    if share == 1:
        return size
    return min(math.floor(share * size), math.floor(share / (1 - share) * others))


def _chosen(choose: Choose, rows: np.ndarray, size: int) -> list[int]:
    return [int(row) for row in choose(rows, min(size, len(rows)))] if len(rows) else []


@dataclass(frozen=True)
class _Compared:
    """The chosen answers beside as many of others."""

    rows: int
    spread: float | None = None
    reference: float | None = None
    holds: bool | None = None


def _compared(positions: Sequence[int], others: np.ndarray, embed_answers: EmbedAnswers, floor: float) -> _Compared:
    # Of unequal numbers the larger one would look the more different.
    rows = min(len(positions), len(others), COMPARED_ROWS)
    if rows < LEAST_ROWS:
        return _Compared(rows)
    spread, reference = (
        spread_of(embed_answers(_evenly(side, rows))) for side in (np.sort(np.array(positions, dtype=np.int64)), others)
    )
    return _Compared(rows, spread, reference, spread >= round(floor * reference, DECIMALS))


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """So many of the rows, evenly spaced among them."""
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def _counted(depth: np.ndarray) -> dict[int, int]:
    return dict(sorted(Counter(int(generation) for generation in depth).items()))
