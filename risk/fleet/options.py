"""What the command line may say beside --fleet, and what only a run of one model takes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from risk.errors import UsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that runs a fleet."""
    parser.add_argument(
        "--fleet", type=_folder, metavar="FOLDER", help="run all models set up in it"
    )


def refuse_others(options: Mapping[str, Any]) -> None:
    """Raise UsageError if there is an option beside --fleet that is about one model."""
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        words = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(
            f"--fleet cannot be combined with {words}: run {words} for one model, "
            "with --config MODEL"
        )


def _folder(text: str) -> Path:
    """Parse the folder of a fleet; an unset variable of a shell does not name the current one."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must be a folder, got an empty text")
    return Path(text)
