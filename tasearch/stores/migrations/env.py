"""Run by Alembic: upgrades the tasearch tables on the connection that `schema.migrate` hands over.

The connection is already inside a locked transaction, so Alembic opens none of its own.
"""

from __future__ import annotations

from alembic import context

from tasearch.stores.schema import VERSION_TABLE, Base, is_ours

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
