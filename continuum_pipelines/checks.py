"""What the Dagster UI shows as passed or failed."""

import warnings
from collections.abc import Sequence

import dagster as dg

from continuum.records import Verdict
from continuum.serving_records import DeploymentRecord, DeploymentState
from continuum_pipelines.partitions import tasks


def _check(name: str, asset: str, says: str, otherwise: str) -> dg.AssetCheckSpec:
    """A check by task: what it says when it passes, and what to do otherwise."""
    with warnings.catch_warnings():
        # Partitions of a check are a preview in Dagster 1.13; without them one task's pass would hide another task's failure.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, partitions_def=tasks, description=f"{says} {otherwise}")


spool_lag = _check(
    "spool_lag",
    "raw_interactions",
    "Captures of this machine reach the store within ten minutes.",
    "When it warns: is the store reachable from the applications, and does one of them hang? `continuum drain` stores "
    "what dead processes left.",
)
judge_calibrated = _check(
    "judge_calibrated",
    "judged_annotations",
    "Enough answers that were drawn at random are labelled by people to say what the judge's scores mean.",
    "When it warns: `continuum label TASK`.",
)
judge_drift = _check(
    "judge_drift",
    "judged_annotations",
    "The judge scores the frozen anchors as it did when it was first asked.",
    "When it fails: the provider changed the model behind the name; pin a version, or have old traffic judged anew.",
)
judge_gamed = _check(
    "judge_gamed",
    "judged_annotations",
    "People and a second judge bear out a rise of the judge that selects what is learned from.",
    "When it fails: models learn to please this judge; change the rubric or the judge before the next turn.",
)
budget_kept = _check(
    "budget_kept",
    "judged_annotations",
    "Nothing was charged beyond the task's budget, and no dead process holds money reserved.",
    "When it fails: was the budget lowered, or does the endpoint charge more than its price in the policy?",
)
dataset_sealed = _check(
    "dataset_sealed",
    "curated_dataset",
    "Nothing that may be trained on is, begins like or repeats a golden question.",
    "When it fails: do not train on it; build the version again.",
)
dataset_diverse = _check(
    "dataset_diverse",
    "curated_dataset",
    "The task's own models wrote no more of the answers than they may, and the answers differ as others' do.",
    "When it warns: bring in answers of people or of another model.",
)
duplicates = _check(
    "duplicates",
    "curated_dataset",
    "No two examples of the version's files teach the same, by the task's deduplication threshold.",
    "When it warns: build the version again, and tell of texts that have hundreds of look-alikes.",
)
constitution_kept = _check(
    "constitution_kept",
    "lora_checkpoint",
    "No held-out question of a constraint is answered against it that was answered in keeping with it before.",
    "When it fails: raise `training.probe_share`; the guard may block the model for it.",
)
forgetting_budget = _check(
    "forgetting_budget",
    "lora_checkpoint",
    "The training lost no more of what earlier datasets taught than the policy's budget allows.",
    "When it warns: a higher `lambda_ewc` or a larger replay buffer.",
)
no_regression = _check(
    "no_regression",
    "guard_verdict",
    "The candidate is not worse than what serves now. The check stops nothing: the deployment reads the verdict.",
    "When it fails the previous model stays, and the verdict's table says what got worse.",
)
deployment_healthy = _check(
    "deployment_healthy",
    "deployment",
    "Nothing that serves has an alarm, and the newest deployment was not taken back.",
    "When it fails: `continuum deployments TASK` says what it waits for.",
)


CAPTURE_CHECKS = (spool_lag,)
JUDGE_CHECKS = (judge_calibrated, judge_drift, judge_gamed, budget_kept)
DATASET_CHECKS = (dataset_sealed, dataset_diverse, duplicates)
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
