"""The evidence that a verdict carries: enough to check it, and the answers that damned the candidate."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from continuum.guard.baseline import PRODUCTION
from continuum.guard.pairs import Arm
from continuum.judging.measures import ACTION_MATCH, Measures
from continuum.policy import GuardPolicy
from continuum.records import Checkpoint, Message
from continuum.splits.golden import GoldenDataset, GoldenItem

if TYPE_CHECKING:
    from continuum.guard.decision import Check

WORST_SHOWN = 3
TEXT_SHOWN = 600
"""Characters of a question or an answer that a verdict keeps."""
ITEMS_KEPT = 500
"""Paired scores of at most this many items are kept one by one."""
LIBRARIES = ("continuum-ai", "numpy", "scipy")


@dataclass(frozen=True)
class Loss:
    """Mean negative log-likelihood of the references, in nats a token."""

    candidate: float
    baseline: float | None
    """None for production, whose probabilities nobody sees."""
    base: float
    """The base without an adapter."""
    items: int


def evidence_of(
    golden: GoldenDataset,
    items: Sequence[GoldenItem],
    measures: Measures,
    baseline: Arm,
    candidate: Arm,
    model: Checkpoint,
    checks: "Sequence[Check]",
    loss: Loss | None,
    config: GuardPolicy,
    notes: list[str],
) -> dict[str, Any]:
    """Everything a reader needs to check the verdict, in plain JSON."""
    rates = [check.false_approval_rate for check in checks if check.false_approval_rate is not None]
    return {
        "golden": {
            "name": golden.name,
            "fingerprint": golden.fingerprint,
            "version": golden.version,
            "items": len(items),
            "of": len(golden),
            "groups": len({item.group for item in items}),
        },
        "candidate": {"model": candidate.name, "id": candidate.id, "base_model": model.base_model},
        "baseline": {"model": baseline.name, "id": baseline.id},
        "judge": {"name": measures.judge_name, "rubric": measures.rubric},
        "rule": config.model_dump(
            mode="json", include={"resolution", "require_significance", "p_value_threshold", "on_inconclusive"}
        ),
        "metrics": {check.metric: metric_evidence(check) for check in checks},
        "false_approval_rate": max(rates, default=None),
        "worst": worst_items(items, baseline, candidate, measures.metrics),
        "items": item_scores(items, baseline, candidate, measures.metrics),
        "loss": None if loss is None else asdict(loss),
        "notes": [*notes, *reading_notes(items, baseline, measures, checks, config)],
        "seeds": {"training": model.config.get("seed"), "statistics": None},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }


def metric_evidence(check: "Check") -> dict[str, Any]:
    """One metric's test, with its numbers."""
    return {
        **(asdict(check.comparison) if check.comparison else {}),
        "outcome": check.outcome.value,
        "words": check.words,
        "min_delta": check.min_delta,
        "dropped": check.dropped,
        "p_adjusted": check.p_adjusted,
        "required_examples": check.required_examples,
        "false_approval_rate": check.false_approval_rate,
    }


def worst_items(items: Sequence[GoldenItem], baseline: Arm, candidate: Arm, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The items on which the candidate lost most against the baseline, worst first; none where it lost on none."""
    losses = []
    for n, item in enumerate(items):
        changes = [after - before for before, after in _scores(n, baseline, candidate, metrics).values()]
        if changes and sum(changes) < 0:
            losses.append((sum(changes) / len(changes), item.interaction_id, n))
    return [_shown(items[n], n, delta, baseline, candidate, metrics) for delta, _, n in sorted(losses)[:WORST_SHOWN]]


def item_scores(items: Sequence[GoldenItem], baseline: Arm, candidate: Arm, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Per item, each metric's scores as `[baseline, candidate]`, for as many items as a verdict keeps."""
    return [
        {"id": item.interaction_id, "group": item.group, "scores": _rounded(_scores(n, baseline, candidate, metrics))}
        for n, item in enumerate(items[:ITEMS_KEPT])
    ]


def reading_notes(
    items: Sequence[GoldenItem], baseline: Arm, measures: Measures, checks: "Sequence[Check]", config: GuardPolicy
) -> list[str]:
    """What a reader must know to read the numbers rightly, in plain words."""
    notes = []
    own = sum(is_own_reference(item) for item in items)
    if baseline.id == PRODUCTION and ACTION_MATCH in measures.metrics and own:
        notes.append(
            f"on {own} of {len(items)} items the reference is production's own answer, kept because a person approved it: "
            "there production matches by construction, and the candidate can tie but never win; "
            "this is a comparison with production at its best, not at its average"
        )
    if not config.require_significance:
        notes.append("blocking was on the bare difference, without a test: an equal model is blocked more often than not")
    missed = max((c.false_approval_rate for c in checks if c.false_approval_rate is not None), default=None)
    if config.on_inconclusive == "approve" and missed is not None:
        notes.append(
            f"an undecided candidate counts as approved here: one truly {config.resolution:.2f} worse than allowed would be let "
            f"through about {missed * 100:.0f} times in 100"
        )
    return notes


def is_own_reference(item: GoldenItem) -> bool:
    """Whether production's answer is the reference it is compared with."""
    return item.reference is not None and item.production is not None and item.reference.action == item.production.action


def shown_text(message: Message | None) -> str | None:
    """The words of an answer as far as a verdict keeps them, safe for any database."""
    return None if message is None else clipped(message.action)


def clipped(text: str) -> str:
    """Text without what JSON columns cannot hold, and not longer than a verdict keeps."""
    clean = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= TEXT_SHOWN else clean[:TEXT_SHOWN] + "…"


def _shown(item: GoldenItem, n: int, delta: float, baseline: Arm, candidate: Arm, metrics: Sequence[str]) -> dict[str, Any]:
    question = next((message.text for message in reversed(item.messages) if message.role == "user" and message.text), "")
    scores = _scores(n, baseline, candidate, metrics)
    return {
        "interaction_id": item.interaction_id,
        "question": clipped(question),
        "baseline_answer": shown_text(baseline.answers[n]),
        "candidate_answer": shown_text(candidate.answers[n]),
        "baseline_scores": {metric: before for metric, (before, _) in scores.items()},
        "candidate_scores": {metric: after for metric, (_, after) in scores.items()},
        "reference": shown_text(item.reference),
        "delta": round(delta, 6),
    }


def _scores(n: int, baseline: Arm, candidate: Arm, metrics: Sequence[str]) -> dict[str, tuple[float, float]]:
    found = {}
    for metric in metrics:
        before, after = baseline.scores[metric][n], candidate.scores[metric][n]
        if before is not None and after is not None:
            found[metric] = (before, after)
    return found


def _rounded(scores: dict[str, tuple[float, float]]) -> dict[str, list[float]]:
    return {metric: [round(before, 4), round(after, 4)] for metric, (before, after) in scores.items()}
