"""Whose answers a training would learn from, and whether the task's people have said that they may.

The terms of some providers forbid to train other models on what theirs answered. Continuum cannot know what was agreed, so it
asks once, before the first training. What people wrote, what the task's own line answered and what the base model itself
answered is free; of an answer whose model nobody recorded nothing can be said.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from continuum.config import load_settings
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.policy import TaskPolicy

if TYPE_CHECKING:
    from continuum.store.database import Store

NOBODYS = frozenset({"people", "unknown", ""})
"""What a manifest counts under the models' names that is no model's name."""
MOST_NAMED = 5


class TermsNotAccepted(ConfigurationError):
    """A training would learn from another provider's answers, and nobody has said that it may.

    Args:
        task: the task.
        providers: the models, with how many answers of each would be learned from.
    """

    def __init__(self, task: str, providers: Mapping[str, int]) -> None:
        named = ", ".join(f"{excerpt(model, 60)} ({count})" for model, count in list(providers.items())[:MOST_NAMED])
        more = f" and {len(providers) - MOST_NAMED} more models" if len(providers) > MOST_NAMED else ""
        super().__init__(
            f"training {task!r} would learn from answers of {named}{more}; the terms of some providers forbid that. Read them; "
            f"if you may, say so once: continuum tasks set {task} provider_terms_accepted=true"
        )
        self.providers = dict(providers)


def require_terms(store: "Store", dataset: Dataset, policy: TaskPolicy) -> None:
    """Refuse a training that learns from another provider's answers before somebody has accepted that.

    Raises:
        TermsNotAccepted: as it says.
    """
    if not policy.provider_terms_accepted and (found := providers_in(_writers(store, dataset), policy)):
        raise TermsNotAccepted(policy.task, found)


def unaccepted(store: "Store", policy: TaskPolicy) -> dict[str, int]:
    """Models of other providers whose answers wait to be learned from, as the newest training set counts them; most first.

    Empty once the terms are accepted, where nothing of theirs was chosen, and before there is a training set.
    """
    newest = None if policy.provider_terms_accepted else store.datasets.latest(policy.task)
    return providers_in(newest.manifest.get("models", {}), policy) if newest else {}


def providers_in(writers: Mapping[str, Any], policy: TaskPolicy) -> dict[str, int]:
    """Those who wrote answers that are neither people, nor of the task's own line, nor its base model."""
    base = policy.base_model or load_settings().base_model or ""
    own = re.compile(rf"(.*/)?{re.escape(policy.task)}-v[1-9][0-9]*")
    return {
        model: int(count)
        for model, count in writers.items()
        if model not in NOBODYS and not own.fullmatch(model) and model != base
    }


def _writers(store: "Store", dataset: Dataset) -> Mapping[str, Any]:
    """Who wrote a dataset's answers: by its manifest, or else, where it was made by hand, by the store."""
    if "models" in dataset.manifest:
        return dataset.manifest["models"]
    kept = [one.interaction_id for one in dataset if one.score_source != "correction"]
    found = Counter(one.model or "unknown" for one in store.interactions.get_many(kept).values())
    return dict(found.most_common())
