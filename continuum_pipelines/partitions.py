"""One dynamic dimension for every asset: the task."""

import dagster as dg

tasks = dg.DynamicPartitionsDefinition(name="task")
"""A partition for each task of the store; the sensor `new_tasks` adds them."""

bootstrap = (
    dg.AutomationCondition.on_missing()
    | (
        # A task that was there before the daemon first looked is missing too, but never becomes so.
        dg.AutomationCondition.initial_evaluation()
        & dg.AutomationCondition.missing()
        & ~dg.AutomationCondition.in_progress()
        & ~dg.AutomationCondition.any_deps_missing()
    )
).with_label("bootstrap")
"""Materializes what a task has never had, once: several new tasks at a time become one backfill."""
