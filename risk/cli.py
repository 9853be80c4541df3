"""The command line every stage shares."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

import pandas as pd
from pydantic import BaseModel

from risk.config import Config
from risk.errors import RiskError, UsageError
from risk.ledger import lease
from risk.ledger.database import utc_now
from risk.ledger.ledger import Ledger

Access = Literal["write", "read", "none"]
MAX_NUMBER = 2**63 - 1  # a database has no room for more
ALIKE = {"config", "assignments", "print_config", "json"}


class Parser(argparse.ArgumentParser):
    """An argument parser that leaves with this project's exit code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Say how the command is used, and what is wrong with this call."""
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"error: {message}\n")


def main(
    run: Callable[..., object],
    doc: str | None,
    *,
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
    access: Access | Callable[[Mapping[str, Any]], Access] = "write",
) -> NoReturn:
    """Load the settings, run one stage, print its outcome, exit.

    With `access` to write, the stage is given the ledger and runs under the lock; to read, the
    ledger without the lock; with none, neither. It may depend on the options.
    """
    parser = _parser(doc)
    if add_options:
        add_options(parser)
    arguments = vars(parser.parse_intermixed_args())
    options = {name: value for name, value in arguments.items() if name not in ALIKE}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        config = load(arguments["config"], arguments["assignments"])
        wanted = access(options) if callable(access) else access
        if arguments["print_config"]:
            outcome: object = config.model_dump_json(indent=4)
        elif wanted == "none":
            outcome = run(config, **options)
        elif wanted == "read":
            with Ledger.open(config, upgrade=False) as ledger:
                outcome = run(config, ledger, **options)
        else:
            holder = f"{Path(sys.argv[0]).stem} since {utc_now():%Y-%m-%d %H:%M:%S} UTC"
            with lease.only_writer(config, holder=holder) as ledger:
                outcome = run(config, ledger, **options)
    except RiskError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    if outcome is not None:
        print(_as_json(outcome) if arguments["json"] else outcome)
    sys.exit(getattr(outcome, "exit_code", 0))


def load(path: Path, assignments: list[str]) -> Config:
    """Load the settings under the environment and the command line; start logging."""
    config = Config.load(path, environment=os.environ, command_line=assignments)
    handler = logging.StreamHandler()
    if config.log_format == "json":
        from pythonjsonlogger.json import JsonFormatter

        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s",
                rename_fields={"asctime": "timestamp", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each of its plugins
    return config


def row_number(text: str) -> int:
    """Read the number of a run, a release, or of whatever else the ledger numbers."""
    number = int(text)
    if abs(number) > MAX_NUMBER:
        raise argparse.ArgumentTypeError("nothing has a number that large")
    return number


def _parser(doc: str | None) -> argparse.ArgumentParser:
    parser = Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("RISK_CONFIG") or Path(__file__).parents[1] / "config.json"),
        help="the settings (default: RISK_CONFIG, or config.json beside the stages)",
    )
    parser.add_argument(
        "--set",
        dest="assignments",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one setting, such as training.estimator=GaussianNB; may be repeated",
    )
    parser.add_argument("--print-config", action="store_true", help="show the settings in force")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    return parser


def _as_json(outcome: object) -> str:
    content: Any = outcome
    if dataclasses.is_dataclass(outcome) and not isinstance(outcome, type):
        content = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome)}
    return json.dumps(content, indent=2, default=_plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, pd.DataFrame):
        return json.loads(value.to_json(orient="records", date_format="iso"))
    return str(value)
