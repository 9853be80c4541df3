import ingestion
from risk.decisions import run as decisions
from risk.models import training_data
from risk.monitoring import monitored_release
from tests.factories import customers, first_release

OPEN = {"version": 1, "kind": "calibration_drift", "subject": "(calibration)"}


def bring(world, ledger, name, text):
    world.drop(name, text)
    ingestion.run(world.config, ledger)


def test_rows_without_labels_do_not_hide_what_recalibrating_would_bring(world, ledger, monkeypatch):
    """It is estimated on the newest labelled rows, however many came since without a label."""
    monkeypatch.setattr(training_data, "MAX_ROWS", 1500)
    world.take_from_inbox()
    world.drop("1.csv", customers("a", 300, seed=1))
    first_release(world.config, ledger)
    bring(world, ledger, "2.csv", customers("b", 2000, seed=2, sign=1, grown=0))
    ledger.incidents.open(OPEN | {"severity": "moderate", "detail": "x"})
    live = monitored_release.load(world.config)

    before = decisions.choose(world.config, ledger, live)
    bring(world, ledger, "3.csv", customers("c", 1600, seed=3, labelled=False))
    after = decisions.choose(world.config, ledger, live)

    assert (before.action, before.how) == (after.action, after.how)
    assert after.how == "recalibrate"
