"""Alembic's entry: runs the migrations on the connection that `upgrade` hands over."""

from alembic import context

from continuum.store import guard_tables, judging_tables, serving_tables, wheel_tables  # noqa: F401 - its tables are in the metadata too
from continuum.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
