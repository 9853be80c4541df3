"""The line by which cron runs the full process, whatever characters the folder's name contains."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from risk.config import PRODUCT, Config
from risk.errors import ConfigError

PROJECT = Path(__file__).parents[2]
SCRIPT, LOG = "full_process.py", "logs/cron.log"


def crontab(config: Config, *, project: Path = PROJECT, python: str = sys.executable) -> str:
    """Return the lines for a crontab: a run every 10 minutes, which logs to a file.

    Cron reads an unescaped % as the end of the command.
    """
    program = Path(python)
    if program.is_relative_to(project):
        program = program.relative_to(project)
    words = [str(program), SCRIPT]
    if (file := config.root / config.file_name) != project / "config.json":
        words += ["--config", str(file)]
    command = f"cd {shlex.quote(str(project))} && {shlex.join([*words, '--log', LOG])}"
    if re.search(r"[\x00-\x1f\x7f]", command):
        raise ConfigError(
            "cron cannot run a command in a folder with a control character in its name"
        )
    escaped = command.replace("%", r"\%")
    return f"# {PRODUCT}: mails only what needs a person\n*/10 * * * * {escaped}"
