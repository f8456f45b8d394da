"""Bringing a database to the newest schema, by alembic."""

import os
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from continuum.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 7_212_031_177
"""Key of the Postgres advisory lock under which one process at a time migrates."""

_migrating = threading.Lock()
"""Alembic keeps what it works on in its modules, so the threads of a process migrate one at a time."""


def _begin_anew_in_child() -> None:
    global _migrating
    _migrating = threading.Lock()  # another thread may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)


def migrations() -> ScriptDirectory:
    """All migrations."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Apply the migrations that are missing; returns the revisions before and now.

    Raises:
        StoreError: the schema is newer than this package.
    """
    script = migrations()
    head = script.get_current_head() or ""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with _migrating, engine.execution_options(write_first=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        current = MigrationContext.configure(connection).get_current_revision()
        if current == head:
            return current, head
        if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
            raise StoreError(f"the store's schema {current!r} is newer than this package knows; upgrade continuum-ai")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return current, head
