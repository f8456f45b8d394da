"""How others decide on the same scores, vectorised over many golden sets.

- Point threshold: blocks when the candidate's mean is below the baseline's plus what is allowed. MLflow's
  `mlflow/models/evaluation/validation.py`; `as_mlflow` calls the library itself.
- Unpaired z: two means with their own standard errors, as if the items were different ones, two-sided at 5 %; a lower candidate
  that differs is blocked. lm-evaluation-harness, `scripts/model_comparator.py`, `calculate_z_value`: the script is not in its
  package, so the formula is written out here.
- Mann-Whitney: blocks when the 98 % interval of the shift lies below minus a quarter of the estimated shift. Kayenta's
  `MannWhitneyClassifier.scala`, as `NetflixACAJudge.scala` sets it, on the statistic of `MannWhitney.scala`; written out too.
- Significance alone: blocks when a paired one-sided t test over the items finds a fall at 5 %, on any metric.

None but the first has a margin, so where a fall is allowed, the others are shown the candidate's scores raised by it. None has a
third word: what is not blocked is approved.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from benchmarks.guard.populations import Scores, Values

Blocked = NDArray[np.bool_]

ALPHA = 0.05
KAYENTA_CONFIDENCE, KAYENTA_FRACTION, KAYENTA_ACCURACY = 0.98, 0.25, 1e-4
"""What `NetflixACAJudge` gives its classifier, and how near its solver comes to a root."""


def point_threshold(scores: Scores, min_delta: float) -> Blocked:
    """MLflow's `MetricThreshold(threshold=the baseline's mean + min_delta, greater_is_better=True)`."""
    return scores.candidate.mean(1) < scores.baseline.mean(1) + min_delta


def unpaired_z(scores: Scores, min_delta: float) -> Blocked:
    """The z test of two accuracies with their standard errors (sample sd over root n)."""
    n = scores.baseline.shape[1]
    error = np.sqrt((scores.candidate.var(1, ddof=1) + scores.baseline.var(1, ddof=1)) / n)
    distance = scores.candidate.mean(1) - min_delta - scores.baseline.mean(1)
    z = np.divide(distance, error, out=np.zeros_like(distance), where=error > 0)
    return (2 * special.ndtr(-np.abs(z)) < ALPHA) & (z < 0)


def significance_alone(scores: Scores, min_delta: float) -> Blocked:
    """The paired t test over items: clusters are not known to it."""
    return paired_t(scores.differences, min_delta) < ALPHA


def paired_t(differences: Values, min_delta: float) -> Values:
    """One-sided p-values that the mean of each row lies below `min_delta`, counting every item."""
    n = differences.shape[1]
    error = differences.std(1, ddof=1) / math.sqrt(n)
    distance = differences.mean(1) - min_delta
    t = np.divide(distance, error, out=np.where(distance < 0, -np.inf, np.inf), where=error > 1e-12)
    return special.stdtr(n - 1, t)


def mann_whitney(scores: Scores, min_delta: float) -> Blocked:
    """Kayenta's word on each set: whether the metric is classified as low."""
    raised = scores.candidate - min_delta
    rows = zip(raised, np.sort(scores.baseline, axis=1), strict=True)
    return np.array([_is_low(np.sort(candidate), baseline) for candidate, baseline in rows])


RIVALS: Mapping[str, Callable[[Scores, float], Blocked]] = {
    "point threshold (MLflow)": point_threshold,
    "unpaired z (lm-eval)": unpaired_z,
    "Mann-Whitney (Kayenta)": mann_whitney,
    "significance alone": significance_alone,
}
"""Each with the sets that it blocks."""


def as_mlflow(scores: Scores, min_delta: float) -> Blocked:
    """MLflow's own word on each set."""
    import logging

    from mlflow.models import MetricThreshold
    from mlflow.models.evaluation import EvaluationResult
    from mlflow.models.evaluation.validation import ModelValidationFailedException, validate_evaluation_results

    logging.getLogger(validate_evaluation_results.__module__).setLevel(logging.WARNING)

    def refused(candidate: float, baseline: float) -> bool:
        thresholds = {"quality": MetricThreshold(threshold=baseline + min_delta, greater_is_better=True)}
        results = [EvaluationResult(metrics={"quality": value}, artifacts={}) for value in (candidate, baseline)]
        try:
            validate_evaluation_results(thresholds, *results)
        except ModelValidationFailedException:
            return True
        return False

    means = zip(scores.candidate.mean(1).tolist(), scores.baseline.mean(1).tolist(), strict=True)
    return np.array([refused(candidate, baseline) for candidate, baseline in means])


def _is_low(candidate: Values, baseline: Values) -> bool:
    """Whether the upper end of the shift's interval lies below minus a quarter of the shift's estimate; both sorted."""
    quantile = float(special.ndtri((1 - KAYENTA_CONFIDENCE) / 2))
    # The statistic falls as the shift grows: unless it is below the quantile at no shift, the upper end is not below zero.
    if _statistic(candidate, baseline, 0.0) >= quantile:
        return False
    upper = _root(candidate, baseline, quantile)
    estimate = _root(candidate, baseline, 0.0)
    return upper < -max(KAYENTA_FRACTION * abs(estimate), KAYENTA_ACCURACY)


def _root(candidate: Values, baseline: Values, quantile: float) -> float:
    lowest, highest = candidate[0] - baseline[-1], candidate[-1] - baseline[0]

    def above(shift: float) -> float:
        return _statistic(candidate, baseline, shift) - quantile

    if above(lowest) <= 0:
        return float(lowest)
    if above(highest) >= 0:
        return float(highest)
    return float(optimize.root_scalar(above, bracket=(lowest, highest), xtol=KAYENTA_ACCURACY).root)


def _statistic(candidate: Values, baseline: Values, shift: float) -> float:
    """The normal approximation of the rank sum with ties and continuity correction, as R's `wilcox.test` has it."""
    moved = candidate - shift
    n, m = len(moved), len(baseline)
    left, right = np.searchsorted(baseline, moved, "left"), np.searchsorted(baseline, moved, "right")
    distance = float((left + right).sum()) / 2 - n * m / 2
    both = np.sort(np.concatenate([moved, baseline]))
    edges = np.flatnonzero(np.concatenate([[True], both[1:] != both[:-1], [True]]))
    ties = np.diff(edges).astype(float)
    variance = n * m / 12 * ((n + m + 1) - float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 0.0
    return (distance - math.copysign(0.5, distance) * (distance != 0)) / math.sqrt(variance)
