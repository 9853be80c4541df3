import json

import pytest
from jsonschema import Draft202012Validator

from app import create_app
from docs import schemas as generated
from tests.factories import customers
from web import schemas


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory, two_releases):
    """Give a world with two releases and one more run, in which companies are larger."""
    world = new_world(tmp_path_factory.mktemp("schemas")).copy_of(two_releases)
    world.drop("larger.csv", customers("larger", 300, seed=3, grown=200))
    return world


@pytest.fixture(scope="module")
def told(world):
    """Give what that run says of itself."""
    done = world.command("full_process.py", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def client(world, told):
    return create_app(world.config).test_client()


def faults(name, answer):
    validator = Draft202012Validator(
        schemas.schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [error.message for error in validator.iter_errors(answer)]


def test_the_published_files_are_those_of_the_code():
    """`make schemas` writes them."""
    written = {path.name: path.read_text() for path in generated.FOLDER.glob("*.json")}

    assert written == generated.files()


@pytest.mark.parametrize("name", schemas.MODELS)
def test_the_api_serves_each_schema(client, name):
    served = client.get(f"/schemas/{name}.json").json

    Draft202012Validator.check_schema(served)
    assert served == schemas.schema(name)


def test_an_unknown_schema_is_not_found_and_the_others_are_named(client):
    answer = client.get("/schemas/nothing.json")

    assert answer.status_code == 404
    assert "finding" in answer.json["detail"]


def test_a_run_tells_its_outcome_in_the_form_of_its_schema(told, client):
    """The same findings as the API has."""
    assert faults("run", told) == []
    assert told["drift"] is True
    assert told["decision"]["run_id"] == told["run_id"]
    alarms = client.get(f"/findings?run_id={told['run_id']}&drift_detected=true").json["items"]
    assert [finding["id"] for finding in told["findings"]] == [each["id"] for each in alarms]
    assert {finding["tier"] for finding in alarms} == {"alarm"}


def test_a_rehearsal_has_the_same_form(world, told):
    done = world.command("full_process.py", "--dry-run", "--json")

    answer = json.loads(done.stdout)
    assert faults("run", answer) == []
    assert (answer["run_id"], answer["decision"], answer["findings"]) == (None, None, [])


@pytest.mark.parametrize(
    ("name", "path"),
    [("finding", "/findings"), ("incident", "/incidents"), ("decision", "/decisions")],
)
def test_lists_have_items_of_their_schema(client, name, path):
    items = client.get(f"{path}?page_size=100").json["items"]

    assert items
    assert [fault for item in items for fault in faults(name, item)] == []


def test_the_account_is_the_same_in_both_places(client, world, told):
    served = client.get("/account").json
    printed = json.loads(world.command("reporting.py", "--account", "--json").stdout)

    assert faults("account", served) == faults("account", printed) == []
    assert served["alarms"] and len(served["alarms"]) == len(printed["alarms"])


def test_a_drill_has_its_schema(world, told):
    done = world.command("diagnostics.py", "--drill", "--json")

    answer = json.loads(done.stdout)
    assert faults("drill", answer) == []
    assert answer["drill"]["results"]


def test_a_schema_refuses_what_it_does_not_allow(client):
    """A test that cannot fail would say nothing."""
    finding = client.get("/findings").json["items"][0]

    assert faults("finding", {**finding, "assumptions": "none"})
    assert faults("finding", {name: v for name, v in finding.items() if name != "tier"})
