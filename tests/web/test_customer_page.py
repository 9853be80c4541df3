"""One customer explained, over the API and on a page."""

import re
from xml.etree import ElementTree

import pytest
from scipy.special import expit, logit

from app import create_app
from tests.factories import first_release
from web import api_keys

JSON = {"Accept": "application/json"}
HOSTILE = "<script>alert(1)</script>{{7*7}}"


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory):
    """Give a world with a live model, and a customer of a name that would run in a page."""
    world = new_world(tmp_path_factory.mktemp("customers"))
    header = (world.config.test_data).read_text().splitlines()[0]
    world.drop("hostile.csv", f"{header}\n{HOSTILE},100,,50,1\nА/Б 株式会社,1,2,3,0\n")
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)
    return world


@pytest.fixture(scope="module")
def client(world):
    return create_app(world.config).test_client()


def ask(client, identifier, path="/explanation", **more):
    return client.get(path, query_string={"identifier": identifier, **more})


@pytest.mark.parametrize("name", ["sk9ccm", "А/Б 株式会社"])
def test_the_explanation_is_that_of_the_prediction(client, name):
    """The same risk as is predicted for the row; the parts lead there from the baseline."""
    told = ask(client, name).json

    row = {part["feature"]: part["value"] for part in told["parts"]}
    predicted = client.post("/prediction", json=[row], headers=JSON).json
    assert told["risk"] == pytest.approx(predicted["predictions"][0]["y_pred_proba"])
    assert told["scale"] == "log-odds"
    parts = sum(part["contribution"] for part in told["parts"])
    assert told["baseline"] + parts == pytest.approx(told["total"])
    assert told["total"] == pytest.approx(logit(told["risk"]))
    assert told["usual_risk"] == pytest.approx(expit(told["baseline"]))


def test_a_missing_value_is_null(client):
    """It is explained like others."""
    parts = {part["feature"]: part for part in ask(client, HOSTILE).json["parts"]}

    assert parts["lastyear_activity"]["value"] is None
    assert parts["lastyear_activity"]["beside_reference"].startswith("missing, as in ")


@pytest.mark.parametrize("path", ["/explanation", "/customers", "/charts/contributions.svg"])
@pytest.mark.parametrize("name", ["nobody", "../../etc/passwd", "/etc/passwd", "%00", "\x01", "'"])
def test_an_unknown_customer_is_not_found(client, path, name):
    """Words of a request never become a path, and come back as text."""
    answer = ask(client, name, path)

    assert answer.status_code == 404
    assert "unknown corporation" in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("query", ["", "identifier=", "identifier=%00", "name=sk9ccm"])
def test_a_question_about_nobody_breaks_the_schema(client, query):
    """The page shows its form instead."""
    assert client.get(f"/explanation?{query}").status_code == 422
    assert client.get("/customers").status_code == 200


def test_the_page_tells_what_the_api_tells(client):
    """The sentence, the chart, each feature with its effect; then how to get the numbers."""
    told, page = ask(client, "sk9ccm").json, ask(client, "sk9ccm", "/customers").text

    assert f"sk9ccm: predicted risk {told['risk']:.1%}" in page
    for part in told["parts"]:
        assert f"<bdi>{part['feature']}</bdi>" in page
        assert part["beside_reference"] in page
    (chart,) = set(re.findall(r'src="(/charts/[^"]+)&amp;theme=light"', page))
    assert client.get(chart).mimetype == "image/svg+xml"
    assert 'href="/explanation?identifier=sk9ccm"' in page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chart_names_every_feature_and_is_kept(client, theme):
    """What has not changed is not sent again."""
    answer = ask(client, "sk9ccm", "/charts/contributions.svg", theme=theme)

    drawn = " ".join(ElementTree.fromstring(answer.data).itertext())
    assert all(part["feature"] in drawn for part in ask(client, "sk9ccm").json["parts"])
    again = client.get(answer.request.url, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert ask(client, "sk9ccm", "/charts/contributions.svg", theme="x").status_code == 404


def test_a_name_does_not_run_in_the_page(client):
    """Neither as a script nor as a template, found or not."""
    for name in (HOSTILE, f"{HOSTILE}!"):
        page = ask(client, name, "/customers")

        assert "<script>alert" not in page.text and "49" not in re.findall(r"\}\}|49", page.text)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_whoever_may_not_read_is_told_nothing(world):
    """A customer's risk is nobody else's business."""
    closed = world.config.model_copy(
        update={"api": world.config.api.model_copy(update={"read_without_key": False})}
    )
    client, key = create_app(closed).test_client(), api_keys.create(closed, "sales", "read").key

    for path in ("/explanation", "/customers", "/charts/contributions.svg"):
        assert ask(client, "sk9ccm", path).status_code in (302, 303, 401)
        allowed = client.get(f"{path}?identifier=sk9ccm", headers={"X-API-Key": key})
        assert allowed.status_code == 200


def test_before_the_first_run_it_says_what_to_do(new_world, tmp_path):
    """The page and the API alike."""
    client = create_app(new_world(tmp_path).config).test_client()

    for path in ("/explanation", "/customers"):
        answer = ask(client, "sk9ccm", path)
        assert answer.status_code == 503
        assert "run: python full_process.py" in answer.text
