import numpy as np
import pandas as pd
import pytest

import diagnostics
from risk.data import statistics
from risk.ledger import file_lock
from risk.models import dependencies


def test_statistics_are_those_of_pandas(world):
    """Mean, median, standard deviation, count, missing; and counts, distinct, top."""
    columns = world.set(columns__categorical=["colour"]).columns
    rows = pd.DataFrame(
        {
            "lastmonth_activity": [1.0, 2.0, np.nan, 6.0],
            "lastyear_activity": [4.0, 4.0, 4.0, 4.0],
            "number_of_employees": [np.nan] * 4,
            "colour": pd.array(["red", "blue", "red", None], dtype="str"),
            "exited": pd.array([1, 0, None, 1], dtype="Int8"),
        }
    )

    table = statistics.summarise(rows, columns).set_index("column_name")

    first = table.loc["lastmonth_activity"]
    assert (first["mean"], first["median"]) == (3.0, 2.0)
    assert first["standard_deviation"] == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert (first["row_count"], first["missing_count"], first["missing_percent"]) == (4, 1, 25.0)
    assert table.loc["number_of_employees", "missing_percent"] == 100.0
    assert table.loc["colour", ["distinct_count", "top_value", "top_count"]].tolist() == [
        2,
        "red",
        2,
    ]
    assert table.index.tolist()[-1] == "exited"


def test_timings_are_last_median_and_p95():
    """By hand: of 1..21 the median is 11 and the 95th percentile 20."""
    timings = pd.DataFrame({"stage": "training", "duration_seconds": [*range(1, 21), 21.0]})

    (row,) = statistics.summarise_timings(timings).to_dict("records")

    assert row == {"stage": "training", "runs": 21, "last": 21.0, "median": 11.0, "p95": 20.0}


def test_measuring_never_runs_a_stage(deployed, tree):
    """The mirror's second mistake: its diagnosis ingested and trained again."""
    with deployed.open_ledger() as ledger:
        deployed.drop("new.csv", "not,taken\n1,2\n")
        before, timings = tree(), len(ledger.runs.timings())

        diagnostics.run(deployed.config, ledger)

        assert tree() == before
        assert len(ledger.runs.timings()) == timings


def test_dependencies_compare_required_installed_and_latest():
    """An unreadable line and a missing package are rows, not crashes."""
    requirements = (
        "# a comment\npandas>=3\nnumpy<1  # old\nnosuchpackage\n-r other.txt\npandas; touch x #\n"
    )

    table = dependencies.check(requirements, {"pandas": "99.0"})

    rows = table.set_index("package")
    assert rows.loc["pandas", ["latest", "state"]].tolist() == ["99.0", "ok"]
    assert rows.loc["numpy", ["required", "latest", "state"]].tolist() == [
        "<1",
        "unknown",
        "does not fit",
    ]
    assert rows.loc["nosuchpackage", ["installed", "state"]].tolist() == ["missing", "does not fit"]
    assert rows.loc["pandas; touch x", "required"] == "cannot be read"


def test_offline_the_latest_version_is_unknown(monkeypatch):
    """An index that cannot be reached must not look like "up to date"."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    assert dependencies.look_up_latest("pandas>=3\n") == {}


def test_the_stage_answers_in_five_tables(deployed):
    """As its user sees it."""
    result = deployed.command("diagnostics.py")

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Incidents, open and resolved\nnone\n")
    for title in ("Predictions of", "Accepted rows", "Seconds per stage", "Dependencies"):
        assert title in result.stdout
    assert "sk9ccm" in result.stdout


def test_before_the_first_run_it_says_what_to_do(world):
    """And creates no ledger."""
    result = world.command("diagnostics.py")

    assert result.returncode == 69
    assert "there is no ledger yet; run: python full_process.py" in result.stderr
    assert not (world.folder / "db").exists()


INCIDENT = {"kind": "data_drift", "subject": "x", "severity": "small", "detail": "x higher"}


@pytest.mark.parametrize(
    ("option", "word", "column"),
    [
        ("--acknowledge", "acknowledged", "acknowledged_at"),
        ("--resolve", "resolved", "resolved_at"),
    ],
)
def test_a_person_can_handle_an_incident(world, ledger, option, word, column):
    """Noted with its time; only resolving closes it."""
    ledger.incidents.open({"version": 1, **INCIDENT})

    result = world.command("diagnostics.py", option, "1")

    (told,) = ledger.incidents.history().to_dict("records")
    assert (result.returncode, result.stdout) == (0, f"incident 1 {word}\n")
    assert told[column] is not None
    assert len(ledger.incidents.unresolved()) == (option == "--acknowledge")


@pytest.mark.parametrize("option", ["--acknowledge", "--resolve"])
def test_an_unknown_incident_is_wrong_usage(world, ledger, option):
    """A mistyped number must not look like done."""
    result = world.command("diagnostics.py", option, "7")

    assert result.returncode == 64
    assert result.stderr == "error: there is no open incident 7\n"


def test_an_incident_is_not_handled_while_a_run_is_at_work(world, ledger):
    """It could close the very alarm the run is about to see again."""
    ledger.incidents.open({"version": 1, **INCIDENT})

    with file_lock.lock(world.config, holder="a run"):
        result = world.command("diagnostics.py", "--resolve", "1")

    assert result.returncode == 75
    assert len(ledger.incidents.unresolved()) == 1
