"""The command line shared by all stages."""

from __future__ import annotations

import argparse
import atexit
import dataclasses
import gc
import html
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import date
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Literal, NoReturn

import filelock
from pydantic import BaseModel

from risk import mails
from risk.config import Config
from risk.errors import BusyError, DataError, NoLedger, RiskError, StorageError, UsageError
from risk.lazily import pandas as pd
from risk.ledger import lease
from risk.ledger.database import utc_now
from risk.ledger.ledger import Ledger
from risk.mails import Trouble
from risk.progress import LogHandler

log = logging.getLogger(__name__)
Access = Literal["write", "read", "rehearse", "none"]
ASKED_TO_FAIL = 3  # exit code of what --fail-on names
MAX_NUMBER = 2**63 - 1  # largest integer a database can store
COMMON_OPTIONS = {"config", "assignments", "print_config", "json", "log"}
MAX_LOG_BYTES, KEPT_LOGS = 5_000_000, 5
IN_TEXT = "%(levelname)s %(name)s: %(message)s"
NOBODY_IS_NEEDED = (0, BusyError.exit_code)


class Result:
    """What a stage returns: its text is the message, on the command line and in a notebook."""

    def in_full(self, config: Config, ledger: Ledger) -> Any:
        """Return what is printed as JSON."""
        return self

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class Parser(argparse.ArgumentParser):
    """An argument parser that exits with this project's code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit."""
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"error: {message}\n")


def main(
    run: Callable[..., object],
    doc: str | None,
    *,
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
    access: Access | Callable[[Mapping[str, Any]], Access] = "write",
    alone: Callable[..., object | None] = lambda **_: None,
) -> NoReturn:
    """Load the settings, run one stage, print its outcome, exit.

    With `access` "write" the stage gets the ledger and runs under the lock; with "read" it gets
    the ledger without the lock; with "none" neither. "rehearse" is "read" once there is a ledger.
    `access` may depend on the options. What `alone` makes of the options needs no settings; if it
    makes nothing, the stage runs.
    """
    parser = _parser(doc)
    if add_options:
        add_options(parser)
    arguments = vars(parser.parse_intermixed_args())
    options = {name: value for name, value in arguments.items() if name not in COMMON_OPTIONS}
    content: Any = None
    atexit.register(gc.freeze)  # what is left ends with the process: searching it takes time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments["log"]:
        sys.excepthook = lambda *bug: _fail(arguments, "".join(traceback.format_exception(*bug)), 1)
    try:
        if (outcome := alone(**options)) is not None:
            _print(_as_json(outcome) if arguments["json"] else str(outcome))
            sys.exit(0)
        config = load(arguments["config"], arguments["assignments"], arguments["log"])
        wanted = access(options) if callable(access) else access
        if wanted == "rehearse":
            wanted = "read" if _has_ledger(config) else "write"
        if arguments["print_config"]:
            outcome = config.model_dump_json(indent=4)
        elif wanted == "none":
            outcome = run(config, **options)
        else:
            with _opened(config, wanted) as ledger:
                outcome = run(config, ledger, **options)
                if arguments["json"] and isinstance(outcome, Result):
                    content = outcome.in_full(config, ledger)
    except RiskError as error:
        _fail(arguments, f"error: {error}", error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(arguments, f"error: {error.filename}: {error.strerror}", StorageError.exit_code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    text = _as_json(outcome if content is None else content) if arguments["json"] else str(outcome)
    _finish(arguments, outcome, text)


def _fail(arguments: Mapping[str, Any], text: str, exit_code: int) -> NoReturn:
    """Print an error, with a log only when it begins and daily while it lasts, and exit."""
    words = [text.rstrip()]
    if log_file := _log_file(arguments):
        if not logging.getLogger().handlers:  # the settings are at fault
            with suppress(OSError):
                _log_to(_file_handler(log_file), "text")
        log.error(text.removeprefix("error: ").rstrip())
        if exit_code in NOBODY_IS_NEEDED:
            sys.exit(exit_code)
        trouble = Trouble(text.rstrip(), mails.without_numbers(text))
        words = _due(log_file, [trouble], completed=False)
    for each in words:
        print(each, file=sys.stderr)
    sys.exit(exit_code)


def _finish(arguments: Mapping[str, Any], outcome: object, text: str) -> NoReturn:
    """Print the outcome, with a log only if it needs a person and is news, and exit."""
    exit_code, words = getattr(outcome, "exit_code", 0), [text] if outcome is not None else []
    if log_file := _log_file(arguments):
        if outcome is not None:
            log.info(outcome)
        troubles, is_event = [], exit_code == DataError.exit_code
        if exit_code not in NOBODY_IS_NEEDED:
            key = mails.without_numbers(text) if is_event else f"exit code {exit_code}"
            troubles.append(Trouble(text, key, lasts=not is_event))
        if getattr(outcome, "needs_a_person", False):
            troubles.append(Trouble(text, "a question"))
        words = [*dict.fromkeys(_due(log_file, troubles, completed=True))]
    for each in words:
        _print(each)
    sys.exit(exit_code)


def _print(text: str) -> None:
    """Print a text, also to a program such as head, which may end before all is read."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # what is left in the buffer would fail again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _due(log_file: Path, troubles: Sequence[Trouble], *, completed: bool) -> list[str]:
    command = Path(sys.argv[0]).stem
    return mails.due(log_file, command, troubles, now=utc_now(), completed=completed)


def _log_file(arguments: Mapping[str, Any]) -> Path | None:
    """Return the path of the log, which is relative to the settings."""
    log_file: Path | None = arguments["log"]
    return Path(arguments["config"]).resolve().parent / log_file if log_file else None


def _opened(config: Config, access: Access) -> AbstractContextManager[Ledger]:
    """Open the ledger, under the lock if the stage writes."""
    if access == "read":
        return Ledger.open(config, upgrade=False)
    holder = f"{Path(sys.argv[0]).stem} since {utc_now():%Y-%m-%d %H:%M:%S} UTC"
    return lease.only_writer(config, holder=holder)


def load(path: Path, assignments: list[str], log_file: Path | None = None) -> Config:
    """Load the settings with their overrides, and configure logging, to a file if one is given."""
    config = Config.load(path, environment=os.environ, command_line=assignments)
    handler = _file_handler(config.root / log_file) if log_file else LogHandler()
    _log_to(handler, config.log_format)
    return config


def _log_to(handler: logging.Handler, log_format: str) -> None:
    if log_format == "json":
        from pythonjsonlogger.json import JsonFormatter

        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s",
                rename_fields={"asctime": "timestamp", "levelname": "level", "name": "logger"},
            )
        )
    elif isinstance(handler, RotatingFileHandler):
        formatter = logging.Formatter(f"%(asctime)s {IN_TEXT}", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    else:
        handler.setFormatter(logging.Formatter(IN_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(isinstance(handler, RotatingFileHandler))  # cron would mail them
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs each of its plugins


def _file_handler(path: Path) -> logging.Handler:
    """Return a handler that appends to a log file; a large one is renamed before, some are kept.

    Another process goes on writing to the file it has open, whatever that is called by then.
    """
    logging.raiseExceptions = False  # a full disk is reported by what cannot be done there
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, backupCount=KEPT_LOGS, encoding="utf-8", delay=True)
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            handler.doRollover()
    with path.open("a"):  # a file that cannot be written is an error before the run
        return handler


def row_number(text: str) -> int:
    """Parse the ID of a row in the ledger, such as a run, release or incident."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if abs(number) > MAX_NUMBER:
        raise argparse.ArgumentTypeError("number out of range")
    return number


def unless(**questions: Access) -> Callable[[Mapping[str, Any]], Access]:
    """Return the access of a stage that writes, but with some options only answers a question."""

    def needed(options: Mapping[str, Any]) -> Access:
        return next((questions[name] for name in questions if options[name]), "write")

    return needed


def _has_ledger(config: Config) -> bool:
    try:
        with Ledger.open(config, upgrade=False):
            return True
    except NoLedger:
        return False


def _parser(doc: str | None) -> argparse.ArgumentParser:
    parser = Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=Path(os.environ.get("RISK_CONFIG") or Path(__file__).parents[1] / "config.json"),
        help="settings file (default: RISK_CONFIG, or config.json in the project folder)",
    )
    parser.add_argument(
        "--set",
        dest="assignments",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one setting, such as training.estimator=GaussianNB; repeatable",
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings in force and exit"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="append messages and outcome to FILE, which is rotated, and print only what needs a "
        "person, such as an error: when it begins, daily while it lasts, and when it is over",
    )
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
    return value.isoformat() if isinstance(value, date) else str(value)
