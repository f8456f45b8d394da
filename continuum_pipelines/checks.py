"""What the Dagster UI shows as passed or failed."""

import warnings
from collections.abc import Sequence

import dagster as dg

from continuum.records import Verdict
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum_pipelines.partitions import tasks

with warnings.catch_warnings():
    # Partitions of a check are a preview in Dagster 1.13; without them one task's pass would hide another task's failure.
    warnings.simplefilter("ignore", dg.PreviewWarning)
    judge_calibrated = dg.AssetCheckSpec(
        "judge_calibrated",
        asset="judged_annotations",
        partitions_def=tasks,
        description="Enough answers that were drawn at random are labelled by people to say what the judge's scores mean.",
    )
    judge_drift = dg.AssetCheckSpec(
        "judge_drift",
        asset="judged_annotations",
        partitions_def=tasks,
        description="The judge scores the frozen anchors as it did when it was first asked.",
    )
    judge_gamed = dg.AssetCheckSpec(
        "judge_gamed",
        asset="judged_annotations",
        partitions_def=tasks,
        description="People and a second judge bear out a rise of the judge that selects what is learned from.",
    )
    dataset_sealed = dg.AssetCheckSpec(
        "dataset_sealed",
        asset="curated_dataset",
        partitions_def=tasks,
        description="Nothing that may be trained on is, begins like or repeats a golden question.",
    )
    dataset_diverse = dg.AssetCheckSpec(
        "dataset_diverse",
        asset="curated_dataset",
        partitions_def=tasks,
        description="The task's own models wrote no more of the answers than they may, and the answers differ as others' do.",
    )
    constitution_kept = dg.AssetCheckSpec(
        "constitution_kept",
        asset="lora_checkpoint",
        partitions_def=tasks,
        description="No held-out question of a constraint is answered against it that was answered in keeping with it before.",
    )
    forgetting_budget = dg.AssetCheckSpec(
        "forgetting_budget",
        asset="lora_checkpoint",
        partitions_def=tasks,
        description="The training lost no more of what earlier datasets taught than the policy's budget allows.",
    )
    no_regression = dg.AssetCheckSpec(
        "no_regression",
        asset="guard_verdict",
        partitions_def=tasks,
        description="The candidate is not worse than what serves now. The check stops nothing: the deployment reads the verdict.",
    )
    deployment_healthy = dg.AssetCheckSpec(
        "deployment_healthy",
        asset="deployment",
        partitions_def=tasks,
        description="Nothing that serves has an alarm, and the newest deployment was not taken back.",
    )


JUDGE_CHECKS = (judge_calibrated, judge_drift, judge_gamed)
DATASET_CHECKS = (dataset_sealed, dataset_diverse)
TRAINING_CHECKS = (constitution_kept, forgetting_budget)


def regression_result(verdict: Verdict | None, status: str) -> dg.AssetCheckResult:
    """The newest verdict as the result of the check: it passes when the candidate may serve, and while there is none."""
    if verdict is None:
        return dg.AssetCheckResult(check_name=no_regression.name, passed=True, description=f"no candidate to judge: {status}")
    return dg.AssetCheckResult(
        check_name=no_regression.name,
        passed=verdict.approved,
        description="; ".join(verdict.failed_checks) or status,
        metadata={"status": str(verdict.status), "max_traffic": verdict.max_traffic, "verdict": verdict.id},
    )


def deployment_result(records: Sequence[DeploymentRecord]) -> dg.AssetCheckResult:
    """How a task's deployments do, newest first: an alarm is an error, a rollback a warning, for what was before serves again."""
    done = (DeploymentState.ROLLED_BACK, DeploymentState.ABORTED, DeploymentState.SUPERSEDED)
    alarms = [
        f"{record.model} ({record.state}): {record.alarm}" for record in records if record.alarm and record.state not in done
    ]
    back = (DeploymentState.ROLLING_BACK, DeploymentState.ROLLED_BACK)
    taken_back = [f"{record.model} was taken back" for record in records[:1] if record.state in back]
    serving = [f"{record.model} {record.state} {record.traffic:.0%}" for record in records if record.state not in done]
    return dg.AssetCheckResult(
        check_name=deployment_healthy.name,
        passed=not alarms and not taken_back,
        severity=dg.AssetCheckSeverity.ERROR if alarms else dg.AssetCheckSeverity.WARN,
        description="; ".join([*alarms, *taken_back] or serving or ["production answers everybody"]),
    )
