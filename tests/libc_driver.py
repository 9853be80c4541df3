"""Let libc fail during a command, then do a clean run, and tell what the world looks like.

Called by test_libc.py in a process into which tests/torture/libc_faults.c was loaded and that has
imported everything, so that every command is a fork. Prints one JSON line for the points there are
and the states that are right, then one for each fault.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from risk import store
from risk.admin import backup
from risk.config import Config
from risk.ledger.ledger import Ledger
from tests import forks

KILLED, TORN, ONCE, FOR_GOOD = range(4)  # as in libc_faults.c
FAULTS = {
    "killed": (KILLED, 0),
    "torn write": (TORN, 0),
    "ENOSPC once": (ONCE, errno.ENOSPC),
    "ENOSPC for good": (FOR_GOOD, errno.ENOSPC),
    "EIO once": (ONCE, errno.EIO),
    "EIO for good": (FOR_GOOD, errno.EIO),
}
SECONDS = 300
RUN = ["full_process.py"]
OF_THEIR_OWN = {"app.py"}  # the API keys
OF_RUNS = {"runs", "stage_timings", "reports", "column_statistics", "write_lock", "alembic_version"}
OF_FILES = "file_digests"  # of files that hold a moment: compared with the files instead
VARIES = re.compile(r"_at$|_ns$|^(run_id|inode|stage_seconds)$")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?")
NOT_COMPARED = {"run_id", "created_at", "files", "sha256", "calendar"}
BACKUP = "a_backup"  # half of one is removed by the next, not by a run
OF_A_RUN = re.compile(r"reports/\d+")


def main(template: Path, workshop: Path, n: int, command: list[str]) -> None:
    """Try `n` points that lie evenly, or all if it is 0, with one fault after the other."""
    world = workshop / "world"
    right = [heal(template, world, command), heal(template, world, command, done=True)]
    points = run(world, command, prepare=template)["seen"]
    print(json.dumps({"points": points, "right": right}), flush=True)
    names, n = [*FAULTS], n or points
    for i in range(n):
        point, name = 1 + i * points // n, names[i % len(names)]
        found = run(world, command, prepare=template, fault=(*FAULTS[name], point))
        found |= {"point": point, "fault": name, "state": heal(None, world, command)}
        print(json.dumps(found), flush=True)


def heal(
    template: Path | None, world: Path, command: list[str], *, done: bool = False
) -> dict[str, Any]:
    """Return the state after a clean run, of a world in which the command was `done` or not.

    What a run has nothing to do with is healed by the next command of its kind.
    """
    following = [command] if done else []
    if command[0] in OF_THEIR_OWN:
        following.append([word.replace("ANNA", "BETTY") for word in command])
    for each in [*following, RUN]:
        ended = run(world, each, prepare=template)
        template = None
        if ended["exit_code"]:
            return {"ended": ended}
    return state(world)


def run(
    world: Path,
    command: list[str],
    *,
    prepare: Path | None = None,
    fault: tuple[int, int, int] = (KILLED, 0, 0),
) -> dict[str, Any]:
    """Run a command in a fork, with a fault; return how it ended and how many calls were seen."""
    if prepare:
        shutil.rmtree(world, ignore_errors=True)
        shutil.copytree(prepare, world, symlinks=True)
        make_recent(world / "db" / "monitoring.sqlite")
    said = [world.with_name(name) for name in ("out", "err", "seen")]
    if not (child := os.fork()):
        become(world, command, fault, said)
    status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    lines = said[1].read_text(encoding="utf-8", errors="replace").splitlines()
    seen = int(said[2].read_text() or 0) if said[2].exists() else 0
    said[2].unlink(missing_ok=True)
    return {"exit_code": code, "stderr": lines[-30:], "seen": seen}


def make_recent(ledger: Path) -> None:
    """Move all moments in a ledger by the same time, so that its latest run began just now.

    Drops less than a minute apart came together, and must not come apart because the driver has
    been busy with other faults since.
    """
    if not ledger.exists():
        return
    with closing(sqlite3.connect(ledger)) as connection:
        (newest,) = connection.execute("SELECT max(started_at) FROM runs").fetchone()
        text = "\n".join(connection.iterdump())
    seconds = (
        datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(newest)
    ).total_seconds()

    def later(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[0]) + timedelta(seconds=int(seconds))
        return moment.isoformat(sep=found[0][10])

    ledger.unlink()
    with closing(sqlite3.connect(ledger)) as connection:
        connection.executescript(MOMENT.sub(later, text))


def become(world: Path, command: list[str], fault: tuple[int, int, int], said: list[Path]) -> None:
    """Be the process that runs the command, with libc armed."""
    libc, (how, number, point) = ctypes.CDLL(None), fault
    libc.libc_faults_arm(str(world).encode(), how, number, ctypes.c_long(point))
    script, *options = command
    words = [word.replace("WORLD", str(world)) for word in options]
    words += ["--config", str(world / "config.json")]
    script = str(forks.ROOT / script) if script.endswith(".py") else script
    exit_at_once = os._exit

    def leave(code: int) -> None:
        said[2].write_text(str(libc.libc_faults_seen()))
        exit_at_once(code)

    os._exit = leave  # type: ignore[assignment]
    around = {"PATH": os.environ["PATH"], **forks.threads()}
    forks._become(script, words, around, SECONDS, *map(str, said[:2]))


def state(world: Path) -> dict[str, object]:
    """Describe all that must be the same whether or not there was a fault."""
    backed_up = {BACKUP: backup_is_whole(world / BACKUP)}
    return {"ledger": dict(tables(world)), "files": {**dict(files(world)), **backed_up}}


def backup_is_whole(folder: Path) -> bool | None:
    """Return whether a backup has every file its manifest names, None if there is no backup."""
    if not folder.exists():
        return None
    digests = json.loads((folder / backup.MANIFEST).read_text(encoding="utf-8"))["files"]
    return all(store.digest(folder / name) == digest for name, digest in digests.items())


def tables(world: Path) -> Iterator[tuple[str, object]]:
    """Yield every table with its rows, without what differs from run to run."""
    config = Config.load(world / "config.json")
    with Ledger.open(config) as ledger, ledger.engine.connect() as connection:
        found = sa.MetaData()
        found.reflect(connection)
        for name, table in sorted(found.tables.items()):
            if name not in {*OF_RUNS, OF_FILES}:
                kept = [c for c in table.c if not VARIES.search(c.name)]
                rows = connection.execute(sa.select(*kept)) if kept else ()
                yield name, sorted([plain(cell) for cell in row] for row in rows)
        digests = ledger.file_digests.expected()
        right = {name: is_one_of(world / name, expected) for name, expected in digests.items()}
        yield OF_FILES, sorted({(masked(name), is_right) for name, is_right in right.items()})


def is_one_of(path: Path, digests: set[str]) -> bool:
    """Return whether a file is there and has one of the digests it may have."""
    return path.is_file() and store.digest(path) in digests


def files(world: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of every file, with what must be equal of its content."""
    for path in sorted(world.rglob("*")):
        name = OF_A_RUN.sub("reports/RUN", str(path.relative_to(world)))
        if path.is_symlink():
            yield name, os.readlink(path)
        elif (
            path.is_file()
            and path.suffix != ".lock"
            and not name.startswith(("db/", f"{BACKUP}/", f".{BACKUP}"))
        ):
            content = path.read_bytes()
            if path.suffix in (".csv", ".parquet"):
                content = masked(content.decode("latin-1")).encode("latin-1")
                yield name, hashlib.sha256(content).hexdigest()
            else:
                yield name, ""


def plain(cell: object) -> str:
    """Return a cell as text; JSON without digests of files that hold a moment."""
    text = masked(str(cell))
    if text.startswith(("{", "[")):
        text = json.dumps(json.loads(text, object_hook=without_digests))
    return text


def without_digests(value: dict[str, object]) -> dict[str, object]:
    return {name: inner for name, inner in value.items() if name not in NOT_COMPARED}


def masked(text: str) -> str:
    """Return a text without moments and the numbers of runs."""
    return OF_A_RUN.sub("reports/RUN", MOMENT.sub("NOW", text))


if __name__ == "__main__":
    template, workshop, n, *command = sys.argv[1:]
    main(Path(template), Path(workshop), int(n), command)
