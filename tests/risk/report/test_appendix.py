import hashlib
import json
from dataclasses import replace

import pytest

from risk.config import Config
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.report import appendix, context
from risk.stats.seasons import DAY, WEEKEND, Curve


@pytest.fixture(scope="module")
def known(story):
    """Give the evidence of the newest run while the ledger is open."""
    with Ledger.open(story.config, upgrade=False) as ledger:
        yield context.gather(story.config, ledger)


def test_files_have_the_digests_of_their_bytes(known, tables, words, story):
    """An auditor can check each."""
    section = appendix.section(known)
    files = next(t for t in tables(section) if "SHA-256" in t.columns)

    for name, _, _, digest in files.rows:
        content = (story.world.folder / name).read_bytes()
        assert digest == hashlib.sha256(content).hexdigest()
    of_test = hashlib.sha256(story.config.test_data.read_bytes()).hexdigest()
    assert of_test in words(section)
    assert len(files.rows) == 4


def test_every_setting_is_listed_but_no_secret(story, known, tables):
    """As --print-config shows them, and passwords hidden."""
    config = Config.load(
        story.world.folder / "config.json",
        environment={
            "RISK_SIGNING_KEY": "hush" * 8,
            "RISK_NOTIFY_URLS": "mailto://hush",
            "RISK_DATABASE_URL": "postgresql://me:hush@db/x",
        },
    )

    told = dict(appendix.flat(appendix.settings(config)))

    assert "hush" not in json.dumps(told)
    assert told["training.cost.false_negative"] == "5.0"
    assert told["columns.numeric"] == json.dumps(story.world.settings["columns"]["numeric"])
    listed = next(t for t in tables(appendix.section(known)) if t.columns[0] == "setting")
    assert [row[0] for row in listed.rows] == [
        *dict(appendix.flat(appendix.settings(known.config)))
    ]


def test_the_manifest_is_the_signed_one(known, tables):
    """Name by name."""
    table = next(t for t in tables(appendix.section(known)) if t.columns == ("field", "value"))

    told, manifest = dict(table.rows), known.monitored.manifest
    assert told["threshold"] == json.dumps(manifest.threshold)
    trained = releases.live_folder(known.config.deployment_folder) / manifest.model_name
    assert told["files.trained_model.pkl"] == hashlib.sha256(trained.read_bytes()).hexdigest()


def test_a_long_setting_is_cut():
    """A hundred columns are no table cell."""
    told = dict(appendix.flat({"columns": {"numeric": ["x" * 50] * 20}}))

    assert len(told["columns.numeric"]) <= appendix.MAX_CHARACTERS + 4
    assert told["columns.numeric"].endswith(" ...")


def test_the_curves_of_the_live_release_are_listed(known, tables):
    """By weekday and by hour, each with the subjects that follow it; none where there are none."""
    before = [table.caption for table in tables(appendix.section(known))]
    zero, name = (0.0,) * 16, "number_of_employees"
    day, weekend = (0.0, 0.0, 0.0, -0.3, 0.0, 0.0), (0.7,)
    slopes = {"higher": (*day, *weekend)}
    curve = Curve((DAY, WEEKEND), zero, ((0.0,) * 7,) * 7, slopes, {}, 100)
    reference = replace(known.monitored.reference, curves={name: curve})

    monitored = replace(known.monitored, reference=reference)
    found = tables(appendix.section(replace(known, monitored=monitored)))

    week, hours = (table for table in found if table.caption not in before)
    assert week.rows == ((name, "higher", *[-0.2] * 5, *[0.5] * 2),)
    assert hours.columns[2:4] == ("00:00", "03:00")
    assert hours.rows[0][2:7:4] == (-0.3, 0.3)
