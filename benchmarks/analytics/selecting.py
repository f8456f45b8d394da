"""The winner's curse: candidates are drawn, the guard's rule lets some of them through, and their claimed gains are told again.

A candidate's true gain is drawn around none. What is claimed is measured on the golden groups that decided; the fresh gain on
as many groups as joined since; the corrected one is the claim given that the rule let it through and that it was the best of
those that it did. All three are held against the truth, beside the plain way, which believes the claim. Candidates are measured
on golden groups of their own, or all on the same ones, where half of what is chance is common to them. The second part is the
gain by 1,000 more examples, on the power laws that are fitted; that on other shapes is told in its notes.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.analytics.projecting import SHAPES, Shape
from benchmarks.claims import Entry, Result, Setting, table
from continuum.analytics.projection import Ahead, project_gain
from continuum.analytics.rivals import least_best
from continuum.statistics.paired import Comparison, compare
from continuum.statistics.selected import NORMAL_WIDTH, given_selection, least_approved

CANDIDATES, CANDIDATES_QUICK = 4000, 300
CURVES, CURVES_QUICK = 400, 40
MIN_DELTA, RESOLUTION, ALPHA = -0.02, 0.03, 0.0304
"""The guard's defaults; the level is that of the first look at a golden set."""
ROWS = (
    (0.01, 1, False),
    (0.03, 1, False),
    (0.06, 1, False),
    (0.03, 3, False),
    (0.03, 5, False),
    (0.03, 5, True),
    (0.03, 10, True),
)
"""Standard deviation of the true gains; of how many candidates the one that claims most is promoted, of those that are let
through; and whether all were measured on the same groups."""
COMMON = 0.5
"""Share of the variance that candidates on the same groups have in common."""
MORE = 1000
COVERAGE, CORRECTED_COVERAGE, BIAS = 0.87, 0.93, 0.35


@dataclass(frozen=True)
class Candidate:
    """One candidate, as it was measured."""

    truth: float
    measured: np.ndarray
    """Its difference on each group that decided."""
    found: Comparison
    fresh: float

    @property
    def error(self) -> float:
        """Of the claim."""
        return (self.found.high - self.found.low) / NORMAL_WIDTH

    def moves_with(self, other: "Candidate", same: bool) -> float:
        """The covariance of the two claims."""
        return float(np.cov(self.measured, other.measured)[0, 1]) / len(self.measured) if same else 0.0


@dataclass(frozen=True)
class Told:
    """One candidate that was promoted."""

    truth: float
    claimed: float
    claim_holds: bool
    fresh: float
    corrected: float
    corrected_holds: bool


def measure(setting: Setting) -> Result:
    """All rows together make the claims."""
    wanted, curves = (CANDIDATES_QUICK, CURVES_QUICK) if setting.quick else (CANDIDATES, CURVES)
    rng, found = np.random.default_rng(setting.seed), list[Told]()
    shown = table(
        f"Gains of candidates that were promoted, of {wanted} candidates a row",
        *("true gains differ by", "best of", "on the same groups", "promoted", "claim less truth", "fresh less truth"),
        *("claims hold", "corrected hold", "corrected low"),
    )
    for spread, tries, same in ROWS:
        setting.say(f"selecting: true gains differ by {spread}, the best of {tries}")
        told = [one for _ in range(wanted // tries) if (one := promoted(candidates(rng, spread, tries, same), same)) is not None]
        found += told
        shown.add_row(f"{spread:g}", str(tries), "yes" if same else "no", str(len(told)), *figures(told))
    claimed = float(np.mean([one.claimed - one.truth for one in found]))
    fresh = abs(float(np.mean([one.fresh - one.truth for one in found])))
    held, shapes = list[float](), list[str]()
    for shape in SHAPES:
        setting.say(f"selecting: more examples, {shape.name}")
        rows = [gained(rng, shape) for _ in range(curves)]
        held.append(float(np.mean([one.holds for one in rows])))
        shapes.append(f"{shape.name} {held[-1]:.3f} (mean width {np.mean([one.width for one in rows]):.4f})")
    entries = [
        Entry.of_ratio("mean error of promoted gains on fresh questions, and as claimed", fresh, claimed, BIAS),
        Entry.of_value(
            "share of truths in the 95% interval given selection, and in the claimed one",
            *(float(np.mean([one.corrected_holds for one in found])), ">=", CORRECTED_COVERAGE),
            float(np.mean([one.claim_holds for one in found])),
        ),
        Entry.of_value(f"share of gains by {MORE} examples in the 90% interval", held[0], ">=", COVERAGE),
    ]
    notes = [
        "corrected low: how often the corrected estimate is below the truth, which should be half the time",
        f"gains by {MORE} more examples in their 90% interval, {curves} curves a shape: {', '.join(shapes)}; the claim is made "
        "on the first, and nobody knows the shape of a curve beforehand",
    ]
    return Result(entries, shown, notes)


def figures(told: list[Told]) -> list[str]:
    """The cells of a row."""
    return [
        f"{np.mean([one.claimed - one.truth for one in told]):+.4f}",
        f"{np.mean([one.fresh - one.truth for one in told]):+.4f}",
        f"{np.mean([one.claim_holds for one in told]):.3f}",
        f"{np.mean([one.corrected_holds for one in told]):.3f}",
        f"{np.mean([one.corrected < one.truth for one in told]):.3f}",
    ]


def candidates(rng: np.random.Generator, spread: float, tries: int, same: bool) -> list[Candidate]:
    """So many candidates, each on groups of its own or all on the same."""
    if not same:
        return [one for _ in range(tries) for one in _measured(rng, spread, 1)]
    return _measured(rng, spread, tries)


def _measured(rng: np.random.Generator, spread: float, tries: int) -> list[Candidate]:
    groups, fresh_groups = (int(rng.integers(100, 400)) for _ in range(2))
    sd, found = rng.uniform(0.12, 0.25), []
    common = rng.normal(0, sd, groups)
    share = COMMON if tries > 1 else 0.0
    for _ in range(tries):
        truth = rng.normal(0, spread)
        drawn = truth + np.sqrt(share) * common + np.sqrt(1 - share) * rng.normal(0, sd, groups)
        baseline, measured = np.full(groups, 0.5), 0.5 + np.clip(drawn, -0.5, 0.5)
        names = [f"g{n:03d}" for n in range(groups)]
        compared = compare(
            baseline.tolist(), measured.tolist(), names, min_delta=MIN_DELTA, resolution=RESOLUTION, approval_alpha=ALPHA
        )
        fresh = float(np.clip(rng.normal(truth, sd, fresh_groups), -0.5, 0.5).mean())
        found.append(Candidate(truth, measured - baseline, compared, fresh))
    return found


def promoted(some: list[Candidate], same: bool) -> Told | None:
    """The one that claims most of those that are let through; None where none is."""
    passed = [one for one in some if one.found.p_not_worse < ALPHA]
    if not passed:
        return None
    best = max(passed, key=lambda one: one.found.delta)
    limit = least_approved(best.found.sd, len(best.measured), MIN_DELTA - RESOLUTION, ALPHA)
    rivals = [(one.found.delta, best.moves_with(one, same)) for one in passed if one is not best]
    above = least_best(best.found.delta, best.error, rivals)
    limit = min(limit if above is None else max(limit, above), best.found.delta)
    corrected = given_selection(best.found.delta, best.error, limit)
    return Told(
        best.truth,
        best.found.delta,
        best.found.low <= best.truth <= best.found.high,
        best.fresh,
        corrected.mean,
        corrected.low <= best.truth <= corrected.high,
    )


@dataclass(frozen=True)
class Foretold:
    """One gain by more examples."""

    holds: bool
    width: float


def gained(rng: np.random.Generator, shape: Shape) -> Foretold:
    """What was foretold of the gain by more examples, on one curve."""
    versions = int(rng.integers(4, 9))
    examples = np.round(200 * rng.uniform(1.3, 2) ** np.arange(versions))
    examples[-1] = max(examples[-1], 2 * examples[0])
    truth = shape.truth(rng, np.append(examples, examples[-1] + MORE), rng.uniform(0.6, 0.97), rng.uniform(0.1, 0.5))
    error, common = rng.uniform(0.25, 0.45) / np.sqrt(rng.integers(150, 500)), rng.uniform(0.3, 0.7)
    noise = rng.normal(0, error * np.sqrt(common)) + rng.normal(0, error * np.sqrt(1 - common), versions)
    means = np.clip(truth[:-1] + noise, 0, 1)
    found = project_gain([int(x) for x in examples], means.tolist(), [error] * versions, more=MORE)
    assert isinstance(found, Ahead), found
    gain = float(truth[-1] - truth[-2])
    return Foretold(found.low <= gain <= found.high, found.high - found.low)
