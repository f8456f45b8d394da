"""Choosing among the eligible examples: how unsure we are of each, the strategy, who wrote the answers, and a random control.

What the strategy `uncertainty` picks is learned from only where somebody besides the first judge found it good; the rest waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from continuum.curation.collapse import CollapseReport, limit_generated
from continuum.curation.control import draw_control
from continuum.curation.manifest import Recipe
from continuum.curation.quality import Rated
from continuum.curation.referrals import Confirmed, confirmed
from continuum.curation.selection import Wanted, by_uncertainty, select
from continuum.curation.uncertainty import NEUTRAL, Scored, needed, uncertainty_of
from continuum.embedding.embedder import Embedder
from continuum.policy import TaskPolicy
from continuum.similarity.normalise import canonical
from continuum.splits.sides import Sides

if TYPE_CHECKING:
    from continuum.store.database import Store


@dataclass(frozen=True)
class Choice:
    """What was chosen of the eligible rows; all positions are theirs."""

    positions: list[int]
    """In the order in which they were chosen."""
    control: list[int]
    """As many, drawn at random; empty where none was drawn."""
    waiting: list[int]
    """Uncertain picks that nobody has confirmed, the most uncertain first."""
    uncertainty: np.ndarray
    """0 to 1, one an eligible row."""
    generations: CollapseReport
    confirmed: Confirmed | None
    """What became of uncertain picks; None with another strategy."""
    evidence: dict[str, Any]
    """How the uncertainty was told, for the manifest."""


def choose(
    store: "Store",
    policy: TaskPolicy,
    recipe: Recipe,
    rows: Sequence[Rated],
    vectors: np.ndarray,
    scored: Sequence[Rated],
    sides: Sides,
    embedder: Embedder,
) -> Choice:
    """Choose as the recipe says.

    Args:
        store: where the second judge's scores are.
        policy: of the task.
        recipe: the strategy and its bounds.
        rows: the eligible ones, by id.
        vectors: of their questions, shape (rows, dimensions).
        scored: everything with a score, good and bad, by id.
        sides: of the whole task.
        embedder: of answers.
    """
    scores = np.array([one.score for one in rows], dtype=np.float64)
    uncertainty, evidence = _uncertainty(recipe, rows, scored, sides.group, embedder)
    ids = [one.interaction.id for one in rows]

    def among(some: np.ndarray, size: int) -> list[int]:
        wanted = Wanted(recipe.strategy, size, recipe.diversity_coefficient)
        return some[select(vectors[some], scores[some], uncertainty[some], wanted)].tolist()

    found, eligible, waiting = None, np.arange(len(rows)), []
    if recipe.strategy == "uncertainty" and len(rows):
        # By uncertainty, also where all of them fit: the order says who is asked about first.
        by_doubt = by_uncertainty(scores, uncertainty)[: recipe.target_size]
        found = confirmed(store, policy, [rows[one] for one in by_doubt], recipe.min_quality_score)
        waiting = [by_doubt[one] for one in found.waiting]
        eligible = np.array(sorted(by_doubt[one] for one in found.trainable), dtype=np.int64)
    limited = limit_generated(
        [rows[one].generation for one in eligible.tolist()],
        lambda some, size: np.searchsorted(eligible, among(eligible[some], size)).tolist(),
        lambda some: embedder.embed([canonical(rows[one].response.action) for one in eligible[some].tolist()]),
        size=recipe.target_size,
        max_share=recipe.max_generated_share,
        floor=recipe.diversity_floor,
    )
    positions = eligible[limited.positions].tolist()
    control: list[int] = []
    if recipe.control and len(positions) < len(rows):
        split = {one: sides.side[one] for one in ids}
        drawn = set(draw_control(ids, [ids[one] for one in positions], recipe.seed, split))
        control = [position for position, one in enumerate(ids) if one in drawn]
    return Choice(positions, control, waiting, uncertainty, limited.report, found, evidence)


def _uncertainty(
    recipe: Recipe, rows: Sequence[Rated], scored: Sequence[Rated], groups: Mapping[str, str], embedder: Embedder
) -> tuple[np.ndarray, dict[str, Any]]:
    asked = recipe.strategy == "uncertainty" or (recipe.strategy == "active_learning" and recipe.target_size < len(rows))
    if not asked:
        return np.full(len(rows), NEUTRAL), {"predicted_by": "not asked: it would decide nothing here"}
    place = {one.interaction.id: position for position, one in enumerate(scored)}
    at = np.array([place[one.interaction.id] for one in rows], dtype=np.int64)
    known = needed([groups[one.interaction.id] for one in scored], at, recipe.seed)
    some = Scored.of([scored[position] for position in known.tolist()], groups, embedder)
    found = uncertainty_of(some, np.searchsorted(known, at), recipe.min_quality_score, recipe.seed)
    return found.value, found.evidence
