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


def test_variables_of_an_env_file_are_overridden_by_the_environment(world):
    """It lies beside config.json; blank lines and comments are none."""
    (world.folder / ".env").write_text(
        "# for cron\n\nRISK_RANDOM_SEED=1\nRISK_TEST_SIZE=0.3\nDATABASE_URL=postgresql://h/x#y\n"
        'RISK_REPORT_FORMATS=["json", "html"]\nRISK_API__TRUSTED_HOSTS=[]\n'
    )

    config = Config.load(world.folder / "config.json", environment={"RISK_TEST_SIZE": "0.4"})

    assert (config.random_seed, config.test_size) == (1, 0.4)
    assert config.database_url == "postgresql://h/x#y"
    assert config.report_formats == ("json", "html")
    assert world.config.random_seed == 0  # without an environment, only the file


@pytest.mark.parametrize(
    "line",
    [
        'RISK_API_KEY="GEHEIM"',
        "RISK_API_KEY='GEHEIM'",
        "RISK_API_KEY=GEHEIM # mine",
        "RISK_API_KEY=GEHEIM ",
        "RISK_API_KEY= GEHEIM",
        "RISK_API_KEY=GEHEIM$x",
        r"RISK_API_KEY=GEHEIM\x",
        "RISK_API_KEY = GEHEIM",
        "export RISK_API_KEY=GEHEIM",
        "RISK_CONFIG=GEHEIM",
        "A=GEHEIM\nA=GEHEIM",
    ],
)
def test_a_line_that_is_read_differently_elsewhere_is_refused(world, line):
    """Cron, systemd and docker disagree on quotes, blanks and escapes; no value is shown."""
    (world.folder / ".env").write_text(f"{line}\n")

    with pytest.raises(ConfigError, match=r"\.env, line \d") as caught:
        Config.load(world.folder / "config.json", environment={})

    assert "GEHEIM" not in str(caught.value)
