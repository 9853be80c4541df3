"""A Dask cluster on this machine: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 60


@dataclass(frozen=True)
class Cluster:
    """The address of a scheduler, and the processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: Sequence[subprocess.Popen[bytes]]


@contextmanager
def running(
    folder: Path,
    *options: str,
    workers: int = 3,
    modules: Path = ROOT,
    is_known_to_scheduler: bool = True,
) -> Iterator[Cluster]:
    """Run a scheduler and workers that have this project, and `modules`, with these options."""
    file = folder / "scheduler.json"

    def start(role: str, *more: str) -> subprocess.Popen[bytes]:
        words = ["--no-dashboard", "--scheduler-file", str(file), *more, *options]
        known = [ROOT, modules] if role == "worker" or is_known_to_scheduler else []
        around = {**os.environ, "PYTHONPATH": ":".join(map(str, known))}
        command = [str(Path(sys.executable).with_name("dask")), role, *words]
        return subprocess.Popen(command, env=around, stderr=subprocess.DEVNULL, cwd="/")

    processes = [start("scheduler", "--host", "127.0.0.1", "--port", "0")]
    try:
        deadline = time.monotonic() + SECONDS
        while not (file.exists() and file.read_text().strip()):
            assert time.monotonic() < deadline and processes[0].poll() is None
            time.sleep(0.05)
        alone = ["--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
        processes += [start("worker", *alone) for _ in range(workers)]
        address = json.loads(file.read_text())["address"]
        yield Cluster(address, processes[0], processes[1:])
    finally:
        for process in processes:
            process.kill()
            process.wait()
