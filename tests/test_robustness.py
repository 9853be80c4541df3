import logging
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Timer

import pytest
import requests
import sqlalchemy as sa

import full_process
from risk.errors import LedgerError
from risk.ledger import lease
from risk.ledger.engines import AWAY_SECONDS
from tests.crash_driver import state
from tests.servers import POSTGRESQL, REMOTE, Proxy, hanging_server, on_remote_servers_in_turn
from tests.torture import EVERY, in_full

PASSWORD = "geheim"


@pytest.fixture(scope="module")
def undisturbed(new_world, tmp_path_factory):
    """Give what a first run leaves behind that nothing happened to, with a file as the ledger."""
    world = new_world(tmp_path_factory.mktemp("undisturbed"))
    run(world)
    return state(world.folder)


@pytest.fixture
def proxy(server):
    """Give a line to the server of a test."""
    with Proxy(server) as line:
        yield line


@pytest.fixture
def behind(world, proxy):
    """Give a world that reaches its ledger over that line."""
    world.set(database_url=proxy.url)
    return world


def run(world):
    """Do what cron does."""
    with lease.only_writer(world.config, holder="test") as ledger:
        return full_process.run(world.config, ledger).exit_code


@on_remote_servers_in_turn
@pytest.mark.parametrize("every", [10, in_full(min(EVERY, 4))])
def test_nothing_is_twice_or_lost_when_the_answer_to_a_commit_is(
    new_world, tmp_path, server, undisturbed, every
):
    """Was it committed? Nobody knows; the next run finds out by what is in the ledger.

    Of a sample each server has its share.
    """
    lost = tried = 0
    for at in range(1 if server.name == POSTGRESQL else 1 + every // 2, 100, every):
        world = new_world(tmp_path / str(at))
        server.clear() if at == 1 else server.empty()
        with Proxy(server) as proxy:
            proxy.lose_answer_to = at
            world.set(database_url=proxy.url)
            try:
                run(world)
            except LedgerError as error:
                assert (error.exit_code, proxy.commits >= at) == (69, True), error
                lost += 1
            if proxy.commits < at:
                break
            proxy.lose_answer_to = None
            assert run(world) == 0
            assert state(world.folder) == undisturbed, f"lost the answer to commit {at}"

        tried += 1

    assert tried * every > 12
    # the others: new tables are asked for again, a lease ends by itself
    assert lost >= tried / 3


@pytest.mark.torture
@on_remote_servers_in_turn
def test_a_server_that_restarts_between_two_transactions_is_waited_for(behind, proxy, undisturbed):
    """Its connections break and it is gone for a moment; a run goes on where it was."""
    questions = restarts = 0

    def restart(_connection):
        nonlocal questions, restarts
        questions += 1
        if questions % 8 == 0:
            restarts += 1
            proxy.cut()
            Timer(0.3, proxy.connect).start()

    sa.event.listen(sa.Engine, "rollback", restart)
    try:
        assert run(behind) == 0
    finally:
        sa.event.remove(sa.Engine, "rollback", restart)

    assert restarts > 3
    assert state(behind.folder) == undisturbed


@on_remote_servers_in_turn
def test_a_server_that_is_down_leaves_nothing_behind(behind, proxy, tree):
    """Exit 69 and one line that tells why; when it is there again the run does everything."""
    before = tree()
    proxy.cut()

    down = behind.command("full_process.py")

    assert (down.returncode, down.stdout) == (69, "")
    assert down.stderr.startswith("error: the ledger cannot be used: ")
    assert len(down.stderr.splitlines()) == 1
    assert tree() == before
    proxy.connect()
    assert behind.command("full_process.py").returncode == 0


@on_remote_servers_in_turn
def test_the_api_predicts_without_its_database(behind, proxy, serve_world):
    """The model is a file; what only the ledger knows is answered with 503."""
    assert run(behind) == 0
    with serve_world(behind) as url:
        assert requests.get(f"{url}/incidents", timeout=30).status_code == 200
        proxy.cut()

        predicted = requests.get(f"{url}/prediction", timeout=30)
        asked = requests.get(f"{url}/incidents", timeout=60)

        assert predicted.status_code == 200
        assert asked.status_code == 503
        proxy.connect()
        time.sleep(AWAY_SECONDS)
        assert requests.get(f"{url}/incidents", timeout=30).status_code == 200


@pytest.mark.parametrize("kind", REMOTE)
def test_the_api_predicts_while_its_database_hangs(deployed, serve_world, kind):
    """It takes connections and says nothing; who asks for it waits a moment, and not in turn."""
    with hanging_server() as host, ThreadPoolExecutor(16) as pool:
        deployed.set(database_url=f"{kind}://u@{host}/db")
        with serve_world(deployed) as url:
            begin = time.monotonic()
            asked = [pool.submit(requests.get, f"{url}/incidents", timeout=90) for _ in range(16)]
            predicted = requests.get(f"{url}/prediction", timeout=90)
            refused = {answer.result().status_code for answer in asked}
            at_once = requests.get(f"{url}/incidents", timeout=90)
            ready = requests.get(f"{url}/ready", timeout=90)
            seconds = time.monotonic() - begin

    assert (predicted.status_code, refused, at_once.status_code) == (200, {503}, 503)
    assert ready.status_code == 503
    assert "unreachable a moment ago" in at_once.text
    assert seconds < 20


@on_remote_servers_in_turn
@pytest.mark.parametrize("fault", ["down", "no such database", "not that password"])
def test_no_fault_tells_the_password(world, proxy, fault, caplog, serve_world):
    """Not on stderr, not in the log, not over HTTP, not in the settings that are shown."""
    address = proxy.target.set(
        host="127.0.0.1", port=proxy.port, password=PASSWORD, query={"sslmode": "disable"}
        if proxy.target.drivername == "postgresql" else {},
    )  # fmt: skip
    if fault != "not that password":
        address = address.set(database="no_such_database")
    if fault == "not that password":
        address = address.set(username="nobody_here")
    world.set(database_url=address.render_as_string(hide_password=False))
    if fault == "down":
        proxy.cut()
    caplog.set_level(logging.DEBUG)

    said = world.command("full_process.py")
    shown = world.command("full_process.py", "--print-config")
    with serve_world(world) as url:
        answers = [requests.get(f"{url}{path}", timeout=60) for path in ("/health", "/incidents")]

    assert said.returncode == 69
    everything = [said.stdout, said.stderr, shown.stdout, shown.stderr, caplog.text]
    everything += [answer.text for answer in answers]
    assert not [text for text in everything if PASSWORD in text]
    assert answers[1].status_code == 503


@on_remote_servers_in_turn
def test_connections_that_lay_idle_too_long_are_made_anew(behind, proxy):
    """A firewall cuts them without a word; a question after that is answered all the same."""
    with behind.open_ledger() as ledger:
        number = ledger.runs.start()
        proxy.break_lines()

        assert ledger.ingestions.last_id() == 0
        proxy.break_lines()
        ledger.runs.end("ok", "")
        with ledger.engine.connect() as connection:
            statuses = connection.execute(sa.text("SELECT id, status FROM runs")).all()

    assert [tuple(row) for row in statuses] == [(number, "ok")]
