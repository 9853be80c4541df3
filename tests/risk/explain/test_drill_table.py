from dataclasses import replace

from risk.explain import drill_table
from risk.explain.drill_table import DrillReport
from risk.monitoring.drill import Drill, Result
from risk.monitoring.reference import LABELLED

FOUND = Result("tenure", "shift", 0.5, 3.0, 3.0, 1.0)
RESULTS = (
    Result("tenure", "shift", 0.1, None, None, 0.0, "volume", 90_000),
    FOUND,
    Result("tenure", "missing", 0.2, 1.0, 1.0, 1.0),
    Result("age", "shift", 0.1, 41.0, 41.0, 1.0),
    Result("age", "shift", 0.5, 2.0, 2.0, 1.0),
    Result("age", "missing", 0.2, 1.0, 1.0, 1.0),
    Result(LABELLED, "errors", 0.02, None, None, 0.0, "tolerance"),
    Result(LABELLED, "late_errors", 0.02, 38.0, 38.0, 1.0),
)
DRILL = Drill(RESULTS, 4, 30, 1000, 1.0, is_optimistic=False)


def test_a_drill_is_a_table_and_what_would_not_be_found_with_the_reason():
    """Subjects with the same changes share a table."""
    assert str(DrillReport(DRILL, ())) == "\n\n".join(
        [
            "Fire drill of release 4: drops until a change is found, in the median; 30 batches of "
            "this release's quiet history, about 1,000 rows every 24 hours.",
            "        +0.1 sd  +0.5 sd  20% missing\n"
            "tenure        -        3            1\n"
            "age          41        2            1",
            "                             +2 points\n"
            "errors                               -\n"
            "errors, labels 30 days late         38",
            "Not found within 60 days, because so small a change is tolerated; a smaller "
            "alarms.tolerance would find it: errors +2 points.",
            "Not found within 60 days, because too few rows arrive in time: tenure +0.1 sd (about "
            "90,000 rows).",
            "All that the setting alarms.must_find names would be found in time.",
        ]
    )


def test_what_is_found_too_late_is_named():
    """It is what a person has to know."""
    last = str(DrillReport(DRILL, (FOUND,))).splitlines()[-1]

    assert last == (
        "Not found in time, although the setting alarms.must_find names it: tenure +0.5 sd."
    )
    two = str(DrillReport(DRILL, (FOUND, FOUND))).splitlines()[-1]
    assert "alarms.must_find names them: tenure +0.5 sd and" in two


def test_in_short_it_is_how_much_is_found_and_whether_what_must_be():
    """For a report: six of eight here."""
    assert drill_table.in_short(DRILL, ()) == (
        "In a fire drill 6 of 8 planted changes would be found within 60 days. All that the "
        "setting alarms.must_find names would be found in time."
    )


def test_what_limits_the_results_is_said():
    """Labels that come late make errors visible late; what was left out can be drilled."""
    late = replace(DRILL, results=(FOUND,), label_days=7.0, n_left_out=412)

    assert drill_table.remarks(late) == [
        "Labels come 7 days after their rows, so errors are found that much later than with "
        "labels that come at once.",
        "Left out: 412 changes; python diagnostics.py --drill plants all.",
    ]
