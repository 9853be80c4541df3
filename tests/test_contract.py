"""The OpenAPI document is a promise: valid, and kept by every answer."""

import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from app import create_app
from tests.torture import in_full
from web import api_keys

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory, two_releases):
    """Give a world with two releases, an incident, quarantined rows and a refused file."""
    return new_world(tmp_path_factory.mktemp("contract")).copy_of(two_releases)


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


@pytest.mark.parametrize(
    ("scope", "phases", "examples"),
    [
        ("read", "examples,fuzzing", "3"),
        ("admin", "examples,stateful,fuzzing", "5"),
        in_full("read", "examples,coverage,stateful,fuzzing", "60"),
        in_full("admin", "examples,coverage,stateful,fuzzing", "60"),
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
