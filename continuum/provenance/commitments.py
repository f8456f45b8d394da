"""What a proof says of the interactions of a dataset: a commitment to each, and to all that was said of it by then.

Committed to is everything that was captured. Of what was said of it: feedback, annotations, and what people said of answers to
golden items, as far as it was there when the proof was made; what is said later changes nothing that was decided. It is hashed
with the interaction's salt, and so becomes as unreadable as the interaction when that is erased.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.errors import ProofBroken
from continuum.splits.golden_items import OWN
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.store.commitments import Committed
    from continuum.store.database import Store

Row = Mapping[str, Any]
SHOWN = 3
"""Rows of which one may be meant that are named, at most."""
WORDS = {"feedback": "feedback", "annotations": "an annotation", "golden_labels": "a label of a golden answer"}


@dataclass(frozen=True)
class Tombstone:
    """A row that the proof names and that was erased since."""

    commitment: str
    dataset: str
    erased_at: str
    """ISO 8601, UTC."""


@dataclass
class RowsChecked:
    """What became of the interactions of a dataset since the proof was made."""

    rows: int = 0
    opinions: int = 0
    tombstones: list[Tombstone] = field(default_factory=list)
    absent: int = 0
    """Members without a row when the proof was made, erased by then: it can only count them."""
    own: int = 0
    """Golden questions that somebody brought: no traffic stands behind them, and the dataset's files hold them."""


def committed_rows(store: "Store", title: str, ids: Iterable[str], at: datetime | None = None) -> dict[str, Any]:
    """Commit to interactions and to what was said of them: the content of a link.

    Args:
        store: where they are.
        title: the link's, for errors.
        ids: which.
        at: when; now, when left out.

    Raises:
        ProofBroken: an interaction is not what an earlier proof committed to.
    """
    wanted = sorted(set(ids))
    made = store.commitments.make(wanted, now=utc_now if at is None else lambda: at)
    captured = _unaltered(store, title, made)
    said = _said(store, captured)
    entries = []
    for one in wanted:
        if one in captured:
            hashes = {kind: sorted(_hashed(made[one], rows)) for kind, rows in said[one].items() if rows}
            entries.append({"row": made[one].commitment, **hashes})
    own = sum(one.startswith(OWN) for one in wanted if one not in captured)
    return {"rows": entries, "absent": len(wanted) - len(entries) - own, "own": own}


def check_rows(store: "Store", title: str, dataset: str, content: Row, members: Callable[[], set[str]]) -> RowsChecked:
    """Hold the interactions of a dataset against what a proof says of them.

    Args:
        store: where they are.
        title: the link's, for errors.
        dataset: its name.
        content: what `committed_rows` gave.
        members: gives the ids of the dataset's interactions, by which a row is named whose commitment the store has lost.

    Raises:
        ProofBroken: the message names the first interaction, or what was said of one, that is not as it was.
    """
    stated: dict[str, Row] = {entry["row"]: entry for entry in content["rows"]}
    opened = store.commitments.of(stated)
    erased = store.commitments.tombstones(set(stated) - set(opened))
    if lost := sorted(set(stated) - set(opened) - set(erased)):
        raise ProofBroken(title, _lost(store, lost[0], opened, members()))
    if erased:
        _require_gone(store, title, members() - {one.interaction_id for one in opened.values()})
    captured = _unaltered(store, title, {one.interaction_id: one for one in opened.values()})
    said = _said(store, captured)
    opinions = 0
    for commitment, one in opened.items():
        for kind, rows in said[one.interaction_id].items():
            claimed = set(stated[commitment].get(kind, ()))
            found = _hashed(one, rows)
            if not claimed.issubset(found):
                raise ProofBroken(title, _altered_opinion(kind, one.interaction_id, found, claimed))
            opinions += len(claimed)
    graves = [Tombstone(commitment, dataset, at) for commitment, at in sorted(erased.items())]
    own, absent = content.get("own"), int(content["absent"])
    if own is None:
        # Older proofs count both as absent.
        own = min(absent, sum(one.startswith(OWN) for one in members() - captured.keys())) if absent else 0
        absent -= own
    return RowsChecked(len(captured), opinions, graves, absent, int(own))


def _unaltered(store: "Store", title: str, made: Mapping[str, "Committed"]) -> dict[str, dict[str, Any]]:
    """The rows of these commitments, each as it was committed to."""
    from continuum.store.commitments import commitment_to

    captured = store.commitments.captured(made)
    for one in made.values():
        row = captured.get(one.interaction_id)
        if row is None:
            raise ProofBroken(
                title,
                f"interaction {one.interaction_id} of commitment {one.commitment} is gone from the store and has no tombstone: "
                "it was taken away past the store, or the commitment was given another's id; restore it from a backup",
            )
        if commitment_to(one.salt, row) != one.commitment:
            raise ProofBroken(
                title,
                f"interaction {one.interaction_id}, or the salt of its commitment, was altered after it was proven; "
                "restore the row from a backup",
            )
    return captured


def _require_gone(store: "Store", title: str, unopened: set[str]) -> None:
    """What has a tombstone must not be there: else one stands for a row that was altered."""
    if left := sorted(store.commitments.captured(unopened)):
        raise ProofBroken(
            title,
            f"interaction {left[0]} has a tombstone in place of its commitment and is still in the store, or again; "
            "erase it, or restore its commitment from a backup",
        )


def _said(store: "Store", captured: Mapping[str, Row]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """What was said of interactions, by id and kind: rows to the byte."""
    from continuum.store.exact import exact_rows
    from continuum.store.guard_tables import golden_labels
    from continuum.store.tables import annotations, feedback

    names = {one: one for one in captured}
    # Feedback may name the provider's id of a response.
    provided = {row["provider_response_id"]: one for one, row in captured.items() if row.get("provider_response_id")}
    said: dict[str, dict[str, list[dict[str, Any]]]] = {one: {kind: [] for kind in WORDS} for one in captured}
    with store.engine.connect() as connection:
        for table, of in ((feedback, provided | names), (annotations, names), (golden_labels, names)):
            for row in exact_rows(connection, table, table.c.interaction_id, of):
                if row.get("role") == "trial":
                    continue  # It selected nothing; where its rubric is adopted later, that is a row that was said later.
                one = of[row["interaction_id"]]
                if table is golden_labels:
                    # Who says the same again is noted anew.
                    del row["created_at"]
                if table is feedback:
                    # The store's own note, which older proofs know nothing of.
                    del row["arrived_at"]
                said[one][table.name].append(row)
    return said


def _hashed(one: "Committed", rows: Iterable[Row]) -> dict[str, Row]:
    from continuum.store.commitments import commitment_to

    return {commitment_to(one.salt, row): row for row in rows}


def _lost(store: "Store", commitment: str, opened: Mapping[str, "Committed"], members: set[str]) -> str:
    unopened = sorted(members - {one.interaction_id for one in opened.values()})
    there = sorted(store.commitments.captured(unopened)) or unopened
    named = ", ".join(there[:SHOWN]) + (f" and {len(there) - SHOWN} more" if len(there) > SHOWN else "")
    whose = f"interaction {named}" if len(there) == 1 else f"one of the interactions {named}" if there else "an interaction"
    return (
        f"commitment {commitment} of {whose} has neither a row nor a tombstone in the store: the commitment was altered, or the "
        "row was taken away past the store; restore it from a backup"
    )


def _altered_opinion(kind: str, interaction_id: str, found: Mapping[str, Row], claimed: set[str]) -> str:
    others = [str(row.get("id") or row.get("labeller")) for commitment, row in found.items() if commitment not in claimed]
    which = f" (not as proven: {', '.join(others[:SHOWN])})" if others else ""
    return (
        f"{WORDS[kind]} of interaction {interaction_id} was altered or taken away after it was proven{which}; "
        "restore it from a backup, or guard the model again"
    )
