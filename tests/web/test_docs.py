import shutil

import pytest

from app import create_app

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def client(world):
    """Give a client of an API that has nothing to tell yet."""
    return create_app(world.config).test_client()


def test_the_document_is_at_its_usual_address(client):
    """OpenAPI 3.1, and the seeds' endpoints are in it."""
    document = client.get("/openapi.json").json

    assert document["openapi"] == "3.1.0"
    assert {"/prediction", "/scoring", "/summarystats", "/diagnostics"} <= set(document["paths"])


def test_it_answers_below_the_version_too(client):
    """Programs pin the version, people do not."""
    assert client.get("/api/v1/openapi.json").json == client.get("/openapi.json").json


def test_the_page_takes_everything_from_this_server(client):
    """Offline is where such systems run."""
    answer = client.get("/docs")

    assert answer.status_code == 200
    assert "http" not in answer.text.replace("http-equiv", "")
    assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
    with client.get("/docs/swagger/css/swagger-ui.css") as style:
        assert style.status_code == 200


@pytest.mark.parametrize("name", ["../plugins.py", "..%2f__init__.py", ".../x", "nothing"])
def test_only_the_files_of_the_page_are_sent(client, name):
    """A name that leads elsewhere does not exist."""
    assert client.get(f"/docs/swagger/{name}").status_code == 404


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt install chromium")
def test_a_browser_shows_every_endpoint(serving):
    """Swagger UI runs under the strict policy, without a word in the console."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{serving}/docs")
        page.wait_for_selector("text=/summarystats")
        browser.close()

    assert said == []
    assert all(url.startswith((serving, "data:")) for url in asked)
