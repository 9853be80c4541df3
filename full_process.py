"""The whole process, as cron runs it every 10 minutes: the only file that knows the order.

    new drops? -> ingest -> drift? -> train -> gate -> deploy -> report -> score -> diagnose

Reads   everything the stages read
Writes  everything the stages write, and what happened to the ledger
Exits   0 done (also: nothing new; also: drift found and handled), 3 with --fail-on, 64 wrong
        usage, 65 nothing usable, 69 no database or no API, 74 storage fault, 75 another run is
        at work, 76 no model to trust, 78 wrong configuration, 1 a bug
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

import api_calls
import app
import deployment
import diagnostics
import ingestion
import reporting
import scoring
import training
from risk import cli, model, monitor, profile, releases, scorecard, store
from risk.config import Config
from risk.errors import ApiError, DataError, RiskError
from risk.ledger import Ledger
from risk.monitor import Finding

log = logging.getLogger("full_process")
ASKED_TO_FAIL = 3


@dataclass(frozen=True)
class Outcome:
    """What a run did and why, in the words that are recorded and mailed."""

    lines: tuple[str, ...]
    drift: bool = False
    quarantined: bool = False
    exit_code: int = 0

    def __str__(self) -> str:
        return "\n".join(self.lines)


def run(
    config: Config, ledger: Ledger, *, dry_run: bool = False, fail_on: str | None = None
) -> Outcome:
    """Do one run, and record how it ended, whatever happens."""
    if dry_run:
        return rehearse(config, ledger)
    ledger.start_run()
    try:
        outcome = process(config, ledger)
    except Exception as error:
        ledger.end_run("failed", str(error) if isinstance(error, RiskError) else repr(error))
        raise
    ledger.end_run("ok", str(outcome))
    asked_for = {"drift": outcome.drift, "quarantine": outcome.quarantined}
    if fail_on and asked_for[fail_on] and not outcome.exit_code:
        return replace(outcome, exit_code=ASKED_TO_FAIL)
    return outcome


def process(config: Config, ledger: Ledger) -> Outcome:
    """Take what is new, decide with evidence whether something drifted, act on it."""
    resumed = finish_what_was_cut_off(config, ledger)
    taken = ingestion.run(config, ledger)
    batch = ledger.pending()
    if not batch:
        return Outcome((*resumed, str(taken)), exit_code=taken.exit_code)
    rows = store.read_parts(config, batch)
    ledger.record_column_statistics(
        diagnostics.as_rows(diagnostics.summarise(rows, config.columns))
    )

    live = releases.live_version(config.deployment_folder)
    findings = check(config, rows) if live else []
    ledger.record_findings([finding.as_row() for finding in findings])
    drift = monitor.drifted(findings, config.policy.retrain_on)
    if live and not drift:
        decided = (
            f"the champion stays: no drift in {len(rows)} new rows; {monitor.at_most(findings)}"
        )
        ledger.decide("keep", decided, through=batch[-1])
        done = [decided]
    else:
        done = replace_champion(config, ledger, why=monitor.in_words(drift), batch=batch)
    return Outcome(
        (*resumed, str(taken), *done),
        drift=bool(drift),
        quarantined=taken.quarantined,
        exit_code=taken.exit_code,
    )


def check(config: Config, rows: pd.DataFrame) -> list[Finding]:
    """Compare new rows with the champion's reference, and its score on them with its promise."""
    champion, checks = releases.load_champion(config), config.checks
    reference = releases.load_reference(config, champion)
    findings = monitor.data_drift(reference, profile.count(rows, reference), checks)
    promised = champion.manifest.test_scores
    if promised and not scorecard.ripe(rows, config.columns.target).empty:
        realised = scorecard.score(champion, rows, confidence=config.scoring.confidence)
        metric = checks.metric
        findings.append(monitor.model_drift(promised[metric], realised[metric], metric))
    return findings


def replace_champion(
    config: Config, ledger: Ledger, *, why: str, batch: Sequence[int]
) -> list[str]:
    """Train a challenger and let the gate decide; a first model has no champion to beat."""
    try:
        challenger = training.run(config, ledger)
    except DataError as error:
        if not why:
            raise
        ledger.decide("keep", f"{why}; no challenger: {error}", through=batch[-1])
        return [f"the champion stays: {why}; no challenger: {error}"]
    with ledger.stage("deployment"):
        decided = deployment.decide(config, ledger, why=why, looked_at=batch[-1])
    if decided.version is None:
        return [str(challenger), str(decided)]
    concluded = conclude(config, ledger, decided.version, decided.decision_id)
    return [str(challenger), str(decided), *concluded]


def conclude(config: Config, ledger: Ledger, version: int, decision_id: int) -> list[str]:
    """Switch to the decided release, report, score, diagnose; the next run can do it again."""
    deployment.carry_out(config, version)
    report = reporting.run(config, ledger)
    has_challenger = (config.model_folder / model.MANIFEST).exists()
    scores = scoring.run(config, ledger, name="challenger" if has_challenger else "champion")
    with ledger.stage("diagnostics"), app.answering(config) as url:
        calls = api_calls.run(config, url=url)
    ledger.complete(decision_id)
    if calls.exit_code:
        raise ApiError(f"release {version} is live, but of the API {calls}")
    return [f"{report}; F1 {scores.estimates['f1']}; API: {calls}"]


def finish_what_was_cut_off(config: Config, ledger: Ledger) -> list[str]:
    """Carry out a decision that a crash came upon; make the pointer agree with the ledger."""
    decision = ledger.open_decision()
    if decision is not None:
        log.warning("carrying out decision %d, which was cut off", decision.id)
        return conclude(config, ledger, decision.version, decision.id)
    decided = ledger.champion_version()
    if decided and releases.live_version(config.deployment_folder) != decided:
        log.warning("release %d should be live and is again", decided)
        deployment.carry_out(config, decided)
    return []


def rehearse(config: Config, ledger: Ledger) -> Outcome:
    """Tell what a run would do now; nothing is written."""
    taken, fresh = ingestion.rehearse(config, ledger)
    rows = pd.concat([store.read_parts(config, ledger.pending()), fresh], ignore_index=True)
    if rows.empty:
        return Outcome((f"would do nothing: {taken}",))
    if not releases.live_version(config.deployment_folder):
        return Outcome((str(taken), "would train the first model"))
    drift = monitor.drifted(check(config, rows), config.policy.retrain_on)
    would = (
        f"would train a challenger: {monitor.in_words(drift)}"
        if drift
        else "would keep the champion"
    )
    return Outcome((str(taken), would), drift=bool(drift))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script can do."""
    parser.add_argument(
        "--dry-run", action="store_true", help="say what a run would do, do nothing"
    )
    parser.add_argument(
        "--fail-on", choices=["drift", "quarantine"], help="exit 3 if a run finds this"
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options)
