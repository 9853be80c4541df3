import csv
import io
import json
import re
import shutil
from copy import copy

import pytest
import sqlalchemy as sa

from app import create_app
from risk import store
from risk.explain import score_change
from risk.ledger import file_lock
from risk.ledger.assessments import Case
from risk.ledger.tables import decisions, requests_for_change, stage_timings
from risk.models import model, signing
from risk.monitoring import detector
from risk.monitoring.profile import Profile
from tests.factories import warn
from web import api_keys, response_models

INCIDENT = {
    "version": 1,
    "kind": "data_drift",
    "subject": "tenure",
    "severity": "large",
    "detail": "tenure higher by 0.50 sd",
}
LISTS = {
    "runs": response_models.Run,
    "findings": response_models.Finding,
    "incidents": response_models.Incident,
    "decisions": response_models.Decision,
    "drills": response_models.Drilled,
    "drops": response_models.Drop,
    "quarantine": response_models.Refused,
    "models": response_models.Release,
    "scores": response_models.Score,
}


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory, two_releases):
    """Give a world with two runs, a release, a refused file and a refused cell."""
    world = new_world(tmp_path_factory.mktemp("records")).copy_of(two_releases)
    with world.open_ledger() as ledger:
        ledger.incidents.open(INCIDENT)
    return world


@pytest.fixture(scope="module")
def alice(world):
    """Give the headers of somebody who may do everything."""
    return {"X-API-Key": api_keys.create(world.config, "alice", "admin").key}


@pytest.fixture(scope="module")
def app(world, alice):
    return create_app(world.config)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def ledger(world):
    with world.open_ledger() as opened:
        yield opened


@pytest.fixture
def incident(ledger):
    """Give the number of an open incident."""
    ledger.incidents.open(INCIDENT)
    return ledger.incidents.unresolved()[-1].id


def copy_of(world, folder):
    """Give a world with the same past."""
    shutil.copytree(world.folder, folder, symlinks=True, dirs_exist_ok=True)
    twin = copy(world)
    twin.folder = folder
    return twin


def newest(world, table):
    """Return the newest row, of its times only whether there are any."""
    times = {"decided_at", "completed_at", "started_at", "duration_seconds"}
    with world.open_ledger() as ledger, ledger.engine.connect() as connection:
        row = connection.execute(sa.select(table).order_by(table.c.id.desc()).limit(1)).one()
    return {name: value is None if name in times else value for name, value in row._mapping.items()}


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize(("name", "item"), LISTS.items())
def test_lists_are_what_they_are_documented_to_be(client, name, item):
    """Every field, no other, each of its type."""
    content = client.get(f"/{name}?page_size=100").json

    assert 0 < len(content["items"]) <= content["total"]
    for row in content["items"]:
        assert row.keys() == item.model_fields.keys()
        assert item.model_validate_json(json.dumps(row), strict=True)


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_to_be_had_as_csv_by_accept_and_by_a_link(client, name):
    """A link in a browser cannot ask by header; what it asks for is stronger."""
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

    by_accept = client.get(f"/{name}", headers={"Accept": "text/csv"})
    by_link = client.get(f"/{name}?format=csv", headers=browser)
    as_json = client.get(f"/{name}?format=json", headers={"Accept": "text/csv"})

    assert by_accept.mimetype == by_link.mimetype == "text/csv"
    assert by_accept.data == by_link.data
    assert f'filename="{name}.csv"' in by_link.headers["Content-Disposition"]
    assert len(rows_of(by_link)) == len(as_json.json["items"])
    assert list(rows_of(by_link)[0]) == list(as_json.json["items"][0])


def test_csv_has_the_same_values_as_json(client):
    """Whole numbers without a point though some are missing, times with their zone."""
    row = rows_of(client.get("/decisions?format=csv"))[0]
    item = client.get("/decisions").json["items"][0]

    assert row["decided_at"] == item["decided_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", row["decided_at"])
    assert row["version"] == ("" if item["version"] is None else str(item["version"]))
    assert json.loads(row["comparison"] or "null") == item["comparison"]


def test_a_spreadsheet_runs_nothing_of_what_was_dropped(client):
    """The refused cell begins with =; JSON has it as it came."""
    rows = [row["value"] for row in rows_of(client.get("/quarantine?format=csv"))]
    items = [item["value"] for item in client.get("/quarantine").json["items"]]

    assert "'=1+2" in rows
    assert "=1+2" in items


def test_following_the_links_visits_every_row_once(client, ledger):
    """Also if rows are added meanwhile."""
    visited, url = [], "/scores?page_size=7"
    expected = [item["id"] for item in ledger.scores.page().items]
    while url:
        answer = client.get(url)
        visited += [item["id"] for item in answer.json["items"]]
        ledger.scores.record([{"model_sha256": "m", "dataset": "new", "metric": "f1", "n": 1}])
        found = re.search(r'<([^>]*)>; rel="next"', answer.headers["Link"])
        url = found and found[1]

    assert visited[: len(expected)] == expected
    assert sorted(set(visited), reverse=True) == visited


def test_links_stay_where_the_api_was_asked(client):
    """Under /api/v1, with what was selected and the form it was asked in."""
    link = client.get("/api/v1/findings?page_size=1&drift_detected=false&format=csv")

    assert re.findall(r'rel="(\w+)"', link.headers["Link"]) == ["first", "next", "last"]
    for url in re.findall(r"<([^>]*)>", link.headers["Link"]):
        assert url.startswith("/api/v1/findings?page_size=1&drift_detected=false&format=csv&")


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("drops?status=refused", 1),
        ("quarantine?ingestion_id=99", 0),
        ("decisions?action=rollback", 0),
        ("decisions?action=deploy&run_id=1", 1),
        ("runs?status=failed", 0),
        ("scores?metric=f1&version=99", 0),
        ("findings?feature=no%20such&check_name=data_drift", 0),
    ],
)
def test_lists_can_be_narrowed(client, query, total):
    """By what the rows have."""
    assert client.get(f"/{query}").json["total"] == total


@pytest.mark.parametrize(
    "query",
    [
        "runs?page=0",
        "runs?page_size=101",
        "runs?before_id=9223372036854775808",
        "runs?sort=id",
        "runs?format=xml",
        "findings?drift_detected=maybe",
        "findings?feature=%00",
        "scores?metric=beauty",
        "trends/f1?per=year",
        "trends/f1?since=yesterday",
        "trends/f1?since=0d",
        "runs/0",
        "runs/one",
        "models/9223372036854775808",
        f"incidents/{'9' * 5000}",
    ],
)
def test_questions_that_make_no_sense_are_refused(client, query):
    """422, naming the place."""
    answer = client.get(f"/{query}")

    assert answer.status_code == 422
    assert answer.json["errors"][0]["loc"]


@pytest.mark.parametrize("path", ["runs/999", "incidents/999", "models/999", "trends/beauty"])
def test_what_does_not_exist_is_404(client, path):
    """With words that say so."""
    answer = client.get(f"/{path}")

    assert answer.status_code == 404
    assert "no" in answer.json["detail"]


def test_a_run_is_told_with_what_happened_in_it(client):
    """The first one took the drops, trained and deployed, on evidence of the gate."""
    run = client.get("/runs/1").json

    assert response_models.RunInFull.model_validate_json(json.dumps(run), strict=True)
    assert {drop["status"] for drop in run["drops"]} == {"taken", "refused"}
    assert {"ingestion", "training", "deployment"} <= {stage["stage"] for stage in run["stages"]}
    assert run["decisions"][0]["comparison"]["challenger"]["n"] == 5


def test_an_incident_is_acknowledged_and_resolved_by_name(client, alice, incident):
    """The ledger keeps who did it, and why."""
    noted = client.post(f"/incidents/{incident}/acknowledge", headers=alice)
    closed = client.post(
        f"/incidents/{incident}/resolve", headers=alice, json={"reason": "the vendor mended it"}
    )

    assert noted.json["acknowledged_at"] and not noted.json["resolved_at"]
    assert closed.json["resolution"] == "the vendor mended it (by alice)"
    assert closed.json["resolution_code"] == "by_person"
    assert closed.json["resolution_facts"] == {"key": "alice"}
    assert closed.json == client.get(f"/incidents/{incident}").json


def test_without_a_reason_a_person_resolved_it(client, alice, incident):
    """No body, an empty one, or an empty field of a form."""
    answer = client.post(f"/incidents/{incident}/resolve", headers=alice)

    assert answer.json["resolution"] == "Resolved by a person (by alice)"


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_a_form_leads_back_to_the_page(client, alice, incident, action):
    """A browser shows the dashboard again."""
    form = {"reason": ""} if action == "resolve" else {}
    answer = client.post(
        f"/incidents/{incident}/{action}",
        headers=alice | {"Content-Type": "application/x-www-form-urlencoded"},
        data=form,
    )

    assert (answer.status_code, answer.location) == (303, "/")


def test_what_is_resolved_cannot_be_resolved_again(client, alice, incident, ledger):
    """The first word stays."""
    ledger.incidents.resolve(incident, "mended")

    answer = client.post(f"/incidents/{incident}/resolve", headers=alice)

    assert answer.status_code == 404
    assert ledger.incidents.read(incident)["resolution"] == "mended"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ('{"reason": 1}', "application/json", 422),
        ('{"why": "x"}', "application/json", 422),
        ('{"reason": ', "application/json", 422),
        ('{"reason": "\\ud800"}', "application/json", 422),
        ("[" * 100_000, "application/json", 422),
        (b'{"reason": "\xff"}', "application/json", 422),
        ("null", "application/json", 422),
        ('{"reason": "x"}', "text/plain", 415),
        ("why=x", "application/x-www-form-urlencoded", 422),
    ],
)
def test_bodies_that_make_no_sense_change_nothing(client, alice, incident, body, kind, status):
    """Broken, nested without end, of another type."""
    answer = client.post(
        f"/incidents/{incident}/resolve", headers=alice | {"Content-Type": kind}, data=body
    )

    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert client.get(f"/incidents/{incident}").json["resolved_at"] is None


def test_the_champion_is_told_as_its_signed_manifest_says(client, world):
    """Taken from the disk, where the release is."""
    key = signing.key(world.config)
    signed = model.load_manifest(world.config.deployment_folder / "current", key)

    champion = client.get("/models/champion").json

    assert champion == json.loads(signed.model_dump_json())
    assert champion == client.get(f"/models/{champion['version']}").json


def test_a_champion_that_cannot_be_trusted_is_not_told(world, tmp_path):
    """503, as long as its signature does not hold."""
    twin = copy_of(world, tmp_path)
    path = twin.config.deployment_folder / "current" / "manifest.json"
    path.write_text(path.read_text().replace("LogisticRegression", "GaussianNB"))

    answer = create_app(twin.config).test_client().get("/models/champion")

    assert answer.status_code == 503
    assert "signed" in answer.json["detail"]


def test_the_list_of_models_marks_the_live_one(client):
    """And only that."""
    live = [item["version"] for item in client.get("/models").json["items"] if item["live"]]

    assert live == [client.get("/models/champion").json["version"]]


def test_a_release_chosen_over_http_is_in_the_ledger_as_by_hand(world, alice, tmp_path):
    """All that tells them apart is the request for a change."""
    by_hand, by_http = (copy_of(world, tmp_path / name) for name in ("hand", "http"))

    by_hand.command("deployment.py", "--rollback", "1")
    answer = (
        create_app(by_http.config)
        .test_client()
        .post("/models/champion", headers=alice, json={"version": 1})
    )

    assert answer.json["version"] == 1
    for table in (decisions, stage_timings):
        assert newest(by_http, table) == newest(by_hand, table)
    assert newest(by_http, requests_for_change)["key_name"] == "alice"


def test_a_release_that_is_not_there_cannot_be_chosen(client, alice, ledger):
    """404, and nothing is decided."""
    before = ledger.decisions.page().total

    answer = client.post("/models/champion", headers=alice, json={"version": 99})

    assert answer.status_code == 404
    assert ledger.decisions.page().total == before


@pytest.mark.parametrize("body", ['{"version": "1"}', '{"version": true}', "{}", ""])
def test_a_release_is_chosen_by_a_number(client, alice, body):
    """By nothing that could be taken for one."""
    headers = alice | {"Content-Type": "application/json"}

    assert client.post("/models/champion", headers=headers, data=body).status_code == 422


def test_while_a_run_is_at_work_no_release_is_chosen(client, world, alice, ledger):
    """503 with the time after which to try again, and who holds the lock."""
    with file_lock.lock(world.config, holder="full_process"):
        answer = client.post("/models/champion", headers=alice, json={"version": 1})

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "full_process" in answer.json["detail"]


@pytest.mark.parametrize("metric", ["f1", "drift_score", "missing_percent", "rows", "findings"])
def test_trends_are_what_they_are_documented_to_be(client, metric):
    """The oldest point first, as JSON and as CSV."""
    content = client.get(f"/trends/{metric}?per=day&since=30d").json
    rows = rows_of(client.get(f"/trends/{metric}?per=day&since=30d&format=csv"))

    assert response_models.Trend.model_validate_json(json.dumps(content), strict=True)
    times = [point["at"] for point in content["points"]]
    assert times and times == sorted(times) == [row["at"] for row in rows]


def test_a_trend_can_be_of_one_feature(client):
    """And of nothing else then."""
    points = client.get("/trends/mean?feature=lastmonth_activity").json["points"]

    assert {point["feature"] for point in points} == {"lastmonth_activity"}


def test_without_a_report_the_answer_says_how_to_make_one(client):
    """Not an empty file."""
    answer = client.get("/reports/latest.pdf")

    assert answer.status_code == 404
    assert "python reporting.py" in answer.json["detail"]


def test_the_newest_report_is_sent_again_only_if_it_changed(world, tmp_path):
    """Whole, in part, or not at all."""
    twin = copy_of(world, tmp_path)
    store.write(twin.config.model_folder / twin.config.report_filename, b"%PDF-1.4 report")
    client = create_app(twin.config).test_client()

    whole = client.get("/reports/latest.pdf")
    same = client.get("/reports/latest.pdf", headers={"If-None-Match": whole.headers["ETag"]})
    part = client.get("/reports/latest.pdf", headers={"Range": "bytes=0-3"})

    assert (whole.mimetype, whole.data) == ("application/pdf", b"%PDF-1.4 report")
    assert (same.status_code, same.data) == (304, b"")
    assert (part.status_code, part.data) == (206, b"%PDF")


def test_before_there_is_a_ledger_the_answer_is_503(new_world, tmp_path):
    """And no ledger is made by asking."""
    world = new_world(tmp_path)
    client = create_app(world.config).test_client()

    assert {client.get(f"/{name}").status_code for name in LISTS} == {503}
    assert client.get("/models/champion").status_code == 503
    assert not (world.folder / "db").exists()


FALL = response_models.ScoreChange.model_config["json_schema_extra"]["example"]


def test_why_the_score_changed_is_what_the_newest_assessment_found(world, tmp_path):
    """On the dashboard in the same words; nothing is known before enough labels came."""
    twin = copy_of(world, tmp_path)
    client = create_app(twin.config).test_client()
    before = client.get("/scores/change").json

    with twin.open_ledger() as ledger:
        facts, profile = json.dumps({"score_change": FALL}), Profile(0, {}).to_json()
        ledger.assessments.record(
            Case(2, 980, profile, detector.start().to_json(), None, [], facts=facts)
        )
    after, page = client.get("/scores/change").json, client.get("/").text

    assert before == {"change": None, "text": "", "offered": ["nothing"]}
    assert after["change"] == FALL
    assert after["text"] == score_change.in_words(FALL)
    assert after["offered"] == ["move_threshold", "recalibrate"]
    assert response_models.ScoreExplained.model_validate_json(json.dumps(after))
    assert "Retraining would not bring it back" in page
    assert "Parts of the change" in page

    with twin.open_ledger() as ledger:
        for incident in ledger.incidents.unresolved():
            ledger.incidents.resolve(incident.id, "explained")
    over, page = client.get("/scores/change").json, client.get("/").text

    assert over["text"] == score_change.in_words(FALL, is_incident=False)
    assert over["offered"] == ["nothing"]
    assert "No incident is open: this may be chance" in page
    assert "Retraining would not bring it back" not in page


def test_the_account_says_how_each_alarm_turned_out(client):
    """As reporting.py --account --json does; the schema is checked by its model."""
    told = client.get("/account").json

    found = response_models.Account.model_validate(told)
    own = [alarm for alarm in found.alarms if alarm.subject == "tenure"]
    assert {(alarm.verdict, alarm.why) for alarm in own} == {("undecided", "few_drops")}
    assert found.since is not None


def test_early_warnings_are_listed_apart(world, client):
    """As findings with that tier; alarms have theirs."""
    with world.open_ledger() as ledger:
        ledger.runs.start()
        warn(ledger, "tenure", version=2)

    (warning,) = client.get("/findings?tier=warning").json["items"]
    alarms = client.get("/findings?drift_detected=true").json["items"]

    assert (warning["feature"], warning["drift_detected"]) == ("tenure", False)
    assert {alarm["tier"] for alarm in alarms} == {"alarm"}
    assert client.get("/findings?tier=loud").status_code == 422
