"""The commands of the README in their order, and a terminal in which to type them."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests import forks

SECONDS = 600
SERVER = re.compile(r"make serve|python app\.py(?! keys)")
TYPED = re.compile(r"(?:[A-Z_]+=\S+ )*[a-z][\w./]* \S")  # two words or more, after assignments
POLL_SECONDS = 0.1


def commands(page: str) -> list[str]:
    """Return what a reader types, each once: lines of shell blocks, commands within the text.

    An option in a row of a table belongs to the script with which the row begins.
    """
    found, is_shell = [], False
    for line in page.splitlines():
        if line.startswith("```"):
            is_shell = line == "```bash"
            continue
        if is_shell:
            found.append(re.split(r"\s{2,}# ", line)[0].strip())
            continue
        spans = re.findall(r"`([^`]+)`", line)
        script = spans[0] if line.startswith("| `") and spans[0].endswith(".py") else None
        for span in spans:
            if script and span.startswith("--"):
                found.append(f"python {script} {span}")
            elif TYPED.match(span):
                found.append(span)
    return list(dict.fromkeys(command for command in found if command))


class Terminal:
    """A shell that keeps its folder and environment; one server at a time runs beside it."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port, self.is_serving = home, port, False
        self._status, status = os.pipe()
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=home,
            env=_environment() | {"HOME": str(home), "RISK_API__PORT": str(port)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[status],
            text=True,
        )
        self._type(f"set -m; exec 9>&{status}")  # each server is a process group, as on a screen
        os.close(status)

    def run(self, command: str) -> tuple[int, str]:
        """Type a command, wait until it ends, or a server answers; return its code and output."""
        said = self.home / "said"
        if SERVER.match(command):
            self.interrupt()
            self.is_serving = True
            self._type(f"{{ {command}\n}} </dev/null >'{said}' 2>&1 &")
            return (0 if self._answers() else 1), said.read_text()
        self._type(f"{{ {command}\n}} </dev/null >'{said}' 2>&1; echo $? >&9")
        return self._code(), said.read_text()

    def interrupt(self) -> None:
        """Press Ctrl-C in the terminal of the server, and wait until it has ended."""
        if self.is_serving:
            self._type("kill -INT -- -$!; wait $!; echo 0 >&9")
            self._code()
            self.is_serving = False

    def close(self) -> None:
        """End the server and the shell."""
        self.interrupt()
        self._shell.communicate("exit\n", timeout=SECONDS)
        os.close(self._status)

    def _type(self, line: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{line}\n")
        self._shell.stdin.flush()

    def _code(self) -> int:
        ready, _, _ = select.select([self._status], [], [], SECONDS)
        if not ready:
            raise TimeoutError(f"not done within {SECONDS} seconds")
        return int(os.read(self._status, 16))

    def _answers(self) -> bool:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                with urlopen(f"http://localhost:{self.port}/", timeout=SECONDS) as page:
                    return bool(page.status == 200)
            except (URLError, OSError):
                time.sleep(POLL_SECONDS)
        return False


def _environment() -> dict[str, str]:
    """Return the environment of a new terminal, without settings or an activated environment."""
    active = os.environ.get("VIRTUAL_ENV", "-")
    path = [entry for entry in os.environ["PATH"].split(":") if not entry.startswith(active)]
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return kept | forks.threads() | {"PATH": ":".join(path)}
