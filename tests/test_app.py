import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr

import full_process
from app import answering, create_app
from risk.ledger.ledger import Ledger
from risk.models import signing
from web import api_keys
from web.api_keys import Keyring

ROOT = Path(__file__).parents[1]

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def client(new_world, tmp_path_factory, first_run):
    """Give a client of the API after a first run, of which all tests only ask."""
    shop = new_world(tmp_path_factory.mktemp("shop")).copy_of(first_run)
    return create_app(shop.config).test_client()


@pytest.fixture
def own_client(deployed):
    """Give a client of the API of a world that a test may change."""
    return create_app(deployed.config).test_client()


def test_predictions_answer_plain_curl_with_a_list(client):
    """The seeds' shape: the labels in the order of the rows."""
    answer = client.get("/prediction?filename=data/test/test_data.csv")

    assert answer.status_code == 200
    assert answer.text == "[1, 0, 1, 0, 1]"


def test_predictions_as_json_name_customer_probability_and_model(client):
    """Programs get what the list leaves out."""
    content = client.get("/prediction", headers=JSON).json

    assert content["model_version"] == 1
    assert [row["y_pred"] for row in content["predictions"]] == [1, 0, 1, 0, 1]
    assert content["predictions"][0]["corporation"] == "sk9ccm"


def test_scoring_answers_f1(client):
    """2 TP, 1 FP, 0 FN: F1 = 4 / 5."""
    assert float(client.get("/scoring").text) == pytest.approx(0.8)


def test_scoring_as_json_has_intervals(client):
    """A score of 5 rows must not look like a fact."""
    scores = client.get("/scoring", headers=JSON).json["scores"]

    f1 = scores[0]
    assert f1["metric"] == "f1"
    assert f1["lower"] < f1["value"] < f1["upper"]
    assert f1["n"] == 5


def test_summary_statistics_answer_a_html_table(client):
    """31 accepted rows; the seeds show HTML."""
    answer = client.get("/summarystats")

    assert answer.mimetype == "text/html"
    assert "<table" in answer.text
    assert "<td>lastmonth_activity</td>" in answer.text
    assert "<td>31</td>" in answer.text


def test_timings_tell_real_runs(client):
    """The last ingestion and training, not a re-run of them."""
    timings = client.get("/diagnostics/timing", headers=JSON).json["timings"]

    runs = {row["stage"]: row["runs"] for row in timings}
    assert runs["ingestion"] == runs["training"] == 1
    assert client.get("/diagnostics/timing").text.startswith("{'ingestion': ")


def test_diagnostics_redirects_to_timing(client):
    """As the seeds have it."""
    answer = client.get("/diagnostics")

    assert answer.status_code == 302
    assert answer.location == "/diagnostics/timing"


def test_dependencies_list_every_requirement(client):
    """Required, installed, latest; offline the latest is unknown."""
    table = client.get("/diagnostics/dependencies", headers=JSON).json["dependencies"]

    pandas = next(row for row in table if row["package"] == "pandas")
    assert pandas["state"] == "ok"
    assert pandas["latest"] == "unknown"


@pytest.mark.parametrize(
    "name",
    [
        "../config.json",
        "data/test/../../config.json",
        "/etc/passwd",
        "//proc/self/environ",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "config.json",
        "data/test/test_data.csv%00.png",
        "data/test",
        "C:\\x",
        "",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("endpoint", ["prediction", "scoring", "summarystats"])
def test_no_request_string_becomes_a_path(client, endpoint, name):
    """Names are looked up, never opened."""
    answer = client.get(f"/{endpoint}", query_string={"filename": name})

    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"
    assert "root:" not in answer.text


def test_a_drop_that_was_taken_is_a_known_data_set(client):
    """Stakeholders ask by the name they gave it."""
    answer = client.get("/prediction?filename=data/development/dataset1.csv")

    assert len(json.loads(answer.text)) == 17


def test_two_file_names_are_refused(client):
    """Which of them was meant cannot be known."""
    assert client.get("/scoring?filename=a&filename=b").status_code == 400


def test_errors_are_problem_documents_with_honest_statuses(client):
    """404 and 405 too, with Allow kept."""
    missing, wrong = client.get("/nothing"), client.post("/scoring")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert missing.json["status"] == 404
    assert wrong.mimetype == "application/problem+json"
    assert "GET" in wrong.headers["Allow"]


def test_before_the_first_model_the_answer_is_503(world):
    """Not ready is not an error of the client, nor a traceback."""
    client = create_app(world.config).test_client()

    answer = client.get("/prediction")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"
    assert "no release is live" in answer.json["detail"]


def test_asking_everything_writes_nothing(own_client, world, tree):
    """A question never writes: the mirror's /scoring overwrote the score it was asked for."""
    before, ledger_before = tree(), sql_counts(world)

    for endpoint in ("prediction", "scoring", "summarystats", "diagnostics/timing", "health"):
        assert own_client.get(f"/{endpoint}").status_code == 200

    assert tree() == before
    assert sql_counts(world) == ledger_before


def sql_counts(world):
    from sqlalchemy import func, select

    from risk.ledger import tables

    with world.open_ledger() as ledger, ledger.engine.connect() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table))
            for name, table in tables.metadata.tables.items()
        }


def test_before_there_is_a_ledger_asking_does_not_make_one(world):
    """Even an empty database would be a write."""
    client = create_app(world.config).test_client()

    assert client.get("/diagnostics/timing").status_code == 503
    assert not (world.folder / "db").exists()


def test_a_tampered_model_is_not_served(own_client, world):
    """Its signature is checked before it is unpickled."""
    live = world.config.deployment_folder / "releases" / "1" / "trained_model.pkl"
    live.write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")

    answer = create_app(world.config).test_client().get("/prediction")

    assert answer.status_code == 503
    assert not os.path.exists("/tmp/owned")


def test_a_new_release_is_served_without_a_restart(own_client, world):
    """The pointer is resolved by each request."""
    with world.open_ledger() as ledger:
        import deployment
        import training

        training.run(world.set(random_seed=5), ledger)
        deployment.run(world.config, ledger, by_force=True)

    assert own_client.get("/prediction", headers=JSON).json["model_version"] == 2


def test_every_answer_carries_the_safety_headers(client):
    """Errors as well."""
    for path in ("/scoring", "/nothing"):
        headers = client.get(path).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_names_are_escaped_in_tables(world):
    """A column may be called anything, even a script."""
    name = "<script>alert(1)</script>"
    for path in world.folder.glob("data/*/*.csv"):
        path.write_text(path.read_text().replace("lastmonth_activity", name))
    config = world.set(columns__numeric=[name], columns__allowed_ranges={})
    with Ledger.open(config) as ledger:
        full_process.run(config, ledger)

    text = create_app(config).test_client().get("/summarystats").text

    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_app_takes_its_secret_from_the_settings(world):
    """The seeds kept it in the file; here it comes by the environment."""
    from risk.config import Config

    config = Config.load(
        world.folder / "config.json", environment={"RISK_FLASK_SECRET_KEY": "from outside"}
    )

    assert create_app(config).secret_key == "from outside"
    assert signing.key(config)


def test_everything_answers_below_the_version_as_well(client):
    """Old addresses stay, programs may pin the new ones; redirects keep to theirs."""
    assert client.get("/api/v1/scoring").json == client.get("/scoring", headers=JSON).json
    assert client.get("/api/v1/diagnostics").location == "/api/v1/diagnostics/timing"


def test_keys_are_made_shown_and_revoked_by_command(world):
    """The only place where a key is shown is the standard output of the command that makes it."""
    made = world.command("app.py", "keys", "create", "--scope", "write", "ci")
    again = world.command("app.py", "keys", "create", "ci", "--scope", "read")
    shown = world.command("app.py", "keys", "list", "--json")
    revoked = world.command("app.py", "keys", "revoke", "ci")

    assert Keyring(world.config).keys() == ()
    assert made.stdout.startswith("risk_") and len(made.stdout.split()) == 1
    assert made.stdout.strip() not in made.stderr
    assert (again.returncode, revoked.returncode) == (64, 0)
    (key,) = json.loads(shown.stdout)["keys"]
    assert (key["name"], key["scope"], set(key)) == ("ci", "write", {"name", "scope", "created_at"})


@pytest.mark.parametrize(
    "words",
    [
        ["keys"],
        ["keys", "create"],
        ["keys", "list", "ci"],
        ["keys", "revoke", "ci", "--scope", "read"],
        ["--scope", "read"],
        ["serve"],
        ["keys", "create", "ci", "--scope", "root"],
    ],
)
def test_half_a_command_is_wrong_usage(world, words):
    """Nothing is served or made by a guess."""
    result = world.command("app.py", *words)

    assert result.returncode == 64
    assert "keys" in result.stderr
    assert not (world.folder / ".secrets").exists()


def test_the_api_of_a_moment_lets_in_who_opened_it(world):
    """Where reading needs a key, its own is new each time, reads only, and is in no file."""
    world.set(api__host="0.0.0.0")

    with answering(world.config) as (url, key), answering(world.config) as (other, _):
        assert url.startswith("http://127.0.0.1:") and url != other
        assert requests.get(f"{url}/docs").status_code == 401
        assert requests.get(f"{url}/docs", headers={"X-API-Key": key}).status_code == 200
        assert requests.get(f"{other}/docs", headers={"X-API-Key": key}).status_code == 401
        change = requests.post(f"{url}/incidents/1/resolve", headers={"X-API-Key": key})
        assert change.status_code in (403, 503)

    assert not (world.folder / world.config.api_keys_path).exists()


def test_a_running_api_is_asked_only_with_a_key_it_takes(world, serve_world):
    """RISK_API_KEY opens it; without, one is run for the moment."""
    new = api_keys.create(world.config, "cron", "read")
    world.set(api__read_without_key=False)
    with serve_world(world) as running:
        config = world.set(api__port=int(running.rsplit(":", 1)[1]))
        holder = config.model_copy(update={"api_key": SecretStr(str(new))})

        with answering(holder) as (url, key):
            assert (url, key) == (running, str(new))
        with answering(config) as (url, _):
            assert url != running


def test_a_stranger_on_the_port_is_not_taken_for_the_api(world):
    """Whatever it answers."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        config = world.set(api__port=stranger.getsockname()[1])
        thread = threading.Thread(target=say_ok, args=(stranger,))
        thread.start()

        with answering(config) as (url, _):
            assert url != f"http://127.0.0.1:{config.api.port}"
        thread.join()


def say_ok(server):
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"ok"')


def test_the_server_tells_no_versions(world):
    """Old ones are looked for; FLASK_DEBUG opens no debugger either."""
    arguments = [sys.executable, ROOT / "app.py", "--config", world.folder / "config.json"]
    environment = {"PATH": os.environ["PATH"], "FLASK_DEBUG": "1"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*arguments, "--set", f"api.port={port}"], env=environment, stderr=subprocess.PIPE
    )
    while b"Press CTRL+C" not in process.stderr.readline():
        assert process.poll() is None

    answer = requests.get(f"http://127.0.0.1:{port}/health")
    debugger = requests.get(f"http://127.0.0.1:{port}/console")
    process.terminate()
    process.communicate()

    assert answer.headers["Server"] == "risk"
    assert debugger.status_code == 404
    assert debugger.headers["Content-Type"] == "application/problem+json"
