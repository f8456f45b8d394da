"""What a promoted version really gained, measured again on questions that had no say in its promotion.

A version is promoted because its measured gain is large, and a gain that was looked at for being large is too large: the
winner's curse. On golden items that joined after the verdict nothing was selected, so the gain on them is unbiased. Where they
are too few, the claimed gain is corrected for the rule that let the version through (`statistics/selected.py`), and for having
been the best of the versions that were let through against the same baseline by then (`rivals.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.analytics.arms import BASE, PRODUCTION, Contender
from continuum.analytics.bounded import LEAST_GROUPS
from continuum.analytics.gains import Gain, gain_of
from continuum.analytics.rivals import covariance_of, least_best, rivals_of
from continuum.records import Verdict, VerdictStatus
from continuum.serving_records import DeploymentState
from continuum.splits.golden import GoldenItem
from continuum.statistics.selected import NORMAL_WIDTH, GivenSelection, given_selection, least_approved, least_unblocked

if TYPE_CHECKING:
    from continuum.store.database import Store

PROMOTED = frozenset({DeploymentState.PROMOTING, DeploymentState.LIVE, DeploymentState.SUPERSEDED})


@dataclass(frozen=True)
class Promotion:
    """A version that took over all of the traffic at some time."""

    contender: Contender
    verdict: Verdict
    """That it was deployed on."""
    at: datetime
    """When it was deployed."""


@dataclass(frozen=True)
class Retold:
    """One promoted version's gain on one metric: as its verdict claimed it, and as it looks without the selection."""

    model: str
    baseline: str
    metric: str
    claimed: Gain
    fresh: Gain | None = None
    """On golden items that the verdict never saw; None where they are too few."""
    corrected: GivenSelection | None = None
    """The claimed gain given that it was selected; None where there are fresh items, or no rule to condition on."""
    chosen_from: tuple[str, ...] = ()
    """The other versions that a verdict against the same baseline had let through when it was deployed."""
    why: str = ""
    """Why there is no fresh estimate, and where there is none at all, why."""

    @property
    def shrinkage(self) -> float | None:
        """How much of the claimed gain is gone, on its own scale; below 0 where the fresh gain is larger. None without either."""
        found = self.fresh.mean if self.fresh else self.corrected.mean if self.corrected else None
        return None if found is None else self.claimed.mean - found


def promoted(store: "Store", task: str, contenders: Sequence[Contender]) -> list[Promotion]:
    """The versions that took over all of the traffic at some time, oldest first."""
    found = []
    for contender in contenders:
        if contender.checkpoint is None:
            continue
        for one in reversed(store.deployments.of(task)):
            if one.checkpoint_id != contender.checkpoint.id or one.verdict_id is None:
                continue
            served = one.state in PROMOTED or any(event.to_traffic >= 1 for event in store.deployments.events(one.id))
            verdict = store.verdicts.get(one.verdict_id) if served else None
            if verdict is not None:
                found.append(Promotion(contender, verdict, one.created_at))
                break
    return found


def retold(
    store: "Store",
    task: str,
    contenders: Sequence[Contender],
    items: Sequence[GoldenItem],
    scores: Mapping[str, Mapping[str, Sequence[float | None]]],
) -> list[Retold]:
    """Claimed and fresh gain of every promoted version, metric by metric.

    Args:
        store: where deployments, verdicts and golden versions are.
        task: whose models.
        contenders: the models that were compared.
        items: what they were asked.
        scores: each model's scores of the items, 0 to 1.
    """
    found = []
    for one in promoted(store, task, contenders):
        contender, verdict = one.contender, one.verdict
        rivals = rivals_of(store, task, verdict, one.at)
        seen, groups = _seen(store, task, verdict)
        fresh = [n for n, item in enumerate(items) if item.interaction_id not in seen and item.group not in groups]
        baseline = _baseline(verdict, contenders)
        for metric in scores[contender.name]:
            claimed = _claimed(verdict, metric)
            if claimed is not None:
                row = Retold(contender.name, baseline or verdict.baseline, metric, claimed, chosen_from=tuple(rivals))
                found.append(_measured(row, verdict, rivals, baseline, [items[n] for n in fresh], fresh, scores))
    return found


def _measured(
    row: Retold,
    verdict: Verdict,
    rivals: Mapping[str, Verdict],
    baseline: str | None,
    items: Sequence[GoldenItem],
    places: Sequence[int],
    scores: Mapping[str, Mapping[str, Sequence[float | None]]],
) -> Retold:
    why = f"{row.baseline}, which it was measured against, is not among the models compared"
    if baseline is not None and baseline in scores:
        ours, theirs = ([scores[name][row.metric][n] for n in places] for name in (row.model, baseline))
        both = {item.group for item, a, b in zip(items, ours, theirs, strict=True) if a is not None and b is not None}
        if len(both) >= LEAST_GROUPS:
            gain = gain_of(ours, theirs, [item.group for item in items])
            return replace(row, fresh=gain)
        why = (
            f"{len(both)} independent groups of golden items are new since its verdict, {LEAST_GROUPS} are needed; "
            "let the golden dataset grow"
        )
    corrected, reason = _corrected(verdict, rivals, row.metric)
    return replace(row, corrected=corrected, why="; ".join(filter(None, (why, reason))))


def _seen(store: "Store", task: str, verdict: Verdict) -> tuple[set[str], set[str]]:
    """Ids and groups of all items that any verdict on the version was given on."""
    rows = [
        row for one in (verdict, store.verdicts.latest(verdict.checkpoint_id)) if one for row in one.evidence.get("items", ())
    ]
    golden = {
        verdict.golden_id,
        *(use.golden_id for use in store.golden_uses.of(task) if use.checkpoint_id == verdict.checkpoint_id),
    }
    ids = {row["id"] for row in rows} | {item.interaction_id for one in golden for item in store.datasets.items(one)}
    return ids, {row["group"] for row in rows}


def _baseline(verdict: Verdict, contenders: Sequence[Contender]) -> str | None:
    if verdict.baseline in (PRODUCTION, BASE):
        return verdict.baseline
    return next((c.name for c in contenders if c.checkpoint and c.checkpoint.id == verdict.baseline), None)


def _claimed(verdict: Verdict, metric: str) -> Gain | None:
    check, interval = _check(verdict, metric), verdict.intervals.get(metric)
    if metric not in verdict.deltas or interval is None:
        return None
    return Gain(verdict.deltas[metric], interval.low, interval.high, int(check.get("items", 0)), int(check.get("groups", 0)))


def _check(verdict: Verdict, metric: str) -> dict[str, Any]:
    return dict(verdict.evidence.get("metrics", {}).get(metric, {}))


def _corrected(verdict: Verdict, rivals: Mapping[str, Verdict], metric: str) -> tuple[GivenSelection | None, str]:
    """The claimed gain given what selected the version, with words on its rivals; or why that cannot be said."""
    check, delta = _check(verdict, metric), verdict.deltas[metric]
    needed = ("sd", "groups", "min_delta", "resolution", "approval_alpha", "level")
    if any(check.get(name) is None for name in needed) or check["groups"] < LEAST_GROUPS:
        return None, "and its verdict keeps no spread to correct the claim by"
    sd, groups, allowed = check["sd"], check["groups"], check["min_delta"]
    if not verdict.evidence.get("rule", {}).get("require_significance", True) and verdict.status is not VerdictStatus.APPROVED:
        limit = allowed
    elif verdict.status is VerdictStatus.APPROVED:
        limit = least_approved(sd, groups, allowed - check["resolution"], check["approval_alpha"])
    else:
        limit = least_unblocked(sd, groups, allowed, check["level"])
    error = (verdict.intervals[metric].high - verdict.intervals[metric].low) / NORMAL_WIDTH
    if delta <= limit:
        return None, "and the claim lies at the very limit of what was let through, so that nothing is left of it to correct"
    claims = {name: other for name, other in rivals.items() if metric in other.deltas}
    if not claims or error <= 0:
        return given_selection(delta, error, limit), ""
    names = ", ".join(claims)
    if any(other.deltas[metric] >= delta for other in claims.values()):
        return given_selection(
            delta, error, limit
        ), f"beside {names}, of which one claimed as much, it was not chosen by this metric"
    best = least_best(delta, error, [(other.deltas[metric], covariance_of(verdict, other, metric)) for other in claims.values()])
    limit = limit if best is None else max(limit, best)
    return given_selection(delta, error, limit), f"and for being the best of {len(claims) + 1}, beside {names}"
