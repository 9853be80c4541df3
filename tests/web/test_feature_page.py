"""The page of one feature, and the same numbers over the API."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from app import create_app
from risk.data import part_files
from risk.ledger.ledger import Ledger
from tests.factories import customers, first_release

HOSTILE = "<script>alert(1)</script>{{7*7}}"
FEATURE = "number_of_employees"


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory):
    """Give a world whose live release has seen one quiet drop."""
    world = new_world(tmp_path_factory.mktemp("features"))
    for path in world.config.input_folder.glob("*.csv"):
        path.unlink()
    world.drop("first.csv", customers("f", 400, seed=1))
    world.run()
    world.drop("new.csv", customers("n", 300, seed=2))
    world.run()
    return world


@pytest.fixture(scope="module")
def client(world):
    return create_app(world.config).test_client()


def new_rows(world):
    with Ledger.open(world.config, upgrade=False) as ledger:
        return part_files.read(world.config, ledger, ledger.parts.ids()[-1:])


def test_the_shares_are_those_of_the_rows(client, world):
    """Counted again from the accepted rows; the missing values have no bounds."""
    told = client.get(f"/distributions/{FEATURE}").json

    rows = new_rows(world)[FEATURE]
    assert (told["feature"], told["version"], told["n_current"]) == (FEATURE, 1, len(rows))
    for cell in told["cells"]:
        low = -np.inf if cell["lower"] is None else cell["lower"]
        high = np.inf if cell["upper"] is None else cell["upper"]
        known = rows.between(low, high, inclusive="right")
        missing = cell["lower"] is None and cell["upper"] is None
        expected = rows.isna() if missing else known
        assert cell["current"] == pytest.approx(expected.mean())
    assert sum(cell["reference"] for cell in told["cells"]) == pytest.approx(1)


def test_the_table_can_be_had_as_csv(client):
    """The same cells."""
    answer = client.get(f"/distributions/{FEATURE}?format=csv")

    lines = answer.text.splitlines()
    assert answer.mimetype == "text/csv"
    assert lines[0] == "lower,upper,reference,current"
    assert len(lines) - 1 == len(client.get(f"/distributions/{FEATURE}").json["cells"])


def test_before_new_rows_came_there_is_only_the_reference(new_world, tmp_path):
    """The share of nothing is unknown, not zero."""
    world = new_world(tmp_path)
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)
    client = create_app(world.config).test_client()

    told = client.get(f"/distributions/{FEATURE}").json

    assert told["n_current"] == 0
    assert {cell["current"] for cell in told["cells"]} == {None}
    assert "No new rows yet" in client.get(f"/feature?name={FEATURE}").text


def test_the_page_has_the_chart_the_findings_and_the_way_back(client):
    """One click from the heat map and from an alarm."""
    assert f'href="/feature?name={FEATURE}"' in client.get("/").text
    page = client.get(f"/feature?name={FEATURE}").text

    finding = client.get(f"/findings?feature={FEATURE}&page_size=1").json["items"][0]
    assert finding["detail"] in page.replace("&#39;", "'")
    (chart,) = set(re.findall(r'src="(/charts/[^"]+)&amp;theme=light"', page))
    for theme in ("light", "dark"):
        drawn = client.get(f"{chart}&theme={theme}")
        words = " ".join(ElementTree.fromstring(drawn.data).itertext())
        assert FEATURE in words and "newest rows, n = 300" in words
    assert client.get(f"{chart}&theme=x").status_code == 404
    for link in re.findall(r'href="(/(?!static)[^"#]*)"', page):
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


@pytest.mark.parametrize("name", ["", "nope", "../../etc/passwd", "%00", HOSTILE])
def test_what_is_not_monitored_is_not_found(client, name):
    """Words of a request come back as text."""
    for path in ("/feature", "/charts/distribution.svg"):
        answer = client.get(path, query_string={"name": name})

        assert answer.status_code == 404
        assert "is monitored" in answer.text
        assert answer.mimetype != "text/html" or "<script>alert" not in answer.text


def test_an_incident_leads_to_its_feature(client, world):
    """And the page of the feature to the incident."""
    with Ledger.open(world.config) as ledger:
        ledger.incidents.open(
            {
                "version": 1,
                "kind": "data_drift",
                "subject": FEATURE,
                "severity": "large",
                "detail": f"{FEATURE} moved",
            }
        )

    assert f'<a href="/feature?name={FEATURE}"><bdi>{FEATURE}</bdi></a>' in client.get("/").text
    assert f"{FEATURE} moved" in client.get(f"/feature?name={FEATURE}").text
