"""All that is measured before anything is decided: both models' answers, what they could do before, what they must never do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from continuum.config import load_settings
from continuum.guard.alignment import Alignment, alignment, constraints_of
from continuum.guard.arms import both_arms
from continuum.guard.audit import people_differences
from continuum.guard.baseline import BASE, Baseline
from continuum.guard.capability import Capability, capability
from continuum.guard.evidence import Loss
from continuum.guard.pairs import BINARY, CHECKS, Arm, Gate, Pairs, applies, pair_up
from continuum.guard.retention import known_before, retention_pairs
from continuum.guard.slices import slice_pairs
from continuum.judging.cached import CachedJudge
from continuum.judging.judge import Judge
from continuum.judging.measures import Measures
from continuum.judging.model_judge import judge_for_task
from continuum.models.answering import Answerer, LossMeasurer
from continuum.models.asking import Asking
from continuum.models.budget import Budget
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Checkpoint

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenItem
    from continuum.store.database import Store

SKILLS = "golden items of the kind capability"


@dataclass(frozen=True)
class Session:
    """What one evaluation works with."""

    store: "Store"
    policy: TaskPolicy
    """Its guard is what the guard was told, not what is stored."""
    measures: Measures
    asking: Asking
    budget: Budget
    seed: int = 0
    learned: frozenset[str] = frozenset()
    """Held-out probes that were trained on all the same."""
    on_progress: Progress = silent


@dataclass(frozen=True)
class Measurement:
    """What was measured of a candidate and its baseline."""

    items: "tuple[GoldenItem, ...]"
    """Those that both arms answered, of the kinds task and capability."""
    baseline: Arm
    candidate: Arm
    known: tuple[int, ...]
    """Positions of the items that arrived before the champion was trained."""
    people: Mapping[str, Sequence[float | None]]
    """Metric to candidate minus baseline by people, for each item; without the metrics that nobody was asked about."""
    loss: Loss | None
    capability: Capability | None
    alignment: Alignment | None
    notes: tuple[str, ...]

    def pairs(self, metrics: Sequence[str], slice_minimum: int) -> list[Pairs]:
        """What is decided on, in the order in which it is told."""
        tasks = [n for n, item in enumerate(self.items) if item.kind == "task"]
        skills = [n for n, item in enumerate(self.items) if item.kind == "capability"]
        items, before, after = self._part(tasks)
        people = {metric: [said[n] for n in tasks] for metric, said in self.people.items()}
        place = {n: own for own, n in enumerate(tasks)}
        known = [place[n] for n in self.known if n in place]
        checked = [CHECKS] if any(item.checker is not None for item in items) else []
        names = [*metrics, *checked]
        found = [pair_up(metric, items, before, after, people=people.get(metric, ())) for metric in names]
        found += retention_pairs(names, items, known, before, after, people)
        found += slice_pairs(names, items, before, after, minimum=slice_minimum, people=people)
        for metric in dict.fromkeys([*metrics, CHECKS]):
            if any(applies(metric, self.items[n]) for n in skills) and metric in self.candidate.scores:
                pairs = pair_up(metric, self.items, self.baseline, self.candidate, among=skills)
                found.append(replace(pairs, metric=f"capability:{metric}", gate=Gate.CAPABILITY, part=SKILLS))
        return [*found, *(self.capability.pairs if self.capability else ())]

    def _part(self, positions: Sequence[int]) -> "tuple[Sequence[GoldenItem], Arm, Arm]":
        if len(positions) == len(self.items):
            return self.items, self.baseline, self.candidate

        def of(arm: Arm) -> Arm:
            scores = {metric: [values[n] for n in positions] for metric, values in arm.scores.items()}
            return replace(arm, answers=tuple(arm.answers[n] for n in positions), scores=scores)

        return [self.items[n] for n in positions], of(self.baseline), of(self.candidate)


async def measure(session: Session, candidate: Checkpoint, baseline: Baseline, items: "Sequence[GoldenItem]") -> Measurement:
    """Measure a candidate and its baseline on everything that the rules ask for.

    Args:
        session: what to work with.
        candidate: the model in question.
        baseline: what it is compared with.
        items: golden items of any kind; those of the kind alignment are tried apart.

    Raises:
        ConfigurationError: a model or the judge cannot be asked; what was answered before is kept.
        JudgeError: not one judgement succeeded, or the judge became another meanwhile.
    """
    store, rules, asking, champion = session.store, session.policy.guard, session.asking, baseline.champion
    compared = [item for item in items if item.kind != "alignment"]
    notes: list[str] = []
    asked = await _with_base_answers(compared, candidate, asking, session.on_progress) if baseline.id == BASE else compared
    before, after = await both_arms(
        asked,
        candidate,
        champion,
        measures=session.measures,
        asking=asking,
        budget=session.budget,
        seed=session.seed,
        on_note=notes.append,
        on_progress=session.on_progress,
    )
    before = replace(before, name=baseline.name, id=baseline.id)
    judged = [metric for metric in session.measures.metrics if metric not in BINARY]
    people = {metric: people_differences(store, compared, before, after, metric) for metric in judged}
    skills = (
        await capability(store, session.policy, candidate, champion, asking.answerer, on_progress=session.on_progress)
        if rules.capability
        else None
    )
    kept = await _alignment(session, candidate, champion, items) if rules.alignment != "off" else None
    if kept is not None and kept.tried and rules.alignment == "report":
        notes.append("the constraints were tried and decide nothing here, as the task's policy asks (guard.alignment=report)")
    loss = await _loss(compared, asking.answerer, candidate, champion, session.on_progress)
    return Measurement(
        items=tuple(compared),
        baseline=before,
        candidate=after,
        known=tuple(known_before(store, champion, compared)),
        people={metric: said for metric, said in people.items() if any(one is not None for one in said)},
        loss=loss,
        capability=skills,
        alignment=kept,
        notes=(*notes, *(skills.notes if skills else ()), *(kept.notes if kept else ())),
    )


async def _with_base_answers(
    items: "Sequence[GoldenItem]", candidate: Checkpoint, asking: Asking, on_progress: Progress
) -> "list[GoldenItem]":
    """The items with the answers of the base without an adapter in production's place."""
    said = await asking.answers(
        None,
        candidate.base_model,
        [item.messages for item in items],
        interaction_ids=[item.interaction_id for item in items],
        on_progress=on_progress,
    )
    return [item.model_copy(update={"production": answer}) for item, answer in zip(items, said, strict=True)]


async def _alignment(
    session: Session, candidate: Checkpoint, champion: Checkpoint | None, items: "Sequence[GoldenItem]"
) -> Alignment:
    return await alignment(
        constraints_of(candidate, also=session.policy.training.constitutional_constraints),
        [item for item in items if item.kind == "alignment"],
        candidate=candidate,
        champion=champion,
        base_model=candidate.base_model,
        asking=session.asking,
        judge=session.measures.judge or _judge_of(session),
        budget=session.budget,
        seed=session.seed,
        learned=session.learned,
        max_violation_rate=session.policy.guard.max_violation_rate,
        on_progress=session.on_progress,
    )


def _judge_of(session: Session) -> Judge | None:
    """The task's judge, where the metrics need none."""
    judge = judge_for_task(session.policy, load_settings())
    return None if judge is None else CachedJudge(judge, session.store)


async def _loss(
    items: "Sequence[GoldenItem]",
    answerer: Answerer,
    candidate: Checkpoint,
    champion: Checkpoint | None,
    on_progress: Progress,
) -> Loss | None:
    """Loss on the references: reported, never gated, for a likelihood has no scale from 0 to 1."""
    examples = [(item.messages, item.reference) for item in items if item.reference is not None]
    if not examples or not isinstance(answerer, LossMeasurer):
        return None
    on_progress(0, len(examples), "loss on the references")
    before = await answerer.loss(champion, examples) if champion else None
    return Loss.of(await answerer.loss(candidate, examples), before, await answerer.loss(None, examples))
