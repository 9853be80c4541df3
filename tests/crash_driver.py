"""Kill a run before each call that changes something, then run it once more.

Called by test_crash.py in a process of its own, so that the heavy imports are paid once and
every run is a fork. Prints one JSON line per crash point, and one for the run without a crash.
What is run is the full process, or ingestion alone.
"""

import gc
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure  # noqa: F401  (the imports are here to be paid once)
import pandas as pd
import seaborn  # noqa: F401
import sklearn.linear_model  # noqa: F401
import sqlalchemy as sa

import full_process
import ingestion
from risk.config import Config
from risk.ledger import file_lock
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing
from tests.servers import Place

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate"}
MASKED = {"run_id", "created_at", "ingested_at", "trained_through"}


@dataclass(frozen=True)
class Work:
    """What is run, and what must be the same afterwards."""

    run: Callable[[Config, Ledger], object]
    state: Callable[[Path], dict[str, object]]


def main(template: Path, workshop: Path, first: int, every: int, work: Work) -> None:
    rehearse(template, workshop / "rehearsal", work)
    whole = survive(template, workshop / "whole", work, point=0)
    print(json.dumps({"point": 0, **whole}, default=int), flush=True)
    for point in range(first, whole["changes"] + 1, every):
        result = survive(template, workshop / "crash", work, point=point)
        print(json.dumps({"point": point, **result}, default=int), flush=True)


def rehearse(template: Path, world: Path, work: Work) -> None:
    """Do in this process what the forks do, so that what is made once is there in each."""
    shutil.copytree(template, world, symlinks=True)
    config = Config.load(world / "config.json")
    Place("", None if config.database_url.startswith("sqlite") else config.database_url).empty()
    with file_lock.lock(config, holder="test"), Ledger.open(config) as ledger:
        work.run(config, ledger)
    work.state(world)
    gc.freeze()  # a fork that collects garbage would copy all that it looks at


def survive(template: Path, world: Path, work: Work, *, point: int) -> dict[str, object]:
    """Crash at a point, run again, and tell what the world looks like.

    Without a point, nothing crashes, and it tells at how many the run could have crashed.
    """
    shutil.rmtree(world, ignore_errors=True)
    shutil.copytree(template, world, symlinks=True)
    url = Config.load(world / "config.json").database_url
    Place("", None if url.startswith("sqlite") else url).empty()
    killed = os.WIFSIGNALED(in_a_fork(world, work, point))
    changes = 0 if killed else int(counted(world).read_text())
    code = os.waitstatus_to_exitcode(in_a_fork(world, work, 0))
    state = work.state(world)
    return {"killed": killed, "changes": changes, "exit_code": code, "state": state}


def counted(world: Path) -> Path:
    """Return the file, beside a world, with the number of changes the last whole run made."""
    return world.parent / "changes"


def in_a_fork(world: Path, work: Work, point: int) -> int:
    child = os.fork()
    if not child:
        try:
            n_changes = arm(world, point)
            config = Config.load(world / "config.json")
            with file_lock.lock(config, holder="test"), Ledger.open(config) as ledger:
                code = work.run(config, ledger).exit_code
            counted(world).write_text(str(n_changes()))
        except Exception as error:
            print(f"point {point}: {error!r}", file=sys.stderr, flush=True)
            code = 1
        os._exit(code)
    return os.waitpid(child, 0)[1]


def arm(world: Path, point: int) -> Callable[[], int]:
    """Die by SIGKILL before the `point`th change of a file or commit of the ledger.

    Return what tells how many there were so far.
    """
    seen = 0

    def count(what: str) -> None:
        nonlocal seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
        if (writes or event in CHANGES) and str(world) in str(arguments[0]):
            count(event)

    sys.addaudithook(hook)
    sa.event.listen(sa.Engine, "commit", lambda connection: count("commit"))
    return lambda: seen


def state(world: Path) -> dict[str, object]:
    """Describe everything that must be the same whether or not there was a crash."""
    config = Config.load(world / "config.json")
    champion = releases.load_champion(config)
    challenger = model.load(config.model_folder, signing.key(config))
    rows = pd.read_csv(world / "data/test/test_data.csv")
    record = pd.read_csv(config.ingested_folder / config.compilation_record_filename)
    with Ledger.open(config) as ledger, ledger.engine.connect() as connection:

        def ask(query: str) -> object:
            return [list(row) for row in connection.execute(sa.text(query))]

        ledger_state = {
            "ingestions": ask(
                "SELECT path, status, rows_read, rows_added, rows_duplicate, rows_quarantined "
                "FROM ingestions ORDER BY id"
            ),
            "undecided": ask("SELECT count(*) FROM ingestions WHERE decision_id IS NULL"),
            "hashes": ask("SELECT count(*), sum(row_hash % 1000) FROM row_hashes"),
            "decisions": ask("SELECT action, version, reason FROM decisions ORDER BY id"),
            "cases": ask("SELECT state, closed_because FROM cases ORDER BY id"),
            "open": ask("SELECT count(*) FROM decisions WHERE completed_at IS NULL"),
            "releases": ask("SELECT version, rows_trained FROM releases ORDER BY version"),
            "running": ask("SELECT count(*) FROM runs WHERE status = 'running'"),
            "reports": ask(
                "SELECT kind, reports.run_id = decisions.run_id FROM reports, decisions "
                "WHERE decisions.id = (SELECT max(id) FROM decisions) ORDER BY reports.id"
            ),
        }
    files = sorted(
        re.sub(r"reports/\d+", "reports/RUN", str(path.relative_to(world)))
        for path in world.rglob("*")
        if not path.is_dir() and path.parent.name != "db"
    )
    return {
        **ledger_state,
        "files": files,
        "final_data": (config.ingested_folder / config.compiled_data_filename).read_text(),
        "record": record.drop(columns="ingested_at").to_csv(),
        "live": releases.live_version(config.deployment_folder),
        "proba": champion.predict_proba(rows).round(12).tolist(),
        "manifest": {
            name: str(value)
            for name, value in champion.manifest.model_dump(exclude=MASKED | {"files"}).items()
        },
        "challenger": challenger.predict_proba(rows).round(12).tolist(),
        "score": releases_score(config),
    }


def releases_score(config: Config) -> str:
    return (config.deployment_folder / config.score_filename).read_text()


def data_set(world: Path) -> dict[str, object]:
    """Describe what ingestion alone leaves, in files and in SQL."""
    config = Config.load(world / "config.json")
    with Ledger.open(config) as ledger, ledger.engine.connect() as connection:

        def ask(names: str, table: str) -> object:
            query = f"SELECT {names} FROM {table} ORDER BY 1, 2"
            return [list(row) for row in connection.execute(sa.text(query))]

        in_sql = {
            "rows": ask("row_hash, ingestion_id, identifier, y_true, labelled_by", "dataset_rows"),
            "hashes": ask("row_hash, ingestion_id", "row_hashes"),
            "waiting": ask("row_hash, ingestion_id", "unripe_rows"),
            "labels": ask("row_hash, y_true, ingestion_id", "later_labels"),
            "drops": ask("id, path, status, rows_read, rows_added, rows_duplicate", "ingestions"),
            "refused": ask("ingestion_id, line, rule", "quarantined_rows"),
            "marks": ask("source, value, ingestion_id", "watermarks"),
        }
    parts = sorted(
        str(path.relative_to(world))
        for folder in (config.ingested_folder, config.quarantine_folder)
        for path in folder.rglob("*")
    )
    final_data = (config.ingested_folder / config.compiled_data_filename).read_text()
    return {**in_sql, "files": parts, "final_data": final_data}


WORKS = {
    "full_process": Work(full_process.run, state),
    "ingestion": Work(ingestion.run, data_set),
}

if __name__ == "__main__":
    template, workshop, first, every, what = sys.argv[1:]
    main(Path(template), Path(workshop), int(first), int(every), WORKS[what])
