import importlib
import re
import typing
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import app
import reporting
from risk import cli
from risk.ledger import lease

PAGE = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
STAGES = (
    "ingestion", "training", "scoring", "deployment", "diagnostics", "reporting", "full_process",
    "api_calls", "risk.data.initialise",
)  # fmt: skip
RETURNING = ("run", "from_options")


@pytest.fixture
def names(deployed, monkeypatch):
    """Run the page from top to bottom, in the folder of an installation, with its API."""
    monkeypatch.chdir(deployed.folder)
    with app.answering(deployed.config) as (url, _):
        names = {}
        for block in BLOCKS:
            exec(block.replace("http://localhost:8000", url), names)
    return names


def test_the_page_runs_from_top_to_bottom(names, deployed):
    """Each line, in order; what it shows is there."""
    assert len(BLOCKS) == 6
    assert names["runs"]["status"].tolist() == ["ok"]
    assert len(names["f1"]) == len(names["daily"]) >= 1
    assert isinstance(names["figure"], Figure)
    assert np.all((names["risk"] > 0) & (names["risk"] < 1))
    assert names["explanation"].identifier == names["rows"]["corporation"][0]
    assert names["found"].exit_code == 0
    assert names["drilled"]._repr_html_().startswith("<pre>Fire drill of release 1")
    assert str(names["ingested"]) == "no new data"
    with lease.only_writer(deployed.config, holder="test"):
        pass  # the lock was released


def test_a_result_prints_itself_in_a_notebook():
    """As on the command line; what looks like markup is text."""
    shown = reporting.Report(("<b>.pdf",))._repr_html_()

    assert shown == "<pre>wrote &lt;b&gt;.pdf</pre>"


@pytest.mark.parametrize("module", STAGES)
def test_every_result_of_a_stage_prints_itself(module):
    """Whatever `run` and the options of the command return, but for text."""
    stage = importlib.import_module(module)
    returned = [
        typing.get_type_hints(getattr(stage, name))["return"]
        for name in RETURNING
        if hasattr(stage, name)
    ]
    kinds = {kind for each in returned for kind in (typing.get_args(each) or [each])}

    assert kinds
    assert all(issubclass(kind, cli.Result) for kind in kinds - {str, type(None)})
