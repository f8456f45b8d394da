"""How far a task's judge can be believed: three checks and the figures beside them, all read from the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import dagster as dg

from continuum.annotation.watch import GoodhartReport, goodhart
from continuum.judging.calibration import Calibration, calibrate
from continuum.models.budget import period_of
from continuum.policy import Purpose, TaskPolicy
from continuum.store.anchors import AnchorRound
from continuum.store.database import Store
from continuum.store.scores import Scores
from continuum.timespan import utc_now
from continuum_pipelines.checks import judge_calibrated, judge_drift, judge_gamed
from continuum_pipelines.tables import rows_table

UNJUDGED = "no judge has scored anything"


@dataclass(frozen=True)
class Trust:
    """What the store knows of the judge who scored a task last."""

    calibration: Calibration | None
    """None where nobody has judged, as is all else then."""
    round: AnchorRound | None
    gamed: GoodhartReport | None

    @classmethod
    def of(cls, store: Store, task: str) -> "Trust":
        """Read and work it out."""
        newest = Scores(store.engine).newest_judge(task)
        if newest is None:
            return cls(None, None, None)
        judge, rubric = newest.judge, newest.rubric
        calibration = calibrate(store, task, judge=judge, rubric=rubric)
        return cls(calibration, store.anchors.latest(task), goodhart(store, task, judge=judge, rubric=rubric))

    def checks(self) -> list[dg.AssetCheckResult]:
        """The results of the three checks; each passes while there is no judge to doubt."""
        return [self._calibrated(), drift_result(self.round), self._gamed()]

    def _calibrated(self) -> dg.AssetCheckResult:
        found = self.calibration
        return dg.AssetCheckResult(
            check_name=judge_calibrated.name,
            passed=found is None or found.status == "calibrated",
            severity=dg.AssetCheckSeverity.WARN,
            description=UNJUDGED if found is None else found.words(),
            metadata={} if found is None else shown(found.as_dict()),
        )

    def _gamed(self) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            check_name=judge_gamed.name,
            passed=self.gamed is None or not self.gamed.alarm,
            description=UNJUDGED if self.gamed is None else self.gamed.words(),
            metadata={} if self.gamed is None else shown(self.gamed.as_dict()),
        )

    def metadata(self, store: Store, policy: TaskPolicy) -> dict[str, Any]:
        """What the asset shows besides: the mean as far as it can be believed, agreement with people, and the money."""
        agreement = self.calibration.agreement if self.calibration else None
        return {
            "quality": self.calibration.words() if self.calibration else None,
            "audit_labels": self.calibration.audit_labels if self.calibration else None,
            "kappa_with_feedback": agreement and agreement.kappa,
            "weighted_kappa_with_feedback": agreement and agreement.weighted_kappa,
            "kappa_of_a_constant": agreement and agreement.constant_kappa,
            "answers_with_feedback": agreement and agreement.interactions,
            "spend_by_purpose": spending(store, policy),
        }


def drift_result(newest: AnchorRound | None) -> dg.AssetCheckResult:
    """The newest round of the anchors as the result of the check; it passes before the first."""
    if newest is None:
        return dg.AssetCheckResult(check_name=judge_drift.name, passed=True, description="the anchors were not judged yet")
    alarms, judged = newest.evidence.get("alarms", []), f"{len(newest.scores)} anchors on {newest.created_at:%Y-%m-%d}"
    return dg.AssetCheckResult(
        check_name=judge_drift.name,
        passed=not newest.alarm,
        description="; ".join(alarms) or f"{newest.judge} judged {judged} as before",
        metadata=shown({"judge": newest.judge, "served_by": newest.served_by, "round": newest.id, "evidence": newest.evidence}),
    )


def spending(store: Store, policy: TaskPolicy) -> dg.TableMetadataValue | None:
    """A task's money of this period by what it is for; None where it has spent nothing."""
    period, budget = period_of(policy.judge.budget_period, utc_now()), policy.judge.budget_usd
    rows = []
    for purpose in get_args(Purpose):
        balance = store.accounts.balance(policy.task, purpose=purpose, period=period)
        limit = None if budget is None else budget * getattr(policy.judge.shares, purpose)
        spent, reserved = balance.spent_micro_usd / 1e6, balance.reserved_micro_usd / 1e6
        rows.append({"purpose": purpose, "spent_usd": spent, "reserved_usd": reserved, "limit_usd": limit})
    return rows_table(rows) if any(row["spent_usd"] or row["reserved_usd"] for row in rows) else None


def shown(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence as metadata: numbers and words as they are, what has parts as JSON; what is None is left out."""
    return {
        name: dg.MetadataValue.json(value) if isinstance(value, dict | list | tuple) else value
        for name, value in evidence.items()
        if value is not None
    }
