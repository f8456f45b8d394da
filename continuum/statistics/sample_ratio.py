"""Whether the arms got the shares of the traffic that they were meant to get.

An arm whose failed answers go uncounted looks better than it is, and the first sign is that too few of its units are there.
The test is sequential, after Lindon and Malek (2022, "Anytime-valid inference for multinomial count data"): the likelihood
ratio between alternatives and the intended split is a martingale while the split is as intended, so it may be looked at as
often as one likes, and the intended share may change from step to step. The alternatives here multiply the odds of being
counted in the candidate's arm by one factor in all steps, which is what losing a part of an arm's records does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SHIFTS = tuple(sign * shift for shift in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2) for sign in (-1, 1))
"""Alternatives: what is added to the log odds; each weighs the same."""


@dataclass(frozen=True)
class Counted:
    """Units that were first seen while the split stood still."""

    share: float
    """The candidate's intended share of them, in (0, 1)."""
    candidate: int
    stable: int


@dataclass(frozen=True)
class SampleRatio:
    """How the arms' units compare with what was intended."""

    candidate: int
    stable: int
    expected: float
    """Units that the candidate should have of these."""
    evidence: float
    """The e-value against the intended split."""
    p: float
    """Valid at whatever look one stops at."""


def sample_ratio(steps: Sequence[Counted]) -> SampleRatio:
    """Compare counts with the intended shares.

    Args:
        steps: one for each split there was. A unit (conversation or user) counts once, in the step in which it was first seen:
            who comes back is where they were, and says nothing new. Steps at a share of 0 or 1 say nothing and are left out.

    Raises:
        ValueError: a share is not between 0 and 1, or a count is negative.
    """
    for step in steps:
        if not 0 <= step.share <= 1 or min(step.candidate, step.stable) < 0:
            raise ValueError(f"a step needs a share from 0 to 1 and counts of 0 or more, found {step}")
    told = [step for step in steps if 0 < step.share < 1]
    logs = [sum(_log_ratio(step, shift) for step in told) for shift in SHIFTS]
    highest = max(logs)
    log_evidence = highest + math.log(sum(math.exp(one - highest) for one in logs) / len(logs))
    evidence = math.exp(min(log_evidence, 700.0))
    return SampleRatio(
        candidate=sum(step.candidate for step in told),
        stable=sum(step.stable for step in told),
        expected=math.fsum((step.candidate + step.stable) * step.share for step in told),
        evidence=evidence,
        p=min(1.0, 1 / evidence) if evidence > 0 else 1.0,
    )


def _log_ratio(step: Counted, shift: float) -> float:
    """Log of the likelihood of a step's counts at odds shifted so, over that at the intended ones."""
    total = 1 - step.share + step.share * math.exp(shift)
    return step.candidate * shift - (step.candidate + step.stable) * math.log(total)
