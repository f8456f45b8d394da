"""The winner's curse: candidates are drawn, the guard's rule lets some of them through, and their claimed gains are told again.

A candidate's true gain is drawn around none. What is claimed is measured on the golden groups that decided; the fresh gain on
as many groups as joined since; the corrected one is the claim given that the rule let it through. All three are held against the
truth, beside the plain way, which believes the claim. The second part is the gain by 1,000 more examples, on the power laws that
are fitted.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.analytics.projecting import power
from benchmarks.claims import Entry, Result, Setting, table
from continuum.analytics.projection import Ahead, project_gain
from continuum.statistics.paired import compare
from continuum.statistics.selected import NORMAL_WIDTH, given_selection, least_approved

CANDIDATES, CANDIDATES_QUICK = 4000, 300
CURVES, CURVES_QUICK = 400, 40
MIN_DELTA, RESOLUTION, ALPHA = -0.02, 0.03, 0.0304
"""The guard's defaults; the level is that of the first look at a golden set."""
ROWS = ((0.01, 1), (0.03, 1), (0.06, 1), (0.03, 5))
"""Standard deviation of the true gains, and of how many candidates the one that claims most is promoted, if it is let through."""
MORE = 1000
COVERAGE, CORRECTED_COVERAGE, BIAS = 0.87, 0.93, 0.35


@dataclass(frozen=True)
class Told:
    """One candidate that was let through."""

    truth: float
    claimed: float
    claim_holds: bool
    fresh: float
    corrected: float
    corrected_holds: bool


def measure(setting: Setting) -> Result:
    """All rows together make the claims; that of the corrected gain is made where nothing but the rule selected."""
    wanted, curves = (CANDIDATES_QUICK, CURVES_QUICK) if setting.quick else (CANDIDATES, CURVES)
    rng, found, ruled = np.random.default_rng(setting.seed), list[Told](), list[Told]()
    shown = table(
        f"Gains of candidates that were promoted, of {wanted} candidates a row",
        *("true gains differ by", "best of", "promoted", "claim less truth", "fresh less truth"),
        *("claims hold", "corrected hold", "corrected low"),
    )
    for spread, tries in ROWS:
        setting.say(f"selecting: true gains differ by {spread}, the best of {tries}")
        drawn = [[candidate(rng, spread) for _ in range(tries)] for _ in range(wanted // tries)]
        told = [max(some, key=lambda one: one.claimed) for one in drawn if (some := [two for two in one if two is not None])]
        found += told
        ruled += told if tries == 1 else []
        shown.add_row(f"{spread:g}", str(tries), str(len(told)), *figures(told))
    claimed = float(np.mean([one.claimed - one.truth for one in found]))
    fresh = abs(float(np.mean([one.fresh - one.truth for one in found])))
    setting.say("selecting: more examples")
    held = [gained(rng) for _ in range(curves)]
    entries = [
        Entry.of_ratio("mean error of promoted gains on fresh questions, and as claimed", fresh, claimed, BIAS),
        Entry.of_value(
            "share of truths in the 95% interval given selection, and in the claimed one",
            *(float(np.mean([one.corrected_holds for one in ruled])), ">=", CORRECTED_COVERAGE),
            float(np.mean([one.claim_holds for one in ruled])),
        ),
        Entry.of_value(f"share of gains by {MORE} examples in the 90% interval", float(np.mean(held)), ">=", COVERAGE),
    ]
    note = (
        "corrected low: how often the corrected estimate is below the truth, which should be half the time; of whoever takes the "
        "best of several it knows nothing, and no claim is made on that row"
    )
    return Result(entries, shown, [note])


def figures(told: list[Told]) -> list[str]:
    """The cells of a row."""
    return [
        f"{np.mean([one.claimed - one.truth for one in told]):+.4f}",
        f"{np.mean([one.fresh - one.truth for one in told]):+.4f}",
        f"{np.mean([one.claim_holds for one in told]):.3f}",
        f"{np.mean([one.corrected_holds for one in told]):.3f}",
        f"{np.mean([one.corrected < one.truth for one in told]):.3f}",
    ]


def candidate(rng: np.random.Generator, spread: float) -> Told | None:
    """One candidate; None where it is not let through."""
    groups, fresh_groups = (int(rng.integers(100, 400)) for _ in range(2))
    truth, sd = rng.normal(0, spread), rng.uniform(0.12, 0.25)
    names = [f"g{n:03d}" for n in range(groups)]
    baseline = np.full(groups, 0.5)
    measured = baseline + np.clip(rng.normal(truth, sd, groups), -0.5, 0.5)
    found = compare(baseline.tolist(), measured.tolist(), names, min_delta=MIN_DELTA, resolution=RESOLUTION, approval_alpha=ALPHA)
    if found.p_not_worse >= ALPHA:
        return None
    limit = least_approved(found.sd, groups, MIN_DELTA - RESOLUTION, ALPHA)
    corrected = given_selection(found.delta, (found.high - found.low) / NORMAL_WIDTH, min(limit, found.delta))
    fresh = float(np.clip(rng.normal(truth, sd, fresh_groups), -0.5, 0.5).mean())
    holds = found.low <= truth <= found.high
    return Told(truth, found.delta, holds, fresh, corrected.mean, corrected.low <= truth <= corrected.high)


def gained(rng: np.random.Generator) -> bool:
    """Whether the interval of the gain by more examples held it, on one power law."""
    versions = int(rng.integers(4, 9))
    examples = np.round(200 * rng.uniform(1.3, 2) ** np.arange(versions))
    examples[-1] = max(examples[-1], 2 * examples[0])
    truth = power(rng, np.append(examples, examples[-1] + MORE), rng.uniform(0.6, 0.97), rng.uniform(0.1, 0.5))
    error, common = rng.uniform(0.25, 0.45) / np.sqrt(rng.integers(150, 500)), rng.uniform(0.3, 0.7)
    noise = rng.normal(0, error * np.sqrt(common)) + rng.normal(0, error * np.sqrt(1 - common), versions)
    means = np.clip(truth[:-1] + noise, 0, 1)
    found = project_gain([int(x) for x in examples], means.tolist(), [error] * versions, more=MORE)
    assert isinstance(found, Ahead), found
    return found.low <= truth[-1] - truth[-2] <= found.high
