"""API client: call every endpoint of the API and save the responses.

Reads   the API at --url (default: the address in the settings); the first rows of the test data
Writes  api_returns.txt to output_model_path
Exits   0 all endpoints answered, 69 at least one failed, 74 storage error,
        78 invalid configuration
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

import requests

from risk import cli, store
from risk.config import Config
from risk.data import compiled, drops
from risk.errors import ApiError, DataError
from risk.lazily import pandas as pd

TIMEOUT_SECONDS, MAX_LINES, CHUNK_BYTES, MAX_READS = 30, 40, 65_536, 32
PAGES = ("/", "/docs", "/openapi.json")
POST_WITH_ROWS = ("/prediction", "/invocations")
MAY_BE_ABSENT = ("/latest.pdf", "/report.pdf", "/appendix.pdf")  # before a run ends


@dataclass(frozen=True)
class Call:
    """One request and its response."""

    method: str
    endpoint: str
    status: int | None
    seconds: float
    body: str

    @property
    def answered(self) -> bool:
        """Whether the response is as expected."""
        absent = self.status == 404 and self.endpoint.endswith(MAY_BE_ABSENT)
        return absent or self.status in (200, 409)  # 409: it needs a model, which is elsewhere

    def __str__(self) -> str:
        status = "no answer" if self.status is None else str(self.status)
        title = f"{self.method} {self.endpoint}   {status} in {self.seconds:.3f} s"
        lines = self.body.splitlines()
        rest = [f"... and {len(lines) - MAX_LINES} more lines"] if len(lines) > MAX_LINES else []
        return "\n".join([title, *(f"    {line}" for line in [*lines[:MAX_LINES], *rest]), ""])


@dataclass(frozen=True)
class Calls(cli.Result):
    """All calls, and the endpoints that were not called."""

    url: str
    calls: tuple[Call, ...]
    not_called: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if all endpoints answered, otherwise 69 (service unavailable)."""
        return 0 if all(call.answered for call in self.calls) else ApiError.exit_code

    def __str__(self) -> str:
        failed = [f"{call.method} {call.endpoint}" for call in self.calls if not call.answered]
        problem = f"; failed: {', '.join(failed)}" if failed else ""
        return f"{len(self.calls) - len(failed)} of {len(self.calls)} endpoints answered{problem}"

    def report(self) -> str:
        """Return the responses as readable text."""
        title = f"Responses of the API at {self.url}: {self}\n"
        skipped = [f"not called: {endpoint}" for endpoint in self.not_called]
        return "\n".join([title, *map(str, self.calls), *skipped, ""])


class Client:
    """A client for the API at one address, with one key; it limits the size of responses."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Accept"] = "application/json, text/plain;q=0.9, */*;q=0.1"
        if key:
            self.session.headers["X-API-Key"] = key

    def call(self, method: str, endpoint: str, rows: bytes = b"") -> Call:
        """Call one endpoint and return the response as text."""
        began = time.monotonic()
        try:
            answer, content = self._request(method, endpoint, rows)
        except requests.RequestException as error:
            return Call(method, endpoint, None, 0.0, type(error).__name__)
        seconds = time.monotonic() - began
        return Call(method, endpoint, answer.status_code, seconds, _as_text(answer, content))

    def json(self, endpoint: str) -> dict[str, Any]:
        """Return the JSON response of one endpoint, empty if it fails."""
        with suppress(requests.RequestException):
            return _as_json(self._request("GET", endpoint)[1])
        return {}

    def _request(
        self, method: str, endpoint: str, rows: bytes = b"", *, follow: bool = True
    ) -> tuple[requests.Response, bytes]:
        """Return a response and the start of its body; follow one redirect on this server."""
        answer = self.session.request(
            method,
            self.url + endpoint,
            data=rows,
            headers={"Content-Type": "text/csv"} if rows else {},
            stream=True,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )
        content = b"".join(islice(answer.iter_content(CHUNK_BYTES), MAX_READS))
        answer.close()
        target = answer.headers.get("Location", "") if follow else ""
        if re.match(r"/(?!/)", target):
            return self._request(method, target, rows, follow=False)
        return answer, content


def walk(client: Client, rows: bytes, identifier: str) -> Iterator[Call | str]:
    """Call every documented endpoint in order; yield the reason for each one not called."""
    for path, operations in client.json("/openapi.json").get("paths", {}).items():
        for method, operation in operations.items():
            endpoint = _fill(client, path, operation, identifier)
            if method == "get" and endpoint:
                yield client.call("GET", endpoint)
            elif path in POST_WITH_ROWS and rows:
                yield client.call("POST", path, rows)
            else:
                why = "changes data" if endpoint and rows else "no example available"
                yield f"{method.upper()} {path}: {why}"
    yield from (client.call("GET", page) for page in PAGES)


def run(config: Config, *, url: str | None = None, key: str | None = None) -> Calls:
    """Call all endpoints and save the responses."""
    base = (url or f"http://{config.api.host}:{config.api.port}").rstrip("/")
    own_key = config.api_key.get_secret_value() if config.api_key else None
    results = list(walk(Client(base, key or own_key), *_sample(config)))
    calls = tuple(call for call in results if isinstance(call, Call))
    result = Calls(base, calls, tuple(name for name in results if isinstance(name, str)))
    store.write(config.model_folder / config.api_call_filename, result.report())
    return result


def _sample(config: Config) -> tuple[bytes, str]:
    """Return the first test rows, as the API reads them, and an identifier, if available."""
    try:
        rows = drops.read_whole(config, config.test_data).head(3)
    except DataError:
        return b"", ""
    text = store.csv_line(config.columns.all).encode() + compiled.content(rows, config.columns)
    return text, str(rows[config.columns.identifier].iloc[0])


def _fill(client: Client, path: str, operation: Mapping[str, Any], identifier: str) -> str | None:
    """Fill the placeholders of a path with an example, or with the newest item of its list.

    Required query parameters are set to `identifier`.
    """
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter.get("required"):
            if not identifier:
                return None
            path += f"?{parameter['name']}={quote(identifier, safe='')}"
        if parameter["in"] == "path":
            name, schema = parameter["name"], parameter.get("schema", {})
            value = next(iter(schema.get("enum") or schema.get("examples") or ()), None)
            if value is None:
                parent = path.partition("/{")[0]
                items = client.json(f"{parent}?page_size=1").get("items") or [{}]
                value = items[0].get(name, items[0].get("id"))
            if value is None:
                return None
            path = re.sub(rf"\{{{name}\}}", quote(str(value), safe=""), path)
    return path


def _as_text(answer: requests.Response, content: bytes) -> str:
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if not answer.ok:
        problem = _as_json(content)
        return f"{problem.get('title')}: {problem.get('detail')}" if problem else kind
    if kind == "text/plain":
        return content.decode("utf-8", "replace")
    if kind == "application/json" and (found := _as_json(content)):
        return "\n".join(f"{name}: {_format(value)}" for name, value in found.items())
    return f"{len(content):,} bytes of {kind}"


def _as_json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"answer": found}


def _format(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\n" + pd.DataFrame(value).to_string(index=False, na_rep="", max_colwidth=60)
    return json.dumps(value, ensure_ascii=False)[:500]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this script."""
    parser.add_argument("--url", help="URL of the API (default: the address in the settings)")
    parser.add_argument("--key", help="API key (default: RISK_API_KEY)")


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options, access="none")
