"""Reading config.json, overriding it key by key, and describing invalid settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from risk.errors import ConfigError

SECRETS = {
    "signing_key",
    "flask_secret_key",
    "api_key",
    "notify_urls",
    "webhook_url",
    "webhook_secret",
}
ENV_FILE = ".env"
ENV_LINE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
# cron jobs, systemd, docker and shells read these differently
AMBIGUOUS = re.compile(r"^[\s\"']|\s$|\s#|[\\$`]")
ADDRESS = re.compile(r"://|@|passw(or)?d=", re.IGNORECASE)
DAYS_PER = {"day": 1.0, "week": 7.0, "month": 30.4375, "quarter": 91.3125, "year": 365.25}
BUDGET_IN_WORDS = re.compile(
    r"(?P<alarms>\d+(\.\d+)?)( (false alarm|warning)s?)? (per|in|a|every) "
    r"((?P<periods>\d+(\.\d+)?) )?(?P<unit>day|week|month|quarter|year)s?"
)


def read(path: Path) -> dict[str, Any]:
    """Read a file that contains one JSON object."""
    try:
        settings = _parsed(path.read_text(encoding="utf-8-sig"))  # editors add a byte-order mark
    except FileNotFoundError:
        raise ConfigError(
            f"configuration file not found: {path.absolute()}; use --config"
        ) from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: must contain one JSON object, got {type(settings).__name__}")
    return settings


def read_env_file(path: Path) -> dict[str, str]:
    """Read variables, one NAME=VALUE per line, from a file that need not exist.

    A line that other readers of such files would understand differently is an error; its value,
    perhaps a password, is not shown.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if not (found := ENV_LINE.fullmatch(line)):
            raise ConfigError(f"{path}, line {number}: must read NAME=VALUE, without blanks")
        if AMBIGUOUS.search(found["value"]):
            raise ConfigError(
                f"{path}, line {number}: {found['name']} must neither be quoted, begin or end with "
                "a blank, nor contain $, `, a backslash, or # after a blank; in addresses write $ "
                "as %24"
            )
        if found["name"] in ("RISK_CONFIG", *variables):
            raise ConfigError(
                f"{path}, line {number}: {found['name']} cannot be set here, or again"
            )
        variables[found["name"]] = found["value"]
    return variables


def overrides(
    environment: Mapping[str, str], command_line: Iterable[str]
) -> Iterable[tuple[list[str], Any]]:
    """Yield the overrides of the file as key path and value, lowest precedence first."""
    if "DATABASE_URL" in environment:
        yield ["database_url"], environment["DATABASE_URL"]
    for name in sorted(environment):
        if name.startswith("RISK_") and name != "RISK_CONFIG":
            yield name.removeprefix("RISK_").lower().split("__"), _decode(environment[name])
    for assignment in command_line:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(
                f"--set requires KEY=VALUE, such as random_seed=1, got {_shown(repr(assignment))}"
            )
        yield name.split("."), _decode(value)


def _decode(text: str) -> Any:
    try:
        return _parsed(text)
    except (json.JSONDecodeError, RecursionError):
        return text


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_repetition)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse keys given twice, of which JSON silently keeps the last."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = sorted({_shown(name) for name in names if names.count(name) > 1})
        raise ConfigError(f"settings given more than once: {', '.join(repeated)}")
    return content


def put(settings: dict[str, Any], keys: list[str], value: Any) -> None:
    """Set the value at a key path."""
    for key in keys[:-1]:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise ConfigError(f"{'.'.join(keys)}: {key} is a single setting, not a section")
    settings[keys[-1]] = value


def describe(path: Path, error: ValidationError) -> str:
    """List every invalid setting; values of secrets and addresses are never shown."""
    problems = []
    for problem in error.errors():
        key = ".".join(map(_shown, problem["loc"])) or "settings"
        match problem["type"]:
            case "missing":
                problems.append(f"{key}: missing")
            case "extra_forbidden":
                problems.append(f"{key}: unknown setting")
            case _:
                hidden = key in SECRETS or isinstance(problem["input"], dict)
                got = "" if hidden else f", got {_shown(repr(problem['input']))}"
                problems.append(f"{key}: {problem['msg']}{got}")
    count = "1 invalid setting" if len(problems) == 1 else f"{len(problems)} invalid settings"
    return "\n  ".join([f"{path}: {count}", *problems])


def _shown(text: object) -> str:
    """Mask text that looks like an address, which may contain a password or token."""
    return "***" if ADDRESS.search(str(text)) else str(text)


@cache  # asked for with every batch and family
def days_per_alarm(words: str) -> float:
    """Return the days between two alarms by chance; ValueError if the text cannot be parsed."""
    read = BUDGET_IN_WORDS.fullmatch(words.strip().lower())
    if read is None or not float(read["alarms"]) or not float(read["periods"] or 1):
        raise ValueError(f'must read like "1 per 90 days" or "2 per year", not {words!r}')
    return DAYS_PER[read["unit"]] * float(read["periods"] or 1) / float(read["alarms"])
