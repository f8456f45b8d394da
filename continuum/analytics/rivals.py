"""The candidates that a promoted version was chosen from, and what its claim had to be above to be the best of them.

Whoever looks at several candidates and promotes the one that claims most has selected once more than the guard's rule does. The
rivals of a version are known: those that a verdict against the same baseline had let through when it was deployed.
Given that it claimed more than one of them, and given what of the rival's claim owes nothing to its own, its claim is a normal
distribution cut off where the two would have been the same (Lee, Sun, Sun and Taylor 2016, lemma 5.1, for one linear
constraint). Claims on the same golden questions against the same baseline go up and down together; the covariance is measured.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from continuum.records import Verdict
from continuum.statistics.paired import group_means

if TYPE_CHECKING:
    from continuum.store.database import Store


def rivals_of(store: "Store", task: str, verdict: Verdict, until: datetime) -> dict[str, Verdict]:
    """The newest verdicts on other versions against the same baseline, by the version's name; those given by a time.

    A version that was not let through could not have been promoted instead, and is no rival.
    """
    found = {}
    for one in store.checkpoints.of(task):
        other = store.verdicts.latest(one.id) if one.id != verdict.checkpoint_id else None
        if other is not None and other.approved and other.baseline == verdict.baseline and other.created_at <= until:
            found[f"v{one.version}"] = other
    return found


def least_best(value: float, error: float, rivals: Sequence[tuple[float, float]]) -> float | None:
    """The least value that would still have been the largest, given what of its rivals' values owes nothing to it.

    Args:
        value: the estimate that was the largest.
        error: its standard error, above 0.
        rivals: the value of each other, and its covariance with the first.

    Returns:
        None where it was not the largest, or no rival says anything.
    """
    if any(other >= value for other, _ in rivals):
        return None
    limits = []
    for other, covariance in rivals:
        share = covariance / error**2
        # A rival that moves with the value as far as the value itself would have stayed below whatever the value was.
        if share < 1:
            limits.append((other - share * value) / (1 - share))
    return max(limits, default=None)


def covariance_of(one: Verdict, other: Verdict, metric: str) -> float:
    """The covariance of the claims of two verdicts, from the groups of golden items that both were given on; 0 below three."""
    ours, theirs = _by_group(one, metric), _by_group(other, metric)
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) < 3:
        return 0.0
    pair = np.cov([ours[group] for group in shared], [theirs[group] for group in shared])
    return float(pair[0, 1]) * len(shared) / (len(ours) * len(theirs))


def _by_group(verdict: Verdict, metric: str) -> Mapping[str, float]:
    """Group to the mean difference of its items; what has no two scores is left out."""
    rows = [(row["group"], row.get("scores", {}).get(metric) or (None, None)) for row in verdict.evidence.get("items", ())]
    known = [(group, scores[1] - scores[0]) for group, scores in rows if scores[0] is not None and scores[1] is not None]
    if not known:
        return {}
    groups = [group for group, _ in known]
    means = group_means([difference for _, difference in known], groups)
    return dict(zip(sorted(set(groups)), means.tolist(), strict=True))
