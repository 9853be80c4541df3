"""What peers need is measured where they are installed, in their own environments."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import peers


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"x": [1.0, 2.0]}).to_csv(path, index=False)
    return path


def test_only_the_work_of_a_peer_is_counted(rows):
    """Not what it imports and prepares, here a second of the processor."""
    prepare = """
import time
version = "1.2"
end = time.process_time() + 1
while time.process_time() < end:
    pass

def work():
    assert len(current) == len(reference) == 2
"""

    spent = peers.ask(Path(sys.executable), prepare, [rows, rows])

    assert spent.version == "1.2"
    assert spent.cpu < 0.5


def test_a_peer_without_an_environment_is_skipped_by_name(tmp_path, capsys):
    """The line holds the commands that make one."""
    assert peers.python_of(tmp_path, "evidently") is None
    assert f"skipped: evidently (python -m venv {tmp_path}/evidently" in capsys.readouterr().out


def test_the_page_has_a_line_for_each_with_the_least_and_the_median():
    spent = [peers.Spent(cpu, peak, "0.1") for cpu, peak in ((3.0, 10), (1.0, 30), (2.0, 20))]

    text = peers.page({("look", "whylogs"): spent}, 1000)

    assert "| look | whylogs 0.1 | a profile of the new rows" in text
    assert "| 1.00 | 2.00 | 30 |" in text
