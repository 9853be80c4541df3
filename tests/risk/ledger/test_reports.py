from datetime import UTC, datetime, timedelta

from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn
MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
INCIDENT = {
    "kind": "data_drift",
    "version": 1,
    "subject": "x",
    "severity": "small",
    "detail": "x moved",
}


def report_on(ledger, run_id, kind="pdf"):
    ledger.reports.record(
        {"run_id": run_id, "kind": kind, "path": "p", "sha256": "0" * 64, "size_bytes": 1}
    )


def test_a_run_that_decided_something_is_due_until_there_is_a_report(ledger):
    """A run without new data decides nothing, and needs none."""
    assert ledger.reports.due() == []
    deciding = ledger.runs.start()
    ledger.decisions.record("keep", "quiet")
    ledger.runs.start()

    assert ledger.reports.due() == [deciding]
    report_on(ledger, deciding, "html")
    assert ledger.reports.due() == []


def test_runs_whose_report_failed_are_due_with_the_next_one_oldest_first(ledger):
    """Of a long history the newest three; the others can be reported on by hand."""
    runs = []
    for _ in range(5):
        runs.append(ledger.runs.start())
        ledger.decisions.record("keep", "quiet")

    assert ledger.reports.due() == runs[2:]
    report_on(ledger, runs[3])
    assert ledger.reports.due() == runs[4:]


def test_a_decision_made_by_hand_is_of_no_run(world):
    """`deployment.py --rollback` is no run."""
    with world.open_ledger() as ledger:
        ledger.decisions.record("keep", "by hand")

        assert ledger.reports.due() == []


def test_reports_are_listed_newest_first(ledger):
    """By run, or by kind."""
    runs = [ledger.runs.start() for _ in range(3)]
    for run_id in runs:
        report_on(ledger, run_id)
        report_on(ledger, run_id, "html")

    assert [row["run_id"] for row in ledger.reports.page(kind="pdf").items] == runs[::-1]
    assert {row["kind"] for row in ledger.reports.page(run_id=1).items} == {"pdf", "html"}
    assert ledger.reports.last_run() == ledger.runs.newest() == 3


def test_what_happened_since_a_moment_is_found_however_much_it_was(world):
    """Incidents that opened and that closed, decisions, runs that did not end well."""
    clock = [MOMENT]
    with world.open_ledger(clock=lambda: clock[0]) as ledger:
        for number in range(120):
            clock[0] += timedelta(minutes=10)
            ledger.runs.start()
            ledger.incidents.open(INCIDENT | {"subject": f"column {number}"})
            ledger.decisions.record("keep", "nothing to do")
            ledger.runs.end("failed" if number % 2 else "ok", "")
        ledger.incidents.resolve(1, "seen to")

        everything, newest = (
            ledger.reports.happenings(None),
            ledger.reports.happenings(clock[0] - timedelta(hours=1)),
        )
        found = {name: len(rows) for name, rows in vars(newest).items() if name != "runs_failed"}

    assert (len(everything.opened), everything.runs_failed) == (120, 60)
    assert found == {"opened": 6, "closed": 1, "decisions": 6}
    assert newest.runs_failed == 3
    assert newest.opened[0]["subject"] == "column 119"
