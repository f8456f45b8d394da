"""A judge's paired differences corrected by people who saw both answers of some of the pairs: prediction-powered inference.

The judge's mean difference over all pairs is moved by how far people differ from the judge where both have spoken: PPI++
(Angelopoulos, Duchi and Zrnic 2023, section 6), as `prediction_powered` has it, with groups instead of items. A judge that
favours one of the models, by its family or its style, favours it on every pair; no number of pairs shows that, thirty labels do.
The pairs that people judged have to be drawn at random from all pairs.
"""

import math
from collections.abc import Sequence

import numpy as np

from continuum.statistics.paired import (
    Comparison,
    Moments,
    Values,
    exact_mean,
    group_places,
    means_at,
    student_interval,
    student_p,
    with_worst_case,
)
from continuum.statistics.prediction_powered import Labelled

MIN_LABELS = 30
"""Labelled pairs below which people's word is too little to correct by."""
MIN_LABELLED_GROUPS = 10
CORRECTED = "PPI++ on group means"


def too_few_labels(people: Sequence[float | None], groups: Sequence[str]) -> str | None:
    """Why people's differences cannot correct the judge's; None when they can."""
    labelled = {group for group, said in zip(groups, people, strict=True) if said is not None}
    labels = sum(said is not None for said in people)
    if labels >= MIN_LABELS and len(labelled) >= MIN_LABELLED_GROUPS:
        return None
    return (
        f"people judged {labels} pairs of {len(labelled)} independent groups; "
        f"to correct the judge by them, {MIN_LABELS} pairs of {MIN_LABELLED_GROUPS} groups are needed"
    )


def compare_corrected(
    baseline: Sequence[float],
    candidate: Sequence[float],
    groups: Sequence[str],
    people: Sequence[float | None],
    *,
    min_delta: float,
    resolution: float,
    approval_alpha: float = 0.05,
) -> Comparison:
    """Test a candidate against a baseline by what people would say on average of all pairs.

    Args:
        baseline: the judge's scores of the baseline, 0 to 1.
        candidate: the judge's scores of the candidate on the same items, 0 to 1.
        groups: the group of each item.
        people: candidate minus baseline by people, -1 to 1; None where nobody was asked.
        min_delta: the lowest delta that is allowed.
        resolution: how far below `min_delta` still counts as equal when the candidate is to be approved.
        approval_alpha: the level that `p_not_worse` is for.

    Raises:
        ValueError: the labels are too few, or the lengths differ.
    """
    if not len(baseline) == len(candidate) == len(groups) == len(people):
        raise ValueError(
            f"paired data need equal lengths, found {len(baseline)}, {len(candidate)}, {len(groups)} and {len(people)}"
        )
    if lacking := too_few_labels(people, groups):
        raise ValueError(lacking)
    # In one order whatever the order of the items, so that no sum changes by a digit.
    said = np.array([math.nan if one is None else one for one in people], dtype=float)
    before, after = np.asarray(baseline, dtype=float), np.asarray(candidate, dtype=float)
    places = group_places(groups)
    mean_before, mean_after = means_at(baseline, places), means_at(candidate, places)
    judged, number = exact_mean(mean_after - mean_before), len(mean_before)
    order = np.lexsort((said, after, before, places))
    said, cluster, differences = said[order], places[order], (after - before)[order]

    # Every group weighs the same, and so does every item of a group.
    weight = 1 / (number * np.bincount(cluster)[cluster])
    asked = ~np.isnan(said)
    labelled = Labelled(said[asked], differences[asked], weight[asked] / weight[asked].sum(), cluster[asked])
    use = labelled.judge_use(judged)
    # People's differences, each moved to where it would be were the judge's difference the average one.
    values = labelled.said - use * (labelled.scores - judged)
    delta, overall_use = float(labelled.weight @ values), float(labelled.weight @ use)
    beside: Values = np.bincount(cluster, overall_use * weight * (differences - judged)).astype(float)

    # Of the labelled groups alone, as if their number were all that is uncertain; then with what the other pairs add.
    n, own, error = labelled.effective, labelled.error(values), labelled.error(values, beside)
    found = Moments(delta, error * math.sqrt(n), n)
    worst = with_worst_case(Moments(delta, own * math.sqrt(n), n), approval_alpha)
    cautious = Moments(worst.mean, math.sqrt(max(0.0, worst.error**2 + error**2 - own**2) * worst.n), worst.n)
    low, high = student_interval(found)
    scale = math.sqrt(number)
    return Comparison(
        test=CORRECTED,
        items=len(groups),
        groups=number,
        baseline_mean=exact_mean(mean_before),
        candidate_mean=exact_mean(mean_after),
        delta=min(1.0, max(-1.0, delta)),
        sd=error * scale,
        cautious_sd=cautious.error * scale,
        low=max(-1.0, low),
        high=min(1.0, high),
        p_regressed=student_p(found, min_delta, worse=True),
        p_not_worse=student_p(cautious, min_delta - resolution, worse=False),
        labels=int(asked.sum()),
    )
