"""What the tests share: a small world in a temporary folder, and commands run for real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
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
from tests import servers

ROOT = Path(__file__).parents[1]
MAX_LENGTH = {"test_browser.py", "test_contract.py", "test_crash.py", "test_robustness.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In CI a skipped test is a failed one: what it needs must be installed."""
    if report.skipped and os.environ.get("CI") and "on purpose" not in str(report.longrepr):
        report.outcome = "failed"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark that `servers.on_every_server` is."""
    config.addinivalue_line("markers", "on(*servers): run a test that has a ledger on each of them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no core is left with one of them at the end."""
    items.sort(key=lambda item: item.path.name not in MAX_LENGTH)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked so on each of its servers, if it has a ledger at all."""
    mark = metafunc.definition.get_closest_marker("on")
    if mark and "server" in metafunc.fixturenames:
        metafunc.parametrize("server", mark.args, indirect=True)


class World:
    """A folder with the settings and data of the repository, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = json.loads((ROOT / "config.json").read_text())
        self.settings["ingestion"]["settle_seconds"] = 0
        self.settings["api"]["port"] = 8765
        self.settings["report_formats"] = []  # they take seconds; who tests them wants them back
        shutil.copytree(ROOT / "data" / "development", folder / "data" / "development")
        shutil.copytree(ROOT / "data" / "production", folder / "data" / "production")
        shutil.copytree(ROOT / "data" / "test", folder / "data" / "test")
        self.set()

    def set(self, **settings: Any) -> Config:
        """Change settings, `__` between the keys of a nested one, and read them back."""
        for name, value in settings.items():
            *sections, key = name.split("__")
            section = self.settings
            for step in sections:
                section = section[step]
            section[key] = value
        (self.folder / "config.json").write_text(json.dumps(self.settings))
        return self.config

    @property
    def config(self) -> Config:
        return Config.load(self.folder / "config.json")

    def drop(self, name: str, text: str) -> Path:
        """Put a file into the input folder."""
        path = self.config.input_folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def switch_to_production(self) -> Config:
        """Do what the README says."""
        return self.set(input_folder_path="data/production", output_model_path="models/production")

    def command(self, script: str, *arguments: str, **environment: str) -> Any:
        """Run a stage as its user would, from another folder."""
        return subprocess.run(
            [sys.executable, ROOT / script, "--config", self.folder / "config.json", *arguments],
            cwd="/",
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )


@contextmanager
def serve(config: Config) -> Iterator[str]:
    """Answer over HTTP for a while."""
    from app import create_app

    app = create_app(config)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
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
    thread = Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.closing.set()
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


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
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a world after its first run, to be copied."""
    world = World(tmp_path_factory.mktemp("first_run"))
    assert world.command("full_process.py").returncode == 0
    return world.folder


@pytest.fixture
def deployed(world: World, first_run: Path) -> World:
    """Give a world after its first run: release 1 is live."""
    shutil.copytree(first_run, world.folder, symlinks=True, dirs_exist_ok=True)
    return world


@pytest.fixture
def ledger(world: World) -> Iterator[Ledger]:
    """Give the open ledger of that world."""
    with Ledger.open(world.config) as opened:
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
