from datetime import UTC, datetime, timedelta

import pytest

from risk import mails
from risk.mails import Trouble

BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC)
SOURCE = Trouble("error: source crm: no route to host", "source crm")
LEDGER = Trouble("error: the ledger is out of reach", "ledger")
REFUSED = Trouble("1 file was refused: a.csv.", "refused", lasts=False)


@pytest.fixture
def printed(tmp_path):
    """Give a function that says what a run prints some hours after the first one."""

    def run(hours, *troubles, completed=True, command="full_process"):
        now = BEGIN + timedelta(hours=hours)
        log = tmp_path / "cron.log"
        return mails.due(log, command, troubles, now=now, completed=completed)

    run.state = tmp_path / ".cron.log.said"
    return run


def test_what_lasts_is_printed_when_it_begins_daily_and_when_it_is_over(printed):
    """Of 300 runs in 50 hours, four tell of it."""
    told = {run: words for run in range(300) if (words := printed(run / 6, SOURCE))}

    assert told == {
        0: ["error: source crm: no route to host"],
        138: ["since 2026-11-30 10:00 UTC: error: source crm: no route to host"],
        276: ["since 2026-11-30 10:00 UTC: error: source crm: no route to host"],
    }
    assert printed(50) == [
        "no longer, since 2026-12-02 12:00 UTC: error: source crm: no route to host"
    ]
    assert printed(51) == [] and not printed.state.exists()


def test_a_nightly_command_that_fails_is_mailed_every_night(printed):
    """Though it may start some seconds earlier than the night before."""
    assert all(printed(24 * night - night / 3600, SOURCE) for night in range(5))


def test_only_a_run_that_completes_knows_that_something_is_over(printed):
    """The ledger was out of reach before the source was asked."""
    printed(0, SOURCE)

    assert printed(1, LEDGER, completed=False) == [LEDGER.text]
    assert printed(2, SOURCE) == [f"no longer, since 2026-11-30 12:00 UTC: {LEDGER.text}"]


def test_refused_data_are_told_of_once_a_day_and_have_no_end(printed):
    """A quiet run does not mean that the file is mended."""
    told = [printed(0, REFUSED), printed(1), printed(2, REFUSED), printed(24), printed(25, REFUSED)]

    assert told == [[REFUSED.text], [], [], [], [REFUSED.text]]


def test_commands_that_share_a_log_do_not_speak_for_each_other(printed):
    printed(0, SOURCE)

    assert printed(1, command="backup") == []
    assert printed(2, SOURCE) == []


@pytest.mark.parametrize("content", ["", "[", "[1]", '[{"text": 1}]', "{}", "\0"])
def test_where_it_is_unknown_what_was_printed_it_is_printed_again(printed, content):
    """Rather twice than never."""
    printed(0, SOURCE)
    printed.state.write_text(content)

    assert printed(1, SOURCE) == [SOURCE.text]
    assert printed(2, SOURCE) == []


def test_where_nothing_can_be_kept_everything_is_printed(printed):
    """A folder is in the way, as a full disk would be."""
    printed.state.mkdir()

    assert printed(0, SOURCE) == printed(1, SOURCE) == [SOURCE.text]


def test_a_clock_that_was_set_back_silences_nothing(printed):
    printed(24 * 365, SOURCE)

    assert len(printed(0, SOURCE)) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("12 rows in 3 files", "7 rows in 1 files", True),
        ("<Engine at 0x7f63e01deb10>", "<Engine at 0x5a>", True),
        ("source crm", "source shop", False),
    ],
)
def test_counts_do_not_make_a_text_another_one(one, other, same):
    assert (mails.without_numbers(one) == mails.without_numbers(other)) is same
