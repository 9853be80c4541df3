"""Is the API never blocked and never mixed while releases are deployed, and is its memory flat.

    python benchmarks/serving.py [--seconds 60] [--deployments 20] [--requests 100000]

Two workers of gunicorn answer while releases are deployed and rolled back. `wrk`, if it is
installed, makes the load; beside it a client checks that each answer is that of exactly the
release it names. Then the requests of one kind after another, and what the workers hold.

Reads   nothing
Writes  a temporary folder
Exits   0 done; 1 an answer was a 5xx, mixed or missing; prints a table
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import cycle, islice
from pathlib import Path
from threading import Event
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import deployment  # noqa: E402
import full_process  # noqa: E402
import training  # noqa: E402
from risk import store  # noqa: E402
from risk.config import Config  # noqa: E402
from risk.data import drops
from risk.ledger.ledger import Ledger  # noqa: E402
from risk.models import model, releases

ROOT = Path(__file__).parents[1]
CLIENTS = 4
PART = 10_000
PATHS = ("/health", "/prediction", "/scoring", "/summarystats", "/diagnostics/timing", "POST")


class Answer(NamedTuple):
    """What came back: a status or a fault, and of a prediction its release and probabilities."""

    status: str
    version: int | None = None
    probabilities: tuple[float, ...] = ()


def install(folder: Path) -> Config:
    """Make an installation whose first release is live, listening on a free port."""
    settings = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    settings["ingestion"]["settle_seconds"] = 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings["api"]["port"] = probe.getsockname()[1]
    shutil.copytree(ROOT / "data" / "development", folder / "data" / "development")
    shutil.copytree(ROOT / "data" / "test", folder / "data" / "test")
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    config = Config.load(folder / "config.json")
    with Ledger.open(config) as ledger:
        full_process.run(config, ledger)
    return config


@contextmanager
def gunicorn(config: Config, *options: str) -> Iterator[int]:
    """Serve with two workers; give the process they belong to."""
    environment = os.environ | {
        "RISK_CONFIG": str(config.root / "config.json"),
        "WEB_CONCURRENCY": "2",
    }
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--log-level", "warning", *options]
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        _wait_for(config)
        yield server.pid
    finally:
        server.terminate()
        server.wait(timeout=60)


class Client:
    """Asks again and again over one connection."""

    def __init__(self, config: Config) -> None:
        rows = drops.read_whole(config, config.test_data)[config.columns.features]
        self.body = json.dumps(rows.astype("object").to_dict("records"))
        self.connection = HTTPConnection("127.0.0.1", config.api.port, timeout=60)

    def ask(self, path: str) -> Answer:
        """Return the status or the fault, and of a prediction its release and what it says."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            if path == "POST":
                self.connection.request("POST", "/prediction", self.body, headers)
            else:
                self.connection.request("GET", path, headers=headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (HTTPException, OSError) as error:
            self.connection.close()
            return Answer(type(error).__name__)
        if answer.status != 200 or path != "POST":
            return Answer(str(answer.status))
        told = json.loads(content)
        probabilities = tuple(row["y_pred_proba"] for row in told["predictions"])
        return Answer("200", told["model_version"], probabilities)


def ask_all(config: Config, paths: Iterable[str]) -> Counter[Answer]:
    """Ask one path after the other, and count what is answered."""
    client = Client(config)
    answers = Counter(client.ask(path) for path in paths)
    client.connection.close()
    return answers


def judge(config: Config, answers: Counter[Answer]) -> Counter[str]:
    """Count the answers by their status; "mixed" are those of another release than they name."""
    rows = drops.read_whole(config, config.test_data)
    judged: Counter[str] = Counter()
    for answer, times in answers.items():
        what = answer.status
        if answer.version:
            folder = releases.release_path(config.deployment_folder, answer.version)
            named = model.load(folder, store.signing_key(config))
            exact = tuple(named.predict_proba(rows).tolist()) == answer.probabilities
            what = answer.status if exact else "mixed"
        judged[what] += times
    return judged


def ask_until(config: Config, over: Event) -> Counter[Answer]:
    """Ask for predictions until it is over."""
    return ask_all(config, iter(lambda: None if over.is_set() else "POST", None))


def deploy(config: Config, times: int, *, seconds: float) -> None:
    """Put another release live so many times, evenly; each fourth time the one before."""
    begin = time.monotonic()
    with Ledger.open(config) as ledger:
        for number in range(times):
            time.sleep(max(0.0, begin + seconds * number / times - time.monotonic()))
            if number % 4 == 3:
                deployment.run(config, ledger, rollback=0)
            else:
                training.run(_strict(config, 0.5**number), ledger)
                deployment.run(config, ledger, by_force=True)


def _strict(config: Config, strength: float) -> Config:
    """Let the next model be another one: a weaker C makes it more cautious."""
    other = config.training.model_copy(update={"parameters": {"C": strength}})
    return config.model_copy(update={"training": other})


def under_deployments(config: Config, times: int, *, seconds: float) -> Counter[Answer]:
    """Deploy while clients ask, and count what is answered."""
    over = Event()
    with ThreadPoolExecutor() as pool:
        clients = [pool.submit(ask_until, config, over) for _ in range(CLIENTS)]
        try:
            deploy(config, times, seconds=seconds)
            time.sleep(1)
        finally:
            over.set()
    return sum((client.result() for client in clients), Counter())


def wrk(config: Config, seconds: int) -> Counter[str]:
    """Let wrk ask for predictions; count its answers."""
    url = f"http://127.0.0.1:{config.api.port}/prediction"
    command = ["wrk", "-t2", "-c16", f"-d{seconds}s", "-H", "Accept: application/json", url]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", told)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    n_requests = re.search(r"(\d+) requests in", told)
    assert n_requests, told
    answers = Counter({"not 200": int(wrong[1]) if wrong else 0})
    answers["socket error"] = sum(map(int, errors.groups())) if errors else 0
    answers["200"] = int(n_requests[1]) - answers["not 200"]
    return +answers


def resident(master: int) -> list[float]:
    """Return the megabytes each worker holds."""
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = [Path(f"/proc/{worker}/status").read_text() for worker in workers]
    return [int(text.split("VmRSS:")[1].split()[0]) / 1024 for text in status]


def soak(config: Config, n_requests: int, master: int) -> Counter[Answer]:
    """Ask each kind of question in turn; print what the workers hold every 10,000 requests."""
    answers: Counter[Answer] = Counter()
    print(f"{'requests':>10}  MB per worker")
    for done in range(0, n_requests, PART):
        with ThreadPoolExecutor(CLIENTS) as pool:
            each = [islice(cycle(PATHS), PART // CLIENTS // 25) for _ in range(CLIENTS * 25)]
            answers += sum(pool.map(lambda paths: ask_all(config, paths), each), Counter())
        held = "  ".join(f"{megabytes:.0f}" for megabytes in resident(master))
        print(f"{done + PART:>10}  {held}", flush=True)
    return answers


def _wait_for(config: Config) -> None:
    """Wait until both workers have answered, and so have loaded the model."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(300):
            told = sum(pool.map(ask_all, [config] * CLIENTS, [["/ready"]] * CLIENTS), Counter())
            if told.keys() == {Answer("200")}:
                return
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")


def main() -> None:
    """Measure both, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--deployments", type=int, default=20)
    parser.add_argument("--requests", type=int, default=100_000)
    asked = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = install(Path(folder))
        with gunicorn(config), ThreadPoolExecutor() as pool:
            if shutil.which("wrk"):
                load = pool.submit(wrk, config, asked.seconds)
            else:
                print("wrk is not installed: the load is that of the checking clients alone")
            answers = under_deployments(config, asked.deployments, seconds=asked.seconds)
            counts["checked"] = judge(config, answers)
            if shutil.which("wrk"):
                counts["wrk"] = load.result()
        with gunicorn(config, "--max-requests", "0") as master:
            counts["in turn"] = judge(config, soak(config, asked.requests, master))
    for name, judged in counts.items():
        print(f"{name:>10}  " + ", ".join(f"{n} x {what}" for what, n in judged.most_common()))
    sys.exit(any(judged.keys() - {"200"} for judged in counts.values()))


if __name__ == "__main__":
    main()
