import platform
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from sqlalchemy import text

import risk
from app import create_app

ROOT = Path(__file__).parents[2]
JSON = {"Accept": "application/json"}


@pytest.fixture
def client(deployed):
    """Give a client of the API after a first run."""
    return create_app(deployed.config).test_client()


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez", "/api/v1/health"])
def test_health_looks_at_nothing_it_depends_on(world, path):
    """No model and no ledger: the process lives nevertheless, and is not restarted for it."""
    client = create_app(world.config).test_client()

    assert client.get(path, headers={"Accept": "text/plain"}).text == "ok"
    assert client.get(path, headers=JSON).json["status"] == "ok"


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
def test_ready_lists_what_works(client, path):
    """A load balancer may send requests."""
    answer = client.get(path)

    assert answer.status_code == 200
    assert [check["name"] for check in answer.json["checks"]] == ["model", "ledger"]


def test_before_the_first_run_nothing_is_ready(world):
    """Both faults are named, in a problem document; and asking makes no ledger."""
    answer = create_app(world.config).test_client().get("/ready")

    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert [error["loc"] for error in answer.json["errors"]] == [["model"], ["ledger"]]
    assert answer.headers["Retry-After"]
    assert not (world.folder / "db").exists()


def test_a_tampered_model_is_not_ready(world, client):
    """Its signature is checked before anything else; the ledger is fine."""
    live = world.config.deployment_folder / "releases" / "1" / "trained_model.pkl"
    live.write_bytes(b"something else")

    answer = create_app(world.config).test_client().get("/ready")

    assert [error["loc"] for error in answer.json["errors"]] == [["model"]]
    assert "trained_model.pkl is not the file its manifest describes" in answer.json["detail"]
    assert str(world.folder) not in answer.text


def test_a_ledger_of_another_version_is_not_ready(world, client):
    """Found also by a server that was ready before."""
    assert client.get("/ready").status_code == 200
    with world.open_ledger() as ledger, ledger.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    answer = client.get("/ready")

    assert answer.status_code == 503
    assert [error["loc"] for error in answer.json["errors"]] == [["ledger"]]


def test_version_tells_application_model_and_python(client):
    """What a bug report needs."""
    content = client.get("/version").json

    assert content["version"] == risk.__version__
    assert content["model"]["version"] == 1
    assert len(content["model"]["sha256"]) == 64
    assert content["python"] == platform.python_version()
    assert content["packages"]["scikit-learn"] == version("scikit-learn")


def test_version_is_told_without_a_model(world):
    """Before the first run there is none."""
    content = create_app(world.config).test_client().get("/version").json

    assert content["model"] is None


def test_the_version_is_that_of_the_project():
    """It stands in two places, since the project is not installed as a package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == risk.__version__
