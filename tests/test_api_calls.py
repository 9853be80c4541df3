import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import api_calls
import app


@pytest.fixture
def running(deployed):
    """Give the address of an API after a first run."""
    with app.answering(deployed.config) as (url, _):
        yield url


@pytest.fixture
def pretender():
    """Give the address of a server that answers as it was told to, and that function."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_endpoint_is_asked_and_the_report_can_be_read(world, running):
    """Status, time and body of each."""
    result = api_calls.run(world.config, url=running)

    report = (world.config.model_folder / "api_returns.txt").read_text()
    assert result.exit_code == 0, str(result)
    assert re.fullmatch(r"(\d+) of \1 endpoints answered", str(result))
    for endpoint in ("GET /scoring", "GET /summarystats", "POST /prediction", "GET /runs/1"):
        assert re.search(rf"^{endpoint}   200 in \d+\.\d{{3}} s$", report, re.MULTILINE)
    assert "lastmonth_activity" in report


def test_whatever_the_document_names_is_asked_or_named_as_not_called(world, running):
    """An endpoint that is added to the API needs no change of the client."""
    app_ = app.create_app(world.config)
    documented = {
        f"{method.upper()} {re.sub('{.*?}', '*', path)}"
        for path, operations in app_.api_doc["paths"].items()
        for method in operations
    }

    result = api_calls.run(world.config, url=running)

    asked = {f"{call.method} {call.endpoint.partition('?')[0]}" for call in result.calls}
    left = {name.partition(":")[0] for name in result.not_called}
    patterns = {f"{re.escape(name).replace(chr(92) + '*', '[^/]+')}$" for name in documented}
    assert all(any(re.match(pattern, name) for name in asked | left) for pattern in patterns)


def test_what_changes_something_is_not_called(world, running):
    """A report must not acknowledge incidents."""
    result = api_calls.run(world.config, url=running)

    assert "POST /models/champion: changes data" in result.not_called
    assert {call.endpoint for call in result.calls if call.method == "POST"} == {
        "/prediction",
        "/invocations",
    }


def test_nobody_is_asked_about_where_the_first_test_row_names_nobody(world, running):
    """An empty name is nobody's; what else is wrong with such test data, the answers tell."""
    lines = world.config.test_data.read_text().splitlines()
    lines[1] = lines[1][lines[1].index(",") :]
    world.config.test_data.write_text("\n".join(lines))

    result = api_calls.run(world.config, url=running)

    assert "GET /explanation: no example available" in result.not_called


def test_a_server_that_is_down_is_said_so(world):
    """Non-zero, and naming what failed."""
    result = world.command("api_calls.py", "--url", "http://127.0.0.1:9")

    assert result.returncode == 69
    assert "0 of 3 endpoints answered; failed: GET /" in result.stdout
    assert "no answer" in (world.config.model_folder / "api_returns.txt").read_text()


def test_an_api_without_a_model_is_said_so(world):
    """503 is not an answer."""
    with app.answering(world.config) as (url, _):
        result = api_calls.run(world.config, url=url)

    assert result.exit_code == 69
    assert "no release is live" in result.report()


def test_a_redirect_to_another_host_is_not_followed(world, pretender):
    """The key would go with it."""
    url, answers = pretender
    answers["/"] = (302, {"Location": "//elsewhere.example/"}, b"")

    result = api_calls.run(world.config, url=url, key="secret")

    home = next(call for call in result.calls if call.endpoint == "/")
    assert (home.status, home.answered) == (302, False)


def test_an_endless_answer_is_cut(world, pretender):
    """What a report cannot hold is not read."""
    url, answers = pretender
    paths = {"/big": {"get": {}}}
    answers["/openapi.json"] = (200, {}, json.dumps({"paths": paths}).encode())
    answers["/big"] = (200, {"Content-Type": "application/pdf"}, b"x" * 50_000_000)

    result = api_calls.run(world.config, url=url)

    (big,) = [call for call in result.calls if call.endpoint == "/big"]
    assert big.answered
    assert (
        int(big.body.partition(" ")[0].replace(",", ""))
        <= api_calls.CHUNK_BYTES * api_calls.MAX_READS
    )


def test_long_bodies_are_shortened_in_the_report():
    """Forty lines are read, four thousand are not."""
    call = api_calls.Call("GET", "/x", 200, 0.1, "line\n" * 4000)

    assert str(call).count("line") == api_calls.MAX_LINES + 1
    assert "... and 3960 more lines" in str(call)
