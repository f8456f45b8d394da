"""What a version's manifest says, put so that a card, a terminal and a comparison can show it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from continuum.dataset import Dataset

LEFT_OUT = {
    "golden": "held out to measure candidates",
    "quarantined": "between the golden and the training side",
    "anchor": "kept to watch the judge",
    "failed": "the call failed",
    "empty": "nothing asked or nothing answered",
    "suspected_injection": "talks to the judge",
    "unscored": "nobody scored it",
    "below_quality": "scored too low",
    "exact_duplicates": "the same text as a better-rated one",
    "near_duplicates": "nearly the same text",
    "meaning_duplicates": "the same meaning",
    "near_golden": "too near to a golden question",
}
"""The counts of what stages left out, in the order of the stages, in words."""
NO_STAGE = {"seen", "eligible", "selected", "train", "validation"}
SOURCES = {"human": "rated by people", "correction": "corrected by people", "judge": "rated by the judge"}


@dataclass(frozen=True)
class Class:
    """A kind of question, and how much of it there is."""

    label: str
    """The task's name for it, or the number of its cluster."""
    words: tuple[str, ...]
    """Captured texts that tell what it is."""
    eligible: int
    selected: int
    control: int | None
    """None where no control was drawn."""
    score: float | None
    """Mean score of its examples, 1 to 5; None of none."""


def funnel(dataset: Dataset) -> list[tuple[str, int]]:
    """What was left after each stage that left something out, from all that was seen to what was selected."""
    left = int(dataset.manifest.get("counts", {}).get("seen", dataset.source_interactions))
    steps = [("seen", left)]
    for stage, count in left_out(dataset).items():
        left -= count
        steps.append((f"without {stage.replace('_', ' ')}", left))
    return [*steps, ("selected", len(dataset))]


def left_out(dataset: Dataset) -> dict[str, int]:
    """What each stage that left something out left out, in the order of the stages."""
    counts = dataset.manifest.get("counts", {})
    others = [stage for stage in sorted(counts) if stage not in LEFT_OUT and stage not in NO_STAGE]
    return {stage: int(counts[stage]) for stage in (*LEFT_OUT, *others) if counts.get(stage)}


def classes_of(dataset: Dataset) -> list[Class]:
    """The classes of the coverage report, the most frequent first."""
    classes = [
        Class(
            label=str(one["label"]),
            words=tuple(one.get("words", ())),
            eligible=int(one["eligible"]),
            selected=int(one["selected"]),
            control=one.get("control"),
            score=one.get("score_selected"),
        )
        for one in dataset.manifest.get("coverage", {}).get("classes", ())
    ]
    return sorted(classes, key=lambda one: (-one.eligible, one.label))


def generations(dataset: Dataset) -> tuple[dict[int, int], dict[int, int]]:
    """How many eligible rows, and how many examples, each generation wrote."""
    selected = Counter(example.generation for example in dataset)
    reported = dataset.manifest.get("generations", {}).get("eligible", selected)
    return {int(depth): int(rows) for depth, rows in reported.items()}, dict(selected)


def coverage_words(dataset: Dataset) -> str:
    """What is covered, in sentences; the names of classes in it are captured words."""
    report = dataset.manifest.get("coverage", {})
    words = [f"{report.get('words') or f'{dataset.intent_coverage:.0%} of the classes have an example'}."]
    if report.get("traffic_share") is not None:
        words.append(f"{report['traffic_share']:.0%} of the traffic asks for a class that has one.")
    if report.get("lost"):
        words.append(f"Without one: {_listed(report['lost'])}.")
    if report.get("lost_since"):
        words.append(f"Covered by the version before and no longer: {_listed(report['lost_since'])}.")
    tail = report.get("tail") or {}
    if tail.get("classes"):
        words.append(
            f"The long tail, {tail['classes']} classes of fewer than {tail['below']} eligible rows each, has {tail['selected']} "
            f"examples of {tail['eligible']} eligible rows."
        )
    return " ".join(words)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(str(name)[:40] for name in names[:10]) + more
