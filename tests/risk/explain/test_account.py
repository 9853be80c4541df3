from dataclasses import replace
from datetime import UTC, datetime, timedelta

from risk.decisions.account import Account, Gain, Judged, Verdict, Warned, Why
from risk.explain.account import AccountReport, in_words
from risk.stats.scores import Estimate

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
SHIFT = Estimate(0.3, 0.2, 0.4, 900)
GAIN = Gain(1, MONDAY, Estimate(0.031, 0.012, 0.05, 5000), 5000, 60, 214, 1070.0, None)


def alarm(number, verdict, why, shift=None):
    return Judged(number, MONDAY, 1, "data_drift", "age", verdict, why, 4, shift)


LIVED = Account(
    since=MONDAY,
    until=MONDAY + timedelta(days=412),
    days=412.2,
    alarms=(
        *(alarm(i, Verdict.CONFIRMED, Why.PERSISTS, SHIFT) for i in range(4)),
        alarm(4, Verdict.FALSE, Why.GONE),
        alarm(5, Verdict.UNDECIDED, Why.FEW_DROPS),
    ),
    alarms_allowed=412 / 90,
    warned=Warned(0, 0),
    challengers=9,
    releases=4,
    rolled_back=1,
    gain=GAIN,
)


def test_it_says_whether_the_alarms_and_the_releases_were_worth_it():
    assert in_words(LIVED) == [
        "In 412 days: 6 alarms; 4 confirmed by later rows and labels or by the feed's own recovery,"
        " 1 false, 1 undecided; the budget allowed 4.6 by chance.",
        "9 challengers, 4 releases after the first, 1 rolled back.",
        "F1 against keeping the first model: +0.031 [0.012, 0.050], that is 214 fewer "
        "customers judged wrongly and 1,070 saved by your cost matrix, on 5,000 labelled rows of "
        "60 drops.",
    ]


def test_warnings_are_mentioned_only_where_there_can_be_any():
    said = in_words(replace(LIVED, warned=Warned(11, 5)))

    assert said[1] == "11 early warnings, of which 5 became alarms."
    said = in_words(replace(LIVED, warned=Warned(2, 1)))
    assert said[1] == "2 early warnings, of which 1 became an alarm."


def test_a_loss_is_called_one():
    lost = replace(GAIN, f1=Estimate(-0.02, -0.04, -0.01, 90), errors_avoided=-1, cost_saved=-5.0)

    said = in_words(replace(LIVED, gain=lost))[-1]

    assert "-0.020 [-0.040, -0.010]" in said
    assert "1 more customer judged wrongly and 5 lost by your cost matrix" in said


def test_what_was_not_compared_is_not_known():
    late = replace(GAIN, not_known_before=MONDAY)

    assert in_words(replace(LIVED, gain=late))[-1].endswith("It is not known before 2 March 2026.")
    assert "is not known" in in_words(replace(LIVED, gain=None))[-1]


def test_an_oldest_release_that_is_not_the_first_is_named():
    assert (
        "keeping release 3, the oldest there is"
        in in_words(replace(LIVED, gain=replace(GAIN, first_version=3)))[-1]
    )


def test_while_the_first_release_is_live_nothing_was_gained():
    same = replace(GAIN, f1=Estimate(0.0, None, None, 5000))

    assert in_words(replace(LIVED, gain=same))[-1] == (
        "On 5,000 labelled rows of 60 drops the live model judged every customer as the first "
        "model would."
    )


def test_before_the_first_model_there_is_nothing_to_say():
    assert len(in_words(replace(LIVED, since=None))) == 1


def test_on_the_command_line_each_alarm_is_listed():
    last = str(AccountReport(LIVED)).splitlines()[-6]

    assert last == (
        "2026-03-02 06:00  incident 0  data drift: age  confirmed: later rows show the change too "
        "(4 later drops, +0.30 sd [+0.20, +0.40])"
    )
