"""Every command of the README is typed in its order, in a fresh clone."""

import re
import socket
import sys
from pathlib import Path

import pytest

from tests import readme, test_docs
from tests.risk.data.test_initialise import european

ROOT = test_docs.ROOT
COMMANDS = readme.commands(test_docs.README)
PROGRAMS = {"git", "make", "source", "python", "curl"}
IN_CI = ".ci/run runs it"
NOT_TYPED = {
    "(crontab -l 2>/dev/null; .venv/bin/python -m risk.admin crontab) | crontab -": (
        "it changes the cron jobs of whoever tests; tests/test_docs.py runs the line it installs"
    ),
    "python diagnostics.py --drill": "`make drill` runs it",
    "make check": IN_CI,
    "make test": IN_CI,
}
TYPED_AS = {  # with what a reader fills in, and less of what takes long
    "git clone URL churn && cd churn": f"git clone '{ROOT}' churn && cd churn",
    "make demo": 'make demo ARGS="--days 1 --without-reports"',
    "python ingestion.py --check": "python ingestion.py --check --config ~/mine/config.json",
    "python ingestion.py --requeue ID": "python ingestion.py --requeue all",
    "python ingestion.py --init CSV": "python ingestion.py --init ~/mine/customers.csv --force",
    "python deployment.py --rollback [VERSION]": "python deployment.py --rollback 1",
    "python full_process.py --fleet FOLDER": "python full_process.py --fleet ~/mine",
    "python diagnostics.py --explain NAME": "python diagnostics.py --explain sk9ccm",
    "python diagnostics.py --explain-file CSV": (
        "python diagnostics.py --explain-file data/test/test_data.csv"
    ),
    "python diagnostics.py --acknowledge ID": "python diagnostics.py --acknowledge 1",
    "python diagnostics.py --resolve ID": "python diagnostics.py --resolve 1",
    "python reporting.py --run ID": "python reporting.py --run 1",
    "python app.py keys create ANNA --scope write": "python app.py keys create Anna --scope write",
    "make quick": "make quick ARGS=--collect-only",  # `make test` runs the same tests
    "make evidence": 'make evidence ARGS="--runs 1 --tables Gate"',
}
CODES = {  # of commands that have nothing to do in the state the others leave; 0 of all others
    "python training.py --how recalibrate": 65,  # no rows since the release
    "python diagnostics.py --acknowledge ID": 64,  # the incident was resolved by a deployment
    "python diagnostics.py --resolve ID": 64,
}


def test_commands_are_found_in_blocks_in_text_and_in_tables():
    """What names a file, a setting or a program is none; each counts once."""
    page = (
        "Run `make one` or `A=1 B=2 python two.py`, with `make`, `three.py` and `RISK_X=1`.\n"
        "```bash\nmake four   # a comment\ncd five && make six\n\n```\n"
        "```\nseven -> eight\n```\n"
        "| `nine.py` | `ten/` | `--eleven`, `--twelve ID`, `a.csv` |\n"
        "Or `make one`, with `--thirteen`.\n"
    )

    assert readme.commands(page) == [
        "make one",
        "A=1 B=2 python two.py",
        "make four",
        "cd five && make six",
        "python nine.py --eleven",
        "python nine.py --twelve ID",
    ]


def test_no_command_is_broken_over_two_lines():
    """It could not be copied, and would not be found here."""
    text = re.sub(r"^```.*?^```", "", test_docs.README, flags=re.MULTILINE | re.DOTALL)

    assert [line for line in text.splitlines() if line.count("`") % 2] == []


def test_every_command_is_typed_or_named_with_the_reason():
    """One of another program, or with something to fill in, has to be added to a list."""
    named = {*NOT_TYPED, *TYPED_AS, *CODES}

    assert len(COMMANDS) > 40
    assert named <= {*COMMANDS}
    for command in {*COMMANDS} - named:
        assert re.sub(r"^([A-Z_]+=\S+ )*", "", command).split()[0] in PROGRAMS, command
        assert not re.search(r"(?<=\s)\[?[A-Z]{2,}\]?(?=\s|$)", command), command
    in_ci = (ROOT / ".ci" / "run").read_text()
    for command in (command for command, reason in NOT_TYPED.items() if reason == IN_CI):
        assert re.search(rf"^(begin \w+ )?{re.escape(command)}$", in_ci, re.MULTILINE), command


def have_packages(clone):
    """Spare `make` the installation: the packages are those with which these tests run."""
    (clone / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name not in ("runtime", "development"):
            (clone / ".venv" / entry.name).symlink_to(entry)
    for stamp in ("runtime", "development"):
        (clone / ".venv" / stamp).touch()


@pytest.fixture
def terminal(tmp_path):
    """One at the home of someone with a table of customers, whose curl fails if the API does."""
    (tmp_path / "mine").mkdir()
    european(tmp_path / "mine" / "customers.csv")
    (tmp_path / ".curlrc").write_text("fail\nsilent\nshow-error\n")
    (tmp_path / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    opened = readme.Terminal(tmp_path, port)
    yield opened
    opened.close()


@pytest.mark.torture
def test_every_command_works_in_its_order_in_a_fresh_clone(terminal, tmp_path):
    """From the first to the last, each in the state that those before it left."""
    for command in (command for command in COMMANDS if command not in NOT_TYPED):
        typed = TYPED_AS.get(command, command)

        code, said = terminal.run(typed.replace("localhost:8000", f"localhost:{terminal.port}"))

        assert code == CODES.get(command, 0), f"{typed}\n{said}"
        if command.startswith("git clone"):
            have_packages(tmp_path / "churn")
