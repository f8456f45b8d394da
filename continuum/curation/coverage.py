"""How much of what is asked a selection covers: which intents it has, which it lost, and how a random draw would have done.

A class is the task's own intent label where most eligible rows have one, else a cluster whose centroids an earlier version
froze. They are fitted again only where too much of the traffic is new to them, and the report then says so, since the coverage
before and after cannot be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, lgamma
from typing import Any

import numpy as np

from continuum.embedding.clusters import Clusters, assign, find_clusters, in_words, packed, unpacked
from continuum.embedding.cosines import whole
from continuum.errors import ConfigurationError

LEAST_LABELLED = 0.5
"""Share of the eligible rows that need an intent label before labels are the classes."""
MOST_NOVEL = 0.05
"""Share of rows below the floor of the frozen centroids above which they are fitted again."""
FEWEST_TO_JUDGE = 20
"""Fewer rows say too little of how new the traffic is."""
SHORT_TAIL = 5
"""A class of fewer eligible rows than this, or a thousandth of them, belongs to the long tail."""
TAIL_SHARE = 0.001


@dataclass(frozen=True)
class Eligible:
    """The rows that could have been chosen, by id."""

    vectors: np.ndarray
    """Rows of length one, shape (rows, dimensions)."""
    scores: np.ndarray
    """1 to 5, shape (rows,)."""
    texts: Sequence[str]
    """What was asked, to name a class by."""
    intents: Sequence[str | None]
    """The task's own labels; None where there is none."""
    traffic: np.ndarray | None = None
    """How many interactions each row stands for; None for one each."""


@dataclass(frozen=True)
class ClassCoverage:
    """One intent or cluster."""

    label: str
    """The intent, or the number of the cluster."""
    words: list[str]
    """The texts nearest to its middle."""
    eligible: int
    selected: int
    control: int | None
    """Rows of the random control; None where none was drawn."""
    score: float | None
    """Mean score of the eligible rows, 1 to 5; None of no rows."""
    score_selected: float | None


@dataclass(frozen=True)
class Coverage:
    """What a selection covers. Shares are 0 to 1."""

    words: str
    """The figures in a sentence."""
    by: str
    """`intent` or `cluster`."""
    share: float
    """Of the classes with eligible rows, those with a selected one."""
    traffic_share: float
    """Of the traffic, what asks for a class with a selected row."""
    random_share: float
    """`share` expected of a random draw of the same size, without replacement."""
    control_share: float | None
    """`share` of the control that was drawn; None where none was."""
    classes: list[ClassCoverage]
    lost: list[str]
    """Classes with eligible rows of which none was selected."""
    lost_since: list[str] | None
    """Classes that the previous version covered and this one does not; None where the two cannot be compared."""
    tail: dict[str, Any]
    """The long tail: `below` so many eligible rows, its `classes`, their share `covered`, its rows `eligible` and `selected`."""
    unlabelled: int
    """Eligible rows without an intent where intents are the classes."""
    refitted: bool
    """Whether the clusters are not those of the previous version."""
    because: str
    """Why they were fitted again, or not."""
    novel_share: float | None
    """Of the rows, those new to the frozen centroids; None without a previous version."""
    frozen: dict[str, Any]
    """The centroids, for the next version."""
    assigned: np.ndarray
    """Row to cluster, shape (rows,)."""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest: everything but the cluster of each row, figures to four decimals."""
        return {name: value for name, value in asdict(self).items() if name != "assigned"}


def coverage_of(
    rows: Eligible,
    chosen: Sequence[int],
    embedder_id: str,
    *,
    control: Sequence[int] | None = None,
    previous: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Coverage:
    """What of the eligible rows' classes the chosen ones cover.

    Args:
        rows: all eligible rows.
        chosen: positions of the selected ones.
        embedder_id: whose the vectors are.
        control: positions of a random draw.
        previous: `as_dict()` of the version before, as its manifest has it; None for the first.
        seed: of the clusters.
    """
    clusters, frozen, how = _clusters(rows.vectors, embedder_id, previous, seed)
    labelled = [intent for intent in rows.intents if intent is not None]
    by = "intent" if rows.intents and len(labelled) >= LEAST_LABELLED * len(rows.intents) else "cluster"
    names = list(rows.intents) if by == "intent" else [str(cluster) for cluster in clusters.assigned.tolist()]
    comparable = previous is not None and previous.get("by") == by and (by == "intent" or not how["refitted"])
    members = _members(names)
    picked, drawn = set(chosen), None if control is None else set(control)
    classes = [_class(name, members[name], rows, picked, drawn) for name in sorted(members, key=_in_order)]
    covered = {one.label for one in classes if one.selected}
    sizes = [one.eligible for one in classes]
    share, at_random = _rounded(len(covered), len(classes)), expected_share(sizes, len(names), len(chosen))
    lost_since = sorted(_covered_before(previous) - covered, key=_in_order) if comparable else None
    return Coverage(
        words=_in_a_sentence(by, len(covered), len(classes), at_random, lost_since, how) + _without(len(names) - sum(sizes)),
        by=by,
        share=share,
        traffic_share=_traffic_share(rows, members, covered),
        random_share=at_random,
        control_share=None if control is None else share_covered(names, control),
        classes=classes,
        lost=[one.label for one in classes if not one.selected],
        lost_since=lost_since,
        tail=_tail(classes, len(names)),
        unlabelled=len(names) - sum(sizes),
        frozen=frozen,
        assigned=clusters.assigned,
        **how,
    )


def share_covered(names: Sequence[str | None], chosen: Sequence[int]) -> float:
    """Share of the classes, 0 to 1, with at least one of the chosen rows; a row of class None belongs to none."""
    there = {name for name in names if name is not None}
    return _rounded(len({names[row] for row in chosen} & there), len(there))


def expected_share(sizes: Sequence[int], rows: int, drawn: int) -> float:
    """Share of classes that a random draw without replacement is expected to hit: mean of 1 - C(N - m, n) / C(N, n).

    Args:
        sizes: rows of each class, m.
        rows: of all classes and none, N.
        drawn: how many are drawn, n.
    """
    if not sizes:
        return 0.0
    missed = (exp(_choices(rows - size, drawn) - _choices(rows, drawn)) if rows - size >= drawn else 0.0 for size in sizes)
    return round(1 - sum(missed) / len(sizes), 4)


def _choices(rows: int, drawn: int) -> float:
    """The logarithm of the binomial coefficient."""
    return lgamma(rows + 1) - lgamma(drawn + 1) - lgamma(rows - drawn + 1)


def _clusters(
    vectors: np.ndarray, embedder_id: str, previous: Mapping[str, Any] | None, seed: int
) -> tuple[Clusters, dict[str, Any], dict[str, Any]]:
    """The clusters of the rows, what to freeze, and whether and why that is not what was frozen before."""
    novel = None
    if previous is None:
        because = "the first version with these clusters"
    else:
        try:
            stored = previous.get("frozen") or {}
            old = unpacked(stored, embedder_id)
            if not len(old.centroids) or old.centroids.shape[1] != vectors.shape[1]:
                raise ConfigurationError(f"the stored centroids have shape {old.centroids.shape}, vectors {vectors.shape}")
            found = assign(whole(vectors), old.centroids)
            novel = _rounded(int((found.cosine < old.floor).sum()), len(vectors))
            if novel <= MOST_NOVEL or len(vectors) < FEWEST_TO_JUDGE:
                said = f"{novel:.1%} of the rows are new to the centroids of the previous version, {MOST_NOVEL:.0%} may be"
                return found, dict(stored), {"refitted": False, "because": said, "novel_share": novel}
            because = f"{novel:.1%} of the rows are new to the centroids of the previous version, more than {MOST_NOVEL:.0%}"
        except ConfigurationError as error:
            because = str(error)
    fitted = find_clusters(vectors, seed)
    how = {"refitted": previous is not None, "because": because, "novel_share": novel}
    return fitted, packed(fitted, embedder_id), how


def _members(names: Sequence[str | None]) -> dict[str, np.ndarray]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None:
            found.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in found.items()}


def _class(name: str, members: np.ndarray, rows: Eligible, picked: set[int], drawn: set[int] | None) -> ClassCoverage:
    chosen = [row for row in members.tolist() if row in picked]
    return ClassCoverage(
        label=name,
        words=in_words(rows.vectors, rows.texts, members),
        eligible=len(members),
        selected=len(chosen),
        control=None if drawn is None else sum(row in drawn for row in members.tolist()),
        score=_mean(rows.scores[members]),
        score_selected=_mean(rows.scores[chosen]),
    )


def _in_a_sentence(
    by: str, covered: int, classes: int, at_random: float, lost_since: Sequence[str] | None, how: Mapping[str, Any]
) -> str:
    kind = "intents" if by == "intent" else "clusters of questions"
    words = f"{covered} of {classes} {kind} have an example; as many rows drawn at random would reach {at_random:.1%} of them"
    if how["refitted"] and by == "cluster":
        return f"{words}; the clusters were fitted again ({how['because']}), so do not compare with the version before"
    return f"{words}; {len(lost_since)} that the version before covered have none now" if lost_since else words


def _without(unlabelled: int) -> str:
    return f"; {unlabelled} rows have no intent and are in no class" if unlabelled else ""


def _mean(scores: np.ndarray) -> float | None:
    return round(float(scores.mean()), 4) if len(scores) else None


def _traffic_share(rows: Eligible, members: Mapping[str, np.ndarray], covered: set[str]) -> float:
    traffic = np.ones(len(rows.scores)) if rows.traffic is None else rows.traffic
    asked = {name: float(traffic[those].sum()) for name, those in members.items()}
    return _rounded(sum(asked[name] for name in sorted(covered)), sum(asked[name] for name in sorted(asked)))


def _tail(classes: Sequence[ClassCoverage], rows: int) -> dict[str, Any]:
    below = max(SHORT_TAIL, int(TAIL_SHARE * rows))
    tail = [one for one in classes if one.eligible < below]
    return {
        "below": below,
        "classes": len(tail),
        "covered": _rounded(sum(one.selected > 0 for one in tail), len(tail)) if tail else None,
        "eligible": sum(one.eligible for one in tail),
        "selected": sum(one.selected for one in tail),
    }


def _covered_before(previous: Mapping[str, Any] | None) -> set[str]:
    if previous is None:
        return set()
    return {str(one["label"]) for one in previous.get("classes", []) if one["selected"]}


def _in_order(name: str) -> tuple[int, str]:
    """Clusters by number, intents by name."""
    return (int(name) if name.isascii() and name.isdigit() and len(name) < 10 else -1, name)


def _rounded(part: float, whole_of: float) -> float:
    return round(part / whole_of, 4) if whole_of else 0.0
