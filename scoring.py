"""Stage 3 of 6: score a model on labelled rows, each score with its interval.

Reads   the challenger, or with --model the champion or a release; the test data, or --data
Writes  a record of the scores to the ledger; latest_score.csv beside the challenger when it
        is the challenger that is scored. The scores of a release are never overwritten.
Exits   0 done, 64 no such release, 65 unusable data, 69 no database, 74 storage fault,
        75 another run is at work, 76 no model to trust, 78 wrong configuration
"""

from __future__ import annotations

import argparse
from pathlib import Path

from risk import cli, store
from risk.config import Config
from risk.data import drops
from risk.errors import UsageError
from risk.ledger.ledger import Ledger
from risk.models import evaluation, model, releases
from risk.models.evaluation import Scorecard
from risk.models.model import Model


def evaluate(config: Config, trusted: Model, name: str, data: Path | None = None) -> Scorecard:
    """Answer how good a model is on `data`, or on the test data; writes nothing."""
    path = data or config.test_data
    rows = drops.read_whole(config, path)
    estimates = evaluation.score(trusted, rows, config=config)
    return Scorecard(name, config.name_of(path), estimates)


def find_model(config: Config, name: str) -> Path:
    """Name the folder of the challenger, the champion or a release."""
    if name == "challenger":
        return config.model_folder
    if name == "champion":
        return releases.live_folder(config.deployment_folder)
    if not name.isdecimal():
        raise UsageError(f"--model takes challenger, champion or a release number, got {name!r}")
    return releases.existing(config.deployment_folder, int(name))


def run(
    config: Config, ledger: Ledger, *, name: str = "challenger", data: Path | None = None
) -> Scorecard:
    """Score, record, and keep latest_score.csv true if it is the challenger's on the test data."""
    with ledger.runs.stage("scoring"):
        trusted = model.load(find_model(config, name), store.signing_key(config))
        scores = evaluate(config, trusted, name, data)
        version = ledger.releases.version_of(trusted.sha256)
        scored = {"model_sha256": trusted.sha256, "version": version}
        ledger.scores.record([scored | row for row in scores.as_rows()])
        if name == "challenger" and data is None:
            store.write(config.model_folder / config.score_filename, scores.to_csv())
    return scores


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this stage can do."""
    parser.add_argument(
        "--model",
        dest="name",
        default="challenger",
        help="challenger (default), champion or the number of a release",
    )
    parser.add_argument("--data", type=Path, help="labelled rows to score on (default: test data)")


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options)
