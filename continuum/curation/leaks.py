"""The last look before a training set is written: does any of it repeat a golden question?

Groups keep dialogues apart; two people can still ask the same in nearly the same words. Such examples are left out of training.
Whatever should have been kept apart by the groups can only be a fault in them, and stops the build.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from continuum.curation.quality import Rated
from continuum.embedding.embedder import Embedder
from continuum.embedding.neighbours import Neighbours, nearest
from continuum.errors import ContinuumError
from continuum.records import Message
from continuum.similarity.fingerprints import context_fingerprint
from continuum.similarity.near import same_text
from continuum.similarity.normalise import prompt_tail
from continuum.splits.golden import GoldenItem
from continuum.splits.keys import beginnings_of
from continuum.splits.sides import Sides

NEIGHBOURS = 8
"""Golden questions nearest to an example that are compared with it, letter by letter."""
CLOSE = 0.95
"""Cosine from which an example that stays is named for people to look at; spelling tells it apart, meaning perhaps not."""
WORST = 20
"""Close pairs that are named."""


class Row(Protocol):
    """What may be trained on: an example, a preference pair, a rated answer."""

    @property
    def interaction_id(self) -> str:
        """Whose context it is."""
        ...

    @property
    def messages(self) -> tuple[Message, ...]:
        """The context."""
        ...

    @property
    def group(self) -> str:
        """What it belongs to."""
        ...


@dataclass(frozen=True)
class Sealed:
    """The examples that may be trained on, and their vectors row by row."""

    kept: list[Rated]
    vectors: np.ndarray
    near_golden: int
    """Left out because a golden question is nearly the same."""
    report: dict[str, Any] = field(default_factory=dict)
    """What was compared and found, by ids and without a word of text; goes into the manifest."""


def seal(
    rated: Sequence[Rated],
    golden: Sequence[GoldenItem],
    embedder: Embedder,
    threshold: float,
    *,
    sides: Sides | None = None,
) -> Sealed:
    """Leave out what repeats a golden question.

    Args:
        rated: what would be trained on.
        golden: what is measured.
        embedder: finds the golden questions nearest to each example.
        threshold: character similarity from which two questions are one.
        sides: of the whole task; their audit goes into the report.

    Raises:
        ContinuumError: an example has the very context of a golden item, or is one, or shares with one what the groups
            keep apart.
    """
    tails = [prompt_tail(one.interaction.messages) for one in rated]
    vectors = embedder.embed(tails)
    common = sides.common if sides else None
    _forbid_audited(sides)
    _forbid(((one.interaction.id, one.interaction.messages, None) for one in rated), golden, common)
    golden_tails = [prompt_tail(item.messages) for item in golden]
    neighbours = nearest(vectors, embedder.embed(golden_tails), NEIGHBOURS)
    twins = [_twin(tail, row, golden_tails, threshold) for tail, row in zip(tails, neighbours.position, strict=True)]
    apart = np.array([twin is None for twin in twins], dtype=bool)
    kept = [one for one, twin in zip(rated, twins, strict=True) if twin is None]
    left_out = {
        one.interaction.id: golden[twin].interaction_id for one, twin in zip(rated, twins, strict=True) if twin is not None
    }
    report = {
        "golden_items": len(golden),
        "compared": len(rated),
        "exact_contexts": 0,
        "near_golden": {"threshold": threshold, "examples": len(left_out), "golden_item_of": dict(sorted(left_out.items()))},
        "neighbours": _close(kept, golden, neighbours, apart, embedder.id),
        "sides": _audit(sides),
    }
    return Sealed(kept=kept, vectors=vectors[apart], near_golden=len(left_out), report=report)


def assert_sealed(
    rows: Iterable[Row], golden: Sequence[GoldenItem], *, common: AbstractSet[bytes] | None = None
) -> dict[str, int]:
    """Make sure that rows of any kind, about to be written, have nothing of the golden dataset; the last word of a build.

    Args:
        rows: all that would be trained on or drawn beside it.
        golden: what is measured.
        common: beginnings of contexts too frequent to tell dialogues apart, `Sides.common`; None where that is not known, and
            beginnings are not compared.

    Returns:
        How many rows and golden items were compared.

    Raises:
        ContinuumError: a row is a golden item, has the context or a beginning of one, or is in the group of one.
    """
    return _forbid(((row.interaction_id, row.messages, row.group) for row in rows), golden, common)


def _forbid(
    rows: Iterable[tuple[str, Sequence[Message], str | None]], golden: Sequence[GoldenItem], common: AbstractSet[bytes] | None
) -> dict[str, int]:
    ids = {item.interaction_id: item.interaction_id for item in golden}
    contexts = {context_fingerprint(item.messages): item.interaction_id for item in golden}
    groups = {item.group: item.interaction_id for item in golden}
    stems = {stem: item.interaction_id for item in golden if (stem := _stem(item.messages, common)) is not None}
    compared = 0
    for name, messages, group in rows:
        compared += 1
        stem = _stem(messages, common)
        found: Mapping[str, str | None] = {
            "is": ids.get(name),
            "has the very context of": contexts.get(context_fingerprint(messages)),
            "begins as": stems.get(stem) if stem is not None else None,
            "is in the group of": groups.get(group) if group is not None else None,
        }
        for relation, twin in found.items():
            if twin is not None:
                raise ContinuumError(
                    f"interaction {name} {relation} golden item {twin} and would be trained on; "
                    "this is a fault in the grouping of interactions: please report it"
                )
    return {"rows": compared, "golden_items": len(golden)}


def _stem(messages: Sequence[Message], common: AbstractSet[bytes] | None) -> bytes | None:
    if common is None:
        return None
    return next((beginning for beginning in beginnings_of(messages) if beginning not in common), None)


def _forbid_audited(sides: Sides | None) -> None:
    crossing = {kind: count for kind, count in (sides.report.crossings if sides else {}).items() if count}
    if crossing:
        named = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in crossing.items())
        raise ContinuumError(
            f"{named} stand on the golden and on the training side; "
            "this is a fault in the grouping of interactions: please report it"
        )


def _twin(tail: str, positions: np.ndarray, golden_tails: Sequence[str], threshold: float) -> int | None:
    return next((int(position) for position in positions if same_text(tail, golden_tails[int(position)], threshold)), None)


def _close(
    kept: Sequence[Rated], golden: Sequence[GoldenItem], neighbours: Neighbours, apart: np.ndarray, embedder_id: str
) -> dict[str, Any]:
    """The examples that stay although a golden question is close in meaning; rounded, so that machines agree."""
    found = {"embedder": embedder_id, "level": CLOSE, "examples": 0, "highest": None, "worst": []}
    if not kept or not golden:
        return found
    cosine, position = neighbours.cosine[apart][:, 0].round(4), neighbours.position[apart][:, 0]
    pairs = sorted(
        (-float(value), one.interaction.id, golden[item].interaction_id)
        for value, one, item in zip(cosine, kept, position, strict=True)
        if value >= CLOSE
    )
    worst = [{"interaction_id": one, "golden_item": item, "cosine": round(-value, 4)} for value, one, item in pairs[:WORST]]
    return found | {"examples": len(pairs), "highest": round(float(cosine.max()), 4), "worst": worst}


def _audit(sides: Sides | None) -> dict[str, Any]:
    if sides is None:
        return {}
    report = sides.report
    return {
        "interactions": report.interactions,
        "groups": report.groups,
        "by_side": report.by_side,
        "on_both_sides": report.crossings,
        "oversized_groups": report.oversized_groups,
        "common_openings": report.common_openings,
        "refused_links": report.refused,
    }
