import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(world):
    """Give the address of a real gunicorn with two workers, after a first run."""
    assert world.command("full_process.py").returncode == 0
    port = free_port()
    world.set(api__port=port)
    environment = os.environ | {"RISK_CONFIG": str(world.folder / "config.json")}
    url = f"http://127.0.0.1:{port}"
    with (world.folder / "gunicorn.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"], cwd=ROOT, env=environment, stderr=log
        )
    try:
        wait_for(url)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url):
    for _ in range(300):
        try:
            return requests.get(f"{url}/health", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


def test_gunicorn_serves_on_the_loopback_address_of_the_settings(server):
    """As `make serve` does; the settings come by RISK_CONFIG."""
    answer = requests.get(f"{server}/scoring", timeout=30)

    assert float(answer.text) == pytest.approx(0.8)


def test_the_client_walks_the_running_server(world, server):
    """`python api_calls.py` in another shell, as the seeds show."""
    result = world.command("api_calls.py")

    assert result.returncode == 0, result.stdout
    assert "6 of 6 endpoints answered" in result.stdout


def test_a_full_process_asks_the_running_server(world, server):
    """The one stakeholders use, not a private one."""
    world.set(random_seed=9)
    assert world.command("training.py").returncode == 0
    assert world.command("deployment.py", "--force").returncode == 0

    answer = requests.get(
        f"{server}/prediction", headers={"Accept": "application/json"}, timeout=30
    )

    assert answer.json()["model_version"] == 2
