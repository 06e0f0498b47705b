"""Alembic runs on the connection that ``store.engine`` hands it."""

from alembic import context

from mistudio.store.tables import SQLModel

context.configure(connection=context.config.attributes["connection"], target_metadata=SQLModel.metadata,
                  render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
