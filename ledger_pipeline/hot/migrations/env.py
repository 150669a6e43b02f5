"""Alembic's entry: runs migrations on the connection that `hot.migrate` hands over, in one transaction."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="ledger_schema_version", version_table_schema="public")
with context.begin_transaction():
    context.run_migrations()
