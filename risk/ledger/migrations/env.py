"""Entry point of Alembic: run migrations over the connection passed by the ledger."""

from typing import Any

from alembic import context
from alembic.ddl.mysql import MySQLImpl
from sqlalchemy.exc import DBAPIError

from risk.ledger.tables import metadata

# exists: table or view, column, index, foreign key; does not exist: table, index or key, view
DONE_ALREADY = {1050, 1060, 1061, 1826, 1051, 1091, 4092}
CANNOT_CREATE, DUPLICATE_KEY = 1005, "errno: 121"  # how MariaDB reports an existing foreign key


class Resuming(MySQLImpl):
    """Resume an interrupted migration, each statement of which is committed separately.

    Errors saying that a statement was already applied are ignored: `migrate` has checked that the
    tables belong to the ledger.
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
    """The same for URLs that begin with mariadb."""

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
