"""The whole process, as cron runs it every 10 minutes: the only file that knows the order.

    resume -> ingest -> monitor -> roll back, or decide by policy -> train -> gate
    -> deploy -> plot -> score -> call the API -> notify -> report

A run ends early where nothing is new, or where the policy keeps the champion or asks a person.

Reads   everything the stages read
Writes  everything the stages write; the run, its decision and its timings to the ledger
Exits   0 success (also: nothing new; also: drift found and handled), 3 with --fail-on, 64 wrong
        usage, 65 nothing usable, 69 database, source or API unavailable, 74 storage error,
        75 another run is in progress, 76 no trusted model, 78 invalid configuration, 1 a bug
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path
from typing import Any

import deployment
import ingestion
import reporting
import scoring
import training
from deployment import Deployment
from risk import cli
from risk.admin.retention import prune
from risk.config import Config
from risk.decisions import answers, cases, damage, rollback_watch
from risk.decisions import run as decisions
from risk.decisions.codes import Action, Grounds, ReasonCode, Response
from risk.decisions.gate import Ruling
from risk.decisions.policy import ALONE, Together
from risk.errors import ApiError, DataError
from risk.explain import case_words, reasons, rehearsal, run_line
from risk.explain.run_line import Outcome, Taken
from risk.fleet import options as fleet_options
from risk.fleet import run as fleet
from risk.ledger.ledger import Ledger
from risk.models import releases, shared_releases
from risk.monitoring import drill, monitored_release, watching
from risk.monitoring import run as monitoring
from risk.notify.send import recording_failure, register_recipients, send_notifications

log = logging.getLogger("full_process")


def run(
    config: Config, ledger: Ledger, *, dry_run: bool = False, fail_on: str | None = None
) -> Outcome:
    """Do one run and record how it ended, also if it fails."""
    if dry_run:
        return rehearsal.rehearse(config, ledger, *ingestion.rehearse(config, ledger))
    return respond(config, ledger, take(config, ledger)).failing_on(fail_on)


def take(config: Config, ledger: Ledger) -> Taken:
    """Begin a run: repair what is interrupted, ingest what is new, and monitor it."""
    register_recipients(config, ledger)
    run_id = ledger.runs.start()
    with recording_failure(config, ledger):
        resumed = resume_interrupted(config, ledger)
        done = ingestion.run(config, ledger)
        resumed += watch_elsewhere(config, ledger) if config.watches_only else []
        live = releases.live_version(config.deployment_folder)
        seen = monitoring.assess(config, ledger, describe=reasons.WRITER) if live else None
    return Taken.of(run_id, done, seen, first=resumed)


def respond(config: Config, ledger: Ledger, taken: Taken, together: Together = ALONE) -> Outcome:
    """Decide, and end the run; `together` moved in many models of the same fleet."""
    ledger.runs.resume(taken.run_id)
    with recording_failure(config, ledger):
        outcome = process(config, ledger, taken, together)
        outcome = outcome.asking(cases.update(config, ledger))
        drill.keep_current(config, ledger)
        if (pruned := prune(config, ledger)).anything:
            log.info(pruned)
    ledger.runs.end("ok", outcome.line)
    send_notifications(config, ledger)
    if failed := reporting.write_due_reports(config, ledger):
        outcome = outcome.without_report(failed)
    return outcome


def process(config: Config, ledger: Ledger, taken: Taken, together: Together) -> Outcome:
    """Respond to the incidents that are open."""
    live = releases.live_version(config.deployment_folder)
    batch = ledger.ingestions.pending()
    if not (batch or cases.has_approval(ledger)) or (config.watches_only and not live):
        late = monitoring.note_arrival(config, ledger, describe=reasons.WRITER) if live else []
        return Outcome(taken.line(alarms=[*taken.alarms, *late]), exit_code=taken.exit_code)

    log.info(taken.ingested)
    monitoring.record_statistics(config, ledger, batch)
    answer = partial(handle_incidents, together=together) if live else train_first_release
    decided = answer(config, ledger, through=max(batch, default=ledger.ingestions.last_id()))
    found = bool(taken.alarms), taken.quarantined, decided.action == Action.ASK
    return Outcome(taken.line(decided.decision), *found, taken.exit_code)


def train_first_release(config: Config, ledger: Ledger, *, through: int) -> Deployment:
    """Train the first model and deploy it; there is no champion to compare it with."""
    log.info(training.run(config, ledger))
    with ledger.runs.stage("deployment"):
        why = Grounds(ReasonCode.FIRST_MODEL, {})
        decided = deployment.decide(config, ledger, through, why=why)
    return finish_deployment(config, ledger, decided)


def watch_elsewhere(config: Config, ledger: Ledger) -> list[str]:
    """Make the reference of predictions made elsewhere, once there are enough rows or labels."""
    if decided := deployment.watch(config, ledger):
        return [str(finish_deployment(config, ledger, decided)).partition("\n")[0]]
    return watching.waiting(config, ledger)


def handle_incidents(
    config: Config, ledger: Ledger, *, through: int, together: Together
) -> Deployment:
    """Roll back a release that fails, or do what the policy says about the open incidents."""
    live = monitored_release.load(config)
    if failure := rollback_watch.failed(config, ledger, live):
        decided = deployment.fall_back(ledger, failure, through=through)
        return finish_deployment(config, ledger, decided)
    choice = decisions.choose(config, ledger, live, together)
    grounds = choice.grounds.with_facts(**decisions.last_seen(ledger))
    if action := choice.without_challenger:
        return deployment.record(ledger, Ruling(action, grounds), through=through)
    if choice.action is Response.REFER:
        return finish_deployment(config, ledger, deployment.renew(config, ledger, through, grounds))
    try:
        if how := choice.how:
            log.info(training.run(config, ledger, how=how, since=choice.since))
    except DataError as error:
        failed = grounds.failed(error)
        return deployment.record(ledger, Ruling(Action.KEEP, failed), through=through)
    with ledger.runs.stage("deployment"):
        decided = deployment.decide(config, ledger, through, why=grounds, first_look=bool(how))
    return finish_deployment(config, ledger, decided)


def finish_deployment(config: Config, ledger: Ledger, decided: Deployment) -> Deployment:
    """Switch to a new release, plot, score and check the API; each step can be repeated."""
    if decided.version is None:
        return decided
    import api_calls
    import app

    deployment.carry_out(config, decided.version)
    if not config.watches_only:
        log.info(reporting.draw(config, ledger))
    log.info(scoring.score_deployed(config, ledger))
    with ledger.runs.stage("api_calls"), app.answering(config) as (url, key):
        calls = api_calls.run(config, url=url, key=key)
    log.info(calls)
    ledger.decisions.complete(decided.decision_id)
    if calls.exit_code:
        raise ApiError(f"release {decided.version} is live, but the API check failed: {calls}")
    return decided


def resume_interrupted(config: Config, ledger: Ledger) -> list[str]:
    """Repair the live release; carry out an interrupted decision; make the decided release live."""
    shared_releases.bring(config, ledger)
    if failure := damage.repair(config, ledger):
        finish_deployment(config, ledger, deployment.fall_back(ledger, failure))
        return [run_line.of_damage(failure.version, failure.target)]
    decision = ledger.decisions.unfinished()
    if decision is not None:
        log.warning("resuming decision %d, which was interrupted", decision.id)
        done = finish_deployment(config, ledger, Deployment.from_ledger(decision))
        return [f"Release {done.version} is live: its deployment was interrupted, now it is done."]
    if approved := deployment.approved(config, ledger):
        done = finish_deployment(config, ledger, approved)
        return [run_line.of_approval(done.version or 0, done.decision["facts"]["case"])]
    return [run_line.of_relinking(version) for version in damage.relink(config, ledger)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script can do."""
    parser.add_argument("--dry-run", action="store_true", help="only say what a run would do")
    parser.add_argument("--fail-on", choices=["drift", "quarantine"], help="exit 3 if it is found")
    fleet_options.add_options(parser)
    answers.add_options(parser)


def from_options(config: Config, ledger: Ledger | None = None, **options: Any) -> cli.Result:
    """Run a fleet, list cases or answer one if the options say so, else do a run."""
    folder, dry_run, fail_on = (options.pop(name) for name in ("fleet", "dry_run", "fail_on"))
    if ledger is None:
        fleet_options.refuse_others({"dry_run": dry_run, **options})
        return fleet.run(config, folder, stages=Path(__file__).stem).failing_on(fail_on)
    asked = case_words.from_options(ledger, options)
    return asked or run(config, ledger, dry_run=dry_run, fail_on=fail_on)


if __name__ == "__main__":
    access = cli.unless(fleet="none", cases="read", dry_run="rehearse")
    cli.main(from_options, __doc__, add_options=add_options, access=access)
