import html.parser
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pandas as pd
import pytest

import full_process
from app import create_app
from risk.explain import health, snapshot
from risk.ledger.ledger import Ledger
from risk.models import releases
from tests.factories import customers, warn
from web import api_keys

HOSTILE = ["<script>alert(1)</script>", "{{7*7}}", "\u202egnp.exe", "x" * 600, "'\"><b onclick=1>"]
INCIDENT = {
    "version": 1,
    "kind": "data_drift",
    "subject": "tenure",
    "severity": "moderate",
    "detail": "tenure higher by 0.40 sd",
}
SECTIONS = ["score", "drift", "drill", "cases", "incidents", "account", "gate", "data", "runs"]
FORM = "application/x-www-form-urlencoded"
VOID = {"wbr", "meta", "link", "img", "source", "input", "br"}


class Page(html.parser.HTMLParser):
    """What a browser makes of a page: its tags, and the text of each element with an id."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append((tag, dict(attributes).get("id")))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop()[0] == tag

    def handle_data(self, text):
        for _, name in self._open:
            if name:
                self.texts[name] = " ".join([*self.texts.get(name, "").split(), *text.split()])

    def all(self, tag, **wanted):
        found = [attributes for name, attributes in self.tags if name == tag]
        return [a for a in found if wanted.items() <= a.items()]

    def links(self):
        return [attributes["href"] for attributes in self.all("a")]


def page_of(client, path="/", **headers):
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


@pytest.fixture
def here(world, two_releases):
    """Give a world with a past, of which a test may change the present."""
    return world.copy_of(two_releases)


@pytest.fixture
def client(here):
    return create_app(here.config).test_client()


@pytest.fixture
def ledger(here):
    with Ledger.open(here.config) as opened:
        yield opened


def test_before_the_first_run_the_page_says_what_to_do(world, tree):
    """No ledger and no model are no fault, and looking makes none."""
    before = tree()

    page = page_of(create_app(world.config).test_client())

    assert "No run yet" in page.texts["verdict"]
    assert "python full_process.py" in page.texts["content"]
    assert str(world.config.input_folder_path) in page.texts["content"]
    assert tree() == before and not (world.folder / "db").exists()


def test_the_first_line_is_the_answer(client, here, ledger):
    """The same sentences the report prints."""
    told = health.assess(snapshot.look(here.config, ledger))

    page = page_of(client)

    assert page.texts["verdict"] == told.headline
    for sentence in (*told.reasons, *told.changed, *told.done, *told.advice):
        assert " ".join(sentence.split()) in page.texts["content"]


def test_sections_come_in_order_each_with_its_heading(client):
    """The navigation leads to each of them."""
    page = page_of(client)

    assert [a["id"] for a in page.all("section") if "id" in a] == SECTIONS
    assert page.links()[2:10] == [f"#{name}" for name in SECTIONS if name != "drill"]
    assert len(page.all("h1")) == 1
    assert len(page.all("h2")) == 3 + len(SECTIONS)


def test_alarms_change_the_answer(client, ledger):
    """As soon as the ledger knows of them."""
    ledger.incidents.open(INCIDENT | {"kind": "model_drift", "severity": "large"})

    page = page_of(client)

    assert page.texts["verdict"] == "The model is not fit to use"
    assert "verdict not-fit" in [a.get("class") for a in page.all("section")]
    assert "in 1 batch" in page.texts["incidents"]


def test_a_model_nobody_can_trust_is_told(client, here):
    """The page comes, with what is wrong."""
    live = releases.live_folder(here.config.deployment_folder)
    (live / "trained_model.pkl").write_bytes(b"something else")

    page = page_of(client)

    assert page.texts["verdict"] == "The model is not fit to use"
    assert "No model can be trusted" in page.texts["content"]


def test_each_feature_is_drawn_beside_its_drift(client, here):
    """The line has the shares that /distributions tells, the largest of both as 24."""
    here.set(policy__retrain_on=[], policy__refresh_growth=None)
    here.drop("more.csv", customers("m", 60, seed=1))
    here.run()

    page = client.get("/").get_data(as_text=True)
    answer = client.get(
        "/distributions/lastmonth_activity", headers={"Accept": "application/json"}
    ).get_json()
    cells = pd.DataFrame(answer["cells"])[["reference", "current"]]

    (drawn,) = re.findall(
        r'aria-label="lastmonth_activity: shares before and now">(.*?)</svg>', page, re.DOTALL
    )
    heights = [float(height) for height in re.findall(r'height="([\d.e-]+)"', drawn)]
    line = [24 - float(y) for y in re.findall(r"V([\d.e-]+)h6", drawn)]
    scale = 24 / cells.to_numpy().max()
    assert heights == pytest.approx((scale * cells["reference"]).tolist())
    assert line == pytest.approx((scale * cells["current"]).tolist(), abs=1e-9)


def test_every_link_leads_somewhere(client):
    """Each table can be had as CSV and as JSON."""
    links = [link for link in page_of(client).links() if not link.startswith("#")]

    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200, link
        if "format=csv" in link:
            assert answer.mimetype == "text/csv", link
        if "format=json" in link:
            assert answer.mimetype == "application/json", link
    assert len([link for link in links if "format=csv" in link]) == 12


def test_the_report_is_linked_once_there_is_one(client, here):
    """A dead link would be no help."""
    assert "/reports/latest.pdf" not in page_of(client).links()

    (here.config.model_folder / "report.pdf").write_bytes(b"%PDF-1.4")

    assert "/reports/latest.pdf" in page_of(client).links()


def test_only_who_may_write_sees_the_forms(client, here, ledger):
    """Everybody else is led to the sign-in."""
    ledger.incidents.open(INCIDENT)
    for scope, forms in (("read", 0), ("write", 2), ("admin", 2)):
        key = api_keys.create(here.config, f"<{scope}>", scope).key

        page = page_of(client, **{"X-API-Key": key})

        actions = [a["action"] for a in page.all("form") if "incidents" in a["action"]]
        assert len(actions) == forms
        assert f"<{scope}>" in page.texts["top"]
    assert "/login?next=/" in page_of(client).links()


def test_an_incident_is_handled_by_plain_forms(client, here, ledger):
    """Signed in, without JavaScript, and back on the page afterwards."""
    ledger.incidents.open(INCIDENT)
    number, origin = ledger.incidents.unresolved()[-1].id, {"Origin": "http://localhost"}
    key = api_keys.create(here.config, "Zoë", "write").key
    client.post("/login", data={"key": key}, headers=origin)

    for action, data in (("acknowledge", {}), ("resolve", {"reason": "a price rise"})):
        path = f"/incidents/{number}/{action}"
        assert page_of(client).all("form", action=path)
        answer = client.post(path, data=data, headers=origin, content_type=FORM)
        assert (answer.status_code, answer.location) == (303, "/")

    assert "a price rise (by Zoë)" in page_of(client).texts["incidents"]


def test_names_from_the_data_stay_text(client, here, ledger):
    """Script, template, direction, length: whatever a column or value is called."""
    for name in HOSTILE:
        ledger.incidents.open(INCIDENT | {"subject": name, "detail": f"{name} moved"})
        row = {
            "column_name": name[:255],
            "row_count": 1,
            "missing_count": 0,
            "top_value": name[:99],
        }
        ledger.database.run_id = 2
        ledger.column_statistics.record([row | {"top_count": 1}])

    page = page_of(client)

    for name in HOSTILE:
        assert f"{name} moved" in page.texts["incidents"]
        assert name[:99] in page.texts["data"]
    assert [a for a in page.all("script") if not a["src"].startswith("/static/")] == []
    assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]


def test_the_policy_of_the_page_allows_nothing_foreign(client):
    """No inline style or script is on it, so none has to be allowed."""
    answer = client.get("/")

    policy = dict(
        rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; ")
    )
    page = Page(answer.text)
    assert policy.pop("default-src") == policy.pop("frame-ancestors") == "'none'"
    assert policy.pop("base-uri") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert all("src" in attributes for attributes in page.all("script"))
    assert not page.all("style")
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", answer.text)


def test_the_chart_is_drawn_once(client):
    """SVG for every page and shape; who has it already is told so."""
    for query in ("", "?theme=dark", "?theme=light&shape=narrow"):
        answer = client.get(f"/charts/score-trend.svg{query}")
        again = {"If-None-Match": answer.headers["ETag"]}

        assert answer.mimetype == "image/svg+xml"
        assert ElementTree.fromstring(answer.data).tag.endswith("svg")
        assert client.get(f"/charts/score-trend.svg{query}", headers=again).status_code == 304
    assert client.get("/charts/score-trend.svg?theme=../x").status_code == 404


def test_the_chart_changes_with_the_scores(client, ledger):
    """A new score is a new picture, and the text beside it is new too."""
    before = client.get("/charts/score-trend.svg").headers["ETag"]
    score = {"dataset": "realised on new rows", "metric": "f1", "model_sha256": "0" * 64}
    for value in (0.25, 0.75):
        ledger.database.run_id = None
        ledger.scores.record([score | {"version": 1, "value": value, "n": 1234}])

    assert client.get("/charts/score-trend.svg").headers["ETag"] != before
    (image,) = page_of(client).all("img")
    assert "newest 0.750" in image["alt"] and "on 1,234 rows" in image["alt"]
    assert "release 1 on" in image["alt"]


def test_refused_rows_are_shown_with_their_reason(client):
    """Read, accepted, duplicate and quarantined, drop by drop."""
    page = page_of(client)

    assert "odd.csv taken 1 0 0 1 lastmonth_activity not a number" in page.texts["data"]


def test_a_world_without_labels_has_a_page(world):
    """The first model learns from the past; what comes has no labels yet."""
    world.run()
    config = world.switch_to_production()
    for path in config.input_folder.glob("*.csv"):
        first, *rows = path.read_text().splitlines()
        path.write_text("\n".join([first, *(row.rsplit(",", 1)[0] + "," for row in rows)]) + "\n")
    with Ledger.open(config) as ledger:
        full_process.run(config, ledger)

    page = page_of(create_app(config).test_client())

    assert "rows of test data" in page.texts["content"]
    assert "labelled rows" not in page.texts["verdict"]


def test_without_its_ledger_the_page_says_so(client, here):
    """503 and what to do, as a page; and it comes back by itself."""
    path = here.folder / "db" / "monitoring.sqlite"
    content = path.read_bytes()
    path.write_bytes(b"not a database" * 1000)

    answer = client.get("/")

    page = Page(answer.text)
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "The ledger is unavailable" in page.texts["verdict"]
    assert "database_url" in page.texts["content"]
    path.write_bytes(content)
    assert client.get("/").status_code == 200


def test_the_page_works_under_its_other_address(client):
    """Below /api/v1 every link stays there."""
    page = Page(client.get("/api/v1/").text)

    inner = [link for link in page.links() if not link.startswith("#")]
    assert inner and all(link.startswith("/api/v1/") for link in inner)


def test_the_page_is_of_the_time_of_the_clock_it_is_given(deployed):
    """So that a picture of it is the same on another day."""
    app = create_app(deployed.config, clock=lambda: datetime(2030, 1, 2, 3, 4, tzinfo=UTC))

    assert 'datetime="2030-01-02T03:04' in app.test_client().get("/").text


def test_the_score_of_one_run_is_no_chart(deployed):
    """Whatever a person scores by hand: the page says what to do instead."""
    for _ in range(2):
        deployed.command("scoring.py", "--model", "champion")

    score = page_of(create_app(deployed.config).test_client())

    assert "Bring new rows, with labels if they are known" in score.texts["score"]
    assert not score.all("img", **{"class": "chart"})


def test_the_score_can_be_asked_for_some_days(client, ledger):
    """Counted back from the newest point; anything else is all of it."""
    score = {"dataset": "realised on new rows", "metric": "f1", "model_sha256": "0" * 64}
    now = ledger.now()
    for days, value in ((20, 0.25), (2, 0.5), (0, 0.75)):
        ledger.database.run_id, ledger.database.now = None, lambda d=days: now - timedelta(days=d)
        ledger.scores.record([score | {"version": 1, "value": value, "n": 1234}])

    shown = {n: page_of(client, f"/?days={n}").texts["score"] for n in ("7", "30", "", "x")}

    assert "of 3 runs" in shown["7"]
    assert all("of 4 runs" in shown[days] for days in ("30", "", "x"))
    path = "/charts/score-trend.svg?days="
    assert client.get(f"{path}7").headers["ETag"] != client.get(f"{path}30").headers["ETag"]


def test_early_warnings_are_shown_as_what_they_may_be(client, ledger):
    """Until an incident is open about the same, which says more."""
    warn(ledger, "tenure", version=2)

    shown = page_of(client).texts["incidents"]
    ledger.incidents.open(INCIDENT | {"subject": "tenure"})
    then = page_of(client).texts["incidents"]

    assert "Early, may be nothing: column tenure is higher by 0.30 standard deviations." in shown
    assert "Early, may be nothing" not in then
    assert page_of(client).texts["verdict"] != "The model is not fit to use"
