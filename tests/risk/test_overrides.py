import json

import pytest

from risk.config import Config
from risk.errors import ConfigError

ADDRESS = "postgresql://me:GEHEIM@h/db"
SOURCE = {"table": "t", "high_water_mark": "id"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sources": {"crm": SOURCE | {"url_env": ADDRESS}}}, "sources.crm.url_env: String should"),
        ({"sources": {"crm": ADDRESS}}, "sources.crm: Input should be"),
        ({"sources": {"crm": [{"url": ADDRESS}]}}, "sources.crm: Input should be"),
        ({"sources": {"crm": SOURCE | {"url_env": "h/db?user=me&password=GEHEIM"}}}, "url_env"),
        ({"sources": {ADDRESS: SOURCE}}, "sources.***"),
        ({"database_url": [ADDRESS]}, "database_url: Input should be"),
        ({"input_folder_path": {"to": ADDRESS}}, "input_folder_path: Input is not"),
    ],
)
def test_an_address_in_the_wrong_place_is_never_shown(world, settings, told):
    """Its password would be in the log, in the mail of cron and in the chat of who asks why."""
    with pytest.raises(ConfigError) as caught:
        world.set(**settings)

    assert told in str(caught.value)
    assert "GEHEIM" not in str(caught.value)


def test_an_address_as_an_option_is_never_shown(world):
    """It was typed without its key."""
    with pytest.raises(ConfigError, match="--set requires KEY=VALUE") as caught:
        Config.load(world.folder / "config.json", command_line=[ADDRESS])

    assert "GEHEIM" not in str(caught.value)


def test_any_other_value_is_shown(world):
    """Whoever mends a setting wants to see it."""
    settings = json.dumps(world.settings | {"test_size": "some"})
    (world.folder / "config.json").write_text(settings)

    with pytest.raises(ConfigError, match="test_size: .*, got 'some'"):
        Config.load(world.folder / "config.json")
