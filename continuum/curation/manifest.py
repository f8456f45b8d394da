"""What a training set says of itself: how it was made, what each stage left out, and the fingerprint it is known by."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from continuum.curation.duplicates import Distinct
from continuum.curation.leaks import Sealed
from continuum.curation.pool import Pool, Traffic
from continuum.curation.quality import score_histogram
from continuum.curation.selection import Strategy
from continuum.dataset_rows import FORMAT, PreferencePair, RatedAnswer, Removed
from continuum.policy import SplitPolicy
from continuum.records import Example

WHY = {"exact": "exact_duplicates", "near": "near_duplicates", "meaning": "meaning_duplicates"}
"""Why an example gave way to another, and the count that it is in."""
REPORTS = ("coverage", "decontamination", "generations", "control", "preferences", "referrals", "uncertainty")
"""What stages report of their work: plain values, with a sentence in `words` where numbers alone say little."""


@dataclass(frozen=True)
class Recipe:
    """What decides, besides the data, what a training set holds."""

    strategy: Strategy
    target_size: int
    min_quality_score: float
    diversity_coefficient: float
    deduplication_threshold: float
    semantic_deduplication_threshold: float | None
    max_generated_share: float
    diversity_floor: float
    intent_tag: str
    control: bool
    min_examples: int
    time_window: str | None
    only_new: bool
    seed: int


@dataclass(frozen=True)
class Assembled:
    """The results of all stages."""

    traffic: Traffic
    pool: Pool
    distinct: Distinct
    sealed: Sealed
    examples: Sequence[Example]
    """The chosen ones."""
    preferences: Sequence[PreferencePair] = ()
    rated_answers: Sequence[RatedAnswer] = ()
    control: Sequence[Example] = ()
    """As many of the rows of `sealed`, drawn at random."""
    removed: Sequence[Removed] = ()
    """Beside the duplicates, which are known from `distinct`."""
    feedback: Mapping[str, Any] = field(default_factory=dict)
    """When people's word was read, and what was considered again because of it."""
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the names of REPORTS."""


def configuration(recipe: Recipe, splits: SplitPolicy, embedder_id: str) -> dict[str, Any]:
    """Everything that decides the outcome on given data."""
    return {**asdict(recipe), "embedder": embedder_id, "splits": splits.model_dump(mode="json")}


def manifest_of(
    built: Assembled, config: dict[str, Any], parents: dict[str, str | None], notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The manifest without the version's name and date.

    Args:
        built: the results of all stages.
        config: what decided them, with the embedder and the thresholds that hold for it alone.
        parents: fingerprints of the golden dataset that was kept out, and of the version before.
        notes: what a reader must know of the scores.
    """
    reports = {name: dict(built.reports[name]) for name in REPORTS if name in built.reports}
    return reports | {
        "format": FORMAT,
        "code_version": version("continuum-ai"),
        "config": config,
        "source_interactions": len(built.traffic.interactions),
        "older_interactions": built.traffic.older,
        "after": built.traffic.after,
        "through": built.traffic.through,
        "window": _window(built.traffic),
        "feedback": dict(built.feedback),
        "counts": _counts(built),
        "score_histogram": dict(score_histogram([rated.score for rated in built.pool.scored])),
        "splits": built.traffic.sides.report.as_dict(),
        "parents": parents,
        "intent_coverage": float(reports.get("coverage", {}).get("share", 0.0)),
        "duplicates": _duplicates(built.distinct),
        "models": _models(built),
        "notes": list(notes),
    }


def removed_rows(built: Assembled) -> list[Removed]:
    """Everything that stages took out of the good answers, with the reason."""
    duplicates = [
        Removed(
            interaction_id=one.interaction_id,
            stage=WHY[one.why],
            reason=_alike(one.why, one.prompt_similarity, one.response_similarity, one.language),
            kept_id=one.kept_id,
        )
        for one in built.distinct.removed
    ]
    return [*duplicates, *built.removed]


def _alike(why: str, prompt: float, response: float, language: str) -> str:
    if why == "exact":
        return "the same question and answer"
    measure = "cosine" if why == "meaning" else "characters"
    told = f" ({language})" if language else ""
    return f"question {prompt:.3f} and answer {response:.3f} alike by {measure}{told}"


def _counts(built: Assembled) -> dict[str, int]:
    sides = Counter(example.split for example in built.examples)
    return built.pool.counts | {
        "exact_duplicates": built.distinct.exact,
        "near_duplicates": built.distinct.near,
        "meaning_duplicates": built.distinct.meaning,
        "near_golden": built.sealed.near_golden,
        "eligible": len(built.sealed.kept),
        "selected": len(built.examples),
        "train": sides["train"],
        "validation": sides["validation"],
    }


def _duplicates(distinct: Distinct) -> dict[str, Any]:
    words = (
        f"{distinct.exact} repeats of the same text and {distinct.near} of nearly the same gave way to the best-rated of them; "
        "two that differ in a number, a negation, a content word, the action or the verdict both stayed"
    )
    if distinct.encoder is not None:
        words += f"; {distinct.meaning} more meant the same by {distinct.encoder}"
    if distinct.fallback:
        words += (
            f"; {distinct.fallback} candidates are in a language whose small words are not known here, or too short to tell, and "
            "were compared more strictly"
        )
    return {
        "words": words,
        "languages": dict(distinct.languages),
        "crowded": distinct.crowded,
        "too_long": distinct.too_long,
        "encoder": distinct.encoder,
    }


def _models(built: Assembled) -> dict[str, int]:
    """Who wrote the chosen answers, by the names that were captured; people, where they corrected one."""
    wrote = {rated.interaction.id: rated.interaction.model or "unknown" for rated in built.sealed.kept}
    writers = Counter(
        "people" if example.score_source == "correction" else wrote.get(example.interaction_id, "unknown")
        for example in built.examples
    )
    return dict(sorted(writers.items(), key=lambda item: (-item[1], item[0])))


def _window(traffic: Traffic) -> dict[str, str | None]:
    times = [interaction.started_at for interaction in traffic.interactions]
    return {"first": min(times).isoformat() if times else None, "last": max(times).isoformat() if times else None}
