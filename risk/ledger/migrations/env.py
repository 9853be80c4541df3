"""Alembic's entry point: migrate over the connection the ledger hands in."""

from typing import Any

from alembic import context
from alembic.ddl.mysql import MySQLImpl
from sqlalchemy.exc import DBAPIError

from risk.ledger.tables import metadata

# exists: table or view, column, index, foreign key; does not exist: table, index or key, view
DONE_ALREADY = {1050, 1060, 1061, 1826, 1051, 1091, 4092}
CANNOT_CREATE, DUPLICATE_KEY = 1005, "errno: 121"  # how MariaDB names a foreign key that exists


class Resuming(MySQLImpl):
    """Go on after a migration that was cut off, as each of its statements is committed by itself.

    What a statement would do was done before; `migrate` saw to it that the tables are ours.
    """

    __dialect__ = "mysql"

    def _exec(self, *arguments: Any, **named: Any) -> Any:
        try:
            return super()._exec(*arguments, **named)
        except DBAPIError as error:
            if not _was_done_already(error):
                raise
            return None


class ResumingMariaDB(Resuming):
    """The same for addresses that begin with mariadb."""

    __dialect__ = "mariadb"


def _was_done_already(error: DBAPIError) -> bool:
    code, text = (*error.orig.args, "", "")[:2] if error.orig else ("", "")
    return code in DONE_ALREADY or (code == CANNOT_CREATE and DUPLICATE_KEY in str(text))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
