"""What the numbers of one look say: quality, failures and latency of both arms, the split, and a fall since the promotion."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from continuum.deployment.watch.deciding import FEWEST, Decision, decide
from continuum.deployment.watch.live_arms import Call, counted, failures
from continuum.deployment.watch.live_scores import Judged, as_steps, conversations
from continuum.deployment.watch.live_traffic import Traffic
from continuum.serving_policy import WatchPolicy
from continuum.serving_records import DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from continuum.statistics.changes import Change
    from continuum.statistics.sample_ratio import SampleRatio

DEFAULT_LIMIT = 0.05
"""Loss of answered calls that takes a candidate back where the deployment names no limit; and the least fall of a champion."""
ERRORS_ALPHA = 0.1
"""Of the watch's alpha, what failures get beside quality: a healthy candidate is taken back for either with 1.1 alpha at most."""
SPLIT_SURELY = 0.01
"""A split is not as configured from this p-value on, which holds at all looks together."""
REFERENCE = 100
"""Conversations of a champion whose mean it is held to where its trial has fewer; they are its own first ones then."""


@dataclass(frozen=True)
class Findings:
    """What was found, before anything is made of it."""

    quality: Decision | None
    """The comparison of the arms; None for a champion, who is compared with nobody."""
    errors: Decision | None
    """The same of the calls that were answered."""
    ratio: "SampleRatio | None"
    """The split; None where nothing was split."""
    fall: "Change | None"
    """Since it serves everybody; None before, and while there is no mean to hold it to."""
    fresh: int
    """The candidate's units with an answer that was judged since the present step began."""
    evidence: dict[str, Any]
    """All of it as plain JSON."""

    @property
    def fallen(self) -> bool:
        """Whether its quality fell after it served everybody."""
        return self.fall is not None and self.fall.at is not None

    @property
    def unlike(self) -> bool:
        """Whether the traffic was surely not split as configured."""
        return self.ratio is not None and self.ratio.p < SPLIT_SURELY


def findings_of(record: DeploymentRecord, watch: WatchPolicy, traffic: Traffic, known: Judged) -> Findings:
    """Put the numbers of a look together.

    Args:
        record: the deployment.
        watch: how sure to be.
        traffic: its calls.
        known: what judges say of them.
    """
    from continuum.statistics.sample_ratio import sample_ratio
    from continuum.statistics.sequences import Step, summary

    ids = {call.id for call in traffic.compared}
    beside = conversations((one for one in traffic.answers if one.call.id in ids), known)
    champion = record.state is DeploymentState.LIVE
    limit, healthy = record.rollback_on_quality_drop, watch.healthy_conversations
    quality = errors = None
    if not champion:
        steps = as_steps(beside)
        planned = watch.max_conversations
        pairs = [Step(summary(candidate), summary(stable)) for _, (candidate, stable) in sorted(steps.items())]
        quality = decide(pairs, limit=limit, alpha=watch.alpha, planned=planned)
        answered = failures(traffic.compared)
        phases = sorted({phase for phase, _ in answered})
        both = [[summary(answered.get((phase, arm), ())) for arm in ("candidate", "stable")] for phase in phases]
        alpha = ERRORS_ALPHA * watch.alpha
        errors = decide([Step(*arms) for arms in both], limit=limit or DEFAULT_LIMIT, alpha=alpha, planned=planned)
    ratio = sample_ratio(counts) if (counts := counted(traffic.trial, traffic.phases)) and traffic.trial else None
    earlier = [one.score for one in conversations((a for a in traffic.answers if a.call.id in traffic.reference), known)]
    alone = [one.score for one in conversations((a for a in traffic.answers if a.call.id in traffic.alone), known)]
    fall, held_to = fall_of(earlier, alone, limit=limit, healthy=healthy) if traffic.alone else (None, 0)
    fresh = _fresh(record, traffic, known)
    evidence = {
        "quality": None if quality is None else _told(quality, watch.alpha, limit) | _arms(beside),
        "answered": None if errors is None else _told(errors, ERRORS_ALPHA * watch.alpha, limit or DEFAULT_LIMIT),
        "alone": {"conversations": len(alone), "mean": statistics.fmean(alone)} if alone else None,
        "fall": None if fall is None else asdict(fall) | {"held_to": held_to},
        "split": None if ratio is None else asdict(ratio),
        "fresh": {"conversations": fresh, "needed": FEWEST},
        "calls": _calls(traffic),
    }
    return Findings(quality, errors, ratio, fall, fresh, evidence)


def fall_of(
    earlier: Sequence[float], alone: Sequence[float], *, limit: float | None, healthy: int
) -> "tuple[Change | None, int]":
    """Whether the quality of a model that serves everybody fell below that of its trial.

    Args:
        earlier: scores of its conversations on trial, from 0 to 1.
        alone: of those since it serves everybody, in the order of their time. Where the trial has fewer than `REFERENCE`, the
            first of these stand in for those that are missing.
        limit: a fall of so much is tolerated; None for `DEFAULT_LIMIT`.
        healthy: conversations up to a false alarm, on the average at least.

    Returns:
        The fall, None while too few are known; and of how many conversations the mean is that it is held to.
    """
    from continuum.statistics.changes import fallen, reference_below
    from continuum.statistics.sequences import summary

    missing = max(0, REFERENCE - len(earlier))
    held_to, after = [*earlier, *alone[:missing]], alone[missing:]
    if len(held_to) < REFERENCE:
        return None, len(held_to)
    found = summary(held_to)
    # As if it had one score of 0 and one of 1 more: a mean of all alike says not that the next is alike.
    n = found.n + 2
    spread = found.squares + (found.mean**2 + (1 - found.mean) ** 2) - (2 * found.mean - 1) ** 2 / n
    se = (spread / (n - 1) / n) ** 0.5
    reference = reference_below(found.mean, se, tolerated=limit or DEFAULT_LIMIT)
    return fallen(after, reference=reference, healthy=healthy), found.n


def feedback_of(scores: Iterable[tuple[str, float]], calls: Iterable[Call]) -> dict[str, Any]:
    """What people said of either arm, which is told and decides nothing: few say anything, and not by lot.

    Args:
        scores: interaction id and score, 1 to 5.
        calls: of both arms.
    """
    arms = {call.id: call.arm for call in calls}
    found: dict[str, list[float]] = {"candidate": [], "stable": []}
    for interaction_id, score in scores:
        if (arm := arms.get(interaction_id)) is not None:
            found[arm].append((score - 1) / 4)
    return {arm: {"scores": len(those), "mean": statistics.fmean(those) if those else None} for arm, those in found.items()}


def _fresh(record: DeploymentRecord, traffic: Traffic, known: Judged) -> int:
    """The candidate's units with an answer that was given, and judged, since the present step began."""
    return len(
        {
            one.call.unit
            for one in traffic.answers
            if one.call.arm == "candidate" and one.call.at >= record.step_at and known.score(one) is not None
        }
    )


def _told(decision: Decision, alpha: float, limit: float | None) -> dict[str, Any]:
    told = {"action": decision.action, "words": decision.words, "alpha": alpha, "limit": limit}
    return told | ({} if decision.difference is None else {"difference": asdict(decision.difference)})


def _arms(scored: Iterable[Any]) -> dict[str, Any]:
    arms: dict[str, list[Any]] = {"candidate": [], "stable": []}
    for one in scored:
        arms[one.arm].append(one)
    return {
        arm: {
            "conversations": len(those),
            "answers": sum(one.answers for one in those),
            "mean": statistics.fmean(one.score for one in those) if those else None,
        }
        for arm, those in arms.items()
    }


def _calls(traffic: Traffic) -> dict[str, Any]:
    """How many calls either arm was asked for, how many it failed, and how long its answers took."""
    candidate, stable = (_few([call for call in traffic.compared if call.arm == arm]) for arm in ("candidate", "stable"))
    slow, beside = candidate["latency_ms"]["median"], stable["latency_ms"]["median"]
    ratio = slow / beside if slow and beside else None
    return {"candidate": candidate, "stable": stable, "since": _few(traffic.since), "latency_ratio": ratio}


def _few(calls: Sequence[Call]) -> dict[str, Any]:
    return {
        "calls": len(calls),
        "units": len({call.unit for call in calls}),
        "failed": sum(call.failed for call in calls),
        "latency_ms": _quantiles([call.latency_ms for call in calls if call.answered]),
        "first_chunk_ms": _quantiles([call.first_chunk_ms for call in calls if call.answered]),
    }


def _quantiles(measured: Iterable[float | None]) -> dict[str, float | None]:
    values = [value for value in measured if value is not None]
    if len(values) < 2:
        return {"median": values[0] if values else None, "p95": values[0] if values else None}
    return {"median": statistics.median(values), "p95": statistics.quantiles(values, n=20, method="inclusive")[-1]}
