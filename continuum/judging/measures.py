"""What a task's answers are measured by: which metrics, which judge, which criteria; one reading for guard and analytics."""

from collections.abc import Sequence
from dataclasses import dataclass

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.judging.criteria import BUILT_IN, rubric_fingerprint
from continuum.judging.evaluation import ACTION_MATCH
from continuum.judging.judge import Judge
from continuum.judging.model_judge import judge_for_task
from continuum.policy import TaskPolicy
from continuum.rubric import Criterion

JUDGED = ("helpfulness", "accuracy")
"""What is measured where nobody says what and there is a judge."""


@dataclass(frozen=True)
class Measures:
    """Metrics that can be scored, with all that scoring them takes."""

    metrics: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    """The criteria among the metrics; empty when only `action_match` is measured."""
    judge: Judge | None

    @property
    def judge_name(self) -> str | None:
        """Who scores; None when nobody has to."""
        return self.judge.name if self.judge and self.criteria else None

    @property
    def rubric(self) -> str | None:
        """Fingerprint of the criteria; None without criteria."""
        return rubric_fingerprint(self.criteria) if self.criteria else None


def measures_of(
    policy: TaskPolicy,
    metrics: Sequence[str] | None = None,
    *,
    judge: Judge | None = None,
    criteria: Sequence[Criterion] | None = None,
) -> Measures:
    """Settle what is measured.

    Args:
        policy: the task's policy, for the judge and the criteria that are not given.
        metrics: names of criteria, or `action_match`; None for helpfulness and accuracy where there is a judge, else
            `action_match`.
        judge: who scores the criteria; None for the judge of the policy or of the environment.
        criteria: what the names mean; None for the policy's criteria. The built-in criteria are known besides.

    Raises:
        ConfigurationError: a metric is unknown, is named twice, or needs a judge and there is none.
    """
    known = {**BUILT_IN, **{criterion.name: criterion for criterion in criteria or policy.judge.criteria}}
    needless = metrics is not None and set(metrics) <= {ACTION_MATCH}
    chosen_judge = None if needless else judge or judge_for_task(policy, load_settings())
    default: Sequence[str] = JUDGED if chosen_judge else (ACTION_MATCH,)
    names = tuple(default if metrics is None else metrics)
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"metrics are {list(names)}; name at least one, and each only once")
    if unknown := [name for name in names if name not in known and name != ACTION_MATCH]:
        raise ConfigurationError(
            f"metric {unknown[0]!r} is unknown; there are {', '.join([*sorted(known), ACTION_MATCH])}, or give its Criterion"
        )
    judged = tuple(known[name] for name in names if name != ACTION_MATCH)
    if judged and chosen_judge is None:
        raise ConfigurationError(
            f"metric {judged[0].name!r} needs a judge and task {policy.task!r} has none; set judge.model in its policy or "
            f"CONTINUUM_JUDGE_MODEL, pass judge=, or measure {ACTION_MATCH!r} against references instead"
        )
    return Measures(names, judged, chosen_judge)
