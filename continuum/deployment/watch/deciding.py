"""What the watch makes of the judged conversations of a candidate and of the model it would replace.

The rule, with `delta` the candidate's mean score less the stable arm's and a confidence sequence around it:

- roll back when the candidate is surely worse (`upper < 0`) and no better than the limit allows (`delta <= -limit`);
- promote when it is surely within the limit (`lower > -limit`) and not surely worse;
- hold otherwise: while it is surely worse, by however little, and while too little is known.

As the bounds hold at all looks together, a candidate that is no worse is rolled back with probability at most `alpha` over
its whole trial, and one that is worse by `limit` or more is promoted with probability at most `alpha`, however often one
looks. The sequence is asymptotic; how often the rule is in fact wrong is measured by `python -m benchmarks.deployment`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from continuum.statistics.sequences import Difference, Step, difference_of

FEWEST = 20
"""Judged conversations of either arm before anything is said of it."""
TIGHTEST = 0.3
"""The share of a trial's planned conversations at which the bounds are tightest: losses worth acting on show early."""


@dataclass(frozen=True)
class Decision:
    """What is to be done, why, and the difference it rests on."""

    action: Literal["promote", "hold", "rollback"]
    """`promote`: a step of the ramp may be taken."""
    words: str
    difference: Difference | None
    """None while an arm has no conversation."""


def decide(steps: Sequence[Step], *, limit: float | None, alpha: float, planned: int) -> Decision:
    """Judge a trial by all that is known of it at this look.

    Args:
        steps: both arms' conversations by the step of the ramp in which they began.
        limit: loss of mean score, from 0 to 1, at which the candidate is taken back; None takes nothing back for its quality,
            and promotes whatever is not surely worse.
        alpha: chance of a false rollback over the whole trial, and of a promotion at the limit.
        planned: judged conversations of the candidate for which the trial is planned.
    """
    found = difference_of(steps, alpha=alpha, planned=max(1, round(TIGHTEST * planned)))
    if found is None or min(found.candidate, found.stable) < FEWEST:
        candidate, stable = sum(step.candidate.n for step in steps), sum(step.stable.n for step in steps)
        few = f"too few judged conversations: {candidate} of the candidate's and {stable} of the stable model's"
        return Decision("hold", few, found)
    figures = (
        f"{found.delta:+.3f} (surely between {found.lower:+.3f} and {found.upper:+.3f}) "
        f"on {found.candidate} conversations against {found.stable}"
    )
    if found.upper < 0:
        if limit is not None and found.delta <= -limit:
            return Decision("rollback", f"worse by more than the limit of {limit:g}: {figures}", found)
        return Decision("hold", f"surely worse, by less than would roll it back: {figures}", found)
    if limit is None or found.lower > -limit:
        return Decision("promote", f"surely within the limit: {figures}" if limit else f"not surely worse: {figures}", found)
    return Decision("hold", f"not yet known to be within the limit of {limit:g}: {figures}", found)
