import json
import runpy
from pathlib import Path

import pytest

from risk.config import Config
from risk.overrides import SECRETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
GIVEN = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
LINES = [
    [cell.strip() for cell in line.replace(r"\|", "BAR").strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
SETTINGS = {line[0].strip(" `"): line[1:] for line in LINES if not line[0].startswith("`RISK_")}


def paths(settings, prefix=""):
    """Name each setting, but not the names a user gives."""
    for name, value in settings.items():
        if isinstance(value, dict) and name not in ("sources", "parameters", "allowed_ranges"):
            yield from paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_page_is_as_the_settings_are():
    """`make settings` was run after the last change."""
    page = runpy.run_path(str(ROOT / "docs" / "settings.py"))["page"]

    assert page() == PAGE


def test_every_setting_is_described():
    """The settings in force are the oracle; secrets are variables."""
    sources = {f"sources.NAME.{name}" for name in ("table", "query", "high_water_mark")}

    in_force = set(paths(Config.load(ROOT / "config.json").model_dump(mode="json"))) - SECRETS
    assert (in_force - {"sources", "columns.allowed_values"}) | sources <= set(SETTINGS)
    assert all(len(cells) == 4 and all(cells) for cells in SETTINGS.values())
    for secret in SECRETS:
        assert f"| `RISK_{secret.upper()}` |" in PAGE


@pytest.mark.parametrize("key", sorted(SETTINGS))
def test_an_example_is_a_valid_setting(tmp_path, key):
    """Whoever copies it gets no error."""
    example = json.loads(SETTINGS[key][3].strip("`").replace("BAR", "|"))
    settings = json.loads(json.dumps(GIVEN))
    *sections, name = key.split(".")
    if sections[:1] == ["sources"]:
        settings["sources"] = {"NAME".lower(): {"high_water_mark": "at"}}
        sections = ["sources", "name"]
        if name != "query":
            settings["sources"]["name"]["table"] = "customers"
    place = settings
    for section in sections:
        place = place[section]
    place[name] = example
    if key == "columns.allowed_values":
        settings["columns"]["categorical"] = list(example)
    if key in ("columns.probability", "columns.decision"):
        settings["model"] |= {"source": "predictions", "threshold": 0.5}
        settings["columns"]["probability"] = "churn_probability"
    path = tmp_path / "config.json"
    path.write_text(json.dumps(settings))

    Config.load(path)
