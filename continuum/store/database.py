"""Opening a store: SQLite or Postgres by URL, brought to the newest schema on the way in."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, delete, event, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from continuum.config import make_private, postgres_driver
from continuum.errors import StoreError
from continuum.records import Feedback, Interaction
from continuum.store.accounts import Accounts
from continuum.store.admissions import Admissions
from continuum.store.anchors import AnchorRounds
from continuum.store.backfills import Backfills
from continuum.store.batches import Batches
from continuum.store.bodies import keep_bodies_still
from continuum.store.commitments import Commitments
from continuum.store.deployments import Deployments
from continuum.store.erasures import Erasures
from continuum.store.forgetting import forget_task
from continuum.store.forking import engines
from continuum.store.gateway_keys import GatewayKeys
from continuum.store.golden_answers import GoldenAnswers, GoldenLabels
from continuum.store.golden_uses import GoldenUses
from continuum.store.grouped import GroupedWrites
from continuum.store.interactions import Interactions
from continuum.store.judgements import Judgements
from continuum.store.late_feedback import LateFeedback
from continuum.store.learning import Checkpoints, Datasets, Verdicts
from continuum.store.notifications import Notifications
from continuum.store.opinions import Annotations, FeedbackRows
from continuum.store.outages import is_away
from continuum.store.overview import Overview
from continuum.store.raters import Raters
from continuum.store.reopenings import Reopenings
from continuum.store.reviews import Reviews
from continuum.store.segments import Drained, Segments, drain
from continuum.store.shadow_answers import ShadowAnswers
from continuum.store.sides import SideRows
from continuum.store.tables import (
    annotations,
    bodies,
    checkpoints,
    dataset_items,
    datasets,
    deployment_events,
    deployments,
    feedback,
    interactions,
    raters,
    sides,
    snapshots,
    tasks,
    verdicts,
)
from continuum.store.tasks import Tasks
from continuum.store.workers import Workers
from continuum.store.writing import in_one_transaction
from continuum.timespan import utc_now

HEAD = "0008"
"""Revision of the newest migration."""
SECRET_PARAMETERS = frozenset({"password", "sslpassword", "passfile"})
"""Of a Postgres URL's query; libpq takes the password there too."""

LOCK_PATIENCE_S = 10.0
POSTGRES_PATIENCE = {"connect_timeout": 10, "tcp_user_timeout": 30_000}
"""Seconds until a connection must be there, and milliseconds until a network that swallows what is sent is taken for dead."""


class Store:
    """Everything the wheel knows, by record."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engines.add(engine)
        self.tasks = Tasks(engine)
        self.overview = Overview(engine)
        self.interactions = Interactions(engine)
        self.feedback = FeedbackRows(engine)
        self.late_feedback = LateFeedback(engine)
        self.reopenings = Reopenings(engine)
        self.raters = Raters(engine)
        self.annotations = Annotations(engine)
        self.datasets = Datasets(engine)
        self.sides = SideRows(engine)
        self.checkpoints = Checkpoints(engine)
        self.verdicts = Verdicts(engine)
        self.deployments = Deployments(engine)
        self.gateway_keys = GatewayKeys(engine)
        self.shadow_answers = ShadowAnswers(engine)
        self.notifications = Notifications(engine)
        self.segments = Segments(engine)
        self.writes = GroupedWrites(engine)
        self.workers = Workers(engine)
        self.accounts = Accounts(engine)
        self.judgements = Judgements(engine)
        self.admissions = Admissions(engine)
        self.anchors = AnchorRounds(engine)
        self.reviews = Reviews(engine)
        self.batches = Batches(engine)
        self.backfills = Backfills(engine)
        self.commitments = Commitments(engine)
        self.erasures = Erasures(engine)
        self.golden_uses = GoldenUses(engine)
        self.golden_answers = GoldenAnswers(engine)
        self.golden_labels = GoldenLabels(engine)

    def __repr__(self) -> str:
        return f"Store({self.address!r})"

    @property
    def address(self) -> str:
        """Its URL for people: without a password."""
        return shown(self.engine.url)

    def drain(
        self,
        interactions: Sequence[Interaction],
        feedback: Sequence[Feedback],
        *,
        segment: str | None,
        seen: int,
        offset: int,
        now: Callable[[], datetime] = utc_now,
    ) -> Drained | None:
        """Write what stands in a piece of a segment and note how far it goes, in one transaction.

        It may be called again with the same piece, by anyone: what is there already is left as it is. Tasks that nobody has
        registered are created with the default policy.

        Args:
            interactions: what to store, in order.
            feedback: what to store.
            segment: the segment they were read from; None for what waited in memory, which has no offset.
            seen: where the piece begins: the offset as it was when the segment was read.
            offset: where it ends.
            now: the clock.

        Returns:
            What became of them; None, and nothing is written, when the segment's offset is no longer `seen`.

        Raises:
            StoreError: the database failed; nothing is written.
        """
        piece = partial(drain, segment=segment, seen=seen, offset=offset, at=now())
        return in_one_transaction(self.engine, partial(piece, interactions=interactions, feedback=feedback))

    def drop_task(self, task: str) -> None:
        """Delete a task and every row under it, in one transaction; files that rows point to are the caller's."""
        of_datasets = select(datasets.c.id).where(datasets.c.task == task)
        of_deployments = select(deployments.c.id).where(deployments.c.task == task)
        of_interactions = select(interactions.c.id).where(interactions.c.task == task)
        said = select(interactions.c.body).where(interactions.c.task == task)
        said_by_others = select(interactions.c.body).where(interactions.c.task != task, interactions.c.body == bodies.c.hash)
        with self.engine.execution_options(write_first=True).begin() as connection:
            keep_bodies_still(connection)
            forget_task(connection, task)
            connection.execute(delete(bodies).where(bodies.c.hash.in_(said), ~said_by_others.exists()))
            connection.execute(delete(deployment_events).where(deployment_events.c.deployment_id.in_(of_deployments)))
            connection.execute(delete(dataset_items).where(dataset_items.c.dataset_id.in_(of_datasets)))
            connection.execute(delete(feedback).where(feedback.c.interaction_id.in_(of_interactions)))
            for table in (deployments, verdicts, checkpoints, datasets, annotations, raters, sides, snapshots, interactions):
                connection.execute(delete(table).where(table.c.task == task))
            connection.execute(delete(tasks).where(tasks.c.name == task))

    def close(self) -> None:
        """Close the connections; the store opens new ones if it is used again."""
        self.workers.rest()
        self.engine.dispose()


def open_store(url: str) -> Store:
    """Open the store at a SQLAlchemy URL and bring its schema up to date.

    Raises:
        StoreError: the database cannot be reached or written, or its schema is newer than this package.
    """
    engine, _ = _brought_up_to_date(url)
    return Store(engine)


def upgrade_store(url: str) -> tuple[str | None, str]:
    """Bring the schema of the store at a URL up to date; returns its revision before and now, None for a new store.

    Raises:
        StoreError: the database cannot be reached or written, or its schema is newer than this package.
    """
    engine, revisions = _brought_up_to_date(url)
    engine.dispose()
    return revisions


def _brought_up_to_date(url: str) -> tuple[Engine, tuple[str | None, str]]:
    try:
        address = make_url(postgres_driver(url))
    except (ArgumentError, ValueError):
        # Without its cause, which may quote a piece of the URL, and that a piece of the password.
        raise StoreError(
            "the store's URL cannot be read; it must be sqlite:///... or postgresql://user:password@host:port/database"
        ) from None
    if address.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"the store's URL is {shown(address)}; it must be sqlite:///... or postgresql://...")
    try:
        engine = make_engine(address.render_as_string(hide_password=False))
        return engine, upgrade(engine)
    except (SQLAlchemyError, OSError) as error:
        reason, *_ = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        raise StoreError(
            f"the store at {shown(address)} cannot be opened: {reason}; check the address and that it is writable"
        ).may_pass(is_away(error)) from error


def shown(url: URL) -> str:
    """A URL for people: without its password, wherever in the URL that is."""
    hidden = {name: "***" for name in url.query if name.lower() in SECRET_PARAMETERS}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def make_engine(url: str) -> Engine:
    """An engine with the settings each database needs for several processes at once.

    Raises:
        StoreError: a file lies where the folder of the SQLite database must be.
    """
    if not url.startswith("sqlite"):
        said = make_url(url).query
        patience = {name: value for name, value in POSTGRES_PATIENCE.items() if name not in said}
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=patience)
    database = make_url(url).database
    if database and database != ":memory:":
        make_folder(Path(database).parent)
    engine = create_engine(url, connect_args={"timeout": 60}, hide_parameters=True)
    event.listen(engine, "connect", _use_wal)
    event.listen(engine, "begin", _begin)
    return engine


def make_folder(folder: Path) -> None:
    """Make the folder of the database, and those above it."""
    try:
        make_private(folder)
    except (FileExistsError, NotADirectoryError) as error:
        file = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), folder)
        raise StoreError(
            f"the store in {folder} cannot be opened: {file} is a file, and must be a folder; "
            "set CONTINUUM_HOME or CONTINUUM_DATABASE_URL to another place"
        ) from error


def upgrade(engine: Engine) -> tuple[str | None, str]:
    """Apply the migrations that are missing; several processes may start at once. Returns the revisions before and now.

    Raises:
        StoreError: the schema is newer than this package.
    """
    if is_current(engine):
        return HEAD, HEAD
    from continuum.store.migrating import migrate  # alembic starts here, which most processes never need

    return migrate(engine)


def is_current(engine: Engine) -> bool:
    """Whether the schema is this package's; no lock is taken to ask."""
    with engine.connect() as connection:
        try:
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
        except SQLAlchemyError:
            return False  # a new database, or one that is out: migrating tells


def _use_wal(connection: Any, _record: Any) -> None:
    # Readers do not wait for the writer in WAL; NORMAL keeps what is committed when the process is killed.
    connection.isolation_level = None
    cursor = connection.cursor()
    # Takes effect where the file is made: of texts of 2 KB a page of 4096 bytes would hold one.
    cursor.execute("PRAGMA page_size=16384")
    with_patience(lambda: cursor.execute("PRAGMA journal_mode=WAL"))
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def with_patience(step: Callable[[], object]) -> None:
    """Do it; where another process makes the same new file at this moment, SQLite says so at once, whatever its timeout."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            step()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin(connection: Connection) -> None:
    # A transaction that reads before it writes must take the write lock at once, or it may fail where others would wait.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write_first") else "BEGIN")
