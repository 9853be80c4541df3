"""What the tests share: a small world in a temporary folder, and commands run for real."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from werkzeug.serving import make_server

from risk.config import Config
from risk.ledger.ledger import Ledger
from tests import buckets, factories, forks, reliability, servers
from tests.buckets import Bucket
from tests.factories import World
from tests.torture import EVERY

POLL_SECONDS = 0.02
LONGEST = {
    f"test_{name}.py"
    for name in (
        *("readme", "browser", "real_data", "robustness", "crash"),
        *("wsgi", "migrate", "lease", "full_process", "upgrade"),
    )
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make reliability` name the page that is written."""
    parser.addoption("--reliability", metavar="FILE", help="write what was tried to this page")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the page about what was tried, by the reports of all processes."""
    if file := config.getoption("--reliability"):
        results = [
            reliability.Tried(*value, passed=outcome == "passed")
            for outcome in ("passed", "failed")
            for report in terminalreporter.stats.get(outcome, [])
            for name, value in report.user_properties
            if name == reliability.PROPERTY and report.when == "call"
        ]
        calls = int(os.environ.get("LIBC_POINTS", "0"))
        page = reliability.page(results, every=EVERY, calls=calls)
        Path(file).write_text(page, encoding="utf-8")


def pytest_xdist_auto_num_workers() -> int:
    """Take one process more than there are cores: some tests wait, for a lease or a server."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In CI a skipped test is a failed one: what it needs must be installed."""
    if report.skipped and os.environ.get("CI") and "on purpose" not in str(report.longrepr):
        report.outcome = "failed"


def pytest_collection_finish() -> None:
    """Take the modules and tests there are for good: to look through them often costs time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """End the process that forks."""
    forks.FORKS.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no core is left with one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked so on each of its servers, if it has a ledger at all."""
    mark = metafunc.definition.get_closest_marker("on")
    if mark and "server" in metafunc.fixturenames:
        names = servers.parameters(mark, metafunc.definition.name)
        metafunc.parametrize("server", names, indirect=True)


@contextmanager
def serve(config: Config) -> Iterator[str]:
    """Answer over HTTP for a while."""
    from app import create_app

    app = create_app(config)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["risk"].close()


@pytest.fixture(scope="session")
def serve_world() -> Callable[[World], AbstractContextManager[str]]:
    """Give what serves a world, for those who share one between tests."""
    return lambda world: serve(world.config)


@pytest.fixture(scope="session")
def new_world() -> type[World]:
    """Give what makes a world, for those who share one between tests."""
    return World


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str, str, int], None]:
    """Give what counts faults that a test injected, for the page about reliability."""
    return lambda *what: record_property(reliability.PROPERTY, what)


class Receiver:
    """A real HTTP server that keeps what is posted to it and answers as it is told.

    `answers` are the next statuses, then 200 for ever; None lets the sender wait.
    """

    def __init__(self) -> None:
        receiver, self.closing = self, Event()
        self.posts: list[Any] = []
        self.answers: list[int | None] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                post = {"path": self.path, "headers": dict(self.headers), "body": body}
                receiver.posts.append(post | {"json": json.loads(body)})
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status is None:
                    receiver.closing.wait(timeout=60)
                else:
                    self.send_response(status)
                    self.send_header("Location", "/elsewhere")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def to(self, path: str) -> list[Any]:
        """Return what was posted to a path, parsed."""
        return [post["json"] for post in self.posts if post["path"] == path]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give an address that takes messages."""
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    yield receiver
    receiver.closing.set()
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """Serve an object store on this machine; give its address."""
    with buckets.serving() as address:
        yield address


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Give an empty bucket that clients find by the environment."""
    bucket = Bucket(object_store)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return bucket


@pytest.fixture(scope="session")
def empty_database() -> Iterator[Callable[[str], servers.Place]]:
    """Give what empties the database this session has on a server."""
    with ExitStack() as stack:
        places: dict[str, servers.Place] = {}

        def prepare(name: str) -> servers.Place:
            if name not in places:
                places[name] = stack.enter_context(servers.new_place(name, "ledger"))
            places[name].empty()
            return places[name]

        yield prepare


@pytest.fixture
def server(
    request: pytest.FixtureRequest, empty_database: Callable[[str], servers.Place]
) -> servers.Place:
    """Give an empty ledger's place: SQLite, unless a test is `on_every_server`."""
    return empty_database(getattr(request, "param", servers.SQLITE))


@pytest.fixture
def world(tmp_path: Path, server: servers.Place) -> World:
    """Give a world in which nothing happened yet."""
    world = World(tmp_path)
    if server.url:
        world.set(database_url=server.url)
    return world


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder in which the processes of this session leave worlds for each other."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def first_run(shared: Path) -> Path:
    """Give the folder of a world after its first run, to be copied."""
    return factories.once(shared, "first_run", World.run)


@pytest.fixture(scope="session")
def two_releases(shared: Path) -> Path:
    """Give the folder of a world with two runs and two releases, to be copied."""
    return factories.once(shared, "two_releases", factories.two_releases)


@pytest.fixture
def deployed(world: World, first_run: Path) -> World:
    """Give a world after its first run: release 1 is live."""
    return world.copy_of(first_run)


@pytest.fixture
def ledger(world: World) -> Iterator[Ledger]:
    """Give the open ledger of that world."""
    with world.open_ledger() as opened:
        yield opened


@pytest.fixture
def serving(world: World) -> Iterator[str]:
    """Give the address of the API of that world, in a thread of this process."""
    with serve(world.config) as url:
        yield url


@pytest.fixture
def tree(world: World) -> Callable[[], dict[str, bytes]]:
    """Give a function that reads every file of the world, the database's own ones excepted."""

    def read() -> dict[str, bytes]:
        return {
            str(path.relative_to(world.folder)): path.read_bytes()
            for path in sorted(world.folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and path.parent.name != "db"
        }

    return read
