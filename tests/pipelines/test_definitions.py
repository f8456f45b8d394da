import json
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from continuum_pipelines.checks import no_regression
from continuum_pipelines.definitions import defs
from continuum_pipelines.instance import open_instance
from continuum_pipelines.partitions import tasks
from continuum_pipelines.run_coordinator import JUDGING, LINE_TAG, TRAINING, TURN

ROOT = Path(__file__).parents[2]
LINE = [
    "raw_interactions",
    "judged_annotations",
    "curated_dataset",
    "lora_checkpoint",
    "guard_verdict",
    "deployment",
    "learning_curve",
]
LEFT_TO_THE_WORK = {
    "torch", "mlflow", "transformers", "peft", "trl", "polars", "pandas", "numpy", "scipy", "sentence_transformers", "faiss",
    "matplotlib", "sqlalchemy", "psycopg2", "openai", "aiohttp", "httpx", "rich", "dagster_k8s", "dagster_docker", "kubernetes",
}  # fmt: skip
"""What an asset or a sensor loads once it is asked; the code location itself does without."""


def test_the_seven_assets_stand_in_one_line() -> None:
    graph = defs.resolve_asset_graph()
    parents = {
        key.to_user_string(): [parent.to_user_string() for parent in graph.get(key).parent_keys]
        for key in graph.get_all_asset_keys()
    }
    assert parents == {name: LINE[place - 1 : place] if place else [] for place, name in enumerate(LINE)}


def test_no_asset_is_in_a_group_so_that_the_graph_opens_uncollapsed() -> None:
    assert {spec.group_name for spec in defs.resolve_all_asset_specs()} == {"default"}


def test_every_asset_is_partitioned_by_task_bootstraps_itself_and_says_what_it_is() -> None:
    for spec in defs.resolve_all_asset_specs():
        assert spec.partitions_def == tasks
        assert spec.automation_condition is not None
        assert spec.description
        assert spec.kinds


def test_the_guard_is_a_check_by_task_that_blocks_nothing() -> None:
    assert no_regression.partitions_def == tasks
    assert not no_regression.blocking
    assert no_regression.asset_key == dg.AssetKey("guard_verdict")


CHECKS = {
    "raw_interactions": ["spool_lag"],
    "judged_annotations": ["judge_calibrated", "judge_drift", "judge_gamed", "budget_kept"],
    "curated_dataset": ["dataset_sealed", "dataset_diverse", "duplicates"],
    "lora_checkpoint": ["constitution_kept", "forgetting_budget"],
    "guard_verdict": ["no_regression"],
    "deployment": ["deployment_healthy"],
}


def test_every_check_is_by_task_blocks_nothing_and_says_what_to_do() -> None:
    checks = [check for asset in LINE for check in defs.resolve_assets_def(asset).check_specs]
    assert {asset: [check.name for check in checks if check.asset_key == dg.AssetKey(asset)] for asset in CHECKS} == CHECKS
    assert len(checks) == 12
    for check in checks:
        assert check.partitions_def == tasks
        assert not check.blocking
        assert re.search(r"\. When it (warns|fails)", str(check.description))


def test_each_asset_file_is_named_as_its_asset() -> None:
    files = {path.stem for path in (ROOT / "continuum_pipelines" / "assets").glob("*.py")} - {"__init__"}
    assert files == set(LINE)


def test_the_sensors_and_the_schedules_run_by_themselves() -> None:
    sensors = {sensor.name: sensor.default_status for sensor in defs.sensors or []}
    names = ["new_tasks", "bootstrap_new_tasks", "enough_new_data", "poll_batches", "lead_deployments"]
    names += ["requested_backfills", "requested_turns", "late_feedback", "quarantined_models", "overlooked_retries"]
    assert sensors == dict.fromkeys(names, dg.DefaultSensorStatus.RUNNING)
    schedules = {schedule.name: (schedule.cron_schedule, schedule.default_status) for schedule in defs.schedules or []}
    # Each ticks as often as two time zones can differ, and sees for each task whether its own night is on.
    nightly = ["nightly_annotation", "anchors_when_due", "nightly_retention", "nightly_learning_curve"]
    assert schedules == dict.fromkeys(nightly, ("*/15 * * * *", dg.DefaultScheduleStatus.RUNNING))


def test_every_sensor_schedule_and_job_says_what_it_does() -> None:
    for one in (*(defs.sensors or []), *(defs.schedules or []), *(defs.jobs or [])):
        assert isinstance(one, dg.SensorDefinition | dg.ScheduleDefinition | dg.JobDefinition | UnresolvedAssetJobDefinition)
        assert len(one.description or "") > 20, one.name


@pytest.mark.slow
def test_the_code_location_stays_light() -> None:
    program = (
        "import sys, json, continuum_pipelines.definitions; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout))
    assert "dagster" in loaded
    assert loaded.isdisjoint(LEFT_TO_THE_WORK), sorted(loaded & LEFT_TO_THE_WORK)


@pytest.mark.slow
def test_dagster_loads_the_workspace_as_it_stands(home: Path) -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continuum_pipelines" in done.stdout + done.stderr


def test_one_run_works_on_a_task_and_no_kind_of_run_takes_every_place(home_instance: dg.DagsterInstance) -> None:
    limits = home_instance.get_concurrency_config()
    assert limits.pool_config.default_pool_limit == 1
    queue = limits.run_queue_config
    assert queue is not None
    of_a_task, *lines = queue.tag_concurrency_limits
    assert of_a_task == {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    assert {(line["key"], line["value"]) for line in lines} == {(LINE_TAG, name) for name in (TURN, TRAINING, JUDGING)}
    assert all(line["limit"] < queue.max_concurrent_runs for line in lines)


def test_no_asset_waits_for_a_pool_before_it_knows_that_it_has_something_to_do() -> None:
    assert {defs.resolve_assets_def(asset).op.pool for asset in LINE} == {None}


def test_a_killed_run_is_repeated_and_an_error_is_not(home_instance: dg.DagsterInstance) -> None:
    assert home_instance.run_retries_enabled
    assert home_instance.get_settings("run_retries")["retry_on_asset_or_op_failure"] is False


def test_the_instance_of_a_team_differs_in_its_storage_only() -> None:
    one = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    team = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    assert team.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert team == one


def test_the_instance_lies_in_the_home_and_is_found_again(home: Path, home_instance: dg.DagsterInstance) -> None:
    home_instance.add_dynamic_partitions("task", ["support"])
    with open_instance() as again:
        assert again.get_dynamic_partitions("task") == ["support"]
    assert Path(home_instance.root_directory) == home / "dagster"
