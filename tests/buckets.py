"""A bucket in an object store: moto's server, which speaks S3, on this machine."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

NAME = "acme"
SECONDS_TO_REST = 1.1
SIGNED = "AWS4-HMAC-SHA256 Credential=nobody/20261201/us-east-1/s3/aws4_request"


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving() -> Iterator[str]:
    """Serve S3 on this machine for a while."""
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("needs moto_server; run: pipx install 'moto[server]'")
    port = free_port()
    with subprocess.Popen(
        [program, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            deadline = time.monotonic() + 60
            while not _answers(port):
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


class Bucket:
    """The bucket of somebody who keeps files in an object store; it is empty at first."""

    def __init__(self, address: str) -> None:
        self.address = address
        requests.post(f"{address}/moto-api/reset", timeout=60).raise_for_status()
        self._ask("PUT", "")

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds the store by."""
        return {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_ENDPOINT_URL": self.address,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def put(self, **texts: str) -> None:
        """Write objects named .csv, and wait until they have rested."""
        for name, text in texts.items():
            self.write(f"customers/{name}.csv", text)
        time.sleep(SECONDS_TO_REST)

    def write(self, name: str, content: str | bytes) -> None:
        """Write an object."""
        self._ask("PUT", f"/{name}", content if isinstance(content, bytes) else content.encode())

    def read(self, name: str) -> bytes:
        """Return the content of an object."""
        return self._ask("GET", f"/{name}").content

    def delete(self, name: str) -> None:
        """Delete an object."""
        self._ask("DELETE", f"/{name}")

    def names(self) -> list[str]:
        """Return the names of all objects, without empty folders; of up to a thousand."""
        found = re.findall("<Key>(.*?)</Key>", self._ask("GET", "").text)
        return [name for name in found if not name.endswith("/")]

    def _ask(self, method: str, path: str, content: bytes = b"") -> requests.Response:
        signed = {"Authorization": SIGNED}  # nobody verifies by whom
        url = f"{self.address}/{NAME}{path}"
        answer = requests.request(method, url, data=content, headers=signed, timeout=60)
        answer.raise_for_status()
        return answer
