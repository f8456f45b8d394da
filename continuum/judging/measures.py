"""What a task's answers are measured by: which metrics, which judge, which criteria; one reading for guard and analytics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.judging.cached import CachedJudge
from continuum.judging.criteria import BUILT_IN, OVERALL, SAFETY, rubric_fingerprint
from continuum.judging.evaluation import ACTION_MATCH
from continuum.judging.judge import Judge
from continuum.judging.model_judge import judge_for_task
from continuum.judging.scripted import ScriptedJudge
from continuum.policy import TaskPolicy
from continuum.rubric import Criterion

if TYPE_CHECKING:
    from continuum.store.database import Store

JUDGED = ("helpfulness", "accuracy")
"""What is measured where nobody says what and there is a judge who scores by criteria."""


@dataclass(frozen=True)
class Measures:
    """Metrics that can be scored, with all that scoring them takes."""

    metrics: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    """The criteria among the metrics, or the whole rubric where `overall` is one; empty when only `action_match` is measured."""
    judge: Judge | None

    @property
    def judge_name(self) -> str | None:
        """Who scores; None when nobody has to."""
        return self.judge.name if self.judge and self.criteria else None

    @property
    def rubric(self) -> str | None:
        """Fingerprint of the criteria; None without criteria."""
        return rubric_fingerprint(self.criteria) if self.criteria else None

    def kept_in(self, store: "Store") -> "Measures":
        """The same with a judge that is never asked the same twice; what a function scores is not worth keeping."""
        if self.judge is None or isinstance(self.judge, CachedJudge | ScriptedJudge):
            return self
        return replace(self, judge=CachedJudge(self.judge, store))


def measures_of(
    policy: TaskPolicy,
    metrics: Sequence[str] | None = None,
    *,
    judge: Judge | None = None,
    criteria: Sequence[Criterion] | None = None,
    approving: bool = False,
    elsewhere: Sequence[str] = (),
) -> Measures:
    """Settle what is measured.

    Args:
        policy: the task's policy, for the judge and the criteria that are not given.
        metrics: names of criteria, `overall` or `action_match`; None for helpfulness and accuracy where there is a judge who
            scores by criteria, `overall` where there is one who does not, else `action_match`.
        judge: who scores the criteria; None for the judge of the policy or of the environment.
        criteria: what the names mean; None for the policy's criteria. The built-in criteria are known besides.
        approving: whether a deployment is decided by it, which not every judge may do alone.
        elsewhere: what the caller measures by itself, to be named beside what there is.

    Raises:
        ConfigurationError: a metric is unknown, is named twice, needs a judge and there is none, or is beyond the judge.
    """
    rubric = {criterion.name: criterion for criterion in criteria or policy.judge.criteria}
    known = {**BUILT_IN, **rubric}
    needless = metrics is not None and set(metrics) <= {ACTION_MATCH}
    chosen_judge = None if needless else judge or judge_for_task(policy, load_settings())
    names = tuple(default_metrics(chosen_judge) if metrics is None else metrics)
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"metrics are {list(names)}; name at least one, and each only once")
    if unknown := [name for name in names if name not in {*known, OVERALL, ACTION_MATCH}]:
        there = ", ".join([*sorted(known), OVERALL, ACTION_MATCH, *elsewhere])
        raise ConfigurationError(f"metric {unknown[0]!r} is unknown; there are {there}, or give its Criterion")
    judged = tuple(name for name in names if name != ACTION_MATCH)
    if judged and chosen_judge is None:
        raise ConfigurationError(
            f"metric {judged[0]!r} needs a judge and task {policy.task!r} has none; set judge.model in its policy or "
            f"CONTINUUM_JUDGE_MODEL, pass judge=, or measure {ACTION_MATCH!r} against references instead"
        )
    if judged and chosen_judge is not None:
        check_capable(chosen_judge, judged, approving=approving)
    if OVERALL not in judged or OVERALL in known:
        return Measures(names, tuple(known[name] for name in judged), chosen_judge)
    if beside := [name for name in judged if name not in rubric and name != OVERALL]:
        raise ConfigurationError(
            f"metric {beside[0]!r} is not in the rubric that {OVERALL!r} is the mean of, and one call scores both; add it to the "
            f"rubric ({', '.join(rubric)}), or leave one of the two out"
        )
    return Measures(names, tuple(rubric.values()), chosen_judge)


def default_metrics(judge: Judge | None) -> tuple[str, ...]:
    """What is measured where nobody says what."""
    if judge is None:
        return (ACTION_MATCH,)
    return JUDGED if "criteria" in judge.capabilities else (OVERALL,)


def check_capable(judge: Judge, metrics: Sequence[str], *, approving: bool = False) -> None:
    """Refuse metrics that a judge has no word on.

    Args:
        judge: who is to score them.
        metrics: names of criteria, or `overall`.
        approving: whether a deployment is decided by it.

    Raises:
        ConfigurationError: the judge cannot score one of them, or may not decide.
    """
    if SAFETY.name in metrics and "safety" not in judge.capabilities:
        raise ConfigurationError(
            f"judge {judge.name!r} cannot be asked about safety, which people's verdicts on ordinary answers say nothing of; "
            f"measure it with a model judge, with a jury that holds one, or leave {SAFETY.name!r} out"
        )
    if "criteria" not in judge.capabilities and (beyond := [name for name in metrics if name != OVERALL]):
        raise ConfigurationError(
            f"judge {judge.name!r} scores an answer as a whole and has no word on {beyond[0]!r}; measure {OVERALL!r}, or take a "
            "judge who scores by criteria"
        )
    if approving and "approval" not in judge.capabilities:
        raise ConfigurationError(
            f"judge {judge.name!r} may not decide over a deployment alone: it ranks answers and can be wrong in ways that only "
            f"another judge sees; put it into a jury with a model judge, or measure {ACTION_MATCH!r} instead"
        )
