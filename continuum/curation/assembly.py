"""The stages of a training set in order: traffic, quality, duplicates, golden leaks, selection, version.

The golden dataset is stored before the training set is, so that whatever a process lives to write was held out first.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from continuum.curation.clusters import find_clusters
from continuum.curation.duplicates import remove_duplicates
from continuum.curation.leaks import Sealed, seal
from continuum.curation.manifest import Assembled, Recipe, configuration
from continuum.curation.pool import Pool, Traffic, eligible, read_traffic
from continuum.curation.quality import Rated
from continuum.curation.selection import Wanted, select
from continuum.curation.uncertainty import Scored, uncertainty_of
from continuum.curation.version import publish_version
from continuum.dataset import Dataset
from continuum.embedding.embedder import Embedder
from continuum.errors import NotEnoughData
from continuum.policy import TaskPolicy
from continuum.progress import Progress
from continuum.provenance.line import learned_through
from continuum.records import Example
from continuum.splits.golden import hold_out
from continuum.timespan import start_of

if TYPE_CHECKING:
    from continuum.store.database import Store

STEPS = 6

SOURCES = {"human": "rated by a person", "judge": "rated by the judge", "correction": "corrected by a person"}


def assemble(
    store: "Store",
    policy: TaskPolicy,
    recipe: Recipe,
    embedder: Embedder,
    *,
    now: Callable[[], datetime],
    on_progress: Progress,
) -> Dataset:
    """Build and store a training set; the one that is stored already comes back when nothing changed.

    Raises:
        NotEnoughData: fewer examples than the recipe's `min_examples` are left.
    """
    on_progress(0, STEPS, "reading interactions")
    after = learned_through(store, policy.task) if recipe.only_new else 0
    traffic = read_traffic(store, policy, start_of(recipe.time_window, now()), after)
    on_progress(1, STEPS, f"holding out the golden side of {traffic.sides.report.interactions} interactions")
    golden = hold_out(store, policy, now=now, sides=traffic.sides)
    pool = eligible(store, traffic, recipe.min_quality_score)
    on_progress(2, STEPS, f"removing duplicates among {len(pool.good)} good answers")
    distinct = remove_duplicates(pool.good, recipe.deduplication_threshold)
    on_progress(3, STEPS, f"comparing {len(distinct.kept)} examples with the golden dataset")
    by_id = sorted(distinct.kept, key=lambda rated: rated.interaction.id)
    sealed = seal(by_id, golden.items if golden else (), embedder, recipe.deduplication_threshold, sides=traffic.sides)
    _require(sealed, traffic, pool, policy.task, recipe)
    on_progress(4, STEPS, f"selecting {min(recipe.target_size, len(sealed.kept))} of {len(sealed.kept)} examples")
    positions = _select(sealed, traffic, pool, embedder, recipe)
    clusters = find_clusters(sealed.vectors, recipe.seed)
    examples = [
        _example(
            sealed.kept[position],
            traffic,
            cluster=int(clusters.assigned[position]),
            duplicates=distinct.replaces[sealed.kept[position].interaction.id],
            reason=_reason(sealed.kept[position], place, len(sealed.kept), recipe),
        )
        for place, position in enumerate(positions, start=1)
    ]
    covered = len(set(clusters.assigned[positions].tolist())) / len(clusters.centroids) if positions else 0.0
    built = Assembled(traffic, pool, distinct, sealed, examples, reports={"coverage": {"share": covered}})
    on_progress(5, STEPS, "writing the dataset")
    config = configuration(recipe, policy.splits, embedder.id)
    dataset = publish_version(store, policy.task, built, config, golden=golden.fingerprint if golden else None, now=now)
    on_progress(STEPS, STEPS, f"{dataset.name}: {len(dataset)} examples")
    return dataset


def _require(sealed: Sealed, traffic: Traffic, pool: Pool, task: str, recipe: Recipe) -> None:
    if len(sealed.kept) >= recipe.min_examples:
        return
    left_out = [f"{count} {stage.replace('_', ' ')}" for stage, count in pool.counts.items() if count and stage != "seen"]
    window = f"the last {recipe.time_window}" if recipe.time_window else "all time"
    raise NotEnoughData(
        f"task {task!r} has {len(sealed.kept)} distinct examples scored {recipe.min_quality_score:g} or better, "
        f"{recipe.min_examples} are needed; of {len(traffic.interactions)} interactions from {window} "
        f"these were left out: {', '.join(left_out) or 'none'}; {traffic.older} are older or learned already; "
        "capture or annotate more, widen time_window or lower min_quality_score",
        available=len(sealed.kept),
        needed=recipe.min_examples,
    )


def _select(sealed: Sealed, traffic: Traffic, pool: Pool, embedder: Embedder, recipe: Recipe) -> list[int]:
    scores = np.array([rated.score for rated in sealed.kept])
    uncertainty = np.full(len(scores), 0.5)
    if recipe.target_size < len(scores) and recipe.strategy in ("active_learning", "uncertainty"):
        row = {rated.interaction.id: position for position, rated in enumerate(pool.scored)}
        uncertainty = uncertainty_of(
            Scored.of(pool.scored, traffic.sides.group, embedder),
            np.array([row[rated.interaction.id] for rated in sealed.kept]),
            recipe.min_quality_score,
        ).value
    wanted = Wanted(recipe.strategy, recipe.target_size, recipe.diversity_coefficient)
    return select(sealed.vectors, scores, uncertainty, wanted)


def _example(rated: Rated, traffic: Traffic, *, cluster: int, duplicates: tuple[str, ...], reason: str) -> Example:
    interaction = rated.interaction
    return Example(
        interaction_id=interaction.id,
        messages=interaction.messages,
        response=rated.response,
        score=rated.score,
        score_source=rated.score_source,
        split="validation" if traffic.sides.side[interaction.id] == "validation" else "train",
        group=traffic.sides.group[interaction.id],
        cluster=cluster,
        duplicates=duplicates,
        reason=reason,
    )


def _reason(rated: Rated, place: int, eligible_rows: int, recipe: Recipe) -> str:
    because = f"scored {rated.score:g}, {SOURCES[rated.score_source]}"
    if recipe.target_size >= eligible_rows:
        return f"{because}; all {eligible_rows} eligible examples fit"
    return f"{because}; choice {place} of {recipe.target_size} by {recipe.strategy} among {eligible_rows}"
