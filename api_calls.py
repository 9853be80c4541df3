"""A client: ask every endpoint of the API and write down what it answers.

Reads   the API at --url, by default where the settings say it listens
Writes  api_returns.txt to output_model_path
Exits   0 all answered, 69 at least one did not, 74 storage fault, 78 wrong configuration
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd
import requests

from risk import cli, store
from risk.config import Config
from risk.errors import ApiError

SECONDS_TO_ANSWER = 30
LONGEST_BODY = 20_000
ENDPOINTS = (
    "/prediction?filename={test_data}",
    "/scoring",
    "/summarystats",
    "/diagnostics/timing",
    "/diagnostics/dependencies",
    "/diagnostics",
)


@dataclass(frozen=True)
class Call:
    """One question and what came back."""

    endpoint: str
    status: int | None
    seconds: float
    body: str

    @property
    def answered(self) -> bool:
        """Whether the answer is what was asked for."""
        return self.status == 200

    def __str__(self) -> str:
        status = "no answer" if self.status is None else str(self.status)
        return f"GET {self.endpoint}   {status} in {self.seconds:.3f} s\n{self.body}\n"


@dataclass(frozen=True)
class Calls:
    """All of them."""

    url: str
    calls: tuple[Call, ...]

    @property
    def exit_code(self) -> int:
        """69, a service is out of reach, unless all endpoints answered."""
        return 0 if all(call.answered for call in self.calls) else ApiError.exit_code

    def __str__(self) -> str:
        failed = [call.endpoint for call in self.calls if not call.answered]
        problem = f"; failed: {', '.join(failed)}" if failed else ""
        return f"{len(self.calls) - len(failed)} of {len(self.calls)} endpoints answered{problem}"

    def report(self) -> str:
        """Write for a person to read."""
        title = f"What the API at {self.url} answers\n"
        return "\n".join([title, *map(str, self.calls)])


def ask(url: str, endpoint: str) -> Call:
    """Ask one endpoint; tables are asked for as JSON and laid out as text."""
    try:
        answer = requests.get(
            url + endpoint,
            timeout=SECONDS_TO_ANSWER,
            headers={"Accept": "application/json, text/plain;q=0.9"},
        )
    except requests.RequestException as error:
        return Call(endpoint, None, 0.0, type(error).__name__)
    body = _as_text(answer)[:LONGEST_BODY]
    return Call(endpoint, answer.status_code, answer.elapsed.total_seconds(), body)


def run(config: Config, *, url: str | None = None) -> Calls:
    """Ask them all and keep the report."""
    base = (url or f"http://{config.api.host}:{config.api.port}").rstrip("/")
    test_data = quote(config.name_of(config.test_data), safe="")
    calls = [ask(base, endpoint.format(test_data=test_data)) for endpoint in ENDPOINTS]
    result = Calls(base, tuple(calls))
    store.write(config.model_folder / config.api_call_filename, result.report())
    return result


def _as_text(answer: requests.Response) -> str:
    try:
        content = answer.json()
    except requests.JSONDecodeError:
        return answer.text
    if not answer.ok:
        return f"{content.get('title')}: {content.get('detail')}"
    return "\n".join(f"{name}: {_lay_out(value)}" for name, value in content.items())


def _lay_out(value: Any) -> str:
    if isinstance(value, list):
        return "\n" + pd.DataFrame(value).to_string(index=False, na_rep="")
    return str(value)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script can do."""
    parser.add_argument("--url", help="where the API listens (default: as the settings say)")


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options, access="none")
