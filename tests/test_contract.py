"""The OpenAPI document is a promise: valid, and kept by every answer."""

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from app import create_app
from tests.torture import in_full
from web import api_keys

FIRST_CUSTOMER = "sk9ccm"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory, two_releases):
    """Give a world with two releases, an incident, its case, quarantined rows, a refused file."""
    world = new_world(tmp_path_factory.mktemp("contract")).copy_of(two_releases)
    with world.open_ledger() as ledger:
        about = {"subject": "lastmonth_activity", "severity": "large", "version": 2}
        ledger.incidents.open({"kind": "data_quality", "detail": "it moved", **about})
        (incident,) = ledger.incidents.unresolved()
        asked = {"kind": "broken_feed", "incident_id": incident.id, **about}
        asked["decision_id"] = ledger.decisions.record("ask", "because")
        facts = '{"since": null, "expected": [], "drill": []}'
        ledger.cases.apply([asked | {"challenger": None, "facts": facts}], [])
    return world


@pytest.fixture(scope="module")
def document(world):
    return create_app(world.config).api_doc


@pytest.fixture(scope="module")
def server(world, serve_world):
    """Give the address of the API of that world."""
    with serve_world(world) as url:
        yield url


def test_the_document_is_valid(document):
    """By the rules of OpenAPI 3.1."""
    validate(document)


def test_every_operation_is_explained(document):
    """A summary, a tag, and what it answers."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"] and operation["tags"], (method, path)
            assert {"200", "302"} & set(operation["responses"]), (method, path)


def operations_of(document):
    """Yield each operation with its address."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"{method} {path}", operation


def test_every_parameter_is_described_and_every_operation_has_a_name_of_its_own(document):
    """A generated client shows the description and is called by the name."""
    names = [operation["operationId"] for _, operation in operations_of(document)]

    assert len({*names}) == len(names) and "get_runs_id" in names
    for address, operation in operations_of(document):
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (address, parameter["name"])
    assert "<br" not in json.dumps(document)


def test_every_response_has_an_example_that_its_schema_allows(document):
    for address, operation in operations_of(document):
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                schema = content["schema"] | {"components": document["components"]}
                faults = list(Draft202012Validator(schema).iter_errors(content["example"]))
                assert not faults, (address, status, media_type, faults)


def test_every_body_has_an_example_that_its_schema_allows(document):
    for address, operation in operations_of(document):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            schema = content["schema"] | {"components": document["components"]}
            faults = list(Draft202012Validator(schema).iter_errors(content["example"]))
            assert not faults, (address, media_type, faults)


@pytest.mark.parametrize("path", ["/prediction", "/invocations"])
def test_the_example_of_rows_is_answered(document, server, path):
    """As a reader sends it who tries the documentation."""
    contents = document["paths"][path]["post"]["requestBody"]["content"]

    for media_type, content in contents.items():
        given = content["example"]
        body = json.dumps(given) if media_type == "application/json" else given
        answer = requests.post(server + path, data=body, headers={"Content-Type": media_type})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["predictions"]) == 1


def test_all_errors_share_one_schema(document):
    """Generators make one class of it."""
    problems = [
        response["content"]["application/problem+json"]["schema"]
        for _, operation in operations_of(document)
        for status, response in operation["responses"].items()
        if status >= "400" and "application/problem+json" in response.get("content", {})
    ]

    assert len(problems) > 100
    assert all(schema == {"$ref": "#/components/schemas/Problem"} for schema in problems)
    assert "ValidationErrorModel" not in document["components"]["schemas"]


@pytest.mark.parametrize("path", ["/scoring", "/summarystats", "/diagnostics/timing"])
def test_who_accepts_anything_gets_json_below_the_prefix(server, path):
    """And the classic format elsewhere, as ever; a browser gets its page in both places."""
    kinds = [
        requests.get(server + prefix + path, headers={"Accept": accept}).headers["Content-Type"]
        for prefix in ("", "/api/v1")
        for accept in ("*/*", "text/html,*/*;q=0.8")
    ]

    assert [kind.startswith("application/json") for kind in kinds] == [False, False, True, False]


@pytest.mark.torture
def test_every_get_of_a_generated_client_works(world, document, server, tmp_path, monkeypatch):
    """Made by a generator that knows nothing but the document."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    command = [SCHEMATHESIS.with_name("openapi-python-client"), "generate", "--meta", "none"]
    paths = ["--path", tmp_path / "openapi.json", "--output-path", tmp_path / "generated_client"]
    around = os.environ | {"PATH": f"{SCHEMATHESIS.parent}:{os.environ['PATH']}"}
    subprocess.run([*command, *paths], env=around, check=True, capture_output=True)
    monkeypatch.syspath_prepend(tmp_path)
    key = api_keys.create(world.config, "generated client", "read").key
    client = importlib.import_module("generated_client").AuthenticatedClient(
        base_url=f"{server}/api/v1",
        token=key,
        prefix="",
        auth_header_name="X-API-Key",
        follow_redirects=True,  # of /diagnostics
    )
    needed = {
        "id": 1,
        "version": 1,
        "metric": "f1",
        "identifier": FIRST_CUSTOMER,
        "feature": "lastmonth_activity",
    }
    called = {}
    for path in sorted((tmp_path / "generated_client" / "api").rglob("get_*.py")):
        name = ".".join(path.relative_to(tmp_path).with_suffix("").parts)
        call = importlib.import_module(name).sync_detailed
        parameters = inspect.signature(call).parameters.values()
        required = [p.name for p in parameters if p.default is p.empty and p.name != "client"]
        arguments = {name: needed[name] for name in required}
        called[path.stem] = call(client=client, **arguments)

    gets = [op["operationId"] for name, op in operations_of(document) if name.startswith("get ")]
    assert sorted(called) == sorted(gets)
    no_report = {  # none was written
        "get_reports_latest_pdf",
        "get_runs_id_report_pdf",
        "get_runs_id_appendix_pdf",
    }
    for name, response in called.items():
        assert response.status_code == (404 if name in no_report else 200), (name, response)
        assert response.parsed is not None, name


@pytest.mark.parametrize(
    ("scope", "phases", "examples"),
    [
        ("admin", "examples,stateful,fuzzing", "5"),
        in_full("read", "examples,coverage,stateful,fuzzing", "20"),
        in_full("admin", "examples,coverage,stateful,fuzzing", "20"),
    ],
)
def test_every_answer_is_one_the_document_promises(
    world, server, scope, phases, examples, tmp_path
):
    """Schemathesis tries whatever it can think of; all its checks hold, whatever the key may."""
    key = api_keys.create(world.config, f"schemathesis {scope} {examples}", scope).key
    command = [SCHEMATHESIS, "run", f"{server}/openapi.json", "--header", f"X-API-Key: {key}"]
    options = ["--phases", phases, "--max-examples", examples, "--generation-deterministic"]

    found = subprocess.run(
        [*command, *options, "--no-color"], capture_output=True, text=True, cwd=tmp_path
    )

    assert found.returncode == 0, found.stdout[-8000:]
