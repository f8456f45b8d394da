"""The models that a learning curve compares: production, a look-up, the base, and every version trained so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from continuum.artifacts.copies import is_there
from continuum.config import load_settings
from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.provenance.line import why_quarantined
from continuum.provenance.lineage import trained_ids
from continuum.records import Checkpoint
from continuum.splits.golden import GoldenItem

if TYPE_CHECKING:
    from continuum.analytics.gains import Gain
    from continuum.statistics.means import Estimate
    from continuum.store.database import Store

PRODUCTION = "production"
BASE = "base"
NEAREST = "nearest"
"""No model: the answer of the most similar training example."""
COST = "cost_per_query"
LATENCY = "latency_ms"
FORGETTING = "forgetting"
HUMAN = "human_agreement"
BESIDE = (COST, LATENCY, FORGETTING, HUMAN)
"""Metrics that no golden answer is scored by; each is measured elsewhere, and says where."""


@dataclass(frozen=True)
class Contender:
    """A model to compare."""

    name: str
    """As the caller wrote it, or `production`, `nearest`, `base`, `v<n>`."""
    checkpoint: Checkpoint | None = None
    """None for production, the look-up and the base."""
    examples: int = 0
    """Interactions it was trained on, all turns of its line together."""


@dataclass(frozen=True)
class Point:
    """One model on the curve."""

    model: str
    examples: int
    """Curated examples it has learned from, all its turns together; 0 for the base and for production."""
    means: "Mapping[str, Estimate]"
    """Metric to its mean, 0 to 1; a metric without data is not there."""
    gains: "Mapping[str, Gain]"
    """Metric to the difference from the reference model, paired on the items that both have a score for; where they share none,
    unpaired, and it says so."""
    intents: "Mapping[str, Estimate]"
    """Intent to the mean of all metrics over its items."""
    cost_usd: float | None
    """A query; None where nobody knows."""


def contenders(store: "Store", policy: TaskPolicy, items: Sequence[GoldenItem], models: Sequence[str] | None) -> list[Contender]:
    """Look the models up.

    Raises:
        ConfigurationError: a name stands for no model, or there is none to compare.
    """
    out = store.erasures.out_of_service(policy.task)
    versions = [checkpoint for checkpoint in store.checkpoints.of(policy.task) if checkpoint.id not in out]
    if models is None:
        models = [f"v{checkpoint.version}" for checkpoint in versions]
        if versions or policy.base_model or load_settings().base_model:
            models.insert(0, BASE)
        if any(_can_be_looked_up(store, checkpoint) for checkpoint in versions):
            models.insert(0, NEAREST)
        if any(item.production is not None for item in items):
            models.insert(0, PRODUCTION)
    if not models:
        raise ConfigurationError(f"task {policy.task!r} has no model to compare yet; train one, or name a base model")
    by_name = {name: found for found in versions for name in (f"v{found.version}", found.name, found.id)}
    unknown = [name for name in models if name not in by_name and name not in (PRODUCTION, NEAREST, BASE)]
    if unknown:
        for one in erased_versions(store, policy.task):
            if unknown[0] in (f"v{one.version}", one.name, one.id):
                raise ConfigurationError(f"{one.name} cannot be compared any more, it is {why_quarantined(store, one)}")
        known = ", ".join([PRODUCTION, NEAREST, BASE, *(f"v{checkpoint.version}" for checkpoint in versions)])
        raise ConfigurationError(f"task {policy.task!r} has no model {unknown[0]!r}; it has {known}")
    return [_contender(store, name, by_name.get(name)) for name in dict.fromkeys(models)]


def erased_versions(store: "Store", task: str) -> list[Checkpoint]:
    """The versions that learned from what was erased since: they are gone, and nothing is asked of them."""
    out = store.erasures.out_of_service(task)
    return [checkpoint for checkpoint in store.checkpoints.of(task) if checkpoint.id in out]


def _can_be_looked_up(store: "Store", checkpoint: Checkpoint) -> bool:
    dataset = store.datasets.get(checkpoint.dataset_id)
    return dataset is not None and is_there(dataset.uri)


def _contender(store: "Store", name: str, checkpoint: Checkpoint | None) -> Contender:
    return Contender(name, checkpoint, len(trained_ids(store, checkpoint)) if checkpoint else 0)
