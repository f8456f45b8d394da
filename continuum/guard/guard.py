"""The regression guard: never deploy a worse model.

A candidate answers the golden items that its baseline answered, both are scored by the same judge in the same run, and the
paired differences decide: blocked, approved, or inconclusive with the number of examples that would decide. What it could do
before and what it must never do are tried besides.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from continuum.constitution.constraints import Constraint
from continuum.errors import ConfigurationError, StoreError
from continuum.guard.alignment import constraints_of
from continuum.guard.baseline import Baseline, baseline_of, learned_notes, require_files, usable_items
from continuum.guard.capability import GENERAL
from continuum.guard.evidence import evidence_of, verdict_of
from continuum.guard.measuring import Measurement, Session, measure
from continuum.guard.pairs import CHECKS, DEFAULT_MIN_DELTA
from continuum.guard.report import log_beside
from continuum.guard.ruling import rule_on
from continuum.judging.criteria import BUILT_IN, OVERALL
from continuum.judging.judge import Judge
from continuum.judging.measures import ACTION_MATCH, Measures, measures_of
from continuum.judging.standing import judge_notes
from continuum.models.answering import Answerer, LocalAnswerer
from continuum.models.asking import Asking
from continuum.models.budget import Budget
from continuum.policy import GuardPolicy, TaskPolicy
from continuum.progress import Progress, silent
from continuum.provenance.lineage import trained_ids
from continuum.records import Checkpoint, Verdict
from continuum.rubric import Criterion
from continuum.splits.golden import GoldenDataset, GoldenItem
from continuum.splits.golden_leaks import held_out_probes, leakage_of
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.store.database import Store
    from continuum.store.golden_uses import GoldenUse
    from continuum.tracking.tracker import Tracker

logger = logging.getLogger(__name__)

OnInconclusive = Literal["canary", "hold", "approve"]
CAPABILITY = "capability:"
"""How the names of checks begin that tell what the model could do before."""
GIVEN = {"resolution", "require_significance", "p_value_threshold", "on_inconclusive", "inconclusive_traffic"}
"""Rules that are arguments of the guard itself."""


class RegressionGuard:
    """Compares a candidate with what serves now, on golden items that no training has seen.

    Args:
        golden_dataset: what is asked; None for the newest golden dataset of the candidate's task.
        metrics: names of criteria, or `action_match`; None for helpfulness and accuracy where there is a judge, else
            `action_match`.
        thresholds: metric to `{"min_delta": x}`: the lowest candidate-minus-baseline difference that is allowed, on a scale
            from 0 to 1; -0.02, which is 2 points of 100, where none is given.
        require_significance: block only what is significantly below its threshold; False blocks on the bare difference,
            which also blocks an equal model by chance, up to half of the time on each metric.
        p_value_threshold: the significance level of the tests.
        resolution: to be approved, a candidate is shown to be above `min_delta - resolution`.
        on_inconclusive: `canary` lets an undecided candidate serve `inconclusive_traffic` and no more, `hold` refuses it,
            `approve` lets it serve everything and prints how often that is wrong.
        inconclusive_traffic: share of traffic, 0 to 1, of an undecided candidate.
        judge: who scores criteria; None for the judge of the task's policy.
        criteria: what the metrics mean; None for the criteria of the task's policy.
        answerer: how candidates are asked; None runs them in this process.
        limit: the most golden items to ask; None for all.
        seed: decides in which order the judge sees the answers.
        rules: what the arguments before do not say: slices, what the model could do before, alignment, the ledger.
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
        seed: int = 0,
        rules: GuardPolicy | None = None,
        store: "Store | None" = None,
        tracker: "Tracker | None" = None,
    ) -> None:
        self.golden_dataset = golden_dataset
        self.metrics = tuple(metrics) if metrics is not None else None
        self.thresholds = {metric: dict(threshold) for metric, threshold in (thresholds or {}).items()}
        # The policy's model checks the ranges, so that both ways to configure a guard accept the same numbers.
        self.config = GuardPolicy(
            **(rules or GuardPolicy()).model_dump(exclude=GIVEN),
            resolution=resolution,
            require_significance=require_significance,
            p_value_threshold=p_value_threshold,
            on_inconclusive=on_inconclusive,
            inconclusive_traffic=inconclusive_traffic,
        )
        self.judge = judge
        self.criteria = tuple(criteria) if criteria is not None else None
        self.answerer = answerer
        if limit is not None and limit < 1:
            raise ConfigurationError(f"limit is {limit}; ask at least 1 golden item, or None for all")
        self.limit = limit
        self.seed = seed
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
            rules=rules,
            store=store,
            tracker=tracker,
        )

    async def evaluate(
        self,
        candidate_model: Checkpoint,
        on_progress: Progress = silent,
        *,
        again: Verdict | None = None,
        on_measured: Callable[[Measurement], object] | None = None,
    ) -> Verdict:
        """Compare a candidate with the champion, or with production's own answers before there is one.

        Where there is neither, as with questions of one's own, the base model without an adapter is the baseline. The judge
        spends at most the policy's `budget_usd`; what it could not pay for has no score, and a metric that lacks scores never
        passes. Answers and judgements are kept: an evaluation that was broken off goes on where it was. The verdict is stored,
        with a proof beside the checkpoint. The same candidate, baseline, golden items and scores give the same verdict.

        Args:
            candidate_model: the checkpoint in question.
            on_progress: told how far it is.
            again: an earlier verdict on the candidate that is given anew, as people say otherwise of what it was given on. The
                champion is then compared with what it was compared with, and it is no further try on these questions.
            on_measured: given what was measured before anything is decided, such as both models' answers for an audit.

        Raises:
            ConfigurationError: there is no golden dataset, it is another task's or made for choosing, a metric is unknown or
                needs a judge that is missing or may not decide, or the baseline's checkpoint is gone.
            JudgeError: not one judgement succeeded, or the judge became another meanwhile.
            StoreError: the files of the candidate or of the champion are gone or were altered.
        """
        store = self.store or default_store()
        policy = policy_of(store, candidate_model.task)
        golden = self._golden(candidate_model.task, store)
        baseline = baseline_of(store, candidate_model, golden, again)
        check_capability_thresholds(store, self.thresholds)
        answerer = self.answerer or LocalAnswerer(candidate_model.base_model)
        if isinstance(answerer, LocalAnswerer):
            await asyncio.to_thread(require_files, candidate_model, baseline)
        trained = trained_ids(store, candidate_model)
        probes = held_out_probes(self._constraints(policy, candidate_model))
        asked = [*golden.items, *probes.values()]
        leaks = (await asyncio.to_thread(leakage_of, store, candidate_model.task, asked)).leaks
        learned = {prompt: leaks[item.interaction_id] for prompt, item in probes.items() if item.interaction_id in leaks}
        items, notes = usable_items(golden, baseline, trained, set(leaks), self.limit)
        notes += learned_notes(learned, len(probes))
        if again is not None:
            notes.append(f"given anew in place of verdict {again.id}: people say otherwise of items that it was given on")
        if not items:
            raise ConfigurationError(
                f"golden dataset {golden.name!r} has no item to ask ({'; '.join(notes) or 'it is empty'}); let it grow with: "
                f"continuum golden {golden.task} --refresh, or add questions of your own with --add"
            )
        measures = self._measures(policy, items).kept_in(store)
        check_thresholds(self.thresholds, (*measures.metrics, CHECKS))
        notes += await asyncio.to_thread(judge_notes, store, policy, measures, judged_models(store, candidate_model, baseline))
        use, earlier = await asyncio.to_thread(self._look, store, golden, items, candidate_model, baseline, again)

        found = await measure(
            Session(
                store=store,
                policy=policy.model_copy(update={"guard": self.config}),
                measures=measures,
                asking=Asking(answerer, store, golden.task),
                budget=Budget.of_task(store, policy, "guard") if policy.task in store.tasks.names() else Budget(),
                seed=self.seed,
                learned=frozenset(learned),
                on_progress=on_progress,
            ),
            candidate_model,
            baseline,
            items,
        )
        if on_measured is not None:
            on_measured(found)
        found = replace(found, notes=(*notes, *found.notes))
        verdict = self._verdict(golden, candidate_model, baseline, measures, found, use, earlier)
        store.verdicts.add(verdict)
        await asyncio.to_thread(put_proof, store, verdict, golden)
        if self.tracker is not None and candidate_model.mlflow_run_id is not None:
            await asyncio.to_thread(log_beside, self.tracker, candidate_model.mlflow_run_id, verdict)
        return verdict

    def _constraints(self, policy: TaskPolicy, model: Checkpoint) -> list[Constraint]:
        """The constraints that a candidate is tried on; none where nothing is tried."""
        if self.config.alignment == "off":
            return []
        return constraints_of(model, also=policy.training.constitutional_constraints)

    def _golden(self, task: str, store: "Store") -> GoldenDataset:
        golden = self.golden_dataset if self.golden_dataset is not None else GoldenDataset.latest(task, store=store)
        if golden is None:
            raise ConfigurationError(f"task {task!r} has no golden dataset to guard with; curate it first, which sets one aside")
        if golden.task != task:
            raise ConfigurationError(
                f"golden dataset {golden.name!r} is of task {golden.task!r}, the candidate of {task!r}; they must be of one task"
            )
        if golden.part == "dev":
            raise ConfigurationError(
                f"{golden.name!r} is the part of a golden dataset that settings are chosen on, so it cannot also decide; "
                "guard with its test part"
            )
        return golden

    def _measures(self, policy: TaskPolicy, items: Sequence[GoldenItem]) -> Measures:
        """What is measured: what was asked for, but for the checks that items bring along, which are always run."""
        asked = None if self.metrics is None else tuple(metric for metric in self.metrics if metric != CHECKS)
        if asked == ():
            return Measures((), (), None)
        found = measures_of(policy, asked, judge=self.judge, criteria=self.criteria, approving=True)
        checked = any(item.checker is not None for item in items)
        if asked is None and found.metrics == (ACTION_MATCH,) and checked and not any(item.reference for item in items):
            return replace(found, metrics=())
        return found

    def _look(
        self,
        store: "Store",
        golden: GoldenDataset,
        items: Sequence[GoldenItem],
        model: Checkpoint,
        baseline: Baseline,
        again: Verdict | None,
    ) -> "tuple[GoldenUse | None, list[GoldenUse]]":
        """The candidate's place in the ledger of these questions, and those before it; taken before anything is measured."""
        if not self.config.ledger:
            return None, []
        ids = [item.interaction_id for item in items]
        if again is not None:
            before = store.golden_uses.sharing(golden.task, golden.fingerprint, ids)
            mine = next((one for one in before if (one.checkpoint_id, one.baseline) == (model.id, baseline.id)), None)
            if mine is not None:
                return mine, before
        use = store.golden_uses.claim(golden.task, golden.fingerprint, ids, model.id, baseline.id)
        return use, store.golden_uses.sharing(golden.task, golden.fingerprint, ids)

    def _verdict(
        self,
        golden: GoldenDataset,
        model: Checkpoint,
        baseline: Baseline,
        measures: Measures,
        found: Measurement,
        use: "GoldenUse | None",
        earlier: "list[GoldenUse]",
    ) -> Verdict:
        from continuum.guard.decision import Rule, decide  # scipy starts here
        from continuum.statistics.spending import approval_level

        alpha = self.config.p_value_threshold
        rule = Rule(
            {m: DEFAULT_MIN_DELTA for metric in (*measures.metrics, CHECKS) for m in (metric, CAPABILITY + metric)}
            | {m: limits["min_delta"] for m, limits in self.thresholds.items()},
            self.config.resolution,
            alpha,
            self.config.require_significance,
            approval_alpha=approval_level(alpha, use.position) if use else None,
            slice_resolution=self.config.slice_resolution,
        )
        pairs = found.pairs(measures.metrics, self.config.slice_minimum)
        checks = decide(pairs, rule)
        ruling = rule_on(checks, self.config, found.alignment)
        evidence = evidence_of(
            golden=golden,
            items=found.items,
            measures=measures,
            baseline=found.baseline,
            candidate=found.candidate,
            model=model,
            champion=baseline.champion,
            config=self.config,
            pairs=pairs,
            rule=rule,
            checks=checks,
            ruling=ruling,
            known=found.known,
            people=found.people,
            use=use,
            earlier=earlier,
            loss=found.loss,
            capability=found.capability,
            alignment=found.alignment,
            notes=found.notes,
            seeds={"judging": self.seed},
        )
        return verdict_of(checks, ruling, evidence, task=golden.task)


def check_capability_thresholds(store: "Store", thresholds: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse a threshold on an earlier ability that is never measured.

    Raises:
        ConfigurationError: it names neither the general text, nor an lm-eval task, a metric or a dataset.
    """
    for name in thresholds:
        what = name.removeprefix(CAPABILITY)
        known = what == GENERAL or what.startswith("lm_eval/") or what in (*BUILT_IN, ACTION_MATCH, CHECKS, OVERALL)
        if name.startswith(CAPABILITY) and not known and store.datasets.get(what) is None:
            raise ConfigurationError(
                f"there is a threshold for {name!r}, which is not measured; write {CAPABILITY + GENERAL!r}, "
                f"'{CAPABILITY}lm_eval/TASK', or the name of a dataset behind {CAPABILITY!r}"
            )


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


def judged_models(store: "Store", candidate: Checkpoint, baseline: Baseline) -> list[str]:
    """Every model whose answers are judged, by the names their families are told by."""
    if baseline.champion is not None:
        return [candidate.base_model, baseline.champion.base_model]
    return [candidate.base_model, *(model for model in store.interactions.counts_by(candidate.task, "model") if model)]


def check_thresholds(thresholds: Mapping[str, Mapping[str, float]], metrics: Sequence[str] | None) -> None:
    """Refuse a threshold that would guard nothing.

    Raises:
        ConfigurationError: it names a metric that is not measured, or holds anything but a `min_delta` from -1 to 1.
    """
    for metric, threshold in thresholds.items():
        if metrics is not None and metric not in metrics and not metric.startswith(CAPABILITY):
            raise ConfigurationError(
                f"there is a threshold for {metric!r}, which is not measured; the metrics are {list(metrics)}"
            )
        if set(threshold) != {"min_delta"} or not -1 <= threshold["min_delta"] <= 1:
            raise ConfigurationError(
                f"the threshold of {metric!r} is {dict(threshold)}; write {{'min_delta': x}}, x from -1 to 1"
            )
