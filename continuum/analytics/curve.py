"""The learning curve: what each turn of the wheel gained, whether that is real, what it cost, and where it is heading.

Every model answers the same golden items and is scored by the same judge, so two models differ by their answers alone. What no
golden answer shows (cost, latency, forgetting, what people say) is read from traffic, verdicts and labels, and says so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from continuum.analytics.arms import BASE, BESIDE, COST, NEAREST, PRODUCTION, Contender, Point, contenders, erased_versions
from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.judging.judge import Judge
from continuum.judging.measures import Measures, measures_of
from continuum.judging.standing import judge_notes
from continuum.models.answering import Answerer, LocalAnswerer
from continuum.models.budget import Budget
from continuum.progress import Progress, silent
from continuum.provenance.lineage import trained_ids
from continuum.records import Message, VerdictStatus
from continuum.rubric import Criterion
from continuum.splits.golden import GoldenDataset, GoldenItem
from continuum.splits.sample import whole_groups
from continuum.store import default_store

if TYPE_CHECKING:
    import polars

    from continuum.analytics.attribution import Attribution
    from continuum.analytics.beside import Reading
    from continuum.analytics.comparison import Compared
    from continuum.analytics.fresh import Retold
    from continuum.analytics.frontier import Standing
    from continuum.analytics.gains import Gain
    from continuum.analytics.projection import Projection
    from continuum.analytics.turns import Turn
    from continuum.analytics.worth import Bill, Worth
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

PAGE = "learning_curve.html"
Answers = Mapping[str, Message | None]
"""Interaction id of a golden item to a model's answer."""
LOCAL_COST_NOTE = (
    "models on machines of one's own whose live calls have no price are counted at $0 a query; the machine is not counted"
)


@dataclass(frozen=True)
class LearningCurve:
    """How the models of a task compare; made by `compute`."""

    task: str
    golden: str
    items: int
    metrics: tuple[str, ...]
    """What answers were scored by."""
    reference: str
    """The model that gains are measured from: the base where it is compared."""
    judge: str | None
    points: tuple[Point, ...]
    frontier: "tuple[Standing, ...]"
    """Cost and quality of the models whose cost is known, the cheapest first."""
    projections: "Mapping[str, Projection | str]"
    """Metric to where it is heading, or to the reason that cannot be said."""
    turns: "tuple[Turn, ...]" = ()
    """What each version gained over the one it was continued from, and what that cost."""
    retold: "tuple[Retold, ...]" = ()
    """The gains of promoted versions, as claimed and on questions that had no say in it."""
    beside: tuple[str, ...] = ()
    """What was measured that no answer is scored by, of `cost_per_query`, `latency_ms`, `forgetting` and `human_agreement`."""
    readings: "tuple[Reading, ...]" = ()
    """And what it came to."""
    frontier_with_latency: "tuple[Standing, ...]" = ()
    """The same as `frontier` with latency as a third side, of the models whose latency is known; empty where fewer than two."""
    bill: "Bill | None" = None
    """What another thousand examples would cost."""
    worth: "tuple[Worth, ...]" = ()
    """What they would buy."""
    over_production: "Mapping[str, Gain]" = field(default_factory=dict)
    """What the newest version gains over production, metric by metric; empty where either is not compared."""
    attributions: "tuple[Attribution, ...]" = ()
    """Which training examples made each version better, and which worse."""
    notes: tuple[str, ...] = ()
    seed: int = 0

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
        seed: int = 0,
        on_progress: Progress = silent,
    ) -> Self:
        """Ask each model the newest golden questions and compare the answers.

        Answers and judgements are kept: the same curve asked for again asks no model and pays no judge, and one that was broken
        off goes on where it was. The same inputs and seed give the same curve.

        Args:
            task: whose curve.
            models: `production`, `nearest` (the answer of the most similar training example), `base`, `v1`, `v2`, or names of
                checkpoints; None for all there are.
            metrics: names of criteria, `action_match`, and of what is measured beside: `cost_per_query` (always shown),
                `latency_ms`, `forgetting`, `human_agreement`; None for the guard's and all of those. Where none is scored by
                answers, the guard's are.
            store: where the models are looked up; None for the default store.
            judge: who scores; None for the judge of the task's policy. What it costs is the task's guard budget's.
            criteria: what the metrics mean; None for the policy's.
            answerer: how models are asked; None runs them in this process.
            answers: answers that are there already, by model name as in `models`; those models are not asked again. An item that
                is not among a model's has no score, one with None has the score of no answer.
            limit: the most golden items to ask, in whole groups; None for all.
            seed: of all resampling.
            on_progress: told of each model.

        Raises:
            ConfigurationError: the task, a model or a metric is unknown, or there is nothing to measure on.
            JudgeError: not one judgement of a model succeeded.
        """
        from continuum.analytics.scoring import score_all, silences
        from continuum.models.asking import Asking

        opened = store or default_store()
        policy = opened.tasks.get(task).policy
        golden = GoldenDataset.latest(task, store=opened)
        asked = [metric for metric in metrics or () if metric not in BESIDE]
        beside = tuple(metric for metric in BESIDE if metric == COST or metrics is None or metric in metrics)
        chosen, items, notes = await asyncio.to_thread(_settled, opened, task, golden, models, limit)
        if golden is None or not items:
            raise ConfigurationError(f"task {task!r} has no golden items to measure on; curate it first, which sets some aside")
        wanted = asked or policy.guard.metrics
        measures = measures_of(policy, wanted, judge=judge, criteria=criteria, elsewhere=BESIDE).kept_in(opened)
        base_model = next((c.checkpoint.base_model for c in reversed(chosen) if c.checkpoint), None) or policy.base_model
        base_model = str(base_model or load_settings().base_model or "")
        budget = Budget.of_task(opened, policy, "guard")
        found = await score_all(
            opened,
            task,
            chosen,
            items,
            measures=measures,
            asking=Asking(answerer or LocalAnswerer(base_model or None), opened, task),
            base_model=base_model,
            budget=budget,
            ready=answers or {},
            on_progress=on_progress,
        )

        from continuum.analytics.comparison import compared  # scipy starts here
        from continuum.analytics.explaining import explained

        names = [c.checkpoint.base_model if c.checkpoint else c.name for c in chosen]
        standing = await asyncio.to_thread(judge_notes, opened, policy, measures, names)
        reference = BASE if BASE in found.scores else chosen[0].name
        result = await asyncio.to_thread(
            compared, opened, task, items, chosen, found, measures.metrics, beside, reference, seed=seed
        )
        attributions, unexplained = await asyncio.to_thread(
            explained, opened, task, items, chosen, found.scores, result.turns, seed=seed
        )
        return cls(
            task=task,
            golden=golden.name,
            items=len(items),
            metrics=measures.metrics,
            reference=reference,
            judge=measures.judge_name,
            beside=beside,
            attributions=tuple(attributions),
            notes=(*notes, *silences(found), *_notes(chosen, result, measures, budget, len(items)), *unexplained, *standing),
            seed=seed,
            **vars(result),
        )

    def summary(self) -> str:
        """The whole curve as text: comparison, turns, frontier, projection and the rest, and what to keep in mind."""
        from continuum.analytics.summary import as_text

        return as_text(self)

    def to_markdown(self) -> str:
        """The same as Markdown, tables as tables."""
        from continuum.analytics.summary import as_markdown

        return as_markdown(self)

    def plot(self, path: str | Path) -> Path:
        """Draw the curve, with intervals and projection, beside cost against quality; returns the file written."""
        from continuum.analytics.plot import draw  # matplotlib starts here

        return draw(self, Path(path))

    def to_html(self) -> str:
        """The whole curve as a page that stands for itself: nothing to load, nothing that runs, light and dark."""
        from continuum.analytics.html import to_html

        return to_html(self)

    def report(self, path: str | Path) -> Path:
        """Write the page of `to_html`; returns the file written."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.to_html(), encoding="utf-8")
        return target

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        from continuum.analytics.plain import as_json

        return as_json(self)

    def figures(self) -> dict[str, float]:
        """The numbers by name, such as `curve v2 helpfulness`, to be drawn beside those of other runs."""
        from continuum.analytics.plain import figures

        return figures(self)

    def log(self, tracker: "Tracker", *, store: "Store | None" = None) -> str | None:
        """Log the page, the words and the figures to the run of the newest version that is compared.

        Args:
            tracker: where runs are.
            store: where the versions are; None for the default store.

        Returns:
            The run; None where no version that is compared was tracked.

        Raises:
            StoreError: the tracker cannot be reached.
        """
        known = {
            name: one
            for one in (store or default_store()).checkpoints.of(self.task)
            for name in (f"v{one.version}", one.name, one.id)
        }
        compared = sorted((known[point.model] for point in self.points if point.model in known), key=lambda one: one.version)
        run = next((one.mlflow_run_id for one in reversed(compared) if one.mlflow_run_id), None)
        if run is not None:
            tracker.log_curve(run, {PAGE: self.to_html(), "learning_curve.md": self.to_markdown()}, self.figures())
        return run

    def to_polars(self) -> "polars.DataFrame":
        """A row for each model and metric; where a model is compared with two, as in what it forgot, a row for each of them."""
        from continuum.analytics.plain import as_frame

        return as_frame(self)


def _settled(
    store: "Store", task: str, golden: GoldenDataset | None, models: Sequence[str] | None, limit: int | None
) -> tuple[list[Contender], list[GoldenItem], list[str]]:
    """The models, the questions that are fair to all of them, and words on what was left out."""
    policy, notes = store.tasks.get(task).policy, []
    questions = [item for item in golden or () if item.kind == "task"]
    if golden is not None and len(questions) < len(golden):
        notes.append(
            f"{len(golden) - len(questions)} golden items try abilities or constraints and not the task; the guard asks them"
        )
    if golden is None or not questions:
        return [], [], notes
    chosen = contenders(store, policy, questions, models)
    if models is None and (gone := erased_versions(store, task)):
        named = ", ".join(f"v{checkpoint.version}" for checkpoint in gone)
        notes.append(f"{named} learned from what was erased since, and are left out")
    verdicts = {one.name: store.verdicts.latest(one.checkpoint.id) for one in chosen if one.checkpoint}
    if blocked := [name for name, found in verdicts.items() if found and found.status is VerdictStatus.BLOCKED]:
        notes.append(f"blocked by the guard: {', '.join(blocked)}")
    trained: set[str] = set().union(*(trained_ids(store, one.checkpoint) for one in chosen if one.checkpoint))
    fair = [item for item in questions if item.interaction_id not in trained]
    if len(fair) < len(questions):
        notes.append(f"{len(questions) - len(fair)} golden items are in the training data of one of the models and were left out")
    items = whole_groups(fair, limit, salt=golden.fingerprint)
    if len(items) < len(fair):
        notes.append(f"{len(items)} of {len(fair)} golden items were asked, in whole groups chosen by a fixed hash")
    return chosen, items, notes


def _notes(chosen: Sequence[Contender], found: "Compared", measures: Measures, budget: Budget, size: int) -> list[str]:
    notes, names = [], {contender.name for contender in chosen}
    costs = {point.model: point.cost_usd for point in found.points}
    if any(costs[name] == 0 for name in names - {PRODUCTION}):
        notes.append(LOCAL_COST_NOTE)
    if PRODUCTION in names and costs[PRODUCTION] is None:
        notes.append("no cost was captured for production's answers, so it is not on the cost-quality frontier")
    known = next((point.means for point in found.points if point.model == PRODUCTION), {})
    asked = max((mean.items for mean in known.values()), default=size)
    if asked < size:
        notes.append(
            f"production answered {asked} of the {size} items, and its mean is of those alone: compare it by the differences, "
            "which are of the same items"
        )
    if PRODUCTION in names and "action_match" in measures.metrics:
        notes.append("where a reference is production's own answer that a person approved, production matches by construction")
    if NEAREST in names:
        notes.append("nearest is no model: it gives the answer of the most similar training example")
    if budget.exhausted:
        notes.append(
            "the task's budget for the guard ran out: answers that were not judged have no score; ask again when it is renewed"
        )
    if found.retold:
        shown = ", ".join(dict.fromkeys(one.model for one in found.retold))
        notes.append(
            f"promoted on golden items that are among these: {shown}; gains over the whole set are too large by selection, "
            "see claimed and fresh"
        )
    intervals = sum(len(point.gains) for point in found.points) + sum(len(one.gains) for one in found.turns)
    if intervals > 1:
        notes.append(
            f"each of {intervals} intervals of gains holds its truth 95 times in 100 by itself; not all of them do at once"
        )
    return notes
