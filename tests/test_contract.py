"""The OpenAPI document is a promise: valid, and kept by every answer."""

import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

import full_process
from app import create_app
from risk.ledger.ledger import Ledger
from web import api_keys

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory):
    """Give a world with two releases, an incident, quarantined rows and a refused file."""
    world = new_world(tmp_path_factory.mktemp("contract"))
    world.drop("broken.csv", "corporation,lastmonth_activity\nx,1\n")
    world.drop("odd.csv", "corporation,lastmonth_activity,lastyear_activity,number_of_employees,"
               "exited\nodd,-1,2,3,0\n")  # fmt: skip
    for config in (world.config, world.switch_to_production()):
        with Ledger.open(config) as ledger:
            full_process.run(config, ledger)
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


@pytest.mark.parametrize("scope", ["read", "admin"])
def test_every_answer_is_one_the_document_promises(world, server, scope, tmp_path):
    """Schemathesis tries whatever it can think of; all its checks hold, whatever the key may."""
    key = api_keys.create(world.config, f"schemathesis {scope}", scope).key
    command = [SCHEMATHESIS, "run", f"{server}/openapi.json", "--header", f"X-API-Key: {key}"]
    options = ["--max-examples", "20", "--generation-deterministic"]

    found = subprocess.run(
        [*command, *options, "--no-color"], capture_output=True, text=True, cwd=tmp_path
    )

    assert found.returncode == 0, found.stdout[-8000:]
