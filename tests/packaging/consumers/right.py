"""An application that uses the public names as they are meant; a type checker has nothing to say about it."""

from collections.abc import AsyncIterator
from typing import assert_type

from continuum import (
    AnnotationStats,
    Annotator,
    Continuum,
    ContinuumConfig,
    ContinuumError,
    Criterion,
    DataCurator,
    Dataset,
    Deployment,
    EWCConfig,
    FineTuneConfig,
    GoldenDataset,
    LearningCurve,
    ModelDeployer,
    NotEnoughData,
    RegressionGuard,
    Trainer,
    TrainingResult,
    Verdict,
    capture,
    capture_stats,
    context,
    feedback,
    instrument_openai,
    interaction,
)


@capture(task="support", model="gpt-4")
async def answer(question: str, *, brief: bool = False) -> str:
    """Captured, and of the same type as before."""
    return question if brief else question * 2


@capture(task="support")
async def stream(question: str) -> AsyncIterator[str]:
    """A stream stays one."""
    yield question


class Bot:
    """Methods keep their types too."""

    @capture(task="support")
    def reply(self, question: str) -> int:
        """Captured."""
        return len(question)


async def use() -> None:
    """Every stage, in the order data flows."""
    instrument_openai(task="support")
    with context(conversation_id=7, user_id="ada"):
        assert_type(await answer("Where is it?", brief=True), str)
        assert_type(Bot().reply("Where is it?"), int)
        async for chunk in stream("Where is it?"):
            assert_type(chunk, str)
    assert_type(interaction.id, str)
    await feedback.record(interaction_id=interaction.id, score=4.5, label="good")
    feedback.record_sync(interaction.id, correction="Refunds take five days.")
    assert_type(capture_stats().captured, int)

    criteria = [Criterion("helpfulness", weight=1.0, description="Answers the question")]
    annotator = Annotator(judge_model="gpt-4", criteria=criteria, batch_size=50, cost_budget_usd=5.0)
    stats = await annotator.annotate_backlog(task="support", since="7d")
    assert_type(stats, AnnotationStats)
    assert_type(stats.score_histogram, dict[str, int])

    dataset = await DataCurator(strategy="diversity", target_size=100).build(task="support", time_window="30d")
    assert_type(dataset, Dataset)
    assert_type([example.score for example in dataset], list[float])

    config = FineTuneConfig(method="lora", lora_rank=8, forgetting_prevention=EWCConfig(lambda_ewc=100.0))
    result = await Trainer(base_model="tiny", config=config).train(dataset)
    assert_type(result, TrainingResult)
    assert_type(result.final_loss, float)

    guard = RegressionGuard(golden_dataset=GoldenDataset.load("support_golden_v1"), metrics=["helpfulness"])
    verdict = await guard.evaluate(candidate_model=result.model)
    assert_type(verdict, Verdict)
    assert_type(verdict.approved, bool)

    deployment = await ModelDeployer(serving_backend="local").deploy(result.model, strategy="canary", initial_traffic=0.05)
    assert_type(deployment, Deployment)
    curve = await LearningCurve.compute(task="support", models=["base"], metrics=["helpfulness"])
    print(curve.summary())

    try:
        wheel = Continuum(ContinuumConfig(task="support", api_key="sk-...", auto_train_when=1000))
    except NotEnoughData as error:
        assert_type(error.needed, int | None)
    except ContinuumError:
        raise
    else:

        @wheel.capture
        async def other(question: str) -> str:
            return question

        assert_type(await other("Why?"), str)
