"""Paired scores as a verdict keeps them: each number once, at full precision, and the pairs read back from it to the bit.

An item's scores stand with the item. A check over items says which of them it is over, by its metric, its part and whether only
what the champion knew counts; a check over anything else, such as documents of general text, keeps its own scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from continuum.errors import StoreError
from continuum.guard.pairs import KNOWN, Arm, Gate, Pairs
from continuum.guard.slices import parts_of, slice_of
from continuum.records import Message
from continuum.splits.golden import GoldenItem

Row = dict[str, Any]
OWN = ("groups", "baseline", "candidate", "people")
"""What a check keeps for itself where its scores are not those of the items."""


def item_rows(
    items: Sequence[GoldenItem],
    baseline: Arm,
    candidate: Arm,
    metrics: Sequence[str],
    *,
    known: Sequence[int] = (),
    people: Mapping[str, Sequence[float | None]] | None = None,
) -> list[Row]:
    """One row an item: whose it is, hashes of both answers, and each metric's scores as `[baseline, candidate]`, 0 to 1.

    Args:
        items: what was asked.
        baseline: the baseline's answers and scores.
        candidate: the candidate's.
        metrics: what was scored; a metric without a score in both arms is not in the row.
        known: positions of the items that arrived before the champion was trained.
        people: metric to candidate minus baseline by people, -1 to 1, for each item; None where nobody was asked.
    """
    remembered, rows = set(known), []
    for n, item in enumerate(items):
        scores = {metric: (baseline.scores[metric][n], candidate.scores[metric][n]) for metric in metrics}
        row: Row = {
            "id": item.interaction_id,
            "group": item.group,
            "slice": None if item.slice is None else slice_of(item),
            "known": n in remembered,
            "answers": [answer_hash(baseline.answers[n]), answer_hash(candidate.answers[n])],
            "scores": {metric: list(both) for metric, both in scores.items() if None not in both},
        }
        asked = {metric: found[n] for metric, found in (people or {}).items() if found and found[n] is not None}
        rows.append(row | ({"people": asked} if asked else {}))
    return rows


def answer_hash(answer: Message | None) -> str | None:
    """The sha256 of what an answer does; None for no answer."""
    return None if answer is None else sha256(answer.action.encode("utf-8", "replace")).hexdigest()


def pair_rows(pairs: Sequence[Pairs], rows: Sequence[Row], slice_minimum: int) -> list[Row]:
    """The checks in the order they were decided in, with scores of their own only where the items' are not theirs."""
    asked = _Asked(rows, slice_minimum)
    return [_head(pair) | ({} if asked.pairs(_head(pair)) == pair else _own(pair)) for pair in pairs]


def read_pairs(evidence: Mapping[str, Any]) -> list[Pairs]:
    """What the checks of a verdict were decided on, from its evidence alone.

    Raises:
        StoreError: the evidence does not speak of pairs, as verdicts once did not, or they cannot be read. A verdict that was
            asked to compare nothing has none, and says so.
    """
    if "pairs" not in evidence:
        raise StoreError("this verdict keeps no pairs to decide again, an older version wrote it; guard the model again")
    try:
        asked = _Asked(evidence["items"], evidence["rule"]["slice_minimum"])
        return [_read(head) if "groups" in head else asked.pairs(head) for head in evidence["pairs"]]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise StoreError(f"the pairs of this verdict cannot be read: {error!r}; it was altered, guard the model again") from error


def losses_of(rows: Sequence[Row]) -> list[tuple[float, int]]:
    """The rows on which the candidate lost against the baseline, as mean difference over metrics and position; worst first."""
    found = []
    for n, row in enumerate(rows):
        changes = [after - before for before, after in row["scores"].values()]
        if changes and sum(changes) < 0:
            found.append((sum(changes) / len(changes), row["id"], n))
    return [(delta, n) for delta, _, n in sorted(found)]


def worst_numbers(row: Row, delta: float) -> dict[str, Any]:
    """What of a worst answer follows from the scores."""
    return {
        "interaction_id": row["id"],
        "baseline_scores": {metric: before for metric, (before, _) in row["scores"].items()},
        "candidate_scores": {metric: after for metric, (_, after) in row["scores"].items()},
        "delta": delta,
    }


def _head(pair: Pairs) -> Row:
    return {
        "metric": pair.metric,
        "gate": str(pair.gate),
        "part": pair.part,
        "binary": pair.binary,
        "eligible": pair.eligible,
        "asked": bool(pair.people),
    }


def _own(pair: Pairs) -> Row:
    return {name: list(getattr(pair, name)) for name in OWN}


def _fields(head: Row) -> Row:
    return {name: head[name] for name in ("metric", "part", "binary", "eligible")} | {"gate": Gate(head["gate"])}


def _read(head: Row) -> Pairs:
    own: Row = {name: tuple(head[name]) for name in OWN}
    return Pairs(**_fields(head) | own)


@dataclass(frozen=True)
class _Item:
    """What tells which slice an item is of."""

    group: str
    slice: str | None


class _Asked:
    """The items that were asked, and which of them each check is over."""

    def __init__(self, rows: Sequence[Row], slice_minimum: int) -> None:
        self.rows = rows
        self.parts = parts_of([_Item(row["group"], row["slice"]) for row in rows], slice_minimum)  # type: ignore[arg-type]
        self.known = [n for n, row in enumerate(rows) if row["known"]]

    def pairs(self, head: Row) -> Pairs:
        """The scores of the items that a check is over."""
        gate, name, part = Gate(head["gate"]), head["metric"], head["part"]
        if gate == Gate.SLICE:
            metric, among = name.removesuffix(f"@{part}"), self.parts.get(part, ())
        elif name.endswith(KNOWN):
            metric, among = name.removesuffix(KNOWN), self.known
        else:
            metric, among = name, range(len(self.rows))
        chosen = [self.rows[n] for n in among if metric in self.rows[n]["scores"]]
        return Pairs(
            **_fields(head),
            groups=tuple(row["group"] for row in chosen),
            baseline=tuple(row["scores"][metric][0] for row in chosen),
            candidate=tuple(row["scores"][metric][1] for row in chosen),
            people=tuple(row.get("people", {}).get(metric) for row in chosen) if head["asked"] else (),
        )
