"""Make the pictures of the README: the dashboard and the report after the demo.

    python docs/pictures.py [--world demo/world]

Reads   the world of a demo that has ended, by default its own; needs Chromium and pdftoppm
Writes  docs/pictures/: the pictures, and the digests of the files that decide what they show
Exits   0 success, 1 a program is missing
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from werkzeug.serving import make_server

FOLDER = Path(__file__).with_suffix("")
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(ROOT))

import app  # noqa: E402
import reporting  # noqa: E402
from risk import store  # noqa: E402
from risk.config import Config  # noqa: E402
from risk.ledger.ledger import Ledger  # noqa: E402

INPUTS = FOLDER / "inputs.sha256"
DECISIVE = (  # what one sees in them; other changes leave them as they are
    "risk/figures/canvas.py",
    "risk/figures/trend.py",
    "risk/report/pdf/page.py",
    "risk/report/pdf/story.py",
    "risk/report/summary.py",
    "web/static/dashboard.css",
    "web/templates/base.html",
    "web/templates/dashboard.html",
    "web/templates/score.html",
)
PROGRAMS = ("chromium", "pdftoppm")
SIZE = (1280, 1380)
PIXELS_PER_INCH = 90
LAST_DAY = "2026-03-01"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def digests() -> str:
    """Return the digests of the files that decide what the pictures show, as sha256sum does."""
    return "".join(f"{store.digest(ROOT / name)}  {name}\n" for name in DECISIVE)


@contextmanager
def served(config: Config, now: datetime) -> Iterator[str]:
    """Serve the dashboard as if it were `now`."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, app.create_app(config, clock=lambda: now), threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def draw_dashboard(url: str, theme: str, target: Path, profile: Path) -> None:
    """Draw the first screen of the dashboard in a theme."""
    dark = ["--blink-settings=preferredColorScheme=0"] if theme == "dark" else []
    size = "--window-size={},{}".format(*SIZE)
    options = [*FLAGS, *dark, size, f"--user-data-dir={profile}", "--virtual-time-budget=5000"]
    command = ["chromium", *options, f"--screenshot={target}", url]
    subprocess.run(command, check=True, capture_output=True)


def draw_report(pdf: Path, target: Path) -> None:
    """Draw the first page of a report."""
    options = ["-png", "-singlefile", "-f", "1", "-l", "1", "-r", str(PIXELS_PER_INCH)]
    subprocess.run(["pdftoppm", *options, pdf, target.with_suffix("")], check=True)


def make(work: Path, world: Path | None) -> None:
    """Draw the dashboard and the last report of the demo, which is simulated if there is none."""
    if world:
        shutil.copytree(world, work / "world", symlinks=True)
    else:
        demo = [sys.executable, str(ROOT / "demo" / "replay.py"), "--without-reports"]
        demo += ["--end", LAST_DAY]  # the same days in each picture
        subprocess.run([*demo, "--folder", str(work / "world")], check=True)
    config = Config.load(work / "world" / "config.json")
    with Ledger.open(config) as ledger:
        last = ledger.runs.page().items[0]["started_at"]
        reporting.report(config, ledger, formats=["pdf"])
    FOLDER.mkdir(exist_ok=True)
    draw_report(config.model_folder / config.report_filename, FOLDER / "report.png")
    with served(config, last + timedelta(minutes=5)) as url:
        for theme in ("light", "dark"):
            draw_dashboard(url, theme, FOLDER / f"dashboard-{theme}.png", work / theme)
    store.write(INPUTS, digests())


if __name__ == "__main__":
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        sys.exit(f"error: install {' and '.join(missing)}")
    parser = argparse.ArgumentParser(description="Make the pictures of the README.")
    parser.add_argument("--world", type=Path, help="a demo that has ended (default: a new one)")
    with TemporaryDirectory() as folder:
        make(Path(folder), parser.parse_args().world)
