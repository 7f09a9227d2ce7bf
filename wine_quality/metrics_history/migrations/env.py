"""How alembic runs the revisions: on the connection that it is given, in its transaction."""

from alembic import context

from wine_quality.metrics_history.table import SCHEMA, VERSION_TABLE, metrics

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metrics.metadata,
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
)
with context.begin_transaction():
    context.run_migrations()
