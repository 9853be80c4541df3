"""The same pipeline on real tables, by a config alone."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import full_process
from benchmarks import worth
from risk.config import Config
from risk.explain import sentences
from risk.ledger.ledger import Ledger

DATA = Path(__file__).parents[2] / "shared" / "data"
pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(
        not DATA.exists(),
        reason="on purpose: the real data sets lie beside the repository, not in it",
    ),
]


def install(folder, name, **others):
    """Write what a user would: a config for that table; without reports, unless asked for."""
    settings = json.loads((Path(__file__).parents[1] / "config.json").read_text())
    settings |= {
        "input_folder_path": "inbox",
        "test_data_path": str(DATA / name / "test"),
        "ingestion": {"settle_seconds": 0},
        "columns": worth.columns_of(DATA / name),
        "report_formats": [],
    } | others
    (folder / "inbox").mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    for path in (DATA / name / "development").glob("*.csv"):
        shutil.copy(path, folder / "inbox" / f"development_{path.name}")
    return Config.load(folder / "config.json")


def process(config):
    with Ledger.open(config) as ledger:
        return full_process.run(config, ledger)


def drop(config, path):
    shutil.copy(path, config.input_folder)
    return process(config)


def incidents(config):
    """Say what was found, in full, where the line of a run may only name it."""
    with Ledger.open(config) as ledger:
        return [sentences.of_incident(row) for row in ledger.incidents.page().items]


def latest_score(config, metric):
    table = pd.read_csv(config.model_folder / "latest_score.csv", index_col="metric")
    return table.loc[metric, "value"]


@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("telco", "roc_auc", 0.82),
        ("mlc_churn", "roc_auc", 0.78),
        ("online_retail", "roc_auc", 0.70),
        ("bank_marketing", "roc_auc", 0.90),
    ],
)
def test_the_first_model_is_sensible(tmp_path, name, metric, least):
    """As good as a plain logistic regression is known to be on that table, and reported on."""
    config = install(tmp_path, name, report_formats=["pdf"])

    outcome = process(config)

    assert outcome.exit_code == 0
    assert not outcome.quarantined
    assert latest_score(config, metric) > least
    assert (config.report_folder / "00000001" / "report.pdf").exists()


def test_telco_is_taken_drop_by_drop_and_stays_quiet(tmp_path):
    """No time order, so nothing drifts; the 11 blank charges are missing values, not errors."""
    config = install(tmp_path, "telco")
    process(config)

    outcomes = [drop(config, path) for path in sorted((DATA / "telco/production").glob("*"))[:8]]

    assert [outcome.drift for outcome in outcomes] == [False] * 8
    rows = pd.read_csv(tmp_path / "data/ingested/final_data.csv")
    sources = [
        *(DATA / "telco/development").glob("*"),
        *sorted((DATA / "telco/production").glob("*"))[:8],
    ]
    expected = pd.concat([pd.read_csv(path) for path in sources]).drop_duplicates()
    assert len(rows) == len(expected)
    assert rows["TotalCharges"].isna().sum() == expected["TotalCharges"].isna().sum()


def test_a_covariate_shift_is_found_where_it_was_injected(tmp_path):
    """The manifest documents it from the middle on."""
    config = install(tmp_path, "telco")
    process(config)
    drops = sorted((DATA / "telco/prod_covariate").glob("*.csv"))

    quiet = [drop(config, path).drift for path in drops[:3]]
    changed = [drop(config, path).drift for path in drops[-3:]]

    assert not any(quiet)
    assert any(changed)


def test_a_broken_feed_asks_a_person_and_clean_drops_do_not(tmp_path):
    """Hundredfold charges, a clean drop, a constant: as the manifest has it."""
    config = install(tmp_path, "telco")
    process(config)
    paths = [DATA / "telco/prod_quality" / f"00{number}.csv" for number in (2, 3, 5)]

    outcomes = [drop(config, path) for path in paths]

    asked = [
        str(outcome).startswith("Action needed: the new data may be broken") for outcome in outcomes
    ]
    assert asked == [True, False, True]
    assert "MonthlyCharges is above every reference value" in str(outcomes[0])
    assert "MonthlyCharges is 92.5 in all 200 rows" in str(outcomes[2])


@pytest.mark.parametrize(
    ("name", "variant", "subject"),
    [
        ("telco", "prod_prior", "churn is positive in"),
        ("telco", "prod_concept", "F1 fell from"),
        ("mlc_churn", "prod_covariate", "total_day_minutes is higher"),
    ],
)
def test_what_was_injected_is_found_and_named(tmp_path, name, variant, subject):
    """From the middle on; the first five drops are as they came."""
    config = install(tmp_path, name)
    process(config)
    paths = sorted((DATA / name / variant).glob("*.csv"))

    def is_named(path):
        drop(config, path)
        return any(subject in incident for incident in incidents(config))

    assert not any([drop(config, path).drift for path in paths[:5]])
    assert any(is_named(path) for path in paths[len(paths) // 2 :])
