"""Measure the API while releases are deployed: availability, consistency, memory.

    python benchmarks/serving.py [--seconds 60] [--deployments 20] [--requests 100000]

Two gunicorn workers answer while releases are deployed and rolled back. `wrk`, if installed,
generates the load; a client checks that each prediction is that of the release it names. Then
requests of each kind follow in turn while the memory of the workers is measured.

Reads   nothing
Writes  a temporary folder
Exits   0 success, 1 a response was a 5xx, inconsistent or missing; prints a table
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
from risk.config import Config  # noqa: E402
from risk.data import drops
from risk.ledger.ledger import Ledger  # noqa: E402
from risk.models import model, releases, signing

ROOT = Path(__file__).parents[1]
CLIENTS = 4
PART = 10_000
PATHS = ("/health", "/prediction", "/scoring", "/summarystats", "/diagnostics/timing", "POST")


class Answer(NamedTuple):
    """A response: status or error and, for a prediction, its release and probabilities."""

    status: str
    version: int | None = None
    probabilities: tuple[float, ...] = ()


def install(folder: Path) -> Config:
    """Create an installation with a live first release, listening on a free port."""
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
    """Serve with two workers; yield the ID of their parent process."""
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
    """Sends all requests over one connection."""

    def __init__(self, config: Config) -> None:
        rows = drops.read_whole(config, config.test_data)[config.columns.features]
        self.body = json.dumps(rows.astype("object").to_dict("records"))
        self.connection = HTTPConnection("127.0.0.1", config.api.port, timeout=60)

    def ask(self, path: str) -> Answer:
        """Return the status or error and, for a prediction, its release and probabilities."""
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
        body = json.loads(content)
        probabilities = tuple(row["y_pred_proba"] for row in body["predictions"])
        return Answer("200", body["model_version"], probabilities)


def ask_all(config: Config, paths: Iterable[str]) -> Counter[Answer]:
    """Request one path after the other, and count the responses."""
    client = Client(config)
    answers = Counter(client.ask(path) for path in paths)
    client.connection.close()
    return answers


def judge(config: Config, answers: Counter[Answer]) -> Counter[str]:
    """Count responses by status; "mixed" means computed by another release than named."""
    rows = drops.read_whole(config, config.test_data)
    judged: Counter[str] = Counter()
    for answer, times in answers.items():
        what = answer.status
        if answer.version:
            folder = releases.release_path(config.deployment_folder, answer.version)
            named = model.load(folder, signing.key(config))
            exact = tuple(named.predict_proba(rows).tolist()) == answer.probabilities
            what = answer.status if exact else "mixed"
        judged[what] += times
    return judged


def ask_until(config: Config, over: Event) -> Counter[Answer]:
    """Request predictions until `over` is set."""
    return ask_all(config, iter(lambda: None if over.is_set() else "POST", None))


def deploy(config: Config, times: int, *, seconds: float) -> None:
    """Deploy at regular intervals; every fourth time roll back instead."""
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
    """Make the next model differ: a smaller C regularises it more strongly."""
    other = config.training.model_copy(update={"parameters": {"C": strength}})
    return config.model_copy(update={"training": other})


def under_deployments(config: Config, times: int, *, seconds: float) -> Counter[Answer]:
    """Deploy while clients send requests, and count the responses."""
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
    """Let wrk request predictions, and count the responses."""
    url = f"http://127.0.0.1:{config.api.port}/prediction"
    command = ["wrk", "-t2", "-c16", f"-d{seconds}s", "-H", "Accept: application/json", url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", output)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    n_requests = re.search(r"(\d+) requests in", output)
    assert n_requests, output
    answers = Counter({"not 200": int(wrong[1]) if wrong else 0})
    answers["socket error"] = sum(map(int, errors.groups())) if errors else 0
    answers["200"] = int(n_requests[1]) - answers["not 200"]
    return +answers


def resident(master: int) -> list[float]:
    """Return the resident memory of each worker in megabytes."""
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = [Path(f"/proc/{worker}/status").read_text() for worker in workers]
    return [int(text.split("VmRSS:")[1].split()[0]) / 1024 for text in status]


def soak(config: Config, n_requests: int, master: int) -> Counter[Answer]:
    """Send requests of each kind in turn; print the memory every 10,000 requests."""
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
    """Wait until both workers have answered and thus loaded the model."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(300):
            answers = sum(pool.map(ask_all, [config] * CLIENTS, [["/ready"]] * CLIENTS), Counter())
            if answers.keys() == {Answer("200")}:
                return
            time.sleep(0.1)
    raise TimeoutError("the server did not become ready")


def main() -> None:
    """Run both measurements and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=int, default=60, help="duration of the load (default: 60)"
    )
    parser.add_argument("--deployments", type=int, default=20, help="default: 20")
    parser.add_argument(
        "--requests",
        type=int,
        default=100_000,
        help="requests of the memory test (default: 100000)",
    )
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = install(Path(folder))
        with gunicorn(config), ThreadPoolExecutor() as pool:
            if shutil.which("wrk"):
                load = pool.submit(wrk, config, options.seconds)
            else:
                print("wrk is not installed; only the checking clients generate load")
            answers = under_deployments(config, options.deployments, seconds=options.seconds)
            counts["checked"] = judge(config, answers)
            if shutil.which("wrk"):
                counts["wrk"] = load.result()
        with gunicorn(config, "--max-requests", "0") as master:
            counts["in turn"] = judge(config, soak(config, options.requests, master))
    for name, judged in counts.items():
        print(f"{name:>10}  " + ", ".join(f"{n} x {what}" for what, n in judged.most_common()))
    sys.exit(any(judged.keys() - {"200"} for judged in counts.values()))


if __name__ == "__main__":
    main()
