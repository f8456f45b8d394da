import dagster as dg
import pytest

from continuum_pipelines.definitions import defs

ALL_SEVEN = 7
# Dagster's own tester of conditions uses a parameter that Dagster calls beta.
pytestmark = pytest.mark.filterwarnings("ignore:Parameter `include_sources`")


def requested(result: dg.EvaluateAutomationConditionsResult, task: str) -> int:
    """How many assets of the task are asked for."""
    return sum(task in result.get_requested_partitions(spec.key) for spec in defs.resolve_all_asset_specs())


def test_a_new_task_gets_all_seven_assets_once(instance: dg.DagsterInstance) -> None:
    before = dg.evaluate_automation_conditions(defs, instance)
    instance.add_dynamic_partitions("task", ["support"])

    first = dg.evaluate_automation_conditions(defs, instance, cursor=before.cursor)
    second = dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor)

    assert requested(first, "support") == ALL_SEVEN
    assert second.total_requested == 0


def test_a_task_that_was_there_before_the_daemon_is_bootstrapped_too(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("task", ["support"])

    first = dg.evaluate_automation_conditions(defs, instance)
    second = dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor)

    assert requested(first, "support") == ALL_SEVEN
    assert second.total_requested == 0


def test_a_task_that_has_been_turned_is_left_alone(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("task", ["support"])
    for spec in defs.resolve_all_asset_specs():
        instance.report_runless_asset_event(dg.AssetMaterialization(spec.key, partition="support"))

    assert dg.evaluate_automation_conditions(defs, instance).total_requested == 0


def test_new_annotations_alone_start_nothing(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("task", ["support"])
    for spec in defs.resolve_all_asset_specs():
        instance.report_runless_asset_event(dg.AssetMaterialization(spec.key, partition="support"))
    before = dg.evaluate_automation_conditions(defs, instance)
    instance.report_runless_asset_event(dg.AssetMaterialization("judged_annotations", partition="support"))

    assert dg.evaluate_automation_conditions(defs, instance, cursor=before.cursor).total_requested == 0
