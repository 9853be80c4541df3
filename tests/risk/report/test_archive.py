import hashlib
from datetime import UTC, datetime

import pytest

from risk.errors import UnknownName
from risk.report import archive

AT = datetime(2026, 3, 1, tzinfo=UTC)


def kept(world, ledger, run_id, since=None, **contents):
    paths = archive.keep(world.config, ledger, contents, run_id=run_id, since=since)
    return [world.config.name_of(path) for path in paths]


def test_a_report_is_kept_for_its_run_beside_the_model_and_in_the_ledger(world, ledger):
    """One file for ever, one that is always the newest, one row that proves which it was."""
    run_id = ledger.runs.start()

    paths = kept(world, ledger, run_id, pdf=b"pdf", html=b"html")

    assert paths == [
        "reports/00000001/report.pdf",
        "models/development/report.pdf",
        "reports/00000001/report.html",
        "models/development/report.html",
    ]
    assert (
        (world.folder / paths[0]).read_bytes() == (world.folder / paths[1]).read_bytes() == b"pdf"
    )
    rows = {row["kind"]: row for row in ledger.reports.page(run_id=run_id).items}
    assert rows["html"]["path"] == paths[2]
    assert rows["pdf"]["path"] == paths[0]
    assert rows["pdf"]["sha256"] == hashlib.sha256(b"pdf").hexdigest()
    assert rows["pdf"]["size_bytes"] == 3


def test_a_report_made_again_takes_the_place_of_the_first(world, ledger):
    """A run has one report of each kind."""
    run_id = ledger.runs.start()
    kept(world, ledger, run_id, pdf=b"one")
    kept(world, ledger, run_id, pdf=b"another")

    (row,) = ledger.reports.page().items
    assert row["size_bytes"] == len(b"another")
    assert (world.folder / row["path"]).read_bytes() == b"another"


def test_a_report_on_an_earlier_run_is_not_the_newest(world, ledger):
    """The newest stays beside the model."""
    first, second = ledger.runs.start(), ledger.runs.start()
    kept(world, ledger, second, pdf=b"new")

    assert kept(world, ledger, first, pdf=b"old") == ["reports/00000001/report.pdf"]
    assert archive.latest(world.config, "pdf").read_bytes() == b"new"


def test_a_report_since_another_day_is_kept_beside_the_own_one(world, ledger):
    """It answers one question of one reader."""
    run_id = ledger.runs.start()
    kept(world, ledger, run_id, pdf=b"own")

    assert kept(world, ledger, run_id, since=AT, pdf=b"other") == [
        "reports/00000001/report-since-2026-03-01.pdf"
    ]
    assert archive.latest(world.config, "pdf").read_bytes() == b"own"
    assert ledger.reports.page().total == 1


def test_before_the_first_run_there_is_only_the_newest(world, ledger):
    """Stages may be run by hand."""
    assert kept(world, ledger, None, pdf=b"pdf") == ["models/development/report.pdf"]
    assert ledger.reports.page().total == 0


def test_a_report_that_is_not_there_is_named_with_its_remedy(world):
    """Not a traceback."""
    with pytest.raises(UnknownName, match="python reporting.py --run 7"):
        archive.read(world.folder / "reports" / "nothing.pdf", "--run 7")
