"""Removal of duplicates, best-first: of what teaches the same, the best-rated example stays and remembers the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from continuum.curation.quality import Rated
from continuum.similarity.fingerprints import answer_fingerprint
from continuum.similarity.near import Answered, keepers
from continuum.similarity.normalise import canonical, prompt_tail


@dataclass(frozen=True)
class Distinct:
    """What stayed, best first, and what each of it stands for."""

    kept: list[Rated]
    replaces: dict[str, tuple[str, ...]]
    """Interaction id of a kept example to the sorted ids it replaces."""
    exact: int
    """Removed because question and answer were the same text."""
    near: int
    """Removed because they were nearly."""


def remove_duplicates(rated: Sequence[Rated], threshold: float) -> Distinct:
    """Keep one of each; the order of the input does not matter.

    Args:
        rated: the candidates.
        threshold: character similarity, 0 to 1, of both question and answer from which two are near-duplicates.
    """
    by_text: dict[str, list[Rated]] = {}
    for one in sorted(rated, key=lambda one: one.preference):
        by_text.setdefault(answer_fingerprint(one.interaction.messages, one.response), []).append(one)
    copies = list(by_text.values())
    stands_for = keepers([_compared(same[0]) for same in copies], threshold)
    merged: dict[int, list[Rated]] = {}
    for position, keeper in enumerate(stands_for):
        merged.setdefault(keeper, []).extend(copies[position])
    kept = [copies[keeper][0] for keeper in sorted(merged)]
    return Distinct(
        kept=kept,
        replaces={same[0].interaction.id: tuple(sorted(one.interaction.id for one in same[1:])) for same in merged.values()},
        exact=len(rated) - len(copies),
        near=len(copies) - len(kept),
    )


def _compared(one: Rated) -> Answered:
    return Answered(
        prompt=prompt_tail(one.interaction.messages),
        response=canonical(one.response.action),
        action=canonical(one.response.action) if one.response.tool_calls else "",
        score=one.score,
    )
