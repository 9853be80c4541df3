"""Each day of the history below: one run, a drop with a refused row, a release, a report."""

import pytest
import sqlalchemy as sa

from risk import store
from risk.admin.retention import Pruned, prune
from risk.config import Keeping
from risk.errors import ConfigError
from risk.ledger import tables
from risk.ledger.assessments import Case
from risk.ledger.decisions import Judgement
from risk.ledger.ingestions import Taken
from risk.models import releases
from risk.report import archive
from risk.schema import Problem
from tests.factories import warn
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn
DAYS = 6
FINDING = {
    "check_name": "data_drift",
    "feature": "age",
    "method": "e_detector",
    "drift_detected": False,
    "tier": "none",
    "n": 10,
    "detail": "as ever",
}
BROKEN = FINDING | {
    "check_name": "data_quality",
    "drift_detected": True,
    "tier": "alarm",
    "detail": "broken",
}
SCORE = {"dataset": "test", "metric": "f1", "value": 0.5, "lower": 0.4, "upper": 0.6, "n": 9}
STATISTICS = {"column_name": "age", "row_count": 10, "missing_count": 0}


def live_a_day(config, ledger, day, *, findings):
    """Do what a run does, as far as it leaves something behind."""
    ledger.runs.start()
    drop = {
        "id": day,
        "path": f"{day}.csv",
        "sha256": f"{day:064d}",
        "status": "taken",
        "rows_read": 2,
        "rows_added": 1,
        "rows_duplicate": 0,
        "rows_quarantined": 1,
        **dict.fromkeys(("size_bytes", "mtime_ns", "ctime_ns", "inode"), 1),
    }
    problem = Problem(3, "age", "not a number", "old")
    with ledger.runs.stage("ingestion"):
        ledger.ingestions.record(drop, taken=Taken(hashes=[day], problems=[problem]))
        reasons = [("f", 3, "age", "rule", "old")]
        store.quarantine_rows(
            store.quarantine_path(config, day),
            [["age"], ["old"]],
            reasons,
            separator=",",
            encoding="utf-8",
        )
    ledger.column_statistics.record([STATISTICS])
    ledger.assessments.record(
        Case(day, 10, "{}", "{}", None, [day], findings=findings, predictions=[])
    )
    ledger.scores.record([SCORE | {"model_sha256": f"{day:064d}"}])
    releases.publish(config.deployment_folder, day, {"trained_model.pkl": b"model"})
    release = {
        "model_sha256": f"{day:064d}",
        "rows_trained": 10,
        "proven": True,
        "manifest": "{}",
    }
    number = ledger.decisions.record(
        "deploy", "better", version=day, through=day, judgement=Judgement(release=release)
    )
    releases.switch(config.deployment_folder, day)
    ledger.decisions.complete(number)
    ledger.runs.end("ok", "a day")
    archive.keep(config, ledger, {"json": b"{}"}, run_id=ledger.database.run_id)


@pytest.fixture
def history(world, ledger):
    """Live through six days; on the second a feature was broken."""
    for day in range(1, DAYS + 1):
        findings = [FINDING, BROKEN] if day == 2 else [FINDING]
        live_a_day(world.config, ledger, day, findings=findings)
    return world


def go_back_to(config, ledger, version):
    ledger.runs.start()
    number = ledger.decisions.record("rollback", "by hand", version=version)
    releases.switch(config.deployment_folder, version)
    ledger.decisions.complete(number)


def counts_of(ledger):
    with ledger.engine.connect() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in tables.metadata.tables.items()
        }


def runs_in(ledger, table):
    column = tables.metadata.tables[table].c.run_id
    with ledger.engine.connect() as connection:
        return list(connection.execute(sa.select(column).order_by(column)).scalars())


def test_everything_is_kept_unless_asked_otherwise(history, ledger, tree):
    """The past is only let go by somebody who says how much of it."""
    before, files = counts_of(ledger), tree()

    pruned = prune(history.config, ledger)

    assert str(pruned) == "pruned: nothing"
    assert (counts_of(ledger), tree()) == (before, files)


def test_old_runs_lose_their_details_and_nothing_that_is_built_upon(history, ledger):
    """Two of six are kept whole; of the others stay drops, decisions, alarms, assessments."""
    before = counts_of(ledger)

    pruned = prune(history.set(keeping__keep_runs=2), ledger)

    details = ("stage_timings", "column_statistics", "reports", "findings", "file_digests")
    assert pruned.rows == dict.fromkeys(details, 4)
    assert pruned.reports == [1, 2, 3, 4]
    kept = sorted(path.name for path in history.config.report_folder.iterdir())
    assert kept == [f"{number:08d}" for number in (5, 6)]
    after = counts_of(ledger)
    assert {n: before[n] - after[n] for n in before if before[n] != after[n]} == pruned.rows
    assert runs_in(ledger, "stage_timings") == [5, 6]
    assert runs_in(ledger, "findings") == [2, 5, 6]
    assert prune(history.config, ledger).anything is False


def test_training_leaves_out_the_same_rows_afterwards(history, ledger):
    """What was broken long ago is still known to have been broken."""
    before = ledger.parts.doubtful(3)

    prune(history.set(keeping__keep_runs=1), ledger)

    assert before == ledger.parts.doubtful(3) == {2}


def test_runs_without_news_go_whole(history, ledger):
    """Cron comes 144 times a day; such runs count for nothing, and nothing refers to them."""
    config = history.set(keeping__keep_runs=1)
    for _ in range(3):
        ledger.runs.start()
        ledger.runs.end("ok", "no new data")
    live_a_day(config, ledger, DAYS + 1, findings=[FINDING])

    pruned = prune(config, ledger)

    assert pruned.rows["runs"] == 3
    assert ledger.runs.page().total == DAYS + 1


def test_a_run_that_a_message_tells_of_stays(history, ledger):
    """Messages are never pruned, and what was sent once is not sent again."""
    config = history.set(keeping__keep_runs=1)
    ledger.runs.start()
    ledger.runs.end("failed", "no space")
    ledger.outbox.introduce("somebody", title="hello", body="from here on")
    told_of = ledger.database.run_id
    live_a_day(config, ledger, DAYS + 1, findings=[FINDING])

    prune(config, ledger)

    assert runs_in(ledger, "messages") == [told_of]
    assert [news.event for news in ledger.outbox.news("somebody")] == ["deployed"]


def test_scores_and_alarms_stay_for_good(history, ledger):
    """They are few, and what they say about old models is asked for years later."""
    config = history.set(keeping__keep_runs=1)

    prune(config, ledger)

    assert ledger.scores.page().total == DAYS
    assert [found["detail"] for found in ledger.findings.page(drift_detected=True).items] == [
        "broken"
    ]


def test_by_default_the_newest_runs_with_a_decision_are_kept(world):
    """A run every ten minutes that decides and reports fills 22 GB a year."""
    assert world.config.keeping.keep_runs == Keeping().keep_runs == 5000


def test_the_newest_releases_stay_and_the_live_one_with_what_it_falls_back_to(history, ledger):
    """Six exist, three are kept, the second is live: 4, 5, 6 and 2, 1."""
    config = history.set(keeping__keep_releases=3)
    go_back_to(config, ledger, 2)

    pruned = prune(config, ledger)

    assert pruned.releases == [3]
    assert releases.versions(config.deployment_folder) == [1, 2, 4, 5, 6]
    assert releases.live_version(config.deployment_folder) == 2
    assert ledger.assessments.detector_state(3) is None
    assert ledger.assessments.detector_state(2) == "{}"
    assert ledger.releases.manifest(3) == "{}"


def test_a_release_that_is_decided_on_but_not_live_yet_stays(history, ledger):
    """A crash came between the decision to go back and the switch; the next run needs it."""
    config = history.set(keeping__keep_releases=3)
    ledger.runs.start()
    ledger.decisions.record("rollback", "by hand", version=2)

    prune(config, ledger)

    assert 2 in releases.versions(config.deployment_folder)


def test_fewer_than_three_releases_are_never_kept(world):
    """One to answer, one to fall back to, one for the mistake of a hasty hand."""
    with pytest.raises(ConfigError, match="keep_releases.*greater than or equal"):
        world.set(keeping__keep_releases=2)


def test_old_refusals_go_from_disk_and_ledger(history, ledger):
    """The newest two stay; a drop itself stays known, so that it is not taken again."""
    config = history.set(keeping__keep_quarantine=2)

    pruned = prune(config, ledger)

    assert (pruned.quarantine, pruned.rows) == ([1, 2, 3, 4], {"quarantined_rows": 4})
    assert sorted(path.name for path in config.quarantine_folder.iterdir()) == [
        f"{number:08d}" for number in (5, 6)
    ]
    assert {refused["ingestion_id"] for refused in ledger.quarantine.page().items} == {5, 6}
    assert len(ledger.ingestions.with_content(f"{1:064d}")) == 1


def test_all_refusals_can_be_let_go(history, ledger):
    """Zero is a number too."""
    config = history.set(keeping__keep_quarantine=0)

    prune(config, ledger)

    assert list(config.quarantine_folder.iterdir()) == []
    assert ledger.quarantine.page().total == 0


KEEP = {
    "keeping__keep_runs": 2,
    "keeping__keep_quarantine": 2,
    "keeping__keep_releases": 3,
}


def test_a_rehearsal_tells_what_would_go_and_lets_nothing_go(history, ledger, tree):
    """The same numbers as the deed, in other words."""
    config, before, files = history.set(**KEEP), counts_of(ledger), tree()

    rehearsed = prune(config, ledger, dry_run=True)

    assert (counts_of(ledger), tree()) == (before, files)
    done = prune(config, ledger)
    assert str(rehearsed) == str(done).replace("pruned", "would prune")
    assert done.releases == [2, 3]


def test_what_a_crash_cut_off_is_found_again(history, ledger):
    """The ledger had forgotten, the disk not yet."""
    config = history.set(**KEEP)
    prune(config, ledger)
    store.quarantine_rows(
        store.quarantine_path(config, 1), [["age"], ["old"]], [], separator=",", encoding="utf-8"
    )
    releases.publish(config.deployment_folder, 2, {"trained_model.pkl": b"model"})
    store.write(store.report_path(config, 1, "pdf"), b"")

    pruned = prune(config, ledger)

    assert pruned == Pruned(quarantine=[1], reports=[1], releases=[2])
    assert prune(config, ledger).anything is False


def test_the_first_release_is_never_deleted(history, ledger):
    """The account says what the others gained against it."""
    config = history.config.model_copy(update={"keeping": Keeping(keep_releases=3)})

    prune(config, ledger)

    assert releases.versions(config.deployment_folder) == [1, 4, 5, 6]


def test_a_release_whose_alarms_are_followed_up_is_kept(history, ledger):
    """The rows of the next drops are compared with its reference."""
    incident = {"kind": "data_drift", "subject": "age", "severity": "small", "detail": "older"}
    ledger.incidents.open(incident | {"version": 2})
    config = history.config.model_copy(update={"keeping": Keeping(keep_releases=3)})

    prune(config, ledger)

    assert releases.versions(config.deployment_folder) == [1, 2, 4, 5, 6]


def test_early_warnings_are_kept_to_be_counted(history, ledger):
    """As alarms are; what was neither goes."""
    ledger.runs.start()
    warn(ledger, "age", version=DAYS)
    live_a_day(history.config, ledger, DAYS + 1, findings=[FINDING])

    prune(history.set(keeping__keep_runs=1), ledger)

    kept = ledger.findings.history().groupby("tier").size()
    assert kept.to_dict() == {"alarm": 1, "none": 1, "warning": 1}  # none: that of the newest run
