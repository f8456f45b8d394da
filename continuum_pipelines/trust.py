"""How far a task's judge can be believed, and what it costs: checks and the figures beside them, all read from the store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from continuum.annotation.money import Money
from continuum.annotation.trust import Trust
from continuum_pipelines.checks import budget_kept, judge_calibrated, judge_drift, judge_gamed
from continuum_pipelines.tables import rows_table

if TYPE_CHECKING:
    from continuum.store.anchors import AnchorRound

UNJUDGED = "no judge has scored anything"


def checks_of(trust: Trust, money: Money) -> list[dg.AssetCheckResult]:
    """The results of the checks; each passes while there is no judge to doubt and no money spent."""
    found, gamed = trust.calibration, trust.gamed
    calibrated = dg.AssetCheckResult(
        check_name=judge_calibrated.name,
        passed=found is None or found.status == "calibrated",
        severity=dg.AssetCheckSeverity.WARN,
        description=UNJUDGED if found is None else found.words(),
        metadata={} if found is None else shown(found.as_dict()),
    )
    watched = dg.AssetCheckResult(
        check_name=judge_gamed.name,
        passed=gamed is None or not gamed.alarm,
        description=UNJUDGED if gamed is None else gamed.words(),
        metadata={} if gamed is None else shown(gamed.as_dict()),
    )
    return [calibrated, drift_result(trust.round), watched, budget_result(money)]


def metadata_of(trust: Trust, money: Money) -> dict[str, Any]:
    """What the asset shows besides: the mean as far as it can be believed, agreement with people, and the money."""
    agreement = trust.calibration.agreement if trust.calibration else None
    return {
        "quality": trust.calibration.words() if trust.calibration else None,
        "attack_uplift": trust.admission.evidence["uplift"] if trust.admission else None,
        "audit_labels": trust.calibration.audit_labels if trust.calibration else None,
        "kappa_with_feedback": agreement and agreement.kappa,
        "weighted_kappa_with_feedback": agreement and agreement.weighted_kappa,
        "kappa_of_a_constant": agreement and agreement.constant_kappa,
        "answers_with_feedback": agreement and agreement.interactions,
        "jury_alpha": trust.jury["overall"].value if "overall" in trust.jury else None,
        "spend_by_purpose": spend_table(money),
    }


def drift_result(newest: "AnchorRound | None") -> dg.AssetCheckResult:
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


def budget_result(money: Money) -> dg.AssetCheckResult:
    """A task's accounts as the result of the check; what only waits for a sweep warns, what was spent beyond a share fails."""
    return dg.AssetCheckResult(
        check_name=budget_kept.name,
        passed=money.kept,
        severity=dg.AssetCheckSeverity.ERROR if money.beyond else dg.AssetCheckSeverity.WARN,
        description=money.words(),
        metadata=shown(
            {
                "period": money.period,
                "spent_or_reserved_usd": round(money.committed_usd, 6),
                "budget_usd": money.limit_usd,
                "held_by_dead_usd": money.dead_usd,
            }
        )
        | ({"purposes": table} if (table := spend_table(money)) else {}),
    )


def spend_table(money: Money) -> dg.TableMetadataValue | None:
    """A task's money of this period by what it is for; None where it has spent nothing."""
    spent = any(row.spent_usd or row.reserved_usd for row in money.rows)
    return rows_table([row.as_dict() for row in money.rows]) if spent else None


def shown(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence as metadata: numbers and words as they are, what has parts as JSON; what is None is left out."""
    return {
        name: dg.MetadataValue.json(value) if isinstance(value, dict | list | tuple) else value
        for name, value in evidence.items()
        if value is not None
    }
