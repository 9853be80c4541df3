"""Scoring: score a model on labelled rows, each score with a confidence interval.

Reads   the challenger, or with --model the champion or a release; the test data, or --data
Writes  the scores to the ledger; latest_score.csv beside the challenger if the challenger is
        scored on the test data. The scores stored with a release are never overwritten.
Exits   0 success, 64 no such release, 65 unusable data, 69 database unavailable, 74 storage
        error, 75 another run is in progress, 76 no trusted model, 78 invalid configuration
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from risk import cli
from risk.config import Config
from risk.data import drops, known_files
from risk.decisions.codes import Action
from risk.errors import UsageError
from risk.ledger.database import Row
from risk.ledger.ledger import Ledger
from risk.models import evaluation, model, releases, signing, watched
from risk.models.evaluation import Scorecard
from risk.models.model import Model
from risk.models.watched import require_model

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def evaluate(config: Config, trusted: Model, name: str, data: Path | None = None) -> Scorecard:
    """Score a model on `data`, or on the test data, without writing anything."""
    path = data or config.test_data
    rows = drops.read_whole(config, path)
    estimates = evaluation.score(trusted, rows, config=config)
    n_positive = int(rows[trusted.manifest.target].sum())
    name = "predictions" if config.watches_only else name
    return Scorecard(name, config.name_of(path), estimates, n_positive)


def find_model(config: Config, name: str) -> Path:
    """Return the folder of the challenger, the champion or a release."""
    if name == "challenger":
        return config.model_folder
    if name == "champion":
        return releases.live_folder(config.deployment_folder)
    if not name.isdecimal():
        raise UsageError(f"--model requires challenger, champion or a release number, got {name!r}")
    return releases.existing(config.deployment_folder, int(name))


def run(
    config: Config, ledger: Ledger, *, name: str | None = None, data: Path | None = None
) -> Scorecard:
    """Score and record; for the challenger on the test data also write latest_score.csv."""
    name = name or ("champion" if config.watches_only else "challenger")
    if data is None:
        require_model(config, "there are no test data to score on; name a file with --data")
    with ledger.runs.stage("scoring"):
        trusted = model.load(find_model(config, name), signing.key(config))
        scores = evaluate(config, trusted, name, data)
        version = ledger.releases.version_of(trusted.sha256)
        scored = {"model_sha256": trusted.sha256, "version": version}
        record(ledger, [scored | row for row in scores.as_rows()])
        if name == "challenger" and data is None:
            path = config.model_folder / config.score_filename
            known_files.write(config, ledger, path, scores.to_csv())
    return scores


def score_deployed(config: Config, ledger: Ledger) -> Scorecard:
    """Score what was just deployed; of predictions made elsewhere record what they promise."""
    if not config.watches_only:
        has_challenger = (config.model_folder / model.MANIFEST).exists()
        return run(config, ledger, name="challenger" if has_challenger else "champion")
    live = releases.load_champion(config)
    scores = Scorecard("predictions", watched.REFERENCE_ROWS, live.manifest.held_out_scores)
    scored = {"model_sha256": live.sha256, "version": live.manifest.version}
    record(ledger, [scored | row for row in scores.as_rows()])
    return scores


def record(ledger: Ledger, rows: Sequence[Row]) -> None:
    """Record scores; those of a deployment once, if it is interrupted, of a rollback none again."""
    decision, since = ledger.decisions.unfinished(), None
    if decision is not None:
        since = decision.decided_at if decision.action == Action.DEPLOY else EPOCH
    ledger.scores.record(rows, since=since)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    parser.add_argument(
        "--model",
        dest="name",
        help="challenger (default), champion (default if predictions are made elsewhere) or a "
        "release number",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="CSV file of labelled rows to score on (default: the test data)",
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options)
