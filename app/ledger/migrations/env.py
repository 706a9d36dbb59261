"""Runs migrations on the connection that `Database.migrate` opened, within its transaction."""

from alembic import context

from app.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
