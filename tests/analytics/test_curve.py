from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import update

from continuum.analytics.curve import LearningCurve
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError
from continuum.judging.scripted import ScriptedJudge
from continuum.policy import GuardPolicy, TaskPolicy
from continuum.records import Checkpoint, DatasetRecord, Message
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_growth import hold_out
from continuum.store.database import Store
from continuum.store.erasures import Change
from continuum.store.learning import DatasetItem
from continuum.store.tables import datasets
from tests.builders import an_example, assistant, interactions

METRICS = ["helpfulness", "accuracy", "cost_per_query"]


class StarAnswerer:
    """Each model answers with so many stars; a later version with more."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        self.asked.append(model.name if model else "base")
        stars = 2 if model is None else min(5, 2 + model.version)
        # Every fifth answer is a star short, so that there is some spread.
        return [assistant(str(stars - (n % 5 == 0))) for n in range(len(conversations))]


@pytest.fixture
def judge() -> ScriptedJudge:
    return ScriptedJudge("stars", lambda conversation, response, criterion: float(response.text[0]))


@pytest.fixture
def task(store: Store) -> Store:
    """A task with golden items that production answered with four stars, and no version yet."""
    policy = TaskPolicy.model_validate({"task": "support", "base_model": "tiny", "judge": {"model": "stars"}})
    store.tasks.register(policy)
    captured = [
        interaction.model_copy(update={"response": assistant("4"), "cost_usd": 0.03, "tags": {"intent": ("bill", "ship")[n % 2]}})
        for n, interaction in enumerate(interactions(150))
    ]
    store.interactions.add(captured)
    assert hold_out(store, policy) is not None
    return store


def train(store: Store, versions: int) -> None:
    """Versions v1, v2, ... each continued from the one before on 50 new examples."""
    for version in range(1, versions + 1):
        record = DatasetRecord(
            id=f"data{version}",
            task="support",
            name=f"support_training_v{version}",
            version=version,
            uri="nowhere",
            manifest={},
        )
        members = [DatasetItem(interaction_id=f"trained-{version}-{n}", split="train") for n in range(50)]
        store.datasets.add(record, members)
        store.checkpoints.add(
            Checkpoint(
                id=f"c{version}",
                task="support",
                version=version,
                base_model="tiny",
                uri="nowhere",
                dataset_id=f"data{version}",
                parent_id=f"c{version - 1}" if version > 1 else None,
            )
        )


async def test_every_model_is_compared_on_the_same_golden_items(task: Store, judge: ScriptedJudge) -> None:
    train(task, 2)

    curve = await LearningCurve.compute(
        task="support", models=["base", "v1", "v2"], metrics=METRICS, store=task, judge=judge, answerer=StarAnswerer()
    )

    assert [point.model for point in curve.points] == ["base", "v1", "v2"]
    assert [point.examples for point in curve.points] == [0, 50, 100]
    base, first, second = curve.points
    assert base.gains == {}
    assert first.means["helpfulness"].mean == pytest.approx(0.45, abs=0.01)
    assert first.gains["helpfulness"].mean == pytest.approx(0.25)
    assert second.gains["accuracy"].mean == pytest.approx(0.5)
    assert second.means["accuracy"].low < second.means["accuracy"].mean < second.means["accuracy"].high
    assert curve.metrics == ("helpfulness", "accuracy")


async def test_left_to_itself_it_compares_production_the_base_and_all_versions_by_the_guards_metrics(
    task: Store, judge: ScriptedJudge
) -> None:
    train(task, 1)
    policy = task.tasks.get("support").policy
    task.tasks.register(policy.model_copy(update={"guard": GuardPolicy(metrics=("tone",))}))

    curve = await LearningCurve.compute("support", store=task, judge=judge, answerer=StarAnswerer())

    assert [point.model for point in curve.points] == ["production", "base", "v1"]
    assert curve.metrics == ("tone",)
    assert curve.reference == "base"
    assert curve.points[0].means["tone"].mean == 0.75
    assert curve.points[0].cost_usd == pytest.approx(0.03)
    assert curve.points[2].cost_usd == 0


async def test_the_frontier_holds_what_no_model_beats_in_cost_and_quality(task: Store, judge: ScriptedJudge) -> None:
    train(task, 1)

    curve = await LearningCurve.compute("support", metrics=METRICS, store=task, judge=judge, answerer=StarAnswerer())

    # v1 is free and better than the base; production is better still and dear.
    standing = {found.model: found for found in curve.frontier}
    assert {model: found.on_frontier for model, found in standing.items()} == {"base": False, "v1": True, "production": True}
    assert standing["base"].probability == 0
    assert standing["v1"].probability == 1


async def test_few_versions_get_a_reason_instead_of_a_projection(task: Store, judge: ScriptedJudge) -> None:
    train(task, 2)

    curve = await LearningCurve.compute("support", metrics=METRICS, store=task, judge=judge, answerer=StarAnswerer())

    assert curve.projections["accuracy"].startswith("2 versions with different numbers of examples are too few")
    assert "no projection: 2 versions" in curve.summary()


async def test_four_versions_are_projected_with_an_interval(task: Store, judge: ScriptedJudge) -> None:
    train(task, 4)

    curve = await LearningCurve.compute("support", metrics=METRICS, store=task, judge=judge, answerer=StarAnswerer())

    found = curve.projections["helpfulness"]
    assert not isinstance(found, str)
    assert found.examples == 800
    assert found.low <= found.mean <= found.high <= 1
    assert "at 800 examples" in curve.summary()
    assert "curves of other shapes leave them more often than they say" in curve.summary()


async def test_the_summary_tells_the_whole_story_in_text(task: Store, judge: ScriptedJudge) -> None:
    train(task, 2)

    summary = (await LearningCurve.compute("support", store=task, judge=judge, answerer=StarAnswerer())).summary()

    for words in (
        "In short",
        "helpfulness: v2 and base: v2 is better than base: +0.500 (95% ",
        "helpfulness: v2 and production: no difference is shown: ",
        "against base",
        "Trajectory",
        "better",
        "Cost and quality",
        "Projection",
        "ship",
    ):
        assert words in summary
    assert "$0.03000" in summary
    assert "judged by stars" in summary


async def test_a_model_that_learned_from_what_was_erased_is_left_out_and_refused_by_name(
    task: Store, judge: ScriptedJudge
) -> None:
    train(task, 3)
    for version, other in (("c2", None), ("c3", "c4")):
        task.erasures.note_change(
            "e", "checkpoint", version, "support", Change("files", {}, {}), state="quarantined", reason="r", replaced_by=other
        )

    answerer = StarAnswerer()
    curve = await LearningCurve.compute("support", store=task, judge=judge, answerer=answerer)

    assert [point.model for point in curve.points] == ["production", "base", "v1"]
    assert "support-v2" not in answerer.asked
    assert "v2, v3 learned from what was erased since, and are left out" in curve.notes
    with pytest.raises(ConfigurationError, match=r"support-v2 cannot .* quarantined: r; have it trained anew"):
        await LearningCurve.compute("support", ["base", "v2"], store=task, judge=judge, answerer=answerer)


async def test_the_frame_has_a_row_for_each_model_and_metric(task: Store, judge: ScriptedJudge) -> None:
    train(task, 1)

    frame = (await LearningCurve.compute("support", store=task, judge=judge, answerer=StarAnswerer())).to_polars()

    assert frame.filter(pl.col("metric").is_in(["helpfulness", "accuracy"])).height == 6
    assert frame.filter(model="v1", metric="accuracy")["gain"].item() == pytest.approx(0.25)
    assert frame.filter(model="base", against="")["gain"].null_count() == frame.filter(model="base", against="").height
    assert frame.filter(model="v1", metric="accuracy")["against"].item() == "base"
    assert frame.filter(model="production", metric="cost_per_query")["mean"].item() == pytest.approx(0.03)
    assert frame.filter(model="v1", metric="latency_ms p50")["mean"].to_list() == [None]


async def test_an_item_that_given_answers_lack_has_no_score_and_one_that_was_not_answered_counts_as_none(
    task: Store, judge: ScriptedJudge
) -> None:
    train(task, 2)
    golden = GoldenDataset.latest("support", store=task)
    assert golden is not None
    ids = sorted(item.interaction_id for item in golden)
    half = {id: assistant("3") for id in ids[::2]}
    silent = {id: None if n < 4 else assistant("3") for n, id in enumerate(ids)}

    curve = await LearningCurve.compute(
        "support", ["v1", "v2"], store=task, judge=judge, answerer=StarAnswerer(), answers={"v1": half, "v2": silent}
    )

    first, second = (point.means["helpfulness"] for point in curve.points)
    assert (first.items, first.mean) == (len(half), 0.5)
    assert second.items == len(ids)
    assert second.mean == pytest.approx(0.5 * (len(ids) - 4) / len(ids))
    assert f"v2 gave no answer to 4 of {len(ids)} questions; these count as 0" in curve.notes
    assert not any(note.startswith("v1 gave no answer") for note in curve.notes)


async def test_two_golden_items_give_means_and_say_that_they_are_too_few_for_more(task: Store, judge: ScriptedJudge) -> None:
    train(task, 1)

    curve = await LearningCurve.compute(
        "support", ["base", "v1"], ["helpfulness"], store=task, judge=judge, answerer=StarAnswerer(), limit=2
    )

    assert [(point.means["helpfulness"].low, point.means["helpfulness"].high) for point in curve.points] == [(None, None)] * 2
    assert curve.points[1].gains["helpfulness"].word == "no data"
    assert "on 2 items, too few to say more (10 independent groups are needed)" in curve.summary()


@pytest.mark.slow
async def test_the_plot_is_written_with_and_without_a_projection(task: Store, judge: ScriptedJudge, tmp_path: Path) -> None:
    train(task, 4)
    curve = await LearningCurve.compute("support", store=task, judge=judge, answerer=StarAnswerer())
    short = await LearningCurve.compute("support", ["v1"], store=task, judge=judge, answerer=StarAnswerer())

    for number, found in enumerate((curve, short)):
        written = found.plot(tmp_path / "plots" / f"{number}.png")
        assert written.read_bytes().startswith(b"\x89PNG")


async def test_answers_that_are_there_already_are_not_asked_for_again(task: Store, judge: ScriptedJudge) -> None:
    train(task, 1)
    answerer = StarAnswerer()
    ready = {f"{interaction.id}": assistant("5") for interaction in task.interactions.scan("support")}

    curve = await LearningCurve.compute("support", store=task, judge=judge, answerer=answerer, answers={"v1": ready})

    assert answerer.asked == ["base"]
    assert curve.points[-1].means["helpfulness"].mean == 1


async def test_without_a_judge_references_are_matched_and_the_note_says_what_that_means(task: Store) -> None:
    train(task, 1)

    curve = await LearningCurve.compute("support", metrics=["action_match"], store=task, answerer=StarAnswerer())

    # Nobody has called an answer good yet: there is no reference, so no mean.
    assert all(point.means == {} for point in curve.points)
    assert curve.frontier == ()
    assert "no model has both a cost and a quality" in curve.summary()
    assert any("by construction" in note for note in curve.notes)


async def test_markdown_is_a_table(task: Store, judge: ScriptedJudge) -> None:
    train(task, 1)

    markdown = (await LearningCurve.compute("support", store=task, judge=judge, answerer=StarAnswerer())).to_markdown()

    assert "| model | metric | examples | mean | items | against base | cost per query |\n| --- |" in markdown


@pytest.mark.parametrize(
    ("models", "words"), [(["v7"], "no model 'v7'; it has production, nearest, base, v1"), ([], "no model to compare")]
)
async def test_models_that_are_not_there_are_named(task: Store, judge: ScriptedJudge, models: list[str], words: str) -> None:
    train(task, 1)

    with pytest.raises(ConfigurationError, match=words):
        await LearningCurve.compute("support", models, store=task, judge=judge, answerer=StarAnswerer())


async def test_a_task_without_golden_items_says_so(store: Store, judge: ScriptedJudge) -> None:
    store.tasks.ensure("empty")

    with pytest.raises(ConfigurationError, match="no golden items"):
        await LearningCurve.compute("empty", store=store, judge=judge)


async def test_the_nearest_training_example_is_compared_where_there_are_datasets(
    task: Store, judge: ScriptedJudge, home: Path
) -> None:
    train(task, 1)
    folder = home / "datasets" / "v1"
    Dataset([an_example("How long does parcel 7 take?", "5 stars")], {"task": "support"}).write(folder)
    with task.engine.begin() as connection:
        connection.execute(update(datasets).where(datasets.c.kind == "training").values(uri=str(folder)))

    curve = await LearningCurve.compute(task="support", metrics=METRICS, store=task, judge=judge, answerer=StarAnswerer())

    assert [point.model for point in curve.points] == ["production", "nearest", "base", "v1"]
    assert next(point for point in curve.points if point.model == "nearest").means["helpfulness"].mean == 1.0
    assert "nearest is no model" in curve.summary()
