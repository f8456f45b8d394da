"""How far people agree with each other about a queue, and with the judge.

Of people, all scores count. Of the judge, only those that were given before the person saw what it says.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from continuum.statistics.agreement import Agreement
    from continuum.store.database import Store
    from continuum.store.reviews import ScoredReview

LEAST_ITEMS = 10
"""Below this many shared items an agreement says nothing, and none is given."""


@dataclass(frozen=True)
class PairAgreement:
    """Two people."""

    first: str
    second: str
    items: int
    kappa: "Agreement | None"
    """Cohen's kappa with quadratic weights; None below `LEAST_ITEMS`."""


@dataclass(frozen=True)
class WithJudge:
    """People beside the judge."""

    items: int
    """Items that people scored without knowing its word, and that it scored too."""
    difference: float | None
    """The judge's mean score minus people's, over these items."""
    kappa: "Agreement | None"
    """With quadratic weights, of the judge's rounded score; people are taken for the truth."""


@dataclass(frozen=True)
class LabelAgreement:
    """How far a queue's labels agree."""

    shared: int
    """Items that two people or more have scored."""
    people: "Agreement | None"
    """Krippendorff's alpha over all of them, interval level; None below `LEAST_ITEMS`."""
    pairs: tuple[PairAgreement, ...]
    judge: WithJudge


def agreement_of(store: "Store", task: str, queue: str) -> LabelAgreement:
    """How far the labels of a queue agree, with intervals over conversations."""
    from continuum.statistics.agreement import many_raters  # numpy starts here

    scores = store.reviews.scores(task, queue)
    by_item: dict[str, list[ScoredReview]] = defaultdict(list)
    for score in scores:
        by_item[score.review_id].append(score)
    shared = [item for item in by_item.values() if len(item) > 1]
    alpha = None
    if len(shared) >= LEAST_ITEMS:
        alpha = many_raters([[one.score for one in item] for item in shared], groups=[_group(item[0]) for item in shared])
    return LabelAgreement(len(shared), alpha, _pairs(shared), _with_judge(store, list(by_item.values())))


def _group(score: "ScoredReview") -> str:
    return score.conversation_id or score.interaction_id


def _pairs(shared: Sequence[Sequence["ScoredReview"]]) -> tuple[PairAgreement, ...]:
    from continuum.statistics.agreement import two_raters

    both: dict[tuple[str, str], list[tuple[float, float, str]]] = defaultdict(list)
    for item in shared:
        for one, other in combinations(sorted(item, key=lambda score: score.labeller), 2):
            both[one.labeller, other.labeller].append((one.score, other.score, _group(one)))
    found = []
    for (first, second), rows in sorted(both.items()):
        a, b, groups = zip(*rows, strict=True)
        kappa = two_raters(a, b, "quadratic", groups=groups) if len(rows) >= LEAST_ITEMS else None
        found.append(PairAgreement(first, second, len(rows), kappa))
    return tuple(found)


def _with_judge(store: "Store", items: Sequence[Sequence["ScoredReview"]]) -> WithJudge:
    from continuum.statistics.agreement import two_raters

    judged = store.annotations.of([item[0].interaction_id for item in items])
    people, judge, groups = [], [], []
    for item in items:
        blind = [score.score for score in item if not score.informed]
        annotation = judged.get(item[0].interaction_id)
        if blind and annotation is not None and annotation.overall is not None:
            people.append(median(blind))
            judge.append(annotation.overall)
            groups.append(_group(item[0]))
    if not people:
        return WithJudge(0, None, None)
    kappa = None
    if len(people) >= LEAST_ITEMS:
        kappa = two_raters([math.floor(score + 0.5) for score in people], [math.floor(score + 0.5) for score in judge],
                           "quadratic", groups=groups)  # fmt: skip
    return WithJudge(len(people), fmean(judge) - fmean(people), kappa)
