"""Mistakes that a type checker must find; each line that holds one says which rule names it."""

import continuum
from continuum import Annotator, Criterion, DataCurator, FineTuneConfig, ModelDeployer, capture, feedback


@capture(model="gpt-4")  # finds: reportCallIssue
async def untasked(question: str) -> str:
    return question


@capture(task="support")
async def answer(question: str) -> str:
    return question


async def misuse() -> None:
    await answer(7)  # finds: reportArgumentType
    length: int = await answer("Why?")  # finds: reportAssignmentType
    await feedback.record("id", scores=5)  # finds: reportCallIssue
    await feedback.record("id", kind="loud")  # finds: reportArgumentType
    Criterion("helpfulness", weight="heavy", description="")  # finds: reportArgumentType
    Annotator(judge_model=3)  # finds: reportArgumentType
    DataCurator(strategy="random")  # finds: reportArgumentType
    FineTuneConfig(lora_rank="eight")  # finds: reportArgumentType
    ModelDeployer(serving_backend="triton")  # finds: reportArgumentType
    stats = await Annotator().annotate_backlog(task="support")
    print(stats.totals)  # finds: reportAttributeAccessIssue
    print(length, continuum.Annotater)  # finds: reportAttributeAccessIssue
