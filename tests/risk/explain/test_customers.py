import json

import pandas as pd
import pytest
from scipy.special import expit, logit

import ingestion
from risk.errors import DataError, WatchedOnly
from risk.explain import customer, customers
from risk.ledger.ledger import Ledger
from tests.factories import UNLABELLED, first_release, once
from tests.factories import customers as drop_of

NUMBERS = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]


def release_of(estimator):
    def build(past):
        past.take_from_inbox()
        past.set(training__estimator=estimator)
        past.drop("first.csv", drop_of("c", 120, seed=1))
        with past.open_ledger() as ledger:
            first_release(past.config, ledger)

    return build


@pytest.fixture(params=["LogisticRegression", "RandomForestClassifier"])
def live(request, world, tmp_path_factory):
    """Give a world with a live model whose log-odds are a sum, or not."""
    past = once(tmp_path_factory.getbasetemp(), f"live_{request.param}", release_of(request.param))
    return world.copy_of(past)


def a_file(world, n=45):
    path = world.folder / "new.csv"
    path.write_text(drop_of("n", n, seed=2, labelled=False))
    return path


def test_each_customer_is_explained_as_if_asked_for_alone(live):
    """The same numbers as of one customer, whose rows were ingested."""
    live.drop("known.csv", drop_of("n", 3, seed=2))
    with Ledger.open(live.config) as ledger:
        ingestion.run(live.config, ledger)
        alone = {f"n{i}": customer.explain(live.config, ledger, f"n{i}") for i in range(3)}

    table = customers.explain_all(live.config, a_file(live, 3)).table.set_index("corporation")

    for name, expected in alone.items():
        parts = expected.parts.set_index("feature")["contribution"]
        assert table.loc[name, "y_pred_proba"] == expected.risk
        assert table.loc[name, "raises_most"] == "; ".join(expected.raising)
        assert [table.loc[name, f"contribution_of_{f}"] for f in NUMBERS] == [*parts[NUMBERS]]


def test_the_contributions_add_up_to_the_risk(live):
    table = customers.explain_all(live.config, a_file(live)).table

    total = table[[f"contribution_of_{name}" for name in NUMBERS]].sum(axis=1)
    if (table["scale"] == "log-odds").all():
        risk = expit(logit(table["usual_risk"]) + total)
    else:
        risk = table["usual_risk"] + total
    assert risk.to_numpy() == pytest.approx(table["y_pred_proba"].to_numpy(), abs=1e-9)
    assert table["y_pred_proba"].is_monotonic_decreasing
    assert len(table) == 45


@pytest.mark.parametrize("live", ["RandomForestClassifier"], indirect=True)
def test_workers_write_the_same_file_to_the_last_bit(live):
    """45 customers are three parts."""
    here, there = live.folder / "here.csv", live.folder / "there.csv"

    outcome = customers.explain_all(live.config, a_file(live), here)
    customers.explain_all(live.set(engine="processes", engine_workers=2), a_file(live), there)

    assert here.read_bytes() == there.read_bytes()
    n_at_risk = pd.read_csv(here)["y_pred"].sum()
    assert str(outcome) == f"45 customers explained, {n_at_risk} at risk: {here}"


@pytest.mark.parametrize("live", ["LogisticRegression"], indirect=True)
def test_the_command_prints_the_riskiest_customer_first(live):
    printed = live.command("diagnostics.py", "--explain-file", str(a_file(live, 5)))
    as_json = live.command("diagnostics.py", "--explain-file", str(a_file(live, 5)), "--json")

    header, *lines = printed.stdout.splitlines()
    assert header.startswith("corporation,y_pred_proba,y_pred,usual_risk,raises_most,lowers_most,")
    assert len(lines) == 5
    assert [row["corporation"] for row in json.loads(as_json.stdout)] == [
        line.split(",")[0] for line in lines
    ]


@pytest.mark.parametrize("live", ["LogisticRegression"], indirect=True)
def test_a_row_that_is_not_valid_is_named(live):
    path = live.folder / "new.csv"
    path.write_text(UNLABELLED + "a,1,2,3\nb,1,many,3\n")

    with pytest.raises(DataError, match=r"line 3, column lastyear_activity: .* got 'many'"):
        customers.explain_all(live.config, path)


def test_predictions_made_elsewhere_cannot_be_explained(world):
    config = world.set(
        model__source="predictions", columns__probability="score", model__threshold=0.5
    )

    with pytest.raises(WatchedOnly):
        customers.explain_all(config, world.folder / "new.csv")
