import subprocess
import sys
from pathlib import Path

import pytest

from demo.customers import Story
from demo.replay import Script, replay
from risk.config import Config
from risk.errors import UsageError
from risk.ledger.ledger import Ledger
from tests import servers

ROOT = Path(__file__).parents[2]


@pytest.mark.on(servers.POSTGRESQL)
def test_days_can_be_lived_through_on_a_server(server, tmp_path, capsys):
    """Every stage can be asked about the world afterwards; its ledger is in that database."""
    replay(tmp_path / "world", Script(Story(days=1), server.url, reports=False))

    config = Config.load(tmp_path / "world" / "config.json")
    with Ledger.open(config, upgrade=False) as ledger:
        assert ledger.engine.dialect.name == "postgresql"
        assert ledger.runs.page(status="ok").total == 2
    assert not config.report_folder.exists()
    assert "2026-01-01" in capsys.readouterr().out


@servers.on_remote_servers
def test_inventions_are_not_mixed_with_what_happened(world, ledger, tmp_path, server):
    """Refused before anything of an earlier demo is removed."""
    ledger.ingestions.record(
        {
            **dict.fromkeys(("rows_read", "rows_added", "rows_duplicate", "rows_quarantined"), 0),
            **dict.fromkeys(("size_bytes", "mtime_ns", "ctime_ns", "inode"), 1),
            **{"id": 1, "path": "a.csv", "sha256": "0" * 64, "status": "taken"},
        }
    )
    earlier = tmp_path / "earlier" / "config.json"
    earlier.parent.mkdir()
    earlier.write_text("{}")

    with pytest.raises(UsageError, match="already contains a ledger; use an empty database"):
        replay(earlier.parent, Script(Story(days=1), server.url))

    assert earlier.exists()


def test_a_server_that_does_not_answer_is_told_in_one_line(tmp_path):
    """69, without a traceback and without the password."""
    url = "postgresql://me:hush@127.0.0.1:1/demo"
    result = subprocess.run(
        [sys.executable, ROOT / "demo" / "replay.py", "--folder", tmp_path, "--database", url],
        capture_output=True,
        text=True,
    )

    assert result.returncode == 69
    assert result.stderr.startswith("error: ")
    assert "hush" not in result.stderr and "Traceback" not in result.stderr
