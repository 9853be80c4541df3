import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from risk.config import MODEL_FILES, Config
from risk.errors import ConfigError
from risk.ledger.ledger import Ledger
from risk.models import dependencies, model
from risk.overrides import SECRETS
from risk.schema import ROW_HASH

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path):
    """Give a function that writes the repository's settings with some changed."""

    def write(**changes):
        settings = json.loads((ROOT / "config.json").read_text()) | changes
        path = tmp_path / "config.json"
        path.write_text(json.dumps(settings))
        return path

    return write


def test_the_repositorys_file_holds_every_setting():
    """What is in force is in the file; secrets are not."""

    def compare(model: type[BaseModel], settings, where=""):
        expected = set(model.model_fields) - {"root", "file_name"} - SECRETS
        assert set(settings) == expected, where
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                compare(field.annotation, settings[name], name)

    compare(Config, json.loads((ROOT / "config.json").read_text()))


def test_the_defaults_are_those_of_the_repositorys_file(write):
    """A setting that is left out means what the file shows."""
    whole = Config.load(write())
    path = write()
    settings = json.loads(path.read_text())
    needed = {"input_folder_path", "output_folder_path", "test_data_path", "test_data_filename"}
    needed |= {"output_model_path", "prod_deployment_path", "columns"}
    path.write_text(json.dumps({name: settings[name] for name in needed}))

    assert Config.load(path) == whole


def test_the_command_line_beats_the_environment_beats_the_file(write):
    """In this order, also within sections."""
    environment = {"RISK_RANDOM_SEED": "6", "RISK_TRAINING__ESTIMATOR": "GaussianNB"}

    config = Config.load(write(), environment=environment, command_line=["random_seed=7"])

    assert config.random_seed == 7
    assert config.training.estimator == "GaussianNB"
    assert config.training.minimum_rows == 20


def test_each_layer_counts_only_where_the_stronger_ones_are_silent(write):
    """File, environment and command line each decide one of three neighbours."""
    gate = {"when_unsure": "ask", "margin": 0.02, "alpha": 0.01}
    environment = {"RISK_GATE__MARGIN": "0.03", "RISK_GATE__ALPHA": "0.02"}

    config = Config.load(
        write(gate=gate), environment=environment, command_line=["gate.alpha=0.04"]
    )

    assert config.gate.model_dump() == {"when_unsure": "ask", "margin": 0.03, "alpha": 0.04}


def test_the_last_of_two_equal_options_counts(write):
    """As everywhere on a command line."""
    config = Config.load(write(), command_line=["random_seed=1", "random_seed=2"])

    assert config.random_seed == 2


def test_the_command_line_beats_both_names_of_the_database(write):
    """Whoever types it now means it."""
    environment = {"DATABASE_URL": "sqlite:///a.db", "RISK_DATABASE_URL": "sqlite:///b.db"}

    config = Config.load(
        write(), environment=environment, command_line=["database_url=sqlite:///c.db"]
    )

    assert config.database_url == "sqlite:///c.db"


def test_other_variables_are_none_of_our_business(write):
    """RISK_CONFIG names the file itself; PATH and the rest belong to others."""
    environment = {"RISK_CONFIG": "elsewhere.json", "PATH": "/bin", "RISKY": "1"}

    assert Config.load(write(), environment=environment) == Config.load(write())


def test_database_url_is_honoured_and_ours_is_stronger(write):
    """The usual name works; RISK_DATABASE_URL is the explicit one."""
    usual = {"DATABASE_URL": "sqlite:///usual.sqlite"}
    both = usual | {"RISK_DATABASE_URL": "sqlite:///ours.sqlite"}

    assert Config.load(write(), environment=usual).database_url == "sqlite:///usual.sqlite"
    assert Config.load(write(), environment=both).database_url == "sqlite:///ours.sqlite"


def test_all_problems_are_named_at_once(write):
    """Nobody wants to mend a file one error at a time."""
    path = write(test_size=2, random_seed="x", nonsense=1)
    settings = json.loads(path.read_text())
    del settings["input_folder_path"]
    path.write_text(json.dumps(settings))

    with pytest.raises(ConfigError) as caught:
        Config.load(path, environment={"RISK_TYPO": "1"})

    message = str(caught.value)
    assert "5 invalid settings" in message
    for line in ("test_size: ", "random_seed: ", "nonsense: unknown", "typo: unknown"):
        assert line in message
    assert "input_folder_path: missing" in message


@pytest.mark.parametrize(
    ("environment", "command_line", "message"),
    [
        ({"RISK_TRAINING__TYPO": "1"}, [], "training.typo: unknown setting"),
        ({"RISK_RANDOM_SEED__X": "1"}, [], "random_seed is a single setting, not a section"),
        ({}, ["trainin.estimator=GaussianNB"], "trainin: unknown setting"),
        ({}, ["random_seed"], "--set requires KEY=VALUE"),
        ({}, ["api.port=0"], "api.port: Input should be greater than or equal to 1"),
    ],
)
def test_an_override_that_cannot_be_used_is_named(write, environment, command_line, message):
    """A misspelt one must not leave the old value in force without a word."""
    with pytest.raises(ConfigError) as caught:
        Config.load(write(), environment=environment, command_line=command_line)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"numeric": [], "categorical": []}, "at least one"),
        ({"numeric": ["x", "x"]}, "declared more than once"),
        ({"numeric": ["exited"]}, "declared more than once"),
        ({"numeric": ["x" * 301]}, "columns.numeric.0: String should have at most 300"),
        ({"negative_label": 1}, "must differ"),
        ({"negative_label": "1"}, "must differ, also as text"),
        ({"positive_label": "1.0", "negative_label": 1}, "must differ, also as text"),
        ({"positive_label": True}, 'must be a number or a text, such as 1 or "true"'),
        ({"negative_label": ""}, "must not be empty"),
        ({"negative_label": "no "}, "begin or end with a blank"),
        ({"negative_label": "NA"}, "cannot be a label and one of missing_markers"),
        ({"allowed_ranges": {"nothing": [0, 1]}}, "not numeric features"),
        ({"allowed_values": {"nothing": ["a"]}}, "not categorical"),
    ],
)
def test_columns_that_cannot_be_or_contradict_each_other_are_refused(write, columns, message):
    """Before a row is read."""
    settings = json.loads((ROOT / "config.json").read_text())["columns"]
    settings["allowed_ranges"] = {}

    with pytest.raises(ConfigError, match=message):
        Config.load(write(columns=settings | columns))


def test_secrets_are_refused_in_the_file_and_shown_nowhere(write):
    """The seeds kept one there."""
    with pytest.raises(ConfigError, match="RISK_FLASK_SECRET_KEY"):
        Config.load(write(flask_secret_key="in the file"))
    environment = {"RISK_SIGNING_KEY": "tiny secret"}
    with pytest.raises(ConfigError) as caught:
        Config.load(write(), environment=environment)
    config = Config.load(write(), environment={"RISK_SIGNING_KEY": "geheim" * 9})

    assert "tiny secret" not in str(caught.value)
    assert "geheim" not in config.model_dump_json()
    assert "geheim" not in repr(config)


@pytest.mark.parametrize("name", ["RISK_SIGNING_KEY", "RISK_SIGNING_KEY__PART", "RISK_SIGNIN_KEY"])
def test_no_error_shows_the_value_of_a_secret(write, name):
    """Nor that of a secret whose name was misspelt."""
    with pytest.raises(ConfigError) as caught:
        Config.load(write(), environment={name: "geheim"})

    assert "geheim" not in str(caught.value)


def test_a_secret_from_the_environment_reaches_who_asks_for_it(write):
    """Hidden, but not lost."""
    key = "geheim" * 9

    config = Config.load(write(), environment={"RISK_SIGNING_KEY": key})

    assert config.signing_key.get_secret_value() == key


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@host/db",
        "postgresql://me:an@in:it/geheim@host/db",
        "postgresql://host/db?user=me&password=geheim&sslmode=require",
    ],
)
def test_a_password_is_masked_when_settings_are_shown(write, url):
    """And used when the database is opened."""
    config = Config.load(write(database_url=url))

    assert "geheim" not in config.model_dump_json()
    assert "host/db" in config.model_dump_json()
    assert config.sqlalchemy_url == url


def test_relative_paths_start_at_the_file(write, monkeypatch):
    """Cron starts elsewhere."""
    monkeypatch.chdir("/")
    path = write()

    config = Config.load(path)

    assert config.input_folder == path.parent / "data" / "development"
    assert config.sqlalchemy_url == f"sqlite:///{path.parent}/db/monitoring.sqlite"


@pytest.mark.parametrize("name", ["q?x", "p%20x", "a@b", "a#b", "a b", "a:b", "%3F", "ü&'"])
def test_the_ledger_is_in_the_folder_of_the_project_whatever_its_name(tmp_path, name):
    """A question mark began the options of an address, and %20 was a blank elsewhere."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text((ROOT / "config.json").read_text())

    with Ledger.open(Config.load(folder / "config.json")):
        pass

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / "db" / "monitoring.sqlite").exists()


def test_absolute_paths_stay_as_they_are(write):
    """A database on another disk is one."""
    config = Config.load(write(input_folder_path="/drops", database_url="sqlite:////disk/a.db"))

    assert config.input_folder == Path("/drops")
    assert config.sqlalchemy_url == "sqlite:////disk/a.db"


def test_names_are_relative_where_they_can_be_and_always_printable(write):
    """A record must hold any name; a terminal must survive it."""
    config = Config.load(write())

    assert config.name_of(config.root / "data" / "a.csv") == "data/a.csv"
    assert config.name_of(Path("/elsewhere/a.csv")) == "/elsewhere/a.csv"
    assert config.name_of(config.root / "a\n\x1b\udcff.csv") == "a\\n\\x1b\\xff.csv"


@pytest.mark.parametrize("text", ["", "{", "[]", "1"])
def test_a_file_that_is_no_settings_is_a_configuration_error(tmp_path, text):
    """Exit 78, not a traceback."""
    path = tmp_path / "config.json"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        Config.load(path)

    assert caught.value.exit_code == 78


@pytest.mark.parametrize("name", ["../x.pkl", "/x.pkl", ".hidden", "a/b"])
def test_a_file_name_is_no_path(write, name):
    """Outputs stay in their folders."""
    with pytest.raises(ConfigError, match="model_filename"):
        Config.load(write(model_filename=name))


def test_a_missing_file_says_how_to_name_another(tmp_path):
    """The usual mistake is the wrong folder."""
    with pytest.raises(ConfigError, match=r"configuration file not found: /.*use --config"):
        Config.load(tmp_path / "config.json")


def test_the_address_of_a_source_is_in_the_environment_alone(write):
    """Neither the file nor what is shown of the settings has it."""
    entry = {"url_env": "CRM_URL", "table": "customers", "high_water_mark": "id"}
    path = write(sources={"crm": entry})

    config = Config.load(path, environment={"CRM_URL": "postgresql://me:s3cret@host/crm"})

    source = config.sources["crm"]
    assert source.url.get_secret_value() == "postgresql://me:s3cret@host/crm"
    assert "s3cret" not in config.model_dump_json() + repr(config) + str(source)
    assert Config.load(path).sources["crm"].url is None


def test_a_source_can_be_changed_by_the_environment(write):
    """Its name is a key like any other."""
    path = write(sources={"crm": {"table": "customers", "high_water_mark": "id"}})

    config = Config.load(path, environment={"RISK_SOURCES__CRM__MAX_ROWS": "7"})

    assert config.sources["crm"].max_rows == 7


def test_a_byte_order_mark_is_no_part_of_the_settings(write):
    path = write()
    settings = path.read_text()
    path.write_text(f"\ufeff{settings}")

    assert Config.load(path) == Config.load(write())


@pytest.mark.parametrize(
    "text",
    ['{"random_seed": 1, "random_seed": 2}', '{"columns": {"target": "a", "target": "b"}}'],
)
def test_a_key_given_twice_is_refused(tmp_path, text):
    """JSON keeps the last one without a word."""
    path = tmp_path / "config.json"
    path.write_text(text)

    with pytest.raises(ConfigError, match="settings given more than once: (random_seed|target)"):
        Config.load(path)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [(True, False), (True, "no"), (1, "1"), (1, "1.0"), (1, 1.0), ("a", "a ")],
)
def test_labels_that_mean_two_things_or_one_are_refused(write, positive, negative):
    columns = json.loads((ROOT / "config.json").read_text())["columns"]
    labels = {"positive_label": positive, "negative_label": negative}

    with pytest.raises(ConfigError, match=r"positive_label|negative_label"):
        Config.load(write(columns=columns | labels))


def test_settings_nested_too_deeply_are_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("[" * 100_000)

    with pytest.raises(ConfigError, match="nested too deeply"):
        Config.load(path)


@pytest.mark.parametrize(
    ("model", "columns", "words"),
    [
        ({"source": "predictions"}, {}, "requires columns.probability"),
        ({"source": "predictions"}, {"probability": "p"}, "columns.decision or model.threshold"),
        ({}, {"probability": "p"}, "require model.source"),
        ({"source": "predictions", "threshold": 0.5}, {"probability": "exited"}, "more than once"),
    ],
)
def test_predictions_made_elsewhere_need_their_columns(world, model, columns, words):
    world.settings["columns"] |= columns

    with pytest.raises(ConfigError, match=words):
        world.set(model=model)


def test_warnings_may_not_be_rarer_than_alarms(write):
    """Exit 78; not set, the budget of warnings gives way, as settings of before lack it."""
    alarms = {"false_alarm_budget": "1 per week"}
    assert Config.load(write(alarms=alarms)).alarms.days_per_warning == 7
    alarms["false_alarm_budget"] = "1 per year"
    assert Config.load(write(alarms=alarms)).alarms.days_per_warning == 30

    alarms["warning_budget"] = "1 warning per 400 days"
    with pytest.raises(ConfigError, match="warning_budget '1 warning per 400 days' is rarer") as no:
        Config.load(write(alarms=alarms))

    assert no.value.exit_code == 78


@pytest.mark.parametrize(
    "changes",
    [
        {"score_filename": "manifest.json"},
        {"api_call_filename": "trained_model.pkl"},
        {"plot_filename": "report.pdf"},
        {"compiled_data_filename": "ingested_files.csv"},
        {"output_folder_path": "data/development"},
        {"prod_deployment_path": "./models/../models/development/"},
        {"quarantine_folder_path": "data/ingested"},
        {"lock_path": "config.json"},
        {"api_keys_path": ".secrets/signing_key"},
    ],
)
def test_no_file_or_folder_has_two_purposes(world, changes):
    """One would overwrite the other, or be read as a drop."""
    with pytest.raises(ConfigError, match="two settings, or one and the program, name .+"):
        world.set(**changes)


def test_the_names_of_the_files_of_a_model_are_those_it_is_stored_under():
    own = {model.MANIFEST, model.REFERENCE, model.DERIVED, model.SAMPLE, model.HELD_OUT}
    own |= {model.PLAIN_REFERENCE, model.ROLLING, dependencies.LATEST_VERSIONS}

    assert {*MODEL_FILES} == own


def test_a_column_named_like_one_of_the_program_is_refused(world):
    """Before a row is read."""
    with pytest.raises(ConfigError, match="a column row_hash of its own"):
        world.set(columns__target=ROW_HASH)
