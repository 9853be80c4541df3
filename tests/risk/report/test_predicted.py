import subprocess
import sys

import pytest

from risk.data import drops
from risk.errors import UnknownName
from risk.models import releases
from risk.report.predicted import FILE, Predictions
from tests.factories import ROOT


@pytest.fixture
def asked(deployed):
    """Give a live release, and the rows of the test data."""
    config = deployed.config
    folder = releases.live_folder(config.deployment_folder)
    return releases.load(config, folder), drops.read_whole(config, config.test_data)


@pytest.fixture
def kept(deployed, ledger, asked):
    """Keep the predictions of the test data, and take the release away."""
    model, rows = asked
    known = Predictions(deployed.config, ledger)
    known.of(model.manifest, rows)
    known.keep()
    deployed.config.deployment_folder.rename(deployed.folder / "away")
    return deployed.config.model_folder / FILE


def test_a_report_imports_no_scikit_learn_for_what_was_predicted(deployed):
    """The run that deployed predicted the test data; without that a report says the same."""
    report = deployed.config.report_folder / "00000001" / "report.pdf"
    command = [sys.executable, "-X", "importtime", ROOT / "reporting.py", "--run", "1"]
    command += ["--config", deployed.folder / "config.json", "--format", "pdf"]
    written, imported = [], []
    for forget in (False, True, False):
        if forget:
            (deployed.config.model_folder / FILE).unlink()
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
        imported.append("sklearn.base" in done.stderr)
        written.append(report.read_bytes())

    assert imported == [False, True, False]
    assert written[0] == written[1] == written[2]


def test_what_was_kept_is_what_the_model_predicts(kept, deployed, ledger, asked):
    """To the last bit, also when there is no model any more to ask."""
    model, rows = asked

    found = Predictions(deployed.config, ledger).of(model.manifest, rows)

    assert found.tolist() == model.predict_proba(rows).tolist()


@pytest.mark.parametrize("other", ["rows", "order", "model"])
def test_other_rows_and_other_models_are_predicted_anew(kept, deployed, ledger, asked, other):
    """As the release is gone, this is an error; a wrong prediction would be worse."""
    model, rows = asked
    manifest, known = model.manifest, Predictions(deployed.config, ledger)
    if other == "rows":
        rows.loc[rows.index[0], manifest.numeric[0]] += 1
    elif other == "order":
        rows = rows[::-1]
    else:
        files = manifest.files | {manifest.model_name: "0" * 64}
        manifest = manifest.model_copy(update={"files": files})

    with pytest.raises(UnknownName, match="no release 1"):
        known.of(manifest, rows)


@pytest.mark.parametrize("content", [b"", b"PK not what was written", None])
def test_a_file_that_was_not_written_here_is_not_believed(kept, deployed, ledger, asked, content):
    """It is damaged, or somebody else put it there."""
    model, rows = asked
    if content is None:
        ledger.file_digests.remove([deployed.config.name_of(kept)])
    else:
        kept.write_bytes(content)

    with pytest.raises(UnknownName, match="no release 1"):
        Predictions(deployed.config, ledger).of(model.manifest, rows)


def test_something_new_replaces_what_was_kept(deployed, ledger, asked):
    """Or the file would grow with every drop; it is not written again if nothing is new."""
    model, rows = asked
    path = deployed.config.model_folder / FILE
    written = []
    for tables in ([rows, rows.head(3)], [rows.head(3)], [rows.head(3), rows.head(2)]):
        known = Predictions(deployed.config, ledger)
        for table in tables:
            known.of(model.manifest, table)
        known.keep()
        written.append(path.stat().st_ino)

    again = Predictions(deployed.config, ledger)
    deployed.config.deployment_folder.rename(deployed.folder / "away")
    assert written[0] == written[1] != written[2]
    assert [len(again.of(model.manifest, rows.head(n))) for n in (2, 3)] == [2, 3]
    with pytest.raises(UnknownName, match="no release 1"):
        again.of(model.manifest, rows)
