"""Look after the ledger itself: its schema, its size, where it lives.

    python -m risk.admin upgrade              bring the schema to this version of the project
    python -m risk.admin current              show which revision the database is of
    python -m risk.admin history              list the revisions
    python -m risk.admin prune --dry-run      show what `keeping` would delete; without, delete it
    python -m risk.admin export --to FOLDER   write tables and views to CSV or Parquet files
    python -m risk.admin copy --to URL        move everything into an empty database

Reads   the ledger; for prune, the releases and the quarantine
Writes  upgrade and prune the ledger, prune releases and quarantine as well, export FOLDER,
        copy the other database
Exits   0 done, 64 wrong usage, 69 no database or not of this version, 74 storage fault,
        75 a run is at work, 78 wrong configuration
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from risk import cli, store
from risk.admin import export as exports
from risk.admin import retention
from risk.admin.export import Kind, Transferred
from risk.admin.retention import Pruned
from risk.config import Config
from risk.errors import UsageError
from risk.ledger import database, lease, migrate
from risk.ledger.ledger import Ledger
from risk.ledger.tables import REVISION

HOLDER = "python -m risk.admin"


def main() -> None:
    """Do what the command line asks for."""
    cli.main(run, __doc__, add_options=add_options, access=_access)


def run(config: Config, ledger: Ledger | None = None, *, command: str, **options: Any) -> object:
    """Do one of `COMMANDS`, with the options that were given."""
    perform, accepted = COMMANDS[command]
    given = {name: value for name, value in options.items() if value}
    if foreign := sorted(given.keys() - accepted):
        raise UsageError(f"{command} takes no --{foreign[0].replace('_', '-')}")
    return perform(config, **given) if ledger is None else perform(config, ledger, **given)


def upgrade(config: Config) -> str:
    """Bring an older schema to this version; a database file is kept beside it as it was."""
    with store.lock(config, holder=HOLDER), _connected(config, create=True) as engine:
        found = migrate.found_revision(engine)
        if found == REVISION:
            return f"the ledger is of revision {REVISION} already"
        migrate.refuse_unknown(found)
        kept = migrate.back_up(engine)
        with lease.among_machines(config, engine, holder=HOLDER):
            migrate.migrate(engine)
    done = f"the ledger was of revision {found or 'none'} and is of {REVISION} now"
    return f"{done}; as it was, it is kept in {config.name_of(kept)}" if kept else done


def current(config: Config) -> str:
    """Return which revision the database is of, and which this version needs."""
    with _connected(config) as engine:
        found = migrate.found_revision(engine)
    needed = "which is right" if found == REVISION else f"needed is {REVISION}"
    return f"the ledger is of revision {found or 'none'}, {needed}"


def history(_: Config) -> str:
    """List the revisions, the oldest first."""
    return "\n".join(f"{revision}  {summary}" for revision, summary in migrate.history())


def prune(config: Config, ledger: Ledger, *, dry_run: bool = False) -> Pruned:
    """Forget what `keeping` allows to."""
    return retention.prune(config, ledger, dry_run=dry_run)


def export(
    _: Config, ledger: Ledger, *, to: str = "", format: Kind = "csv", table: Sequence[str] = ()
) -> Transferred:
    """Write tables and views to files."""
    return exports.export(ledger, Path(_required(to, "a folder")), kind=format, names=table)


def copy(config: Config, ledger: Ledger, *, to: str = "") -> Transferred:
    """Move everything into an empty database."""
    return exports.copy(config, ledger, _required(to, "the address of a database"))


COMMANDS: Mapping[str, tuple[Callable[..., object], set[str]]] = {
    "upgrade": (upgrade, set()),
    "current": (current, set()),
    "history": (history, set()),
    "prune": (prune, {"dry_run"}),
    "export": (export, {"to", "format", "table"}),
    "copy": (copy, {"to"}),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands and what each takes."""
    parser.prog = "python -m risk.admin"
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument(
        "--dry-run", action="store_true", help="prune: only show what would be deleted"
    )
    parser.add_argument("--to", help="export: the folder; copy: the address of the database")
    parser.add_argument("--format", choices=["csv", "parquet"], help="export: default csv")
    parser.add_argument(
        "--table", action="append", metavar="NAME", help="export: only this one; may be repeated"
    )


@contextmanager
def _connected(config: Config, *, create: bool = False) -> Iterator[Any]:
    """Give an engine, whatever the revision of its schema."""
    engine = database.open_engine(config, create=create)
    try:
        with database.database_faults():
            yield engine
    finally:
        engine.dispose()


def _access(options: Mapping[str, Any]) -> cli.Access:
    command = options["command"]
    if command in ("prune", "copy") and not options["dry_run"]:
        return "write"
    return "read" if command in ("prune", "copy", "export") else "none"


def _required(to: str, what: str) -> str:
    if not to:
        raise UsageError(f"--to is missing: {what}")
    return to


if __name__ == "__main__":
    main()
