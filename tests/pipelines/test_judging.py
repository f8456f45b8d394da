import asyncio
import random
from collections.abc import Callable

import dagster as dg

from continuum.demo.provider import SimulatedProvider
from continuum.demo.world import World
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.store.database import Store
from continuum_pipelines.turn import run_turn
from tests.builders import an_interaction


async def test_the_judge_scores_what_was_captured_and_the_ui_shows_scores_and_cost(
    store: Store, instance: dg.DagsterInstance
) -> None:
    world, rng = World(), random.Random(0)
    questions = [question.text for question in world.traffic(rng, 12, "shop")]
    store.interactions.add(an_interaction(text, world.production_answer(text, rng), task="shop") for text in questions)
    async with SimulatedProvider() as provider:
        judge = JudgePolicy(model="sim-judge", base_url=provider.base_url, budget_usd=1.0)
        store.tasks.register(TaskPolicy(task="shop", judge=judge))
        outcome = await asyncio.to_thread(run_turn, "shop", instance=instance)

    shown = instance.get_latest_materialization_event(dg.AssetKey("judged_annotations"))
    assert shown is not None
    assert shown.asset_materialization is not None
    metadata = {name: value.value for name, value in shown.asset_materialization.metadata.items()}
    assert outcome.statuses["judged_annotations"].startswith("12 judged for $")
    assert store.annotations.count("shop") == 12
    assert metadata["cost_usd"] > 0
    assert sum(record.data["count"] for record in metadata["score_histogram"].records) == 12
    assert metadata["scores"].startswith("![")
    assert len(metadata["scores"]) < 1000


def test_a_task_that_is_not_annotated_by_itself_spends_nothing(a_task: Callable[..., str], instance: dg.DagsterInstance) -> None:
    a_task(captured=3, praised=1, auto_annotate=False, judge=JudgePolicy(model="gpt-4o", base_url="http://127.0.0.1:1/v1"))
    assert run_turn("support", instance=instance).statuses["judged_annotations"].startswith("auto_annotate is off")
