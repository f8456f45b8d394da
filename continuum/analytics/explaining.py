"""Which training examples made each version better, and which worse: the attribution of every turn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from continuum.analytics.arms import Contender
from continuum.analytics.attribution import Attribution, attribute
from continuum.analytics.comparison import Scores, quality_of
from continuum.analytics.turns import Turn
from continuum.errors import ContinuumError
from continuum.excerpts import excerpt
from continuum.splits.golden import GoldenItem

if TYPE_CHECKING:
    from continuum.store.database import Store

LONGEST_REASON = 300


def explained(
    store: "Store",
    task: str,
    items: Sequence[GoldenItem],
    contenders: Sequence[Contender],
    scores: Mapping[str, Scores],
    turns: Sequence[Turn],
    *,
    seed: int = 0,
) -> tuple[list[Attribution], list[str]]:
    """The attribution of each turn, and in words what could not be attributed.

    Args:
        store: where the training examples are.
        task: whose.
        items: what was asked.
        contenders: the models.
        scores: each model's scores of the items, 0 to 1; the mean of an item's metrics is what is attributed.
        turns: which version is compared with which.
        seed: of all that is drawn.
    """
    checkpoints = {contender.name: contender.checkpoint for contender in contenders}
    found: list[Attribution] = []
    notes: list[str] = []
    for turn in turns:
        candidate = checkpoints[turn.model]
        if candidate is None:
            continue
        before, after = (
            {item.interaction_id: quality_of(n, scores[name]) for n, item in enumerate(items)}
            for name in (turn.before, turn.model)
        )
        try:
            found.append(attribute(store, task, items, before, after, candidate=candidate, baseline=turn.before, seed=seed))
        except ContinuumError as error:
            notes.append(f"what {turn.model} gained is not attributed to examples: {excerpt(str(error), LONGEST_REASON)}")
    return found, notes
