import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families as parse
from sklearn.dummy import DummyClassifier

from risk.models import model, releases, signing
from web import api_keys

ROOT = Path(__file__).parents[1]
CLIENTS = 4
PATIENCE, PAUSE = 60, 0.01


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running gunicorn."""

    def __init__(self, world, process):
        self.url = f"http://127.0.0.1:{world.config.api.port}"
        self.process = process

    @property
    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def counted(self, route):
        """Tell how many requests of a route were counted, of all methods and statuses."""
        text = requests.get(f"{self.url}/metrics", timeout=PATIENCE).text
        samples = [sample for family in parse(text) for sample in family.samples]
        wanted = ("http_requests_total", route)
        return sum(s.value for s in samples if (s.name, s.labels.get("route")) == wanted)


def start(world, *arguments):
    """Start gunicorn as `make serve` does, with two workers."""
    temporary = world.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    environment = {"RISK_CONFIG": str(world.folder / "config.json"), "TMPDIR": str(temporary)}
    with (world.folder / "gunicorn.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app", *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stderr=log,
        )


@contextmanager
def serving(world, *, bind=None):
    """Serve where the settings say, on a free port, or where `bind` says."""
    port = world.set(api__port=free_port()).api.port
    server = Server(world, start(world, *(["--bind", f"{bind}:{port}"] if bind else [])))
    try:
        wait_for(lambda: answers(server.url))
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


@pytest.fixture
def gunicorn(deployed):
    """Give a real gunicorn, after a first run."""
    with serving(deployed) as server:
        yield server


@pytest.fixture(scope="module")
def shop(new_world, tmp_path_factory, first_run):
    """Give the world of the server that nobody disturbs."""
    return new_world(tmp_path_factory.mktemp("shop")).copy_of(first_run)


@pytest.fixture(scope="module")
def steady(shop):
    """Give a real gunicorn that goes on from test to test."""
    with serving(shop) as server:
        yield server


def resident_megabytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def answers(url):
    try:
        return requests.get(f"{url}/health", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def wait_for(condition):
    for _ in range(10 * PATIENCE):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to pass")


@contextmanager
def asked_all_the_time(server):
    """Let some clients ask until a connection is refused, and count what came of it."""
    told, stop = Counter(), Event()

    def ask():
        session = requests.Session()
        while not stop.wait(PAUSE):
            try:
                told[session.get(f"{server.url}/version", timeout=PATIENCE).status_code] += 1
            except requests.ConnectionError as error:
                refused = "refused" in str(error)
                told["refused" if refused else "lost"] += 1
                if refused:
                    return

    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(CLIENTS):
            pool.submit(ask)
        try:
            wait_for(lambda: told[200] > 20)
            yield told
        finally:
            stop.set()


def test_gunicorn_serves_on_the_loopback_address_of_the_settings(steady):
    """As `make serve` does; the settings come by RISK_CONFIG."""
    answer = requests.get(f"{steady.url}/scoring", timeout=PATIENCE)

    assert float(answer.text) == pytest.approx(0.8)


def test_no_request_waits_for_the_packages_of_a_prediction(gunicorn):
    """Each worker loads them, with the release, although nobody has asked for a prediction."""

    def are_loaded():
        maps = [Path(f"/proc/{worker}/maps").read_text() for worker in gunicorn.workers]
        return len(maps) == 2 and all("sklearn" in libraries for libraries in maps)

    wait_for(are_loaded)


def test_a_model_that_cannot_predict_leaves_the_server_running(deployed):
    """Workers come and go while it is live; only predictions fail."""
    folder = releases.live_folder(deployed.config.deployment_folder)
    key = signing.key(deployed.config)
    manifest = model.load_manifest(folder, key)
    content = pickle.dumps(DummyClassifier())  # unfitted
    (folder / manifest.model_name).write_bytes(content)
    files = manifest.files | {manifest.model_name: model.digest(content)}
    signed = model.sign(manifest.model_copy(update={"files": files}), key)
    (folder / model.MANIFEST).write_text(signed)

    with serving(deployed) as server:
        assert requests.get(f"{server.url}/prediction", timeout=PATIENCE).status_code == 500
        assert requests.get(f"{server.url}/version", timeout=PATIENCE).ok
        assert len(server.workers) == 2

    assert "not ready for predictions" in (deployed.folder / "gunicorn.log").read_text()


def test_a_server_without_a_release_says_so(new_world, tmp_path):
    """It starts as well, and predicts as soon as there is one."""
    world = new_world(tmp_path / "new")
    with serving(world) as server:
        answer = requests.get(f"{server.url}/prediction", timeout=PATIENCE)
        assert answer.status_code == 503
        world.run()
        assert requests.get(f"{server.url}/prediction", timeout=PATIENCE).ok


def test_the_client_walks_the_running_server(shop, steady):
    """`python api_calls.py` in another shell, as the seeds show."""
    result = shop.command("api_calls.py")

    assert result.returncode == 0, result.stdout
    answered, all_of_them = re.search(r"(\d+) of (\d+) endpoints", result.stdout).groups()
    assert answered == all_of_them


def test_a_full_process_asks_the_running_server(shop, steady):
    """The one stakeholders use, not a private one."""
    shop.set(random_seed=9)
    assert shop.command("training.py").returncode == 0
    assert shop.command("deployment.py", "--force").returncode == 0

    answer = requests.get(
        f"{steady.url}/prediction", headers={"Accept": "application/json"}, timeout=PATIENCE
    )

    assert answer.json()["model_version"] == 2


def test_requests_of_all_workers_are_counted_whichever_is_scraped(steady):
    """Not one is forgotten, none counted twice; new connections reach all workers."""
    before = steady.counted("unmatched")
    for number in range(40):
        requests.get(f"{steady.url}/unknown/{number}", timeout=PATIENCE)

    assert [steady.counted("unmatched") - before for _ in range(8)] == [40] * 8


def test_the_death_of_a_worker_costs_no_more_than_what_it_had_in_hand(shop, steady):
    """The others answer, another one comes, and goes on with the counts of the dead."""
    earlier = steady.counted("/version")
    with asked_all_the_time(steady) as told:
        before, workers = steady.counted("/version"), steady.workers
        os.kill(min(workers), signal.SIGKILL)
        wait_for(lambda: len(steady.workers - workers) == 1)
        known = told[200]
        wait_for(lambda: told[200] > known + 20)

    assert told["lost"] <= CLIENTS
    assert steady.counted("/version") >= max(before, earlier + told[200])
    assert len(list((shop.folder / "temporary").glob("risk-metrics-*/counter_*.db"))) <= 2


def test_refused_rows_do_not_stay_in_memory(steady):
    """A refusal leaves garbage that refers to the rows; it is searched for often enough."""
    rows = [{"nonsense": n} for n in range(5_000)]

    def refuse(times):
        for _ in range(times):
            answer = requests.post(f"{steady.url}/prediction", json=rows, timeout=PATIENCE)
            assert answer.status_code == 422
        return max(resident_megabytes(worker) for worker in steady.workers)

    before = refuse(4)  # of a worker that has answered; another may still load its packages

    assert refuse(100) < before + 20


def test_a_reload_loses_no_request_and_no_count(steady):
    """After a change of the settings: kill -HUP."""
    earlier = steady.counted("/version")
    with asked_all_the_time(steady) as told:
        workers = steady.workers
        steady.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(steady.workers - workers) == len(steady.workers) == 2)

    assert set(told) == {200}
    assert steady.counted("/version") - earlier == told[200]


def test_a_server_that_ends_answers_whom_it_let_in(world, gunicorn):
    """Whoever comes later is refused at once, and no file is left behind."""
    with asked_all_the_time(gunicorn) as told:
        gunicorn.process.terminate()
        assert gunicorn.process.wait(timeout=PATIENCE) == 0

    assert set(told) == {200, "refused"}
    assert not list((world.folder / "temporary").iterdir())


def test_beyond_loopback_gunicorn_needs_a_key_whatever_the_settings_say(world):
    """`--bind` alone would have opened everything to the network."""
    process = start(world, "--bind", f"0.0.0.0:{free_port()}")

    assert process.wait(timeout=PATIENCE) == 78
    assert "keys create" in (world.folder / "gunicorn.log").read_text()


def test_tls_is_refused_instead_of_served_as_plain_text(world):
    process = start(world, "--bind", f"127.0.0.1:{free_port()}", "--certfile", __file__)

    assert process.wait(timeout=PATIENCE) == 78
    assert "proxy" in (world.folder / "gunicorn.log").read_text()


def test_beyond_loopback_nothing_is_read_without_a_key(world):
    """Also not from the machine itself: behind a proxy everybody would be local."""
    key = str(api_keys.create(world.config, "reader", "read"))

    with serving(world, bind="0.0.0.0") as server:
        stranger = requests.get(f"{server.url}/metrics", timeout=PATIENCE)
        holder = requests.get(f"{server.url}/metrics", headers={"X-API-Key": key}, timeout=PATIENCE)

    assert (stranger.status_code, holder.status_code) == (401, 200)


@contextmanager
def half_sent(server, *beginnings):
    """Hold 200 connections, each of which has sent the beginning of a request and no more."""
    host, port = server.url.removeprefix("http://").split(":")
    connections = []
    try:
        for number in range(200):
            connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
            connection.sendall(beginnings[number % len(beginnings)])
            connections.append(connection)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def slowest_health(server, times=20):
    """Return the seconds that the slowest but one of some probes took, each on a new connection.

    One may be slow because the machine had something else to do.
    """
    seconds = []
    for _ in range(times):
        began = time.monotonic()
        assert requests.get(f"{server.url}/health", timeout=PATIENCE).text == "ok"
        seconds.append(time.monotonic() - began)
    return sorted(seconds)[-2]


WHOLE = b"GET /version HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
TO_PREDICT = b"POST /prediction HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BEGINNINGS = {
    "nothing": [b""],
    "request lines": [b"G", b"GET /version HT", b"\r\n"],
    "headers": [WHOLE[:-2], WHOLE[:-1], b"GET / HTTP/1.1\r\nX-Key: half"],
    "bodies": [
        TO_PREDICT + b"Content-Length: 1000\r\n\r\n[{",
        TO_PREDICT + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[{",
        TO_PREDICT + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nX-Note: ",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nkey",
        TO_PREDICT + b"Content-Length: 99999999999\r\n\r\n[{",
    ],
    "second requests": [WHOLE + WHOLE[:-3], WHOLE + b"\r\n"],
}


@pytest.mark.parametrize("part", BEGINNINGS)
def test_clients_that_do_not_finish_a_request_delay_nobody(steady, part):
    """200 of them, more than there are threads; the probe is answered in half a second."""
    with half_sent(steady, *BEGINNINGS[part]):
        began = time.monotonic()
        assert requests.get(f"{steady.url}/version", timeout=PATIENCE).status_code == 200
        assert time.monotonic() - began < 3  # the whole requests among them are answered first
        assert slowest_health(steady) < 0.5


def test_clients_that_do_not_read_their_answers_do_not_delay_the_probe(steady):
    ask = b"GET /summarystats?format=json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    with half_sent(steady, 20 * ask):
        assert slowest_health(steady) < 0.5


def test_long_computations_do_not_delay_the_probe(steady):
    def compute(_):
        return requests.get(f"{steady.url}/summarystats", timeout=PATIENCE).status_code

    with ThreadPoolExecutor(8) as pool:
        answered = pool.map(compute, range(80))
        slowest = slowest_health(steady, times=50)

    assert set(answered) == {200}
    assert slowest < 0.5


def test_a_request_in_pieces_is_answered_as_one(steady):
    """Whatever the framing, one byte at a time, and several requests in a row."""
    body = b'[{"lastmonth_activity": 1, "lastyear_activity": 2, "number_of_employees": 3}]'
    chunks = b"%x;note=1\r\n%b\r\n0\r\nX-Note: yes\r\n\r\n" % (len(body), body)
    wanted = [
        b"\r\n" + WHOLE,
        TO_PREDICT + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        TO_PREDICT + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
        WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    ]
    host, port = steady.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        for byte in b"".join(wanted):
            connection.send(bytes([byte]))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.count(b"HTTP/1.1 200 OK") == 4, answer


def test_a_client_may_ask_whether_to_send_the_body(steady):
    host, port = steady.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        head = b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(TO_PREDICT + head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"[]")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert b"HTTP/1.1 422" in answer or b"HTTP/1.1 200" in answer


def test_a_request_that_is_never_finished_is_given_up(steady):
    """After ten seconds for the headers, with an answer that says so."""
    host, port = steady.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        began = time.monotonic()
        connection.sendall(b"GET / HT")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 9 < time.monotonic() - began < 15


@pytest.mark.parametrize("end", [b"zz\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n"])
def test_a_body_in_malformed_chunks_is_the_fault_of_the_client(steady, end):
    host, port = steady.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(TO_PREDICT + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n" + end)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
