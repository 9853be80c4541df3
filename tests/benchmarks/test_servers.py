import re

import pandas as pd
import pytest

from benchmarks.servers import compare, difference

ROWS = pd.DataFrame({"id": [1, 2], "value": [0.1, None], "words": ["a", None]})


def test_equal_tables_do_not_differ():
    """What is unknown in both is no difference."""
    assert difference(ROWS, ROWS.copy()) == ""


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (ROWS.assign(value=[0.1 + 1e-16, None]), "row 0, value: 0.1"),
        (ROWS.assign(value=[0.1, 0.0]), "row 1, value: nan is not 0.0"),
        (ROWS.assign(words=["a", ""]), "row 1, words: "),
        (ROWS[:1], "2 rows of .*, 1 of "),
        (ROWS.drop(columns="words"), "2 rows of .*words.*, 2 of "),
    ],
)
def test_a_difference_is_told_to_the_last_digit(other, words):
    """One unit in the last place is one."""
    assert re.match(words, difference(ROWS, other))


def test_the_comparison_counts_and_names_what_differs(capsys):
    """Of three worlds, the last has another number in one of two tables."""
    other = ROWS.assign(value=[7.0, None])
    worlds = {"one": {"a": ROWS, "b": ROWS}, "two": {"a": ROWS, "b": ROWS}}

    found = compare(worlds | {"three": {"a": ROWS, "b": other}})

    lines = capsys.readouterr().out.splitlines()
    assert found == 1
    assert lines[0].endswith("equal")
    assert "b" in lines[1] and "differs on three: row 0, value: " in lines[1]
    assert "two" not in lines[1]
