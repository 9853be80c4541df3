"""The seeds' endpoints when the data sets they are asked about are gone or something else."""

import os

import pytest

from app import create_app

DROP = "data/development/dataset1.csv"
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def world(new_world, tmp_path_factory, first_run):
    return new_world(tmp_path_factory.mktemp("questions")).copy_of(first_run)


@pytest.fixture(scope="module")
def app(world):
    return create_app(world.config)


@pytest.fixture
def client(world, app):
    """Give a client; the drop that it may be asked about is whole again afterwards."""
    drop = world.folder / DROP
    content = drop.read_bytes()
    yield app.test_client()
    if drop.is_dir():
        drop.rmdir()
    drop.unlink(missing_ok=True)
    drop.write_bytes(content)


@pytest.mark.parametrize("endpoint", ["prediction", "scoring", "summarystats"])
@pytest.mark.parametrize(
    "replace",
    [
        lambda drop: None,
        lambda drop: drop.symlink_to("/etc/passwd"),
        lambda drop: drop.symlink_to(drop),
        lambda drop: os.mkfifo(drop),
        lambda drop: drop.mkdir(),
        lambda drop: drop.write_bytes(b"\x00\xff"),
        lambda drop: drop.write_bytes(b""),
    ],
)
def test_a_known_data_set_that_is_something_else_now_is_refused(client, world, endpoint, replace):
    """Its name was registered, what lies there was not: no link is followed, no pipe waited for."""
    drop = world.folder / DROP
    drop.unlink()
    replace(drop)

    answer = client.get(f"/{endpoint}?filename={DROP}")

    assert answer.status_code in (404, 422, 503)
    assert "root:" not in answer.text


def test_a_folder_that_is_gone_is_no_bug(client, world):
    """Nor is one that became a file."""
    folder, away = world.folder / "data" / "test", world.folder / "data" / "away"
    folder.rename(away)
    folder.touch()

    answer = client.get("/prediction")
    folder.unlink()
    away.rename(folder)

    assert answer.status_code == 404
    assert "data/test/test_data.csv" in answer.json["detail"]


def test_a_damaged_part_of_the_accepted_rows_is_told(client, world):
    """What is on the disk was changed by no run."""
    part = next((world.config.ingested_folder / "parts").iterdir())
    content = part.read_bytes()
    part.write_bytes(b"junk")

    answer = client.get("/summarystats")
    part.write_bytes(content)

    assert answer.status_code == 507
    assert "is damaged" in answer.json["detail"]


def test_numbers_too_large_to_be_squared_are_refused(client, world):
    """Their standard deviation would be infinite, which JSON does not know."""
    drop = world.folder / DROP
    drop.write_text(drop.read_text() + "big,1e308,1,1,0\nbigger,-0,1,1,0\n")

    answer = client.get(f"/summarystats?filename={DROP}", headers=JSON)

    assert answer.status_code == 422
    assert "beyond 1e+20, got '1e308'" in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/prediction", "text/plain"),
        ("/scoring", "text/plain"),
        ("/summarystats", "text/html"),
        ("/diagnostics/timing", "text/plain"),
        ("/diagnostics/dependencies", "text/html"),
    ],
)
def test_both_forms_of_an_answer_are_documented(client, path, plain):
    """Plain for people with curl, JSON for programs; the document names both and no third."""
    documented = client.application.api_doc["paths"][path]["get"]["responses"]["200"]["content"]

    asked = [client.get(path).mimetype, client.get(path, headers=JSON).mimetype]

    assert asked == [plain, "application/json"]
    assert documented.keys() == {plain, "application/json"}


def test_prediction_is_documented_for_both_methods(client):
    """They are of one path, whichever module they come from."""
    assert client.application.api_doc["paths"]["/prediction"].keys() == {"get", "post"}
