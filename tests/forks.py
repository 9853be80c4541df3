"""Run the stages in forks of one process that has imported everything once.

A fresh interpreter spends more than a second on imports, hundreds of times in these tests. A fork
is a process of its own all the same, with its own folder, environment, outputs and exit code.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from threading import Lock
from typing import IO, Any

ROOT = Path(__file__).parents[1]
SECONDS = 120
HEAVY = (
    "api_calls", "app", "alembic.command", "apprise", "flask", "full_process", "matplotlib.figure",
    "pyarrow.parquet", "reportlab.platypus", "risk.admin.export", "risk.data.compiled",
    "risk.figures.matrix", "risk.report.archive", "seaborn", "sklearn.ensemble",
    "sklearn.linear_model",
)  # fmt: skip


class Forks:
    """The process that forks, begun when it is needed, with what else it has in its environment."""

    def __init__(self, **environment: str) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._one_by_one = Lock()

    def end(self) -> None:
        """End the process, if it was ever begun."""
        if self._process:
            self._process.communicate()
            self._process = None

    def run(
        self,
        script: str,
        arguments: list[str],
        environment: dict[str, str],
        *,
        seconds: int = SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Do what `python script arguments` does in `/`, or `python -m`, and tell how it ended."""
        with self._one_by_one, tempfile.TemporaryDirectory() as folder:
            said = [Path(folder) / name for name in ("out", "err")]
            task = [script, arguments, environment, seconds, *map(str, said)]
            code = int(self._ask(json.dumps(task)))
            out, err = (path.read_text(encoding="utf-8") for path in said)
        return subprocess.CompletedProcess([script, *arguments], code, out, err)

    def _ask(self, task: str) -> str:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd="/",
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **threads()}
                | self._environment,
            )
        _pipe(self._process.stdin).write(f"{task}\n")
        _pipe(self._process.stdin).flush()
        return _pipe(self._process.stdout).readline()


def threads() -> dict[str, str]:
    """Return the variables by which `make` keeps libraries from starting a thread for each core."""
    return {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}


FORKS = Forks()


def _pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None
    return end


def serve() -> None:
    """Fork for each line of stdin, and say on stdout with which code the fork ended."""
    for name in HEAVY:
        __import__(name)
    gc.freeze()  # a fork that collects garbage would copy all that it looks at
    os.environ.pop("PYTHONPATH")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(
    script: str, arguments: list[str], environment: dict[str, str], seconds: int, *said: str
) -> None:
    """Be the process that runs a script, as far as the script can tell."""
    signal.alarm(seconds)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for end, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), end)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [script, *arguments]
    try:
        run = runpy.run_path if script.endswith(".py") else runpy.run_module
        run(script, run_name="__main__")
        code: Any = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve()
