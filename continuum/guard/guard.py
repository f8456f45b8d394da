"""The regression guard: never deploy a worse model.

A candidate answers the golden items that its baseline answered, both are scored by the same judge in the same run, and the
paired differences decide: blocked, approved, or inconclusive with the number of examples that would decide.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from continuum.errors import ConfigurationError, StoreError
from continuum.guard.baseline import PRODUCTION, champion_of, usable_items
from continuum.guard.evidence import Loss, evidence_of
from continuum.guard.pairs import Arm, Outcome, pair_up
from continuum.guard.reading import figures
from continuum.guard.report import files_of
from continuum.guard.retention import KNOWN, known_before, retention_pairs
from continuum.judging.evaluation import score_answers
from continuum.judging.judge import Judge
from continuum.judging.measures import Measures, measures_of
from continuum.judging.standing import judge_notes
from continuum.models.answering import Answerer, LocalAnswerer, LossMeasurer
from continuum.models.budget import Budget
from continuum.policy import GuardPolicy, TaskPolicy
from continuum.progress import Progress, silent
from continuum.provenance.lineage import trained_ids
from continuum.records import Checkpoint, Interval, Verdict, VerdictStatus
from continuum.rubric import Criterion
from continuum.splits.golden import GoldenDataset, GoldenItem
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.guard.decision import Check
    from continuum.store.database import Store
    from continuum.tracking.tracker import Tracker

logger = logging.getLogger(__name__)

DEFAULT_MIN_DELTA = -0.02

OnInconclusive = Literal["canary", "hold", "approve"]


class RegressionGuard:
    """Compares a candidate with what serves now, on golden items that no training has seen.

    Args:
        golden_dataset: what is asked; None for the newest golden dataset of the candidate's task.
        metrics: names of criteria, or `action_match`; None for helpfulness and accuracy where there is a judge, else
            `action_match`.
        thresholds: metric to `{"min_delta": x}`: the lowest candidate-minus-baseline difference that is allowed, on a scale
            from 0 to 1; -0.02, which is 2 points of 100, where none is given.
        require_significance: block only what is significantly below its threshold; False blocks on the bare difference,
            which also blocks an equal model more often than not.
        p_value_threshold: the significance level of the tests.
        resolution: to be approved, a candidate is shown to be above `min_delta - resolution`.
        on_inconclusive: `canary` lets an undecided candidate serve `inconclusive_traffic` and no more, `hold` refuses it,
            `approve` lets it serve everything and prints how often that is wrong.
        inconclusive_traffic: share of traffic, 0 to 1, of an undecided candidate.
        judge: who scores criteria; None for the judge of the task's policy.
        criteria: what the metrics mean; None for the criteria of the task's policy.
        answerer: how candidates are asked; None runs them in this process.
        limit: the most golden items to ask; None for all.
        store: where champions are looked up and the verdict is kept; None for the default store.
        tracker: where the verdict is logged besides; None for nowhere.

    Raises:
        ConfigurationError: a threshold names another metric, or a number is out of range.
    """

    def __init__(
        self,
        golden_dataset: GoldenDataset | None = None,
        metrics: Sequence[str] | None = None,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        require_significance: bool = True,
        p_value_threshold: float = 0.05,
        *,
        resolution: float = 0.03,
        on_inconclusive: OnInconclusive = "canary",
        inconclusive_traffic: float = 0.05,
        judge: Judge | None = None,
        criteria: Sequence[Criterion] | None = None,
        answerer: Answerer | None = None,
        limit: int | None = None,
        store: "Store | None" = None,
        tracker: "Tracker | None" = None,
    ) -> None:
        self.golden_dataset = golden_dataset
        self.metrics = tuple(metrics) if metrics is not None else None
        self.thresholds = {metric: dict(threshold) for metric, threshold in (thresholds or {}).items()}
        # The policy's model checks the ranges, so that both ways to configure a guard accept the same numbers.
        self.config = GuardPolicy(
            resolution=resolution,
            require_significance=require_significance,
            p_value_threshold=p_value_threshold,
            on_inconclusive=on_inconclusive,
            inconclusive_traffic=inconclusive_traffic,
        )
        self.judge = judge
        self.criteria = tuple(criteria) if criteria is not None else None
        self.answerer = answerer
        self.limit = limit
        self.store = store
        self.tracker = tracker
        check_thresholds(self.thresholds, self.metrics)

    @classmethod
    def for_task(
        cls,
        policy: TaskPolicy,
        *,
        golden_dataset: GoldenDataset | None = None,
        judge: Judge | None = None,
        answerer: Answerer | None = None,
        store: "Store | None" = None,
        tracker: "Tracker | None" = None,
    ) -> "RegressionGuard":
        """The guard that a task's policy describes; default metrics become `action_match` where there is no judge."""
        rules = policy.guard
        return cls(
            golden_dataset,
            rules.metrics,
            rules.thresholds,
            rules.require_significance,
            rules.p_value_threshold,
            resolution=rules.resolution,
            on_inconclusive=rules.on_inconclusive,
            inconclusive_traffic=rules.inconclusive_traffic,
            judge=judge,
            criteria=policy.judge.criteria,
            answerer=answerer,
            limit=policy.splits.max_golden,
            store=store,
            tracker=tracker,
        )

    async def evaluate(self, candidate_model: Checkpoint, on_progress: Progress = silent) -> Verdict:
        """Compare a candidate with the champion, or with production's own answers before there is one.

        The judge spends at most the policy's `budget_usd`; what it could not pay for has no score, and a metric that lacks scores
        never passes. The verdict is stored. The same candidate, baseline, golden items and scores give the same verdict.

        Raises:
            ConfigurationError: there is no golden dataset, it is another task's, a metric is unknown or needs a judge that
                is missing, or the baseline's checkpoint is gone.
        """
        store = self.store or default_store()
        policy = policy_of(store, candidate_model.task)
        golden = self._golden(candidate_model.task, store)
        measures = measures_of(policy, self.metrics, judge=self.judge, criteria=self.criteria, approving=True).kept_in(store)
        answerer = self.answerer or LocalAnswerer(candidate_model.base_model)
        champion = champion_of(store, candidate_model.task)
        items, notes = usable_items(golden, champion, trained_ids(store, candidate_model), self.limit)
        judged = [candidate_model.base_model, *(answered_by(store, policy.task) if champion is None else [champion.base_model])]
        notes += await asyncio.to_thread(judge_notes, store, policy, measures, judged)

        known_task = candidate_model.task in store.tasks.names()
        budget = Budget.of_task(store, policy, "guard") if known_task else Budget()
        run = _Run(items, measures, answerer, budget, on_progress)
        candidate = await run.arm(candidate_model, step=0)
        baseline = await run.arm(champion, step=1)
        losses = await run.losses(candidate_model, champion)
        on_progress(4, 4, "deciding")
        known = known_before(store, champion, items)
        verdict = self._verdict(golden, candidate_model, run, baseline, candidate, known, losses, notes)
        store.verdicts.add(verdict)
        await asyncio.to_thread(put_proof, store, verdict, golden)
        if self.tracker is not None and candidate_model.mlflow_run_id is not None:
            self.tracker.log_verdict(verdict, candidate_model.mlflow_run_id, files_of(verdict), figures(verdict))
        return verdict

    def _golden(self, task: str, store: "Store") -> GoldenDataset:
        golden = self.golden_dataset if self.golden_dataset is not None else GoldenDataset.latest(task, store=store)
        if golden is None:
            raise ConfigurationError(f"task {task!r} has no golden dataset to guard with; curate it first, which sets one aside")
        if golden.task != task:
            raise ConfigurationError(
                f"golden dataset {golden.name!r} is of task {golden.task!r}, the candidate of {task!r}; they must be of one task"
            )
        return golden

    def _verdict(
        self,
        golden: GoldenDataset,
        model: Checkpoint,
        run: "_Run",
        baseline: Arm,
        candidate: Arm,
        known: list[int],
        losses: Loss | None,
        notes: list[str],
    ) -> Verdict:
        from continuum.guard.decision import Rule, decide  # scipy starts here

        metrics = run.measures.metrics
        min_delta = {m: self.thresholds.get(m, {}).get("min_delta", DEFAULT_MIN_DELTA) for m in metrics}
        check_thresholds(self.thresholds, metrics)
        rule = Rule(min_delta, self.config.resolution, self.config.p_value_threshold, self.config.require_significance)
        pairs = [pair_up(metric, run.items, baseline, candidate) for metric in metrics]
        checks = decide([*pairs, *retention_pairs(metrics, run.items, known, baseline, candidate)], rule)
        ruling = rule_on(checks, self.config)
        compared = {check.metric: check.comparison for check in checks if check.comparison is not None}
        return Verdict(
            task=golden.task,
            checkpoint_id=model.id,
            baseline=baseline.id,
            golden_id=golden.fingerprint,
            status=ruling.status,
            approved=ruling.approved,
            deltas={metric: found.delta for metric, found in compared.items()},
            intervals={metric: Interval(low=found.low, high=found.high) for metric, found in compared.items()},
            p_values={metric: found.p_regressed for metric, found in compared.items()},
            failed_checks=ruling.failed_checks,
            required_examples=ruling.required_examples,
            max_traffic=ruling.max_traffic,
            evidence=evidence_of(golden, run.items, run.measures, baseline, candidate, model, checks, losses, self.config, notes),
        )


@dataclass(frozen=True)
class Ruling:
    """What the checks together mean for deployment."""

    status: VerdictStatus
    approved: bool
    max_traffic: float
    failed_checks: tuple[str, ...] = ()
    required_examples: int | None = None


def rule_on(checks: "Sequence[Check]", config: GuardPolicy) -> Ruling:
    """One regression blocks, every metric must pass to approve, and a metric without data never passes.

    A check of what was known before blocks like any other, and is not asked for an approval.
    """

    def words(outcome: Outcome) -> tuple[str, ...]:
        heard = checks if outcome == Outcome.REGRESSED else [check for check in checks if not check.metric.endswith(KNOWN)]
        return tuple(check.words for check in heard if check.outcome == outcome)

    regressed, missing, open_ = words(Outcome.REGRESSED), words(Outcome.NO_DATA), words(Outcome.UNDECIDED)
    if regressed:
        return Ruling(VerdictStatus.BLOCKED, False, 0.0, regressed + missing)
    if not missing and not open_:
        return Ruling(VerdictStatus.APPROVED, True, 1.0)
    required = max((check.required_examples for check in checks if check.required_examples is not None), default=None)
    if missing or config.on_inconclusive == "hold":
        return Ruling(VerdictStatus.INCONCLUSIVE, False, 0.0, missing + open_, required)
    share = config.inconclusive_traffic if config.on_inconclusive == "canary" else 1.0
    return Ruling(VerdictStatus.INCONCLUSIVE, True, share, (), required)


class _Run:
    """One evaluation: the items, how they are scored, and how far it is."""

    def __init__(
        self, items: list[GoldenItem], measures: Measures, answerer: Answerer, budget: Budget, on_progress: Progress
    ) -> None:
        self.items = items
        self.measures = measures
        self.answerer = answerer
        self.budget = budget
        self.on_progress = on_progress

    async def arm(self, model: Checkpoint | None, *, step: int) -> Arm:
        """Answer every item and score the answers; None is production, whose answers are there already."""
        name = model.name if model else PRODUCTION
        self.on_progress(step, 4, f"{name}: {len(self.items)} golden items")
        if model is None:
            answers = [item.production for item in self.items]
        else:
            answers = await self.answerer.answer(model, [item.messages for item in self.items])
        if len(answers) != len(self.items):
            raise ConfigurationError(
                f"the answerer gave {len(answers)} answers to {len(self.items)} items; it must give one each"
            )
        scores = await score_answers(
            self.items,
            answers,
            self.measures.metrics,
            judge=self.measures.judge,
            criteria=self.measures.criteria,
            budget=self.budget,
        )
        return Arm(name, model.id if model else PRODUCTION, tuple(answers), scores)

    async def losses(self, candidate: Checkpoint, champion: Checkpoint | None) -> Loss | None:
        """Mean loss on the references: reported, never gated, for a likelihood has no scale from 0 to 1."""
        examples = [(item.messages, item.reference) for item in self.items if item.reference is not None]
        answerer = self.answerer
        if not examples or not isinstance(answerer, LossMeasurer):
            return None
        self.on_progress(3, 4, "loss on the references")

        async def mean_loss(model: Checkpoint | None) -> float:
            return fmean(await answerer.loss(model, examples))

        baseline = await mean_loss(champion) if champion else None
        return Loss(await mean_loss(candidate), baseline, await mean_loss(None), len(examples))


def put_proof(store: "Store", verdict: Verdict, golden: GoldenDataset) -> None:
    """Put the proof of a verdict beside its checkpoint; a verdict that cannot be proven stands, and the deployer refuses it."""
    from continuum.provenance.proving import prove

    try:
        prove(store, verdict, golden=golden)
    except StoreError as error:
        logger.warning("verdict %s has no proof, without which it is not deployed: %s", verdict.id, error)


def policy_of(store: "Store", task: str) -> TaskPolicy:
    """The task's policy; the default one for a task that nobody has registered."""
    return store.tasks.get(task).policy if task in store.tasks.names() else TaskPolicy(task=task)


def answered_by(store: "Store", task: str) -> list[str]:
    """The models that have answered the task's traffic."""
    return [model for model in store.interactions.counts_by(task, "model") if model]


def check_thresholds(thresholds: Mapping[str, Mapping[str, float]], metrics: Sequence[str] | None) -> None:
    """Refuse a threshold that would guard nothing.

    Raises:
        ConfigurationError: it names a metric that is not measured, or holds anything but a `min_delta` from -1 to 1.
    """
    for metric, threshold in thresholds.items():
        if metrics is not None and metric not in metrics:
            raise ConfigurationError(
                f"there is a threshold for {metric!r}, which is not measured; the metrics are {list(metrics)}"
            )
        if set(threshold) != {"min_delta"} or not -1 <= threshold["min_delta"] <= 1:
            raise ConfigurationError(
                f"the threshold of {metric!r} is {dict(threshold)}; write {{'min_delta': x}}, x from -1 to 1"
            )
