"""Administer the ledger: schema, retention, export, move to another database.

    python -m risk.admin upgrade              upgrade the schema to this version of the project
    python -m risk.admin current              show the revision of the schema
    python -m risk.admin history              list all revisions
    python -m risk.admin check                verify the installation: settings, key, releases, data
    python -m risk.admin backup FOLDER        copy ledger, data, releases and keys, also during runs
    python -m risk.admin restore FOLDER       put a backup in place; --force replaces existing data
    python -m risk.admin share                write what the shared store does not have yet
    python -m risk.admin fetch                fetch from it what is not on this machine yet
    python -m risk.admin crontab              print the line for cron that runs the full process
    python -m risk.admin forget ID            erase the person with this identifier
    python -m risk.admin prune                delete old data as set in `keeping`
    python -m risk.admin prune --dry-run      show what would be deleted
    python -m risk.admin export --to FOLDER   write tables and views to CSV or Parquet files
    python -m risk.admin copy --to URL        copy the ledger into an empty database

Reads   the ledger; prune also reads releases, reports and quarantine; check and backup read
        everything; restore: FOLDER
Writes  upgrade and prune: the ledger; prune: also releases, reports and quarantine; forget:
        everything that names the person;
        backup and export: FOLDER; restore: everything; copy: the target database; share: the
        shared store; fetch: data, quarantine, reports and releases on this machine
Exits   0 success, 64 wrong usage, 69 database unavailable or of another version,
        74 storage error, 75 a run is in progress, 76 damaged release, 78 invalid configuration
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from risk import cli
from risk.admin import backup as backups
from risk.admin import check, retention, sharing
from risk.admin import crontab as cron
from risk.admin import export as exports
from risk.admin import forget as forgetting
from risk.admin import restore as restoring
from risk.admin.backup import BackedUp
from risk.admin.export import Kind, Transferred
from risk.admin.forget import Forgotten
from risk.admin.restore import Restored
from risk.admin.retention import Pruned
from risk.admin.sharing import Shared
from risk.config import Config
from risk.errors import UsageError
from risk.ledger import database, file_lock, lease, migrate
from risk.ledger.ledger import Ledger
from risk.ledger.tables import REVISION

HOLDER = "python -m risk.admin"


def main() -> None:
    """Run the command given on the command line."""
    cli.main(run, __doc__, add_options=add_options, access=_access)


def run(config: Config, ledger: Ledger | None = None, *, command: str, **options: Any) -> object:
    """Run one of `COMMANDS` with the given options."""
    perform, accepted = COMMANDS[command]
    given = {name: value for name, value in options.items() if value}
    if rejected := sorted(given.keys() - accepted):
        name = rejected[0]
        given_as = given[name] if name == "operand" else f"--{name.replace('_', '-')}"
        raise UsageError(f"{command} does not accept {given_as}")
    return perform(config, **given) if ledger is None else perform(config, ledger, **given)


def upgrade(config: Config) -> str:
    """Upgrade an older schema to this version, after a backup if the database is a file."""
    with file_lock.lock(config, holder=HOLDER), _connected(config, create=True) as engine:
        found = migrate.found_revision(engine)
        if found == REVISION:
            return f"ledger schema is already at revision {REVISION}"
        migrate.refuse_unknown(found)
        backup = migrate.back_up(engine)
        with lease.among_machines(config, engine, holder=HOLDER):
            migrate.migrate(engine)
    done = f"ledger schema upgraded from revision {found} to {REVISION}"
    if not found:
        done = f"ledger schema created at revision {REVISION}"
    return f"{done}; backup: {config.name_of(backup)}" if backup else done


def current(config: Config) -> str:
    """Return the revision of the database, and the one this version requires."""
    with _connected(config) as engine:
        found = migrate.found_revision(engine)
    state = "up to date" if found == REVISION else f"revision {REVISION} is required"
    return f"ledger schema is at revision {found or 'none'} ({state})"


def history(_: Config) -> str:
    """List the revisions, the oldest first."""
    return "\n".join(f"{revision}  {summary}" for revision, summary in migrate.history())


def prune(config: Config, ledger: Ledger, *, dry_run: bool = False) -> Pruned:
    """Delete old data as set in `keeping`."""
    return retention.prune(config, ledger, dry_run=dry_run)


def crontab(config: Config) -> str:
    """Return the line for cron that runs the full process with these settings."""
    return cron.crontab(config)


def backup(config: Config, ledger: Ledger, *, operand: str = "") -> BackedUp:
    """Copy everything that makes up the installation into a new folder."""
    return backups.back_up(config, ledger, Path(_required(operand, "backup requires a FOLDER")))


def restore(config: Config, *, operand: str = "", force: bool = False) -> Restored:
    """Put a backup in place, after verifying it."""
    source = Path(_required(operand, "restore requires a FOLDER"))
    return restoring.restore(config, source, force=force, holder=HOLDER)


def forget(config: Config, ledger: Ledger, *, operand: str = "") -> Forgotten:
    """Erase one person from rows, quarantine, releases and ledger."""
    identifier = _required(operand, "forget requires an ID")
    if identifier.encode("utf-8", "ignore").decode() != identifier:
        raise UsageError("the ID is not UTF-8 text, as identifiers are: check the terminal")
    return forgetting.forget(config, ledger, identifier)


def share(config: Config, ledger: Ledger) -> Shared:
    """Write what the shared store does not have, and delete what the ledger does not name."""
    return sharing.share(config, ledger)


def fetch(config: Config, ledger: Ledger) -> Shared:
    """Fetch from the shared store what is not on this machine."""
    with file_lock.lock(config, holder=HOLDER):
        return sharing.fetch(config, ledger)


def export(
    _: Config, ledger: Ledger, *, to: str = "", format: Kind = "csv", table: Sequence[str] = ()
) -> Transferred:
    """Write tables and views to files."""
    return exports.export(
        ledger, Path(_required(to, "export requires --to FOLDER")), kind=format, names=table
    )


def copy(config: Config, ledger: Ledger, *, to: str = "") -> Transferred:
    """Copy the ledger into an empty database."""
    return exports.copy(config, ledger, _required(to, "copy requires --to URL"))


COMMANDS: Mapping[str, tuple[Callable[..., object], set[str]]] = {
    "upgrade": (upgrade, set()),
    "current": (current, set()),
    "history": (history, set()),
    "check": (check.check, set()),
    "crontab": (crontab, set()),
    "backup": (backup, {"operand"}),
    "restore": (restore, {"operand", "force"}),
    "forget": (forget, {"operand"}),
    "share": (share, set()),
    "fetch": (fetch, set()),
    "prune": (prune, {"dry_run"}),
    "export": (export, {"to", "format", "table"}),
    "copy": (copy, {"to"}),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    parser.prog = "python -m risk.admin"
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument(
        "operand",
        nargs="?",
        metavar="FOLDER|ID",
        help="backup: a new folder; restore: a backup; forget: an identifier",
    )
    parser.add_argument(
        "--force", action="store_true", help="restore: replace the data of this installation"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="prune: show what would be deleted, delete nothing"
    )
    parser.add_argument(
        "--to", metavar="FOLDER|URL", help="export: target folder; copy: URL of the target database"
    )
    parser.add_argument(
        "--format", choices=["csv", "parquet"], help="export: file format (default: csv)"
    )
    parser.add_argument(
        "--table",
        action="append",
        metavar="NAME",
        help="export: only this table or view; repeatable",
    )


@contextmanager
def _connected(config: Config, *, create: bool = False) -> Iterator[Any]:
    """Yield an engine, whatever the revision of its schema."""
    engine = database.open_engine(config, create=create)
    try:
        with database.database_faults():
            yield engine
    finally:
        engine.dispose()


def _access(options: Mapping[str, Any]) -> cli.Access:
    command = options["command"]
    if command in ("prune", "copy", "forget", "share") and not options["dry_run"]:
        return "write"
    return "read" if command in ("prune", "copy", "export", "backup", "fetch") else "none"


def _required(to: str, error: str) -> str:
    if not to:
        raise UsageError(error)
    return to


if __name__ == "__main__":
    main()
