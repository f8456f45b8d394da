"""Which training data helped and which hurt: the golden items that changed, and the new examples that they are nearest to.

The examples that a candidate newly learned are clustered by their questions. Each golden item belongs to the cluster of its
nearest new examples, and a cluster's gain is the mean of after - before over its items, shrunk towards what the clusters have in
common (`shrinkage.py`).

This is observational. Items changed, and examples like them were learned; that the one came of the other is likely where a
cluster alone stands out, and shown by nothing but training again without it. Examples that act on questions unlike their own are
not found. Dearer ways that follow the training itself: influence functions (Koh and Liang 2017), TracIn (Pruthi et al. 2020),
which sums products of gradients over checkpoints, and datamodels (Ilyas et al. 2022), which train many times on parts of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from continuum.analytics.arms import BASE, NEAREST, PRODUCTION
from continuum.analytics.shrinkage import shrink
from continuum.artifacts.copies import is_there
from continuum.config import load_settings
from continuum.dataset import Dataset
from continuum.embedding.cache import cached_embedder
from continuum.embedding.clusters import COUNTS, FEWEST_ROWS, in_words, join_clusters
from continuum.embedding.cosines import whole
from continuum.embedding.embedder import Embedder
from continuum.errors import ConfigurationError, StoreError
from continuum.excerpts import excerpt
from continuum.provenance.lineage import trained_ids
from continuum.records import Checkpoint, Example
from continuum.similarity.normalise import prompt_tail
from continuum.splits.golden import GoldenItem
from continuum.statistics.means import Estimate
from continuum.statistics.paired import Values, group_means

if TYPE_CHECKING:
    from continuum.store.database import Store

ITEMS_OF_CLUSTER = 8
"""So many golden items there should be to a cluster on average: with fewer, its gain is chance."""
FEWEST_GROUPS = 3
"""Clusters whose items come from fewer groups are not ranked."""
NEIGHBOURS = 5
"""The new examples nearest to an item, which choose its cluster."""
FAR_PERCENTILE = 10
"""An item is near no cluster where its nearest new example is farther than all but this percentile of examples have the nearest
of another cluster: no nearer than what asks for something else."""
SAMPLE_ROWS = 1000
ROWS_AT_ONCE = 64
SHOWN = 5
"""Examples of a cluster that are told in words."""
ELSEWHERE = "elsewhere"
OBSERVATIONAL = (
    "observational: items changed near these examples; that they changed because of them is shown only by training again without "
    "them, and examples that act on questions unlike their own are not found"
)


@dataclass(frozen=True)
class Taught:
    """One training example in words, each in one short line. The words are captured: whoever shows them escapes them."""

    interaction_id: str
    asked: str
    learned: str
    """The answer, or the tool calls, that were learned."""


@dataclass(frozen=True)
class ClusterGain:
    """New examples that ask alike, and what became of the golden items nearest to them."""

    cluster: str
    """A label made of its own texts, in one short line. The texts are captured: whoever shows it escapes it."""
    gain: Estimate
    """After - before, shrunk, with its 95% interval; -1 to 1."""
    items: int
    """Golden items that belong to it."""
    examples: int
    """New training examples in it; 0 for the items that are near none."""
    example_ids: tuple[str, ...]
    """Their interaction ids, those nearest to the items that changed the cluster's way first."""
    probability_harmful: float
    """That the true gain is below 0, 0 to 1; 0.5 where nothing speaks for either side."""
    measured: float | None = None
    """The mean of after - before as it was measured, over groups; None without an item."""
    first: tuple[Taught, ...] = ()
    """The first few of `example_ids`, in words."""

    @property
    def ranked(self) -> bool:
        """Whether it has examples, and items of enough groups to be named before others."""
        return self.examples > 0 and self.gain.groups >= FEWEST_GROUPS


@dataclass(frozen=True)
class Attribution:
    """Which of the examples that a candidate newly learned helped it, and which hurt; made by `attribute`."""

    candidate: str
    baseline: str
    clusters: tuple[ClusterGain, ...]
    """The highest gain first; those with too few golden items come after the others, and items near no cluster last."""
    notes: tuple[str, ...]
    common: float = 0.0
    """The gain that the clusters have in common, towards which each is shrunk."""

    def helped(self, n: int = 3) -> tuple[ClusterGain, ...]:
        """The clusters that gained more than they all have in common, the highest gain first; those with enough items only."""
        found = [one for one in self.clusters if one.ranked and one.gain.mean > self.common]
        return tuple(found[:n])

    def hurt(self, n: int = 3) -> tuple[ClusterGain, ...]:
        """The clusters that gained less than they all have in common, the lowest gain first; those with enough items only.

        Which of them lost, and not only gained less, `probability_harmful` says.
        """
        found = [one for one in reversed(self.clusters) if one.ranked and one.gain.mean < self.common]
        return tuple(found[:n])


def attribute(
    store: "Store",
    task: str,
    items: Sequence[GoldenItem],
    before: Mapping[str, float | None],
    after: Mapping[str, float | None],
    *,
    candidate: Checkpoint,
    baseline: str = "",
    embedder: Embedder | None = None,
    seed: int = 0,
) -> Attribution:
    """Say which clusters of newly learned examples stand beside gains on golden items, and which beside losses.

    Args:
        store: where the line of the candidate and its datasets are looked up.
        task: whose.
        items: the golden items, in any order.
        before: interaction id of an item to the baseline's score, 0 to 1; items without one are left out.
        after: the same of the candidate.
        candidate: whose new examples are in question.
        baseline: what it is compared with: an id, a name or `v<n>` of a checkpoint, or `base` or `production`, which learned
            none of the task's examples; "" for the checkpoint that the candidate was continued from.
        embedder: what asks alike; None for that of the settings.
        seed: of the clusters.

    Returns:
        No clusters where nothing was newly learned or no item has both scores; the notes then say so.

    Raises:
        ConfigurationError: the task has no checkpoint of the baseline's name.
    """
    known = _baseline(store, task, candidate, baseline)
    examples, notes = _newly_learned(store, candidate, known)
    name = known.name if known else baseline or BASE
    notes += _other_rows(store, candidate, known)
    changes = _changes(items, before, after)
    if len(changes) < len(items):
        notes.append(f"{len(items) - len(changes)} of {len(items)} golden items lack a score of one of the two and are left out")
    if not examples or not changes:
        notes.append(
            "the candidate newly learned no example that can be read" if not examples else "no golden item has both scores"
        )
        return Attribution(candidate.name, name, (), tuple(notes))
    opened = embedder or cached_embedder(load_settings())
    vectors = opened.embed([prompt_tail(example.messages) for example in examples])
    asked = opened.embed([prompt_tail(change.item.messages) for change in changes])
    count = max(2, min(len(changes) // ITEMS_OF_CLUSTER, len(examples) // FEWEST_ROWS, COUNTS[-1]))
    assigned = join_clusters(vectors, count, seed).assigned
    places = _places(whole(asked), whole(vectors), assigned, seed)
    found, common = _gains(examples, vectors, assigned, changes, asked, places)
    return Attribution(candidate.name, name, found, (*notes, *_notes(found)), common)


@dataclass(frozen=True)
class _Change:
    item: GoldenItem
    delta: float


def _changes(items: Sequence[GoldenItem], before: Mapping[str, float | None], after: Mapping[str, float | None]) -> list[_Change]:
    """What became of each item that has both scores, by id, each once."""
    found = []
    for _, item in sorted({item.interaction_id: item for item in items}.items()):
        old, new = before.get(item.interaction_id), after.get(item.interaction_id)
        if old is not None and new is not None:
            found.append(_Change(item, new - old))
    return found


# --- what was newly learned --------------------------------------------------------------------------------------


def _baseline(store: "Store", task: str, candidate: Checkpoint, name: str) -> Checkpoint | None:
    """The checkpoint that the candidate is compared with; None for a model that learned none of the task's examples."""
    if not name:
        return store.checkpoints.get(candidate.parent_id) if candidate.parent_id else None
    versions = store.checkpoints.of(task)
    for version in versions:
        if name in (version.id, version.name, f"v{version.version}"):
            return version
    if name in (BASE, PRODUCTION, NEAREST, candidate.base_model):
        return None
    there = ", ".join([BASE, PRODUCTION, *(f"v{version.version}" for version in versions)])
    raise ConfigurationError(f"task {task!r} has no model {name!r} to compare with; it has {there}")


def _newly_learned(store: "Store", candidate: Checkpoint, baseline: Checkpoint | None) -> tuple[list[Example], list[str]]:
    """The examples of the candidate's line that the baseline has not learned, by id; and what could not be read."""
    learned = trained_ids(store, baseline) if baseline else set()
    found: dict[str, Example] = {}
    notes = []
    for dataset_id in dict.fromkeys(checkpoint.dataset_id for checkpoint in _line(store, candidate)):
        members = {item.interaction_id for item in store.datasets.items(dataset_id) if item.split == "train"}
        if members and members <= learned:
            continue
        record = store.datasets.get(dataset_id)
        try:
            if record is None or not is_there(record.uri):
                notes.append(f"dataset {record.name if record else dataset_id} is gone, what it taught is not looked at")
                continue
            rows = Dataset.read(record.uri).split("train")
        except StoreError as error:
            notes.append(f"dataset {dataset_id[:12]} cannot be read, what it taught is not looked at: {error}")
            continue
        found |= {row.interaction_id: row for row in rows if row.interaction_id not in learned | found.keys()}
    return [found[id] for id in sorted(found)], notes


def _other_rows(store: "Store", candidate: Checkpoint, baseline: Checkpoint | None) -> list[str]:
    """In words, what the candidate's line learned beside examples since the baseline: no cluster holds it."""
    before = {one.id for one in _line(store, baseline)} if baseline else set[str]()
    count = sum(int(one.metrics.get("preference_examples") or 0) for one in _line(store, candidate) if one.id not in before)
    if not count:
        return []
    return [f"it also learned from {count} rows of what people preferred (DPO or KTO), which are in no cluster: not looked at"]


def _line(store: "Store", candidate: Checkpoint) -> Iterator[Checkpoint]:
    """The candidate, and those it was continued from."""
    one: Checkpoint | None = candidate
    while one is not None:
        yield one
        parent = store.checkpoints.get(one.parent_id) if one.parent_id else None
        # Versions only grow along a line, so this ends even if a row names a wrong parent.
        one = parent if parent is not None and parent.version < one.version else None


# --- which item belongs to which cluster -------------------------------------------------------------------------


def _places(asked: np.ndarray, rows: np.ndarray, assigned: np.ndarray, seed: int) -> np.ndarray:
    """The cluster of each item by the cosines of its nearest new examples; -1 where even the nearest is far. Shape (items,)."""
    far = _far(rows, assigned, seed)
    found = np.full(len(asked), -1)
    for start in range(0, len(asked), ROWS_AT_ONCE):
        near = asked[start : start + ROWS_AT_ONCE] @ rows.T
        for place, cosines in enumerate(near, start=start):
            nearest = np.argsort(-cosines, kind="stable")[:NEIGHBOURS]
            if cosines[nearest[0]] > 0 and cosines[nearest[0]] >= far:
                found[place] = np.bincount(assigned[nearest], weights=np.maximum(cosines[nearest], 0)).argmax()
    return found


def _far(rows: np.ndarray, assigned: np.ndarray, seed: int) -> float:
    """The product with the nearest example below which an item is near none of them."""
    sample = np.sort(np.random.default_rng(seed).permutation(len(rows))[:SAMPLE_ROWS])
    nearest = []
    for start in range(0, len(sample), ROWS_AT_ONCE):
        chosen = sample[start : start + ROWS_AT_ONCE]
        near = np.where(assigned[chosen, None] == assigned[None, :], 0, rows[chosen] @ rows.T)
        nearest += near.max(axis=1).tolist()
    return float(np.percentile(nearest, FAR_PERCENTILE, method="lower"))


# --- what became of the clusters ---------------------------------------------------------------------------------


def _gains(
    examples: Sequence[Example],
    vectors: np.ndarray,
    assigned: np.ndarray,
    changes: Sequence[_Change],
    asked: np.ndarray,
    places: np.ndarray,
) -> tuple[tuple[ClusterGain, ...], float]:
    clusters = [int(cluster) for cluster in np.unique(assigned)]
    if (places == -1).any():
        clusters.append(-1)
    differences = [_of_groups([changes[row] for row in np.flatnonzero(places == cluster).tolist()]) for cluster in clusters]
    shrunk = shrink(differences)
    labels = _labels(examples, vectors, assigned)
    gains = []
    for cluster, values, believed in zip(clusters, differences, shrunk.clusters, strict=True):
        rows, members = np.flatnonzero(places == cluster), np.flatnonzero(assigned == cluster)
        changed = np.array([changes[row].delta for row in rows.tolist()])
        nearest = [examples[row] for row in _nearest_first(vectors, members, asked[rows], changed)]
        gains.append(
            ClusterGain(
                cluster=labels.get(cluster, ELSEWHERE),
                gain=Estimate(believed.mean, believed.low, believed.high, len(rows), len(values)),
                items=len(rows),
                examples=len(members),
                example_ids=tuple(example.interaction_id for example in nearest),
                probability_harmful=believed.probability_negative,
                measured=float(np.mean(values)) if len(values) else None,
                first=tuple(map(_taught, nearest[:SHOWN])),
            )
        )
    order = sorted(gains, key=lambda one: (not one.examples, not one.ranked, -one.gain.mean, one.cluster))
    return tuple(order), shrunk.common


def _taught(example: Example) -> Taught:
    asked, learned = (excerpt(text) or "(no words)" for text in (example.prompt, example.response.action))
    return Taught(example.interaction_id, asked, learned)


def _of_groups(changes: Sequence[_Change]) -> Values:
    """One difference a group: items of one group are not independent."""
    if not changes:
        return np.zeros(0)
    return group_means([change.delta for change in changes], [change.item.group for change in changes])


def _nearest_first(vectors: np.ndarray, members: np.ndarray, asked: np.ndarray, changed: np.ndarray) -> list[int]:
    """A cluster's rows by how near they are to its items that changed the way the cluster did, the more the heavier.

    Where no item changed, by how near they are to its items, and without an item to its own middle.
    """
    way = np.maximum(changed * np.sign(changed.sum()), 0)
    weights = way if way.any() else np.ones(len(asked))
    middle = (whole(asked) * np.rint(weights * 1000)[:, None]).sum(axis=0) if len(asked) else whole(vectors[members]).sum(axis=0)
    near = whole(vectors[members]).astype(np.float64) @ middle.astype(np.float64)
    return members[np.argsort(-near, kind="stable")].tolist()


def _labels(examples: Sequence[Example], vectors: np.ndarray, assigned: np.ndarray) -> dict[int, str]:
    """Cluster to its own words: the text nearest to its middle that names no other, after the intent that most of it has."""
    texts = [example.prompt for example in examples]
    found: dict[int, str] = {}
    for cluster in np.unique(assigned).tolist():
        members = np.flatnonzero(assigned == cluster)
        intents = Counter(examples[row].intent for row in members.tolist())
        intent, count = intents.most_common(1)[0]
        lead = f"{excerpt(intent, 40)}: " if intent and 2 * count > len(members) else ""
        words = [lead + (text or "(no words)") for text in in_words(vectors, texts, members)]
        free = [one for one in words if one not in found.values() and one != ELSEWHERE]
        found[cluster] = free[0] if free else f"{words[0]} ({cluster})"
    return found


def _notes(clusters: Sequence[ClusterGain]) -> Iterator[str]:
    yield OBSERVATIONAL
    few = [one for one in clusters if one.examples and not one.ranked]
    if few:
        there = sum(one.examples > 0 for one in clusters)
        yield (
            f"{len(few)} of {there} clusters, with {sum(one.examples for one in few)} examples, have golden items of fewer than "
            f"{FEWEST_GROUPS} groups and are not ranked"
        )
    for one in clusters:
        if not one.examples:
            yield f"{one.items} golden items are near none of the new examples, which do not explain what changed there"
