"""Made-up golden sets: scores of a baseline and a candidate on the same items, whose true difference is known exactly.

A difference d is drawn first, from a law whose mean is the shift that is asked for; then the baseline's score, uniformly from
those that leave both scores on the scale (of binary items that both answer alike, 80 % are right). So the true difference is the
shift itself, with no clipping and no approximation, wherever the boundary of a claim lies.

- Likert: one or two steps of a quarter either way. 55 % are ties, 2.5 % two steps up and as many down, the rest one step; to
  shift it, mass goes from one step up to one step down, and the ties stay (sd 0.19).
- Gaussian: the shift plus a normal of sd 0.2, cut at four sd and stretched back to sd 0.2.
- Binary 5 + 5 %: scores of 0 and 1; the candidate wins 5 % of the items and loses 5 % less the shift. Binary 1 + 1 %: likewise.
- Rare catastrophe: 3 % of the items lose 0.8; the others move by a normal of sd 0.05 about what makes the mean right.
- Clustered: groups of five items; the shift, plus a normal of the group, plus one of the item, each with half of the variance:
  ICC 0.5, sd 0.2.

Items differ more than the two models do on one of them: scores have an sd of 0.3 over items (0.4 where they are right or wrong),
which a paired test never sees and an unpaired one takes for noise.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]
Rng = np.random.Generator

STEP = 0.25
"""Of a score from 1 to 5 on the scale from 0 to 1."""
TIES, TWO_STEPS = 0.55, 0.025
SD, CUT, CUT_OF_TWO = 0.2, 4.0, 3.0
"""Where normals are cut, in sd; two that are added are cut earlier, so that their sum stays on the scale."""
CATASTROPHES, LOSS, QUIET_SD = 0.03, -0.8, 0.05
GROUP, ICC, CORRELATION = 5, 0.5, 0.5
"""Items of a group, how alike they are, and how alike several metrics are on one item."""
RIGHT = 0.8
"""Share of right answers among the binary items that both models answer alike."""
BLOCK = 250_000
"""Scores that are drawn at once."""


@dataclass(frozen=True)
class Scores:
    """Several golden sets: a row a set, a column an item."""

    baseline: Values
    candidate: Values

    @property
    def differences(self) -> Values:
        """Candidate minus baseline."""
        return self.candidate - self.baseline


@dataclass(frozen=True)
class Population:
    """Where golden sets are drawn from."""

    name: str
    differences: Callable[[Rng, int, int, float], Values]
    """Of so many sets of so many items, with this mean."""
    min_delta: float = 0.0
    """How far the candidate may fall."""
    step: float = 0.0
    """Between neighbouring scores; 0 where any score is possible."""
    group: int = 1
    """Items of a group, which are not independent."""

    @property
    def binary(self) -> bool:
        """Whether an answer is right or wrong."""
        return self.step == 1

    def draw(self, rng: Rng, sets: int, items: int, shift: float) -> Scores:
        """Scores of sets whose true difference is the shift."""
        differences = self.differences(rng, sets, items, shift)
        baseline = _binary_baseline(rng, differences) if self.binary else _baseline(rng, differences, self.step)
        return Scores(baseline, baseline + differences)

    def blocks(self, seed: int, sets: int, items: int, shift: float) -> Iterator[Scores]:
        """The same in parts that fit into memory; what is drawn depends on the seed, the population, the size and the shift."""
        rng = np.random.default_rng([seed, crc32(self.name.encode()), items, round(1e6 * (1 + shift))])
        at_once = max(1, BLOCK // items)
        for start in range(0, sets, at_once):
            yield self.draw(rng, min(at_once, sets - start), items, shift)

    def groups(self, items: int) -> tuple[str, ...]:
        """The group of each item."""
        return tuple(str(n // self.group) for n in range(items))


def _likert(rng: Rng, sets: int, items: int, shift: float) -> Values:
    one_step = (1 - TIES) / 2 - TWO_STEPS
    moved = -shift / (2 * STEP)
    shares = [TWO_STEPS, one_step + moved, TIES, one_step - moved, TWO_STEPS]
    edges = np.cumsum(shares)[:-1]
    steps = np.array([-2 * STEP, -STEP, 0.0, STEP, 2 * STEP])
    return steps[np.searchsorted(edges, rng.random((sets, items)), side="right")]


def _gaussian(rng: Rng, sets: int, items: int, shift: float) -> Values:
    return shift + SD * standard(rng, (sets, items))


def _clustered(rng: Rng, sets: int, items: int, shift: float) -> Values:
    groups = np.repeat(standard(rng, (sets, math.ceil(items / GROUP)), CUT_OF_TWO), GROUP, axis=1)[:, :items]
    return shift + SD * (math.sqrt(ICC) * groups + math.sqrt(1 - ICC) * standard(rng, (sets, items), CUT_OF_TWO))


def _catastrophe(rng: Rng, sets: int, items: int, shift: float) -> Values:
    quiet = (shift - CATASTROPHES * LOSS) / (1 - CATASTROPHES)
    usual = quiet + QUIET_SD * standard(rng, (sets, items))
    return np.where(rng.random((sets, items)) < CATASTROPHES, LOSS, usual)


def _binary(share: float) -> Callable[[Rng, int, int, float], Values]:
    def differences(rng: Rng, sets: int, items: int, shift: float) -> Values:
        luck = rng.random((sets, items))
        return np.where(luck < share, 1.0, np.where(luck < 2 * share - shift, -1.0, 0.0))

    return differences


def several(rng: Rng, sets: int, items: int, shifts: Mapping[str, float]) -> dict[str, Scores]:
    """Scores of several metrics on the same items: gaussian differences of sd 0.2 with this correlation, each with its shift."""
    shared = standard(rng, (sets, items), CUT_OF_TWO)
    drawn = {}
    for metric, shift in shifts.items():
        own = standard(rng, (sets, items), CUT_OF_TWO)
        differences = shift + SD * (math.sqrt(CORRELATION) * shared + math.sqrt(1 - CORRELATION) * own)
        baseline = _baseline(rng, differences, 0.0)
        drawn[metric] = Scores(baseline, baseline + differences)
    return drawn


def standard(rng: Rng, shape: tuple[int, ...], cut: float = CUT) -> Values:
    """Symmetric draws with mean 0 and variance 1: a normal cut at so many sd, and stretched."""
    inside = special.ndtr(cut)
    density = math.exp(-cut * cut / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * cut * density / (2 * inside - 1)
    return special.ndtri(rng.uniform(1 - inside, inside, shape)) / math.sqrt(variance)


def _baseline(rng: Rng, differences: Values, step: float) -> Values:
    """Uniform over what leaves both scores from 0 to 1; on the grid of the steps where there is one."""
    lowest, room = np.maximum(0.0, -differences), 1 - np.abs(differences)
    luck = rng.random(differences.shape)
    if step:
        return lowest + step * np.floor(luck * (np.round(room / step) + 1))
    return lowest + luck * room


def _binary_baseline(rng: Rng, differences: Values) -> Values:
    alike = (rng.random(differences.shape) < RIGHT).astype(float)
    return np.where(differences == 0, alike, (differences < 0).astype(float))


LIKERT = Population("Likert", _likert, step=STEP)
LIKERT_MARGIN = Population("Likert, a fall of .02 allowed", _likert, min_delta=-0.02, step=STEP)
GAUSSIAN = Population("gaussian", _gaussian)
BINARY = Population("binary 5 + 5 %", _binary(0.05), step=1.0)
BINARY_MARGIN = Population("binary 5 + 5 %, a fall of .02 allowed", _binary(0.05), min_delta=-0.02, step=1.0)
BINARY_RARE = Population("binary 1 + 1 %", _binary(0.01), step=1.0)
CATASTROPHE = Population("rare catastrophe", _catastrophe)
CLUSTERED = Population("clustered by five, ICC .5", _clustered, group=GROUP)
POPULATIONS = (LIKERT, LIKERT_MARGIN, GAUSSIAN, BINARY, BINARY_MARGIN, BINARY_RARE, CATASTROPHE, CLUSTERED)
