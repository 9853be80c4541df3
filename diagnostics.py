"""Stage 4 of 6: did data or model drift, what the live model says, how long things take.

Reads   the champion and its reference, new rows and labels, the test data, the ledger,
        requirements.txt
Writes  by hand nothing, but with --latest the newest versions of the packages to
        latest_versions.json, with --acknowledge and --resolve the incident; as part of a run
        the assessment of what is new: findings, incidents, predictions, detectors
Exits   0 done, 64 no such incident or customer, 65 unusable test data, 69 no database,
        76 no model to trust, 78 wrong configuration
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import ValidationError

from risk import cli, store
from risk.config import Alarms, Config
from risk.data import drops
from risk.data.statistics import summarise, summarise_timings
from risk.errors import UsageError
from risk.explain import customer, sentences
from risk.explain.customer import Explanation
from risk.ledger.ledger import Ledger
from risk.models import dependencies, evaluation, releases
from risk.monitoring.backtest import Replay, replay


@dataclass(frozen=True)
class Diagnosis:
    """What this stage tells, as tables."""

    incidents: pd.DataFrame
    predictions: pd.DataFrame
    statistics: pd.DataFrame
    timings: pd.DataFrame
    dependencies: pd.DataFrame

    def __str__(self) -> str:
        titles = {
            "incidents": "Incidents, open and resolved",
            "predictions": "Predictions of the live model on the test data",
            "statistics": "Accepted rows, column by column",
            "timings": "Seconds per stage, of real runs",
            "dependencies": "Dependencies",
        }
        return "\n\n".join(
            f"{title}\n{getattr(self, name).to_string(index=False, na_rep='')}"
            for name, title in titles.items()
        )


def run(
    config: Config,
    ledger: Ledger,
    *,
    latest: bool = False,
    replayed: dict[str, Any] | None = None,
    incident: tuple[str, int] | None = None,
) -> Diagnosis | Replay | str:
    """Answer everything this stage can answer, or do the one thing that was asked for."""
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
    test_data = drops.read_whole(config, config.test_data)
    return Diagnosis(
        incidents=ledger.incidents.history(),
        predictions=evaluation.predict(champion, test_data, config.columns.identifier),
        statistics=summarise(store.read_parts(config, ledger.ingestions.parts()), config.columns),
        timings=summarise_timings(ledger.runs.timings()),
        dependencies=dependencies.of_installation(config),
    )


def _policy(config: Config, changes: Mapping[str, Any]) -> Alarms:
    try:
        return Alarms.model_validate({**dict(config.alarms), **changes})
    except ValidationError as error:
        raise UsageError(f"replay: {error.errors()[0]['msg']}") from None


def _handle(ledger: Ledger, what: str, number: int) -> str:
    if what == "acknowledge":
        ledger.incidents.acknowledge(number)
        return f"incident {number} is acknowledged"
    ledger.incidents.resolve(number, "resolved by a person")
    return f"incident {number} is resolved"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this stage can do."""
    parser.add_argument(
        "--latest", action="store_true", help="look up the newest versions of the packages first"
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="tell what the alarm policy would have done over the stored history",
    )
    parser.add_argument("--budget", help='of the replay, such as "1 per 90 days"')
    parser.add_argument("--tolerance", type=float, help="of the replay, in standard deviations")
    parser.add_argument(
        "--acknowledge", type=cli.row_number, metavar="ID", help="take note of an incident"
    )
    parser.add_argument("--resolve", type=cli.row_number, metavar="ID", help="close an incident")
    parser.add_argument(
        "--explain",
        metavar="IDENTIFIER",
        help="tell why the live model says of a customer what it says",
    )


def from_options(
    config: Config,
    ledger: Ledger,
    *,
    latest: bool,
    **asked: Any,
) -> Diagnosis | Replay | Explanation | str:
    """Turn the options of the command line into what is asked of `run`."""
    policy = {"false_alarm_budget": asked["budget"], "tolerance": asked["tolerance"]}
    chosen = {name: value for name, value in policy.items() if value is not None}
    incident = next(
        ((what, asked[what]) for what in ("acknowledge", "resolve") if asked[what] is not None),
        None,
    )
    if chosen and not asked["replay"]:
        raise UsageError("--budget and --tolerance are of a --replay")
    if asked["explain"] is not None:
        return customer.explain(config, ledger, asked["explain"])
    replayed = chosen if asked["replay"] else None
    return run(config, ledger, latest=latest, replayed=replayed, incident=incident)


def needed_access(options: Mapping[str, Any]) -> cli.Access:
    """Take the lock only for what changes something."""
    changes = options["acknowledge"] is not None or options["resolve"] is not None
    return "write" if changes else "read"


if __name__ == "__main__":
    cli.main(from_options, __doc__, add_options=add_options, access=needed_access)
