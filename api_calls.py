"""A client: ask every endpoint of the API and write down what it answers.

Reads   the API at --url, by default where the settings say it listens; the first test rows
Writes  api_returns.txt to output_model_path, for a person to read
Exits   0 all answered, 69 at least one did not, 74 storage fault, 78 wrong configuration
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

import pandas as pd
import requests

from risk import cli, store
from risk.config import Config
from risk.errors import ApiError

SECONDS_TO_ANSWER = 30
BYTES_AT_ONCE, MAX_READS = 65_536, 32
MAX_LINES, SAMPLE_LINES = 40, 4
PAGES = ("/", "/docs", "/openapi.json")
ASK_WITH_ROWS = ("/prediction", "/invocations")
MAY_BE_ABSENT = ("/latest.pdf", "/report.pdf")  # a run is reported on at its end


@dataclass(frozen=True)
class Call:
    """One question and what came back."""

    method: str
    endpoint: str
    status: int | None
    seconds: float
    body: str

    @property
    def answered(self) -> bool:
        """Whether the answer is what was asked for."""
        return self.status == 200 or (self.status == 404 and self.endpoint.endswith(MAY_BE_ABSENT))

    def __str__(self) -> str:
        status = "no answer" if self.status is None else str(self.status)
        title = f"{self.method} {self.endpoint}   {status} in {self.seconds:.3f} s"
        lines = self.body.splitlines()
        rest = [f"... and {len(lines) - MAX_LINES} more lines"] if len(lines) > MAX_LINES else []
        return "\n".join([title, *(f"    {line}" for line in [*lines[:MAX_LINES], *rest]), ""])


@dataclass(frozen=True)
class Calls:
    """All of them, and the endpoints that were left alone."""

    url: str
    calls: tuple[Call, ...]
    left_alone: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """69, a service is out of reach, unless all endpoints answered."""
        return 0 if all(call.answered for call in self.calls) else ApiError.exit_code

    def __str__(self) -> str:
        failed = [f"{call.method} {call.endpoint}" for call in self.calls if not call.answered]
        problem = f"; failed: {', '.join(failed)}" if failed else ""
        return f"{len(self.calls) - len(failed)} of {len(self.calls)} endpoints answered{problem}"

    def report(self) -> str:
        """Write for a person to read."""
        title = f"What the API at {self.url} answers: {self}\n"
        not_asked = [f"not asked: {endpoint}" for endpoint in self.left_alone]
        return "\n".join([title, *map(str, self.calls), *not_asked, ""])


class Client:
    """The API at one address, asked with one key; what it answers is never trusted to be small."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["Accept"] = "application/json, text/plain;q=0.9, */*;q=0.1"
        if key:
            self.session.headers["X-API-Key"] = key

    def call(self, method: str, endpoint: str, rows: bytes = b"") -> Call:
        """Ask one endpoint; what comes back is laid out as text."""
        began = time.monotonic()
        try:
            answer, content = self._ask(method, endpoint, rows)
        except requests.RequestException as error:
            return Call(method, endpoint, None, 0.0, type(error).__name__)
        seconds = time.monotonic() - began
        return Call(method, endpoint, answer.status_code, seconds, _as_text(answer, content))

    def json(self, endpoint: str) -> dict[str, Any]:
        """Return what one endpoint answers as JSON, nothing if it does not."""
        with suppress(requests.RequestException):
            return _as_json(self._ask("GET", endpoint)[1])
        return {}

    def _ask(
        self, method: str, endpoint: str, rows: bytes = b"", *, follow: bool = True
    ) -> tuple[requests.Response, bytes]:
        """Return an answer and the beginning of its body; this server may redirect, once."""
        answer = self.session.request(
            method,
            self.url + endpoint,
            data=rows,
            headers={"Content-Type": "text/csv"} if rows else {},
            stream=True,
            timeout=SECONDS_TO_ANSWER,
            allow_redirects=False,
        )
        content = b"".join(islice(answer.iter_content(BYTES_AT_ONCE), MAX_READS))
        answer.close()
        target = answer.headers.get("Location", "") if follow else ""
        if re.match(r"/(?!/)", target):
            return self._ask(method, target, rows, follow=False)
        return answer, content


def walk(client: Client, rows: bytes, whom: str) -> Iterator[Call | str]:
    """Ask everything the API documents, in its order; name what is left alone, and why."""
    for path, operations in client.json("/openapi.json").get("paths", {}).items():
        for method, operation in operations.items():
            endpoint = _fill(client, path, operation, whom)
            if method == "get" and endpoint:
                yield client.call("GET", endpoint)
            elif path in ASK_WITH_ROWS and rows:
                yield client.call("POST", path, rows)
            else:
                why = "changes something" if endpoint and rows else "has nothing to ask about"
                yield f"{method.upper()} {path}: it {why}"
    yield from (client.call("GET", page) for page in PAGES)


def run(config: Config, *, url: str | None = None, key: str | None = None) -> Calls:
    """Ask them all and keep the report."""
    base = (url or f"http://{config.api.host}:{config.api.port}").rstrip("/")
    own_key = config.api_key.get_secret_value() if config.api_key else None
    asked = list(walk(Client(base, key or own_key), *_sample(config)))
    calls = tuple(call for call in asked if isinstance(call, Call))
    result = Calls(base, calls, tuple(name for name in asked if isinstance(name, str)))
    store.write(config.model_folder / config.api_call_filename, result.report())
    return result


def _sample(config: Config) -> tuple[bytes, str]:
    """Return the first test rows as they are, and whom the first is about, if they are here."""
    if not config.test_data.exists():
        return b"", ""
    rows = b"".join(store.read(config.test_data).splitlines(keepends=True)[:SAMPLE_LINES])
    first = next(csv.DictReader(rows.decode("utf-8-sig", "replace").split("\n")), {})
    return rows, (first.get(config.columns.identifier) or "").strip()


def _fill(client: Client, path: str, operation: Mapping[str, Any], whom: str) -> str | None:
    """Put what exists into the placeholders of a path: an example, or the newest of its list.

    What must be asked about somebody is asked about `whom`.
    """
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter.get("required"):
            if not whom:
                return None
            path += f"?{parameter['name']}={quote(whom, safe='')}"
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
        return "\n".join(f"{name}: {_lay_out(value)}" for name, value in found.items())
    return f"{len(content):,} bytes of {kind}"


def _as_json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"answer": found}


def _lay_out(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\n" + pd.DataFrame(value).to_string(index=False, na_rep="", max_colwidth=60)
    return json.dumps(value, ensure_ascii=False)[:500]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script can do."""
    parser.add_argument("--url", help="where the API listens (default: as the settings say)")
    parser.add_argument("--key", help="the key to ask with (default: RISK_API_KEY)")


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options, access="none")
