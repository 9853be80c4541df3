import pytest
import sqlalchemy as sa

from app import create_app
from risk.ledger.tables import requests_for_change
from web import api_keys
from web.case_models import Case

INCIDENT = {
    "version": 1,
    "kind": "data_quality",
    "subject": "tenure",
    "severity": "large",
    "detail": "tenure is missing in all rows",
}
SCORE = {"value": 0.8, "lower": 0.7, "upper": 0.9, "n": 100}
COMPARISON = (
    '{"proven": false, "verdict": "not_enough_evidence", "metric": "f1", "n": 100, "p_value": 1.0,'
    ' "e_value": 1.0, "champion": {"value": 0.7, "lower": 0.6, "upper": 0.8, "n": 100},'
    ' "challenger": {"value": 0.8, "lower": 0.7, "upper": 0.9, "n": 100},'
    ' "difference": {"value": 0.1, "lower": -0.02, "upper": 0.22, "n": 100}}'
)
FACTS = (
    '{"since": {"earliest": "2026-11-01T00:00:00+00:00", "likeliest": "2026-11-02T00:00:00+00:00",'
    ' "latest": "2026-11-03T00:00:00+00:00", "rows": 300, "labelled": 20}, "drill": [],'
    ' "expected": [{"answer": "approve", "action": "learn", "rows_needed": 250, "rows": 300,'
    ' "labelled": 20}, {"answer": "decline", "action": "keep", "metric": "f1", "promised": null,'
    ' "score": null, "basis": null}]}'
)
REASON = {"because": "planned", "note": "a new system"}


@pytest.fixture
def data_case(world, ledger):
    """Give the number of a case about a broken feed."""
    ledger.incidents.open(INCIDENT)
    incident = ledger.incidents.unresolved()[-1].id
    return opened(ledger, kind="broken_feed", subject="tenure", incident_id=incident)


@pytest.fixture
def deployment_case(ledger):
    """Give the number of a case about a challenger."""
    return opened(ledger, kind="deployment", subject="(challenger)", challenger="a@0.5")


def opened(ledger, **about):
    decision = ledger.decisions.record("ask", "because")
    with ledger.engine.begin() as connection:
        change = sa.text("UPDATE decisions SET comparison = :comparison WHERE id = :id")
        connection.execute(change, {"comparison": COMPARISON, "id": decision})
    usual = {"severity": None, "version": 1, "challenger": None, "incident_id": None}
    row = {**usual, "decision_id": decision, "facts": FACTS, **about}
    ledger.cases.apply([row], [])
    return ledger.cases.about(decision_id=decision)[0]


@pytest.fixture
def client(world, ledger):
    return create_app(world.config).test_client()


@pytest.fixture
def key(world):
    """Give a function that makes the headers of somebody with a scope."""
    return lambda scope, name=None: {
        "X-API-Key": api_keys.create(world.config, name or scope, scope).key,
        "Accept": "application/json",
    }


def test_a_case_has_everything_to_know_before_an_answer(client, key, data_case):
    """And fits the published schema, in the list and alone."""
    everybody = key("read")

    alone = client.get(f"/cases/{data_case}", headers=everybody).get_json()
    listed = client.get("/cases?waiting=true", headers=everybody).get_json()

    Case.model_validate(alone, extra="forbid")
    assert listed["items"] == [alone]
    assert alone["incident"]["subject"] == "tenure"
    assert alone["words"]["question"] == "Are the new data right? tenure is missing in all rows"
    assert alone["words"]["since"] == (
        "It began between 2026-11-01 00:00 UTC and 2026-11-03 00:00 UTC, most likely at "
        "2026-11-02 00:00 UTC; 300 rows came since then, 20 of them with labels."
    )
    assert alone["words"]["expected"][0].startswith(
        "Approve: a challenger is trained once about 250 rows since the change have labels (20 are"
    )


def test_answers_take_the_scope_of_what_they_do(client, key, data_case, deployment_case, ledger):
    """Reading takes `read`, an answer `write`, and to deploy a release `admin`."""
    reader, writer, admin = key("read"), key("write"), key("admin")
    paths = f"/cases/{deployment_case}/approve", f"/cases/{data_case}/approve"

    statuses = [
        client.post(path, headers=who).status_code
        for path, who in [
            (paths[1], reader),
            (paths[0], writer),
            (paths[1], writer),
            (paths[0], admin),
        ]
    ]

    assert statuses == [403, 403, 200, 200]
    states = [ledger.cases.read(number)["state"] for number in (data_case, deployment_case)]
    assert states == ["approved", "approved"]


def test_who_answered_is_recorded_by_the_name_of_the_key(client, key, data_case, ledger):
    """With the answer, and among the requests for change."""
    path = f"/cases/{data_case}/decline"

    answer = client.post(path, json=REASON, headers=key("write", "Zoë")).get_json()

    (given,) = answer["answers"]
    assert (given["answered_by"], given["via"]) == ("Zoë", "API")
    assert (given["because"], given["note"]) == ("planned", "a new system")
    assert (answer["state"], answer["closed_because"]) == ("declined", "declined")
    assert [offer["code"] for offer in answer["offers"]] == ["take_rows_since_as_reference"]
    with ledger.engine.connect() as connection:
        (row,) = connection.execute(sa.select(requests_for_change))
    assert (row.key_name, row.path, row.status) == ("Zoë", path, 200)


def test_what_cannot_be_done_has_a_status(client, key, data_case):
    """Each a problem document that says why."""
    writer, until = key("write"), {"until": "2999-01-01"}
    asked = [
        ("/cases/99/decline", REASON, 404),
        (f"/cases/{data_case}/decline", {}, 422),
        (f"/cases/{data_case}/decline", {"because": "whim"}, 422),
        (f"/cases/{data_case}/snooze", REASON, 422),
        (f"/cases/{data_case}/snooze", REASON | {"until": "2001-01-01"}, 409),
        (f"/cases/{data_case}/snooze", REASON | {"until": "0001-01-01T00:00:00+13:00"}, 409),
        (f"/cases/{data_case}/snooze", REASON | {"until": "soon"}, 400),
        (f"/cases/{data_case}/snooze", REASON | until, 200),
        (f"/cases/{data_case}/decline", REASON, 200),
        (f"/cases/{data_case}/decline", REASON, 409),
        (f"/cases/{data_case}/snooze", REASON | until, 409),
    ]

    answers = [client.post(path, json=body, headers=writer) for path, body, _ in asked]

    assert [answer.status_code for answer in answers] == [status for *_, status in asked]
    assert "was declined by write" in answers[-1].get_json()["detail"]


def test_a_second_seasonal_answer_suggests_a_longer_reference(client, key, data_case):
    """The first does not."""
    body, writer = {"because": "seasonal", "until": "2999-01-01"}, key("write")

    codes = [
        [
            offer["code"]
            for offer in client.post(
                f"/cases/{data_case}/snooze", json=body, headers=writer
            ).get_json()["offers"]
        ]
        for _ in range(2)
    ]

    assert codes == [[], ["declare_longer_reference"]]


def test_a_deployment_says_what_it_is_expected_to_bring(client, key, deployment_case):
    """The difference of the scores, with its interval."""
    case = client.get(f"/cases/{deployment_case}", headers=key("read")).get_json()

    assert case["words"]["expected"] == [
        "Approve: the challenger goes live; F1 is expected to change by +0.100 [-0.020, +0.220].",
        "Decline: the live release stays; F1 is 0.700 [0.600, 0.800].",
    ]
    assert case["expected"][0]["difference"]["value"] == 0.1


def test_a_case_is_answered_by_plain_forms(client, key, data_case, deployment_case, ledger):
    """Signed in, without JavaScript, and back on the page; a deployment only with scope admin."""
    origin, form = {"Origin": "http://localhost"}, "application/x-www-form-urlencoded"
    client.post("/login", data={"key": key("write", "Zoë")["X-API-Key"]}, headers=origin)

    page = client.get("/", headers={"Accept": "text/html"}).text
    until = {"until": "2999-01-01", "because": "no-harm", "note": ""}
    answer = client.post(
        f"/cases/{data_case}/snooze", data=until, headers=origin, content_type=form
    )

    assert f'action="/cases/{data_case}/approve"' in page
    assert f'action="/cases/{deployment_case}/approve"' not in page
    assert f'action="/cases/{deployment_case}/decline"' in page
    assert (answer.status_code, answer.location) == (303, "/")
    assert ledger.cases.read(data_case)["state"] == "snoozed"
    assert "It was snoozed by Zoë until 2999-01-01 00:00 UTC" in client.get("/").text
