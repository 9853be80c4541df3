import shutil
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sklearn.metrics import f1_score

import deployment
import full_process
import ingestion
import training
from risk import store
from risk.decisions import rollback_watch
from risk.ledger import tables
from risk.ledger.database import utc_now
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.monitoring import monitored_release
from tests.factories import customers, first_release

HARM = {"kind": "suspected_harm", "subject": "loss", "severity": "large", "detail": "rose"}


def deploy_first(world, ledger):
    world.take_from_inbox()
    world.drop("1.csv", customers("a", 300, seed=1))
    first_release(world.config, ledger)


def deploy_by_force(world, ledger, **training_settings):
    settings = {f"training__{name}": value for name, value in training_settings.items()}
    training.run(world.set(**settings), ledger)
    deployment.run(world.config, ledger, by_force=True)


@pytest.fixture
def inbox(world, ledger):
    """Give a world whose first release is a good one."""
    deploy_first(world, ledger)
    return world


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Give the folder in which the first test that needs it leaves its world for the others."""
    return tmp_path_factory.mktemp("shelf") / "world"


@pytest.fixture
def worse(world, prepared):
    """Give a world whose second release calls hardly anybody a leaver."""
    nobody = {"choose_threshold_by": "fixed", "fixed_threshold": 0.999}
    if prepared.exists():
        world.copy_of(prepared)
    else:
        with world.open_ledger() as ledger:
            deploy_first(world, ledger)
            deploy_by_force(world, ledger, **nobody)
        shutil.copytree(world.folder, prepared, symlinks=True)
    return world


def bring(world, ledger, name, text):
    world.drop(name, text)
    ingestion.run(world.config, ledger)


def failed(world, ledger):
    return rollback_watch.failed(world.config, ledger, monitored_release.load(world.config))


def test_a_release_that_does_worse_than_the_one_before_has_failed(worse, ledger):
    """The reason names both scores on the new rows; the oracle for the live one is scikit-learn."""
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2))

    failure = failed(worse, ledger)

    rows, live = store.read_parts(worse.config, [2]), releases.load_champion(worse.config)
    score = f1_score(rows["exited"].astype(int), live.predict(live.predict_proba(rows)))
    assert (failure.version, failure.target) == (2, 1)
    compared = failure.grounds.facts["comparison"]
    assert failure.grounds.code == "worse_than_before"
    assert (compared["verdict"], compared["n"]) == ("better", 300)
    assert compared["champion"]["value"] == pytest.approx(score)


def test_without_rows_since_nothing_is_known(worse, ledger):
    """What both releases have learnt says nothing about either."""
    assert failed(worse, ledger) is None


def test_unripe_rows_alone_are_no_evidence(worse, ledger):
    """Nobody knows yet who left; without a suspicion it stays."""
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2, labelled=False))

    assert failed(worse, ledger) is None


def test_labels_that_came_later_are_evidence(worse, ledger):
    """The rows were there; what became of them tells."""
    whole = customers("b", 300, seed=2).splitlines()
    bring(worse, ledger, "2.csv", "\n".join(line.rpartition(",")[0] for line in whole) + "\n")
    truth = [f"{line.split(',')[0]},{line.split(',')[-1]}" for line in whole]

    bring(worse, ledger, "3.csv", "\n".join(truth) + "\n")

    assert failed(worse, ledger).target == 1


def test_the_first_rows_since_are_judged(worse, ledger, monkeypatch):
    """Of 14 days with a drop every ten minutes there are 2,000: not all are read in every run."""
    monkeypatch.setattr(rollback_watch, "MAX_ROWS", 301)
    for number in (2, 3, 4):
        bring(worse, ledger, f"{number}.csv", customers(f"b{number}-", 300, seed=number))

    assert failed(worse, ledger).grounds.facts["comparison"]["n"] == 600


def test_rows_without_a_label_do_not_count_among_the_first(worse, ledger, monkeypatch):
    """They are evidence of nothing, however many there are."""
    monkeypatch.setattr(rollback_watch, "MAX_ROWS", 300)
    bring(worse, ledger, "2.csv", customers("b", 900, seed=2, labelled=False))
    bring(worse, ledger, "3.csv", customers("c", 300, seed=3))

    assert failed(worse, ledger).grounds.facts["comparison"]["n"] == 300


def test_labels_that_came_later_take_no_place_from_the_first(worse, ledger, monkeypatch):
    """A part of which one row has got its label counts as one row."""
    monkeypatch.setattr(rollback_watch, "MAX_ROWS", 300)
    whole = customers("b", 300, seed=2).splitlines()
    names, labels = ([line.split(",")[place] for line in whole[1:]] for place in (0, -1))
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2, labelled=False))
    bring(worse, ledger, "3.csv", customers("c", 300, seed=3))
    bring(worse, ledger, "4.csv", f"{whole[0].split(',')[0]},exited\n{names[0]},{labels[0]}\n")

    assert failed(worse, ledger).grounds.facts["comparison"]["n"] == 301


def test_after_its_time_of_watch_a_release_is_not_judged_any_more(worse, ledger):
    """Fourteen days; then drift is looked for, not the release before."""
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2))
    verdicts = []
    for days in (13, 15):
        ledger.database.now = lambda later=days: utc_now() + timedelta(days=later)
        verdicts.append(failed(worse, ledger) is not None)

    assert verdicts == [True, False]


def test_a_release_that_is_as_good_stays(inbox, ledger):
    """The same model under a new number: no row is won by either."""
    deploy_by_force(inbox, ledger)
    bring(inbox, ledger, "2.csv", customers("b", 300, seed=2))

    assert failed(inbox, ledger) is None


def test_the_first_release_has_none_before_it(inbox, ledger):
    """There is nothing to go back to."""
    bring(inbox, ledger, "2.csv", customers("b", 300, seed=2))

    assert failed(inbox, ledger) is None


def test_what_a_rollback_made_live_is_not_on_watch(worse, ledger):
    """A person chose release 2 although release 1 is better: that is respected."""
    deploy_by_force(worse, ledger, fixed_threshold=0.5)
    deployment.run(worse.config, ledger, rollback=2)
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2))

    assert failed(worse, ledger) is None


def test_a_release_of_other_features_is_not_gone_back_to(worse, ledger):
    """Its columns may not even be there any more."""
    columns = {"numeric": ["lastmonth_activity", "lastyear_activity"], "allowed_ranges": {}}
    worse.set(columns=worse.settings["columns"] | columns | {"other": ["number_of_employees"]})
    deploy_by_force(worse, ledger)
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2))

    assert failed(worse, ledger) is None


@pytest.mark.parametrize("suspected", [True, False])
def test_without_labels_a_suspicion_and_a_better_estimate_together_are_enough(
    worse, ledger, suspected
):
    """Labels may take a year; the estimate alone would be too little."""
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2, labelled=False))
    if suspected:
        ledger.incidents.open({"version": 2, **HARM})

    failure = failed(worse, ledger)

    assert (failure is not None) is suspected
    if suspected:
        assert failure.grounds.code == "estimated_worse"
        assert failure.grounds.facts["estimate"]["n"] == 300


def test_rows_of_a_broken_feed_do_not_speak_against_a_release(worse, ledger, monkeypatch):
    """A unit that was mixed up is not the model's fault."""
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2))
    monkeypatch.setattr("risk.ledger.parts.Parts.doubtful", lambda *_: {2})

    assert failed(worse, ledger) is None


def test_a_run_goes_back_by_itself_once_and_says_why(worse, ledger):
    """The next run stays with the release it went back to."""
    bring(worse, ledger, "2.csv", customers("b", 300, seed=2))
    first = full_process.run(worse.config, ledger)
    worse.drop("3.csv", customers("c", 300, seed=3))

    full_process.run(worse.config, ledger)

    with Ledger.open(worse.config) as other, other.engine.connect() as connection:
        decisions = list(connection.execute(sa.select(tables.decisions)))
    rollbacks = [decision for decision in decisions if decision.action == "rollback"]
    assert str(first).startswith("Back to release 1: release 2 does worse: F1 ")
    assert "Release 2 does worse than release 1, beyond chance: " in rollbacks[0].reason
    assert [decision.version for decision in rollbacks] == [1]
    assert rollbacks[0].completed_at
    assert releases.live_version(worse.config.deployment_folder) == 1
