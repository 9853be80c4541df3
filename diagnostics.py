"""Diagnostics: incidents, predictions, column statistics, timings and dependencies.

Reads   the champion, the accepted rows, the test data, the ledger, requirements.txt
Writes  nothing, except latest_versions.json with --latest, the incident with --acknowledge and
        --resolve, and the file named by --to
Exits   0 success, 3 with --fail-on, 64 wrong usage, or no such incident or customer,
        65 unusable test data, 69 database unavailable, 74 storage error, 75 another run is in
        progress, 76 no trusted model, 78 invalid configuration
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from risk import cli, store
from risk.config import Alarms, Config
from risk.data import drops, part_files
from risk.data.statistics import summarise_accepted, summarise_timings
from risk.errors import UsageError
from risk.explain import customers, sentences
from risk.explain.customer import Explanation
from risk.explain.customers import Explanations
from risk.explain.drill_table import DrillReport
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import dependencies, evaluation, releases
from risk.monitoring.backtest import Replay, policy_with, replay

POLICY_OPTIONS = {"false_alarm_budget": "--budget", "tolerance": "--tolerance"}


@dataclass(frozen=True)
class Diagnosis(cli.Result):
    """The results of this stage, as tables."""

    incidents: pd.DataFrame
    predictions: pd.DataFrame
    statistics: pd.DataFrame
    timings: pd.DataFrame
    dependencies: pd.DataFrame

    def __str__(self) -> str:
        titles = (
            "Incidents, open and resolved",
            "Predictions of the live model",
            "Accepted rows, column by column",
            "Seconds per stage",
            "Dependencies",
        )
        return "\n\n".join(
            f"{title}\n{table.to_string(index=False, na_rep='') if len(table) else 'none'}"
            for title, table in zip(titles, vars(self).values(), strict=True)
        )


def run(
    config: Config,
    ledger: Ledger,
    *,
    latest: bool = False,
    replayed: dict[str, Any] | None = None,
    incident: tuple[str, int] | None = None,
) -> Diagnosis | Replay | str:
    """Return all tables, or do what one of the options requests."""
    if replayed is not None:
        policy = _policy(config, replayed)
        return replay(config, ledger, policy, describe=sentences.of_finding)
    if incident is not None:
        return _handle(ledger, *incident)
    if latest:
        versions = dependencies.look_up_latest(store.read(dependencies.REQUIREMENTS).decode())
        store.write(
            config.model_folder / dependencies.LATEST_VERSIONS, json.dumps(versions, indent=2)
        )
    champion = releases.load_champion(config)
    if config.watches_only:
        rows = part_files.read(config, ledger, ledger.parts.ids())
    else:
        rows = drops.read_whole(config, config.test_data)
    return Diagnosis(
        incidents=ledger.incidents.history(),
        predictions=evaluation.predict(champion, rows, config.columns.identifier),
        statistics=summarise_accepted(config, ledger),
        timings=summarise_timings(ledger.runs.timings()),
        dependencies=dependencies.of_installation(config),
    )


def _policy(config: Config, changes: Mapping[str, Any]) -> Alarms:
    try:
        return policy_with(config.alarms, changes)
    except ValidationError as error:
        problem = error.errors()[0]
        option = POLICY_OPTIONS[str(problem["loc"][0])]
        raise UsageError(f"{option}: {problem['msg'].removeprefix('Value error, ')}") from None


def _handle(ledger: Ledger, what: str, number: int) -> str:
    if what == "acknowledge":
        ledger.incidents.acknowledge(number)
        return f"incident {number} acknowledged"
    ledger.incidents.resolve(number)
    return f"incident {number} resolved"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    parser.add_argument(
        "--latest", action="store_true", help="first look up the newest package versions"
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="backtest: show the alarms the settings would have raised over the stored history",
    )
    parser.add_argument(
        "--budget", metavar="TEXT", help='with --replay: another budget, such as "1 per 90 days"'
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="SD",
        help="with --replay: another tolerance, in standard deviations",
    )
    parser.add_argument(
        "--drill",
        action="store_true",
        help="plant changes in the stored quiet history: which would be found, and how soon",
    )
    parser.add_argument(
        "--fail-on",
        choices=["blind"],
        help="with --drill: exit 3 if a change of alarms.must_find would not be found in time",
    )
    parser.add_argument(
        "--acknowledge",
        type=cli.row_number,
        metavar="ID",
        help="mark an incident as under investigation",
    )
    parser.add_argument("--resolve", type=cli.row_number, metavar="ID", help="resolve an incident")
    customers.add_options(parser)


def from_options(
    config: Config,
    ledger: Ledger,
    *,
    latest: bool,
    **asked: Any,
) -> Diagnosis | Replay | DrillReport | Explanation | Explanations | str:
    """Convert the options of the command line to the arguments of `run`."""
    policy = {"false_alarm_budget": asked["budget"], "tolerance": asked["tolerance"]}
    chosen = {name: value for name, value in policy.items() if value is not None}
    incident = next(
        ((what, asked[what]) for what in ("acknowledge", "resolve") if asked[what] is not None),
        None,
    )
    if chosen and not asked["replay"]:
        raise UsageError("--budget and --tolerance require --replay")
    if asked["fail_on"] and not asked["drill"]:
        raise UsageError("--fail-on requires --drill")
    if asked["drill"]:
        return DrillReport.of(config, ledger, fail_on=asked["fail_on"])
    if explained := customers.from_options(config, ledger, asked):
        return explained
    replayed = chosen if asked["replay"] else None
    return run(config, ledger, latest=latest, replayed=replayed, incident=incident)


def needed_access(options: Mapping[str, Any]) -> cli.Access:
    """Take the lock only for options that change the ledger."""
    changes = options["acknowledge"] is not None or options["resolve"] is not None
    return "write" if changes else "read"


if __name__ == "__main__":
    cli.main(from_options, __doc__, add_options=add_options, access=needed_access)
