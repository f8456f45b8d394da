"""The learning curve: what each turn of the wheel gained on the golden dataset, and what a query costs.

Every model answers the same golden items and is scored by the same judge, so two models differ by their answers alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from continuum.analytics.arms import BASE, COST, NEAREST, PRODUCTION, Contender, Point, contenders, production_cost_usd
from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.judging.evaluation import score_answers
from continuum.judging.judge import Judge
from continuum.judging.measures import Measures, measures_of
from continuum.judging.standing import judge_notes
from continuum.models.answering import Answerer, LocalAnswerer
from continuum.models.budget import Budget
from continuum.progress import Progress, silent
from continuum.records import Message
from continuum.rubric import Criterion
from continuum.splits.golden import GoldenDataset, GoldenItem
from continuum.splits.sample import whole_groups
from continuum.store import default_store

if TYPE_CHECKING:
    import polars

    from continuum.analytics.frontier import Standing
    from continuum.analytics.projection import Projection
    from continuum.store.database import Store

Answers = Mapping[str, Message | None]
"""Interaction id of a golden item to a model's answer."""
LOCAL_COST_NOTE = "tuned models and their base are counted at $0 a query: they have no price, and the machine is not counted"


@dataclass(frozen=True)
class LearningCurve:
    """How the models of a task compare; made by `compute`."""

    task: str
    golden: str
    items: int
    metrics: tuple[str, ...]
    reference: str
    """The model that gains are measured from: the base where it is compared."""
    judge: str | None
    points: tuple[Point, ...]
    frontier: "tuple[Standing, ...]"
    """Cost and quality of the models whose cost is known, the cheapest first."""
    projections: "Mapping[str, Projection | str]"
    """Metric to where it is heading, or to the reason that cannot be said."""
    notes: tuple[str, ...] = ()

    @classmethod
    async def compute(
        cls,
        task: str,
        models: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        *,
        store: "Store | None" = None,
        judge: Judge | None = None,
        criteria: Sequence[Criterion] | None = None,
        answerer: Answerer | None = None,
        answers: Mapping[str, Answers] | None = None,
        limit: int | None = None,
        on_progress: Progress = silent,
    ) -> Self:
        """Ask each model the newest golden questions and compare the answers.

        Args:
            task: whose curve.
            models: `production`, `nearest` (the answer of the most similar training example), `base`, `v1`, `v2`, or names of
                checkpoints; None for all there are.
            metrics: names of criteria, `action_match` and `cost_per_query`, which is always shown; None for the guard's.
            store: where the models are looked up; None for the default store.
            judge: who scores; None for the judge of the task's policy.
            criteria: what the metrics mean; None for the policy's.
            answerer: how models are asked; None runs them in this process.
            answers: answers that are there already, by model name as in `models`; those models are not asked again.
            limit: the most golden items to ask, in whole groups; None for all.
            on_progress: told of each model.

        Raises:
            ConfigurationError: the task, a model or a metric is unknown, or there is nothing to measure on.
        """
        opened = store or default_store()
        policy = opened.tasks.get(task).policy
        golden = GoldenDataset.latest(task, store=opened)
        if golden is None or not len(golden):
            raise ConfigurationError(f"task {task!r} has no golden items to measure on; curate it first, which sets some aside")
        asked = [metric for metric in metrics or () if metric != COST]
        measures = measures_of(policy, asked or policy.guard.metrics, judge=judge, criteria=criteria).kept_in(opened)
        items = whole_groups(golden.items, limit, salt=golden.fingerprint)
        chosen = contenders(opened, policy, items, models)
        base_model = next((c.checkpoint.base_model for c in reversed(chosen) if c.checkpoint), None) or policy.base_model
        asker = answerer or LocalAnswerer(base_model or load_settings().base_model)
        ready = dict(answers or {})
        if any(contender.name == NEAREST for contender in chosen) and NEAREST not in ready:
            from continuum.analytics.lookup import looked_up  # faiss starts here

            found = await asyncio.to_thread(looked_up, opened, task, [item.messages for item in items])
            ready[NEAREST] = {item.interaction_id: answer for item, answer in zip(items, found, strict=True)}
        budget = Budget.of_task(opened, policy, "guard")
        scores = {}
        for step, contender in enumerate(chosen):
            on_progress(step, len(chosen), f"{contender.name}: {len(items)} golden items")
            scores[contender.name] = await _scores(contender, items, measures, asker, budget, ready.get(contender.name))
        on_progress(len(chosen), len(chosen), "comparing")

        from continuum.analytics.comparison import compared  # scipy starts here

        names = [c.checkpoint.base_model if c.checkpoint else c.name for c in chosen]
        standing = await asyncio.to_thread(judge_notes, opened, policy, measures, names)
        costs = {c.name: production_cost_usd(opened, items) if c.name == PRODUCTION else 0.0 for c in chosen}
        reference = BASE if BASE in scores else chosen[0].name
        points, standings, projections = compared(items, chosen, scores, costs, measures.metrics, reference)
        return cls(
            task=task,
            golden=golden.name,
            items=len(items),
            metrics=measures.metrics,
            reference=reference,
            judge=measures.judge_name,
            points=points,
            frontier=standings,
            projections=projections,
            notes=(*_notes(chosen, costs, measures), *standing),
        )

    def summary(self) -> str:
        """The whole curve as text: comparison, trajectory, cost-quality frontier, projection, and what to keep in mind."""
        from continuum.analytics.summary import as_text

        return as_text(self)

    def to_markdown(self) -> str:
        """The comparison as a Markdown table, with the notes."""
        from continuum.analytics.summary import as_markdown

        return as_markdown(self)

    def plot(self, path: str | Path) -> Path:
        """Draw the curve, with intervals and projection, beside cost against quality; returns the file written."""
        from continuum.analytics.plot import draw  # matplotlib starts here

        return draw(self, Path(path))

    def to_polars(self) -> "polars.DataFrame":
        """A row for each model and metric."""
        import polars

        rows = [
            {
                "model": point.model,
                "metric": metric,
                "examples": point.examples,
                "mean": found.mean,
                "low": found.low,
                "high": found.high,
                "items": found.items,
                "groups": found.groups,
                "gain": point.gains[metric].mean if metric in point.gains else None,
                "gain_low": point.gains[metric].low if metric in point.gains else None,
                "gain_high": point.gains[metric].high if metric in point.gains else None,
                "cost_usd": point.cost_usd,
            }
            for point in self.points
            for metric, found in point.means.items()
        ]
        numbers = ("mean", "low", "high", "gain", "gain_low", "gain_high", "cost_usd")
        kinds = {name: polars.Float64 if name in numbers else polars.Int64 for name in ("examples", "items", "groups", *numbers)}
        order = [
            "model",
            "metric",
            "examples",
            "mean",
            "low",
            "high",
            "items",
            "groups",
            "gain",
            "gain_low",
            "gain_high",
            "cost_usd",
        ]
        schema = {name: kinds.get(name, polars.String) for name in order}
        return polars.DataFrame(rows, schema=schema)


async def _scores(
    contender: Contender,
    items: Sequence[GoldenItem],
    measures: Measures,
    answerer: Answerer,
    budget: Budget,
    ready: Answers | None,
) -> dict[str, list[float | None]]:
    """Metric to the scores of one model's answers; None where production has no answer to an item."""
    if contender.name == PRODUCTION:
        known = [n for n, item in enumerate(items) if item.production is not None]
        replies: list[Message | None] = [items[n].production for n in known]
    else:
        known = list(range(len(items)))
        if ready is not None:
            replies = [ready.get(item.interaction_id) for item in items]
        else:
            replies = await answerer.answer(contender.checkpoint, [item.messages for item in items])
    scored = await score_answers(
        [items[n] for n in known],
        replies,
        measures.metrics,
        judge=measures.judge,
        criteria=measures.criteria,
        budget=budget,
    )
    spread: dict[str, list[float | None]] = {}
    for metric, values in scored.items():
        spread[metric] = [None] * len(items)
        for n, value in zip(known, values, strict=True):
            spread[metric][n] = value
    return spread


def _notes(chosen: Sequence[Contender], costs: Mapping[str, float | None], measures: Measures) -> tuple[str, ...]:
    notes = []
    if any(contender.name != PRODUCTION for contender in chosen):
        notes.append(LOCAL_COST_NOTE)
    if PRODUCTION in costs and costs[PRODUCTION] is None:
        notes.append("no cost was captured for production's answers, so it is not on the cost-quality frontier")
    if PRODUCTION in costs and "action_match" in measures.metrics:
        notes.append("where a reference is production's own answer that a person approved, production matches by construction")
    if any(contender.name == NEAREST for contender in chosen):
        notes.append("nearest is no model: it gives the answer of the most similar training example")
    return tuple(notes)
