"""The watch: one look at a deployment's live traffic, and what should become of it.

On trial the candidate's judged conversations are compared with the stable model's by `deciding.py`, whose bounds hold however
often one looks. Once it serves everybody there is nobody to compare it with: then a fall of its quality below that of its trial
is looked for. In this order:

1. an answer that breaks what the model must never do takes it back, see `live_safety.py`;
2. quality below the limit takes it back, or a fall of it after the promotion;
3. answers that fail, more often than the stable model's by the limit or more, take it back;
4. without a working signal nothing goes on, and somebody is told: no judge who may decide, no money, a judge who fails, or
   a split of the traffic that is not as configured, for then the arms cannot be compared;
5. a step needs judged answers of its own: what was shown before says nothing of a judge who has gone silent since;
6. else the rule decides: a step may be taken, or it waits.

A look changes nothing. It reads, checks and judges what is drawn, keeps what the judge says, and can be interrupted at any time.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from continuum.deployment.watch.deciding import FEWEST
from continuum.deployment.watch.live_findings import Findings, feedback_of, findings_of
from continuum.deployment.watch.live_safety import Safety, judged_unsafe, safety_of
from continuum.deployment.watch.live_scores import Judged, bench_of, judged, spending
from continuum.deployment.watch.live_traffic import traffic_of
from continuum.judging.judge import Judge
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.serving_records import DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from continuum.store.database import Store

WATCHED = (DeploymentState.CANARY, DeploymentState.PAUSED, DeploymentState.PROMOTING, DeploymentState.LIVE)
Action = Literal["promote", "hold", "rollback", "alarm"]


@dataclass(frozen=True)
class Look:
    """What one look came to."""

    action: Action
    """`promote`: nothing speaks against a step, or against the champion. `hold`: too little is known, or it is worse by less than
    would take it back. `alarm`: hold, and tell somebody. `rollback`: take it back."""
    words: str
    """Why, for people."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """On what, as plain JSON; it quotes nothing of what was said."""


async def look(
    store: "Store",
    record: DeploymentRecord,
    policy: TaskPolicy,
    *,
    now: datetime,
    judge: Judge | None = None,
    on_progress: Progress = silent,
) -> Look:
    """Look at a deployment once.

    Args:
        store: where its traffic, judgements and accounts are.
        record: the deployment.
        policy: of its task: the judge, its budget, the rubric, and how sure the watch is to be.
        now: the moment; it says in which period of the budget the look falls.
        judge: who judges; None for the policy's judge, or that of the environment.
        on_progress: told of each judgement.

    Raises:
        StoreError: the store failed; what was judged before is kept.
    """
    if record.state not in WATCHED:
        return Look("hold", f"it is {record.state} and serves nobody")
    watch = policy.deployment.watch
    events = await asyncio.to_thread(store.deployments.events, record.id)
    traffic = await asyncio.to_thread(traffic_of, store, record, events, watch)
    checkpoint = await asyncio.to_thread(store.checkpoints.get, record.checkpoint_id)
    # What may never be is looked for first: it needs no judge, and waits for none.
    safety = await safety_of(store, policy, checkpoint, traffic.answers, also=traffic.former)
    if safety.events:
        findings = findings_of(record, watch, traffic, Judged(detail="not asked: a constraint is broken"))
        return Look("rollback", _unsafe(safety), findings.evidence | {"safety": safety.evidence()})
    bench = await bench_of(store, policy, judge=judge, on_progress=on_progress, now=lambda: now)
    known = await judged(store, traffic.answers, bench, on_progress=on_progress)
    safety = await judged_unsafe(store, traffic.answers, known, bench, safety)
    findings = findings_of(record, watch, traffic, known)
    told = await asyncio.to_thread(_people, store, record)
    spend = await asyncio.to_thread(spending, store, policy, bench.budget)
    evidence = findings.evidence | {
        "state": record.state.value,
        "traffic": record.traffic,
        "feedback": feedback_of(told, (*traffic.compared, *traffic.since)),
        "safety": safety.evidence(),
        "judge": known.evidence(),
        "spend": spend,
    }
    action, words = made_of(record, findings, known, safety)
    return Look(action, words, evidence)


def made_of(record: DeploymentRecord, findings: Findings, known: Judged, safety: Safety) -> tuple[Action, str]:
    """What becomes of a deployment on these findings, and why; the order is told at the top of this file.

    Args:
        record: the deployment.
        findings: what the numbers say.
        known: how it stands with the judge.
        safety: what may never be.
    """
    if safety.events:
        return "rollback", _unsafe(safety)
    quality, errors, fall = findings.quality, findings.errors, findings.fall
    if quality is not None and quality.action == "rollback":
        return "rollback", f"its judged quality is {quality.words}"
    if findings.fallen and fall is not None:
        words = (
            f"its judged quality fell: {fall.mean:.3f} on {fall.scores} conversations since it serves everybody, where no less "
            f"than {fall.reference:.3f} was to be; evidence {fall.evidence:.3g} against a threshold of {fall.threshold:.3g}"
        )
        # Whoever lets nothing be taken back for its quality is told.
        return ("alarm" if record.rollback_on_quality_drop is None else "rollback"), words
    if errors is not None and errors.action == "rollback":
        return "rollback", f"it answers fewer of its calls: {errors.words}"
    if known.trouble is not None:
        detail = f" ({known.detail})" if known.detail else ""
        return "alarm", f"the watch has no working signal: {known.trouble}{detail}"
    if safety.trouble is not None:
        return "alarm", f"answers could not be checked: {safety.trouble}"
    if findings.unlike and findings.ratio is not None:
        ratio = findings.ratio
        of = ratio.candidate + ratio.stable
        return "alarm", (
            f"the traffic is not split as configured: {ratio.candidate} of {of} conversations and users went to the candidate, "
            f"{ratio.expected:.0f} should have (p {ratio.p:.2g}); the arms cannot be compared"
        )
    if record.state is DeploymentState.LIVE:
        return "promote", _healthy(findings)
    if errors is not None and errors.difference is not None and errors.difference.upper < 0:
        return "hold", f"it answers fewer of its calls: {errors.words}"
    if quality is not None and quality.action == "hold":
        return "hold", f"its judged quality is {quality.words}"
    if safety.waiting:
        return "hold", f"{safety.waiting} of its answers are not checked by the constitution yet"
    if findings.fresh < FEWEST:
        return "hold", f"{findings.fresh} conversations were judged since the present step began, {FEWEST} are needed"
    return "promote", "its judged quality is " + ("not compared" if quality is None else quality.words)


def _healthy(findings: Findings) -> str:
    fall = findings.fall
    if fall is None:
        return "the champion has too few judged conversations to see a fall by"
    return f"no fall since it is the champion: {fall.mean:.3f} on {fall.scores} conversations, above {fall.reference:.3f}"


def _unsafe(safety: Safety) -> str:
    told = [
        f"{rule.name!r} ({rule.by}) in {rule.candidate} of {rule.of_candidate} answers, and in {rule.stable} of {rule.of_stable} "
        "of the stable model's"
        for rule in safety.events
    ]
    return f"its answers break what they must keep: {'; '.join(told)}"


def _people(store: "Store", record: DeploymentRecord) -> list[tuple[str, float]]:
    from continuum.store.live_rows import LiveRows  # SQLAlchemy starts here

    return LiveRows(store.engine).feedback(record.id)
