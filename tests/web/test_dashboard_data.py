from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from risk.config import Columns
from risk.monitoring.reference import PREDICTION
from web import dashboard_data

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def found(subject, run=1, score=0.2, alarm=False, check="data_drift"):
    return {
        "run_id": run,
        "found_at": FIRST + timedelta(days=run),
        "feature": subject,
        "check_name": check,
        "drift_score": score,
        "threshold": 0.05,
        "drift_detected": alarm,
    }


def columns(*names):
    return Columns(
        identifier="id", target="exited", positive_label=1, negative_label=0, numeric=names
    )


def test_of_many_features_those_are_shown_that_moved_most():
    """A hundred rows are no picture; the rest is counted."""
    names = [f"f{number}" for number in range(100)]
    table = pd.DataFrame([found(name, score=-number / 100) for number, name in enumerate(names)])

    heat = dashboard_data.heat_map(table, columns(*names))

    assert [name for name, _ in heat.rows] == names[:-16:-1]
    assert heat.others == 85


def test_what_the_model_says_comes_first():
    """Its predictions and the label, under names a person knows."""
    rows = [found("a", score=9), found(PREDICTION), found("exited"), found("a and b", alarm=False)]

    heat = dashboard_data.heat_map(pd.DataFrame(rows), columns("a", "b"))

    assert [name for name, _ in heat.rows] == ["predicted risk", "exited", "a"]


def test_pairs_are_shown_once_they_alarm():
    """There are too many of them otherwise."""
    rows = [found("a"), found("a and b", score=0.3, alarm=True), found("a and b", run=2)]

    heat = dashboard_data.heat_map(pd.DataFrame(rows), columns("a", "b"))

    name, cells = heat.rows[0]
    assert (name, [cell.is_alarm for cell in cells]) == ("a and b", [True, False])


@pytest.mark.parametrize(
    ("score", "step"), [(0.0, 0), (-0.0999, 0), (0.1, 1), (-0.3, 2), (0.45, 3), (float("inf"), 3)]
)
def test_cells_have_the_severity_of_their_finding(score, step):
    """In both directions, to the end."""
    heat = dashboard_data.heat_map(pd.DataFrame([found("a", score=score)]), columns("a"))

    assert heat.rows[0][1][0].step == step


def test_a_run_that_says_nothing_of_a_feature_leaves_a_gap():
    """And a finding without a distance is none."""
    rows = [found("a"), found("b", run=2), found("a", run=2, score=None)]

    heat = dashboard_data.heat_map(pd.DataFrame(rows), columns("a", "b"))

    cells = {name: [cell is not None for cell in cells] for name, cells in heat.rows}
    assert cells == {"a": [True, False], "b": [False, True]}


def test_without_findings_the_map_is_empty(ledger):
    """Before the first comparison."""
    heat = dashboard_data.heat_map(ledger.findings.drift_matrix(16), columns("a"))

    assert (heat.runs, heat.rows, heat.others) == ([], [], 0)


def test_runs_of_one_day_are_told_apart_by_the_hour():
    """Days alone are enough where there is one run a day."""
    daily = pd.DataFrame([found("a", run=1), found("a", run=2)])
    hourly = daily.assign(found_at=[FIRST, FIRST + timedelta(hours=1)])

    assert not dashboard_data.heat_map(daily, columns("a")).several_a_day
    assert dashboard_data.heat_map(hourly, columns("a")).several_a_day
