"""What Alembic runs: upgrades on the connection that the program opened."""

from __future__ import annotations

from alembic import context

from jupyter_quantum.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
