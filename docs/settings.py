"""Write docs/settings.md from the settings in risk/config.py: make settings."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".md")
ROOT = PAGE.parents[1]
sys.path.insert(0, str(ROOT))

from risk import store  # noqa: E402
from risk.config import Config, Section, Source  # noqa: E402
from risk.overrides import SECRETS  # noqa: E402

INTRODUCTION = """# Settings

Generated from `risk/config.py` by `make settings`; do not edit.

All settings are in `config.json`. They are validated together: an unknown key or an impossible
value is an error that names it (exit code 78). `--print-config` prints the values in force. Each
setting can be overridden by an environment variable (`RISK_TRAINING__ESTIMATOR=GaussianNB`) and,
above that, on the command line (`--set training.estimator=GaussianNB`). Another file is selected
by `--config FILE` or `RISK_CONFIG`. Relative paths start at the folder of the file.
`python ingestion.py --init CSV` writes a complete file for your data.
"""
SECRET = """## Secrets

Set in the environment only, never in `config.json`.

| variable | meaning |
| --- | --- |
"""
TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}


def page() -> str:
    """Return the content of the page."""
    schema = Config.model_json_schema()
    given = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    sections = [n for n in Config.model_fields if n == "sources" or _nested(Config, n)]
    elsewhere = {"root", "file_name", *SECRETS, *sections}
    general = [name for name in Config.model_fields if name not in elsewhere]
    parts = [INTRODUCTION, "## General\n", _table(Config, schema, given, names=general)]
    for name in sections:
        section = _nested(Config, name) or Source
        title = "sources.NAME" if name == "sources" else name
        parts += [f"## {title}\n", f"{inspect.getdoc(section)}\n"]
        parts.append(_table(section, schema, given[name], prefix=f"{title}."))
    secrets = [
        f"| `RISK_{name.upper()}` | {text} |"
        for name, text in _meanings(Config).items()
        if name in SECRETS
    ]
    return "\n".join([*parts, SECRET + "\n".join(secrets)]) + "\n"


def _table(
    section: type[Section],
    schema: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    names: list[str] | None = None,
    prefix: str = "",
) -> str:
    """Describe settings, one a line; the example is that of the model, or the value in the file."""
    lines = ["| setting | type | default | meaning | example |", "| --- | --- | --- | --- | --- |"]
    own = schema if section is Config else schema["$defs"][section.__name__]
    for name in names or section.model_fields:
        key, field = f"{prefix}{name}", own["properties"][name]
        if nested := _nested(section, name):
            table = _table(nested, schema, given[name], prefix=f"{key}.")
            lines += table.splitlines()[2:]
            continue
        default = _json(field["default"]) if "default" in field else "required"
        example = _json(field["examples"][0] if "examples" in field else given[name])
        cells = [f"`{key}`", _type(field), default, _meanings(section)[name], example]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _nested(section: type[Section], name: str) -> type[Section] | None:
    kind = section.model_fields[name].annotation
    return kind if inspect.isclass(kind) and issubclass(kind, Section) else None


def _meanings(section: type[Section]) -> dict[str, str]:
    """Return the docstrings below the settings of a section."""
    (body,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for setting, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(setting, ast.AnnAssign) and isinstance(setting.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    found[setting.target.id] = " ".join(text.split())
    return found


def _type(field: Mapping[str, Any]) -> str:
    """Describe the allowed values of a setting in words."""
    if "enum" in field:
        return "one of " + ", ".join(_json(value) for value in field["enum"])
    if "anyOf" in field:
        kinds = [_type(kind) for kind in field["anyOf"] if kind != {"type": "integer"}]
        return " or ".join(dict.fromkeys(kinds))
    match field["type"]:
        case "array" if "prefixItems" in field:
            return "pair of " + _type(field["prefixItems"][0])
        case "array":
            return "list of " + _type(field["items"]).replace("one of", "any of")
        case "object" if isinstance(field.get("additionalProperties"), dict):
            return f"{_type(field['additionalProperties'])} by name"
        case "object":
            return "values by name"
        case "null":
            return "null"
        case kind:
            name = "path" if field.get("format") == "path" else TYPES[kind]
            bounds = [text.format(_plain(field[b])) for b, text in BOUNDS.items() if b in field]
            return ", ".join([name, *bounds])


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
    return f"`{text}`"


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


if __name__ == "__main__":
    store.write(PAGE, page())
