"""Kill a run before each commit and each connection, do a quiet one, tell what was to be told.

Called by test_messages.py in a process of its own, so that the imports are paid once and every
run is a fork. Prints one JSON line per crash point: what the ledger says was to be told.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import apprise
import requests  # noqa: F401  (the imports are here to be paid once)
import sqlalchemy as sa

from risk.config import Config
from risk.ledger.ledger import Ledger
from risk.notify import send

INCIDENT = {"version": 1, "kind": "data_drift", "subject": "age", "severity": "small"}
FACTS = {
    "incident_opened": "SELECT id FROM incidents",
    "incident_resolved": "SELECT id FROM incidents WHERE resolved_at IS NOT NULL",
    "deployed": "SELECT id FROM decisions WHERE completed_at IS NOT NULL",
    "run_failed": "SELECT id FROM runs WHERE status = 'aborted'",
}


def main(world: Path, address: str) -> None:
    apprise.Apprise.instantiate("json://localhost")
    point, killed = 0, True
    while killed:
        point += 1
        shutil.rmtree(world / "db", ignore_errors=True)
        environment = os.environ | {
            "RISK_NOTIFY_URLS": f"json://{address}/{point}/people",
            "RISK_WEBHOOK_URL": f"http://{address}/{point}/machine",
        }
        config = Config.load(world / "config.json", environment=environment)
        killed = os.WIFSIGNALED(in_a_fork(config, point))
        assert in_a_fork(config, 0) == 0
        print(json.dumps({"point": point, **facts(config)}), flush=True)


def in_a_fork(config: Config, point: int) -> int:
    child = os.fork()
    if not child:
        try:
            with Ledger.open(config) as ledger:
                arm(point)
                run(config, ledger, quiet=not point)
        except BaseException as error:
            print(f"point {point}: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def run(config: Config, ledger: Ledger, *, quiet: bool) -> None:
    """Do what a run does about messages."""
    send.register_recipients(config, ledger)
    ledger.runs.start()
    if not quiet:
        ledger.incidents.open(INCIDENT | {"detail": "age higher"})
        decision = ledger.decisions.record("deploy", "age higher", version=2)
        ledger.decisions.complete(decision)
    ledger.runs.end("ok", "done")
    send.send_notifications(config, ledger)


def arm(point: int) -> None:
    """Die by SIGKILL before the `point`th commit or connection."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)

    if point:
        sys.addaudithook(lambda event, _: count() if event == "socket.connect" else None)
        sa.event.listen(sa.Engine, "commit", lambda connection: count())


def facts(config: Config) -> dict[str, object]:
    """Ask the ledger what was to be told, and what is still unsent."""
    with Ledger.open(config) as ledger, ledger.engine.connect() as connection:
        told = {event: list(connection.scalars(sa.text(query))) for event, query in FACTS.items()}
        unsent = connection.scalar(sa.text("SELECT count(*) FROM messages WHERE sent_at IS NULL"))
        return {"facts": told, "unsent": unsent}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
