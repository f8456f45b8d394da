"""What the Dagster UI shows as passed or failed."""

import warnings

import dagster as dg

from continuum.records import Verdict
from continuum_pipelines.partitions import tasks

with warnings.catch_warnings():
    # Partitions of a check are a preview in Dagster 1.13; without them one task's pass would hide another task's failure.
    warnings.simplefilter("ignore", dg.PreviewWarning)
    no_regression = dg.AssetCheckSpec(
        "no_regression",
        asset="guard_verdict",
        partitions_def=tasks,
        description="The candidate is not worse than what serves now. The check stops nothing: the deployment reads the verdict.",
    )


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
