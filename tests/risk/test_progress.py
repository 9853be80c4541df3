import logging
import os
import termios
from contextlib import contextmanager, redirect_stderr

import pytest

import reporting
import training
from risk.admin import backup, export
from risk.monitoring import drill
from risk.monitoring.drill import Extent
from risk.progress import LogHandler, track

LONG_WORK = {
    "cross-validation": lambda config, ledger, folder: training.run(config, ledger),
    "fire drill": lambda config, ledger, folder: drill.run(config, ledger, Extent(10, 1, 1, 2)),
    "report": lambda config, ledger, folder: reporting.report(config, ledger, formats=["json"]),
    "export": lambda config, ledger, folder: export.export(ledger, folder, names=["runs"]),
    "backup": lambda config, ledger, folder: backup.back_up(config, ledger, folder),
}
END = b"<end>"


@contextmanager
def terminal():
    """Let stderr be a terminal, and give a function that returns what was written since."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))

    def read():
        stderr.flush()
        os.write(theirs, END)
        shown = b""
        while not shown.endswith(END):
            shown += os.read(ours, 65_536)
        return shown.removesuffix(END).decode()

    with open(theirs, "w") as stderr, redirect_stderr(stderr):
        yield read
    os.close(ours)


def what_is_left(text):
    """Return the lines that are visible after every carriage return is obeyed."""
    visible = []
    for line in text.replace("\r\n", "\n").split("\n"):
        cells = ""
        for written in line.split("\r"):
            cells = written + cells[len(written) :]
        visible.append(cells.rstrip())
    return visible


def test_a_terminal_shows_how_much_is_done_and_then_no_longer():
    with terminal() as written:
        items = iter(track(range(3), "sorting", unit="letter"))
        assert next(items) == 0
        shown = written()
        assert list(items) == [1, 2]
        afterwards = what_is_left(shown + written())

    assert "sorting:   0%" in shown and "0/3" in shown
    assert afterwards == [""]


def test_a_message_stands_above_the_bar():
    """Neither is written into the other."""
    log = logging.Logger("postman")
    with terminal() as written:
        log.addHandler(LogHandler())
        for letter in track("ab", "sorting", unit="letter"):
            log.warning("letter %s", letter)
            if letter == "b":
                visible = what_is_left(written())

    assert visible[:2] == ["letter a", "letter b"]
    assert visible[2].startswith("sorting:") and len(visible) == 3


@pytest.mark.parametrize("work", LONG_WORK)
def test_long_work_shows_its_progress(deployed, tmp_path, work):
    with terminal() as written, deployed.open_ledger() as ledger:
        LONG_WORK[work](deployed.config, ledger, tmp_path / "new")
        shown = written()

    assert f"{work}:" in shown
    assert what_is_left(shown)[-1] == ""


@pytest.mark.parametrize("work", LONG_WORK)
def test_without_a_terminal_it_shows_nothing(deployed, tmp_path, capfd, work):
    """Cron mails what is printed."""
    with deployed.open_ledger() as ledger:
        LONG_WORK[work](deployed.config, ledger, tmp_path / "new")

    assert capfd.readouterr() == ("", "")
