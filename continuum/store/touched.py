"""What a request to forget touches in the tables, and the deletions that go with no interaction."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Connection, Engine, delete, or_, select, update

from continuum.store.commitments import committed_ids
from continuum.store.erasures import Change, note_change
from continuum.store.exact import digest_of, exact_rows
from continuum.store.guard_tables import golden_answers, golden_labels
from continuum.store.judging_tables import labels
from continuum.store.merging import mark_changed
from continuum.store.rows import BATCH_ROWS, in_batches
from continuum.store.serving_tables import shadow_answers
from continuum.store.tables import annotations, dataset_items, datasets, deployments, feedback, interactions, raters
from continuum.store.writing import in_one_transaction

PLACE = (
    *(interactions.c.id, interactions.c.task, interactions.c.provider_response_id, interactions.c.conversation_id),
    interactions.c.user_id,
)


@dataclass(frozen=True)
class Place:
    """An interaction as an erasure finds it."""

    id: str
    task: str
    provider_response_id: str | None
    conversation_id: str | None
    user_id: str | None


def interactions_of(
    engine: Engine, users: Collection[str], *, task: str | None = None, before: datetime | None = None
) -> list[Place]:
    """The interactions of users, by any of the forms that their ids have in the store.

    Args:
        engine: of the store.
        users: ids as they are stored.
        task: only this task's.
        before: only those that began earlier.
    """
    found = interactions.c.user_id.in_(sorted(users))
    found = found if task is None else found & (interactions.c.task == task)
    found = found if before is None else found & (interactions.c.started_at < before)
    return _places(engine, [found])


def interactions_named(engine: Engine, names: Iterable[str], *, task: str | None = None) -> list[Place]:
    """The interactions with these ids, or whose provider gave their answer one of them."""
    conditions = []
    for batch in in_batches(sorted(set(names))):
        named = or_(interactions.c.id.in_(batch), interactions.c.provider_response_id.in_(batch))
        conditions.append(named if task is None else named & (interactions.c.task == task))
    return _places(engine, conditions)


def members_named(engine: Engine, names: Iterable[str], *, task: str | None = None) -> list[Place]:
    """The members of dataset versions that have these ids and no row of their own any more."""
    found: dict[str, Place] = {}
    with engine.connect() as connection:
        for batch in in_batches(sorted(set(names))):
            there = select(interactions.c.id).where(interactions.c.id == dataset_items.c.interaction_id).exists()
            query = select(dataset_items.c.interaction_id, datasets.c.task).join(
                datasets, datasets.c.id == dataset_items.c.dataset_id
            )
            query = query.where(dataset_items.c.interaction_id.in_(batch), ~there)
            for row in connection.execute(query if task is None else query.where(datasets.c.task == task)):
                found[row.interaction_id] = Place(row.interaction_id, row.task, None, None, None)
    return list(found.values())


def neighbours_of(engine: Engine, places: Iterable[Place]) -> list[Place]:
    """The interactions of the same conversations, and those that happened inside of others: what may quote them."""
    places = list(places)
    conversations = sorted({one.conversation_id for one in places if one.conversation_id})
    conditions = [interactions.c.conversation_id.in_(batch) for batch in in_batches(conversations)]
    conditions += [interactions.c.parent_id.in_(batch) for batch in in_batches(one.id for one in places)]
    known = {one.id for one in places}
    return [one for one in _places(engine, conditions) if one.id not in known]


def opinions_of(engine: Engine, users: Collection[str], *, before: datetime | None = None) -> list[tuple[str, str, bool]]:
    """What users said of interactions: the feedback's id, the interaction's as it is named there, and whether they rewrote it."""
    query = select(feedback.c.id, feedback.c.interaction_id, feedback.c.correction).where(feedback.c.user_id.in_(sorted(users)))
    if before is not None:
        query = query.where(feedback.c.recorded_at < before)
    with engine.connect() as connection:
        return [(row.id, row.interaction_id, row.correction is not None) for row in connection.execute(query)]


def words_of(engine: Engine, opinions: Iterable[str]) -> Iterator[tuple[str | None, str | None]]:
    """The comment and the correction of each of these opinions."""
    with engine.connect() as connection:
        for batch in in_batches(sorted(set(opinions))):
            query = select(feedback.c.comment, feedback.c.correction).where(feedback.c.id.in_(batch))
            yield from (tuple(row) for row in connection.execute(query))


def words_of_others(engine: Engine, ids: Collection[str], opinions: Collection[str]) -> Iterator[tuple[str | None, str | None]]:
    """The comment and the correction of all feedback that is neither about these interactions nor one of these opinions."""
    spoken = feedback.c.comment.is_not(None) | feedback.c.correction.is_not(None)
    query = select(feedback.c.id, feedback.c.interaction_id, feedback.c.comment, feedback.c.correction).where(spoken)
    said, about = set(opinions), set(ids)
    with engine.connect() as connection:
        for row in connection.execution_options(yield_per=BATCH_ROWS).execute(query):
            if row.id not in said and row.interaction_id not in about:
                yield row.comment, row.correction


def members_among(engine: Engine, ids: Iterable[str]) -> dict[str, list[str]]:
    """Those of the interactions that are members of dataset versions: version to ids."""
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for batch in in_batches(sorted(set(ids))):
            query = select(dataset_items.c.dataset_id, dataset_items.c.interaction_id)
            for row in connection.execute(query.where(dataset_items.c.interaction_id.in_(batch))):
                found.setdefault(row.dataset_id, []).append(row.interaction_id)
    return found


def counts(engine: Engine, ids: Collection[str], provided: Collection[str], opinions: Collection[str]) -> dict[str, int]:
    """How many rows of some kinds are about interactions: what an erasure will delete."""
    found = {"interactions": 0, "feedback": 0, "annotations": 0, "golden answers": 0, "golden labels": 0}
    tables = {"interactions": interactions.c.id, "annotations": annotations.c.interaction_id}
    tables |= {"golden answers": golden_answers.c.interaction_id, "golden labels": golden_labels.c.interaction_id}
    with engine.connect() as connection:
        for batch in in_batches(sorted(ids)):
            for kind, column in tables.items():
                found[kind] += len(connection.execute(select(column).where(column.in_(batch))).all())
        said = set(opinions)
        for batch in in_batches(sorted({*ids, *provided})):
            said.update(connection.execute(select(feedback.c.id).where(feedback.c.interaction_id.in_(batch))).scalars())
    return found | {"feedback": len(said)}


def forget_opinions(engine: Engine, opinions: Collection[str], users: Collection[str]) -> dict[str, int]:
    """Delete what users said and what was said of them as raters and labellers; returns how many rows of each."""

    def forgotten(connection: Connection) -> dict[str, int]:
        gone = {"feedback": 0}
        for batch in in_batches(sorted(opinions)):
            connection.execute(delete(labels).where(labels.c.feedback_id.in_(batch)))
            gone["feedback"] += connection.execute(delete(feedback).where(feedback.c.id.in_(batch))).rowcount
        names = sorted(users)
        gone["ratings of raters"] = connection.execute(delete(raters).where(raters.c.rater.in_(names))).rowcount
        gone["labels"] = connection.execute(delete(labels).where(labels.c.labeller.in_(names))).rowcount
        gone["golden labels"] = connection.execute(delete(golden_labels).where(golden_labels.c.labeller.in_(names))).rowcount
        return gone

    return in_one_transaction(engine, forgotten)


def forget_answers(engine: Engine, models: Collection[str]) -> int:
    """Delete what checkpoints answered to golden items and to copies of traffic; returns how many answers there were."""

    def forgotten(connection: Connection) -> int:
        gone = 0
        for batch in in_batches(sorted(models)):
            theirs = select(deployments.c.id).where(deployments.c.checkpoint_id.in_(batch))
            gone += connection.execute(delete(golden_answers).where(golden_answers.c.model.in_(batch))).rowcount
            gone += connection.execute(delete(shadow_answers).where(shadow_answers.c.deployment_id.in_(theirs))).rowcount
        return gone

    return in_one_transaction(engine, forgotten)


def unlink(engine: Engine, stones: Mapping[str, str]) -> int:
    """Put tombstones in the place of ids that other interactions name as their parent, or as what they nearly repeat.

    A row that a proof commits to stays as it is: it is the proof's, and holds no more than the id.

    Returns:
        How many rows changed.
    """

    def unlinked(connection: Connection, ids: list[str]) -> int:
        naming = or_(interactions.c.parent_id.in_(ids), interactions.c.near_repeat_of.in_(ids))
        query = select(interactions.c.id, interactions.c.parent_id, interactions.c.near_repeat_of)
        rows = connection.execute(query.where(naming).with_for_update(of=interactions)).all()
        proven = committed_ids(connection, {row.id for row in rows})
        changed = [row for row in rows if row.id not in proven]
        for row in changed:
            names = {name: stones.get(value, value) for name in ("parent_id", "near_repeat_of") if (value := getattr(row, name))}
            connection.execute(update(interactions).where(interactions.c.id == row.id).values(names))
        mark_changed(connection, [row.id for row in changed])
        return len(changed)

    return sum(in_one_transaction(engine, partial(unlinked, ids=batch)) for batch in in_batches(sorted(stones)))


def rename_members(engine: Engine, stones: Mapping[str, str], erasure_id: str) -> int:
    """Put tombstones in the place of members of dataset versions; returns how many versions had one."""

    def renamed(connection: Connection, version: str) -> None:
        before = exact_rows(connection, dataset_items, dataset_items.c.dataset_id, [version])
        for one in [row["interaction_id"] for row in before if row["interaction_id"] in stones]:
            same = (dataset_items.c.dataset_id == version) & (dataset_items.c.interaction_id == one)
            connection.execute(update(dataset_items).where(same).values(interaction_id=stones[one]))
        after = exact_rows(connection, dataset_items, dataset_items.c.dataset_id, [version])
        task = connection.execute(select(datasets.c.task).where(datasets.c.id == version)).scalar() or ""
        change = Change("members", digest_of(before), digest_of(after))
        note_change(connection, erasure_id, "dataset", version, task, change, {})

    versions = sorted(members_among(engine, stones))
    for version in versions:
        in_one_transaction(engine, partial(renamed, version=version))
    return len(versions)


def _places(engine: Engine, conditions: Iterable[ColumnElement[bool]]) -> list[Place]:
    found: dict[str, Place] = {}
    with engine.connect() as connection:
        for condition in conditions:
            for row in connection.execute(select(*PLACE).where(condition).order_by(interactions.c.sequence)):
                found[row.id] = Place(*row)
    return list(found.values())
