"""Deployment: replace the champion if the challenger passes the gate, or roll back.

Reads   the challenger, the champion, the test data, the newest labelled rows, open incidents
Writes  the decision and its reason to the ledger; on "deploy" a release below
        prod_deployment_path, made live by one rename; on --rollback only that rename;
        on --new-reference a release with the newest rows as the reference of predictions
        that are made elsewhere; on --adopt a release of a model trained elsewhere
Exits   0 success (also: the champion stays), 64 no such release, 65 unusable test data,
        69 database unavailable, 74 storage error, 75 another run is in progress, 76 no trusted
        model, 78 invalid configuration
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from risk import cli
from risk.config import Config
from risk.decisions import by_hand, cases, publishing
from risk.decisions import run as decisions
from risk.decisions.codes import Action, Grounds, ReasonCode, VerdictCode
from risk.decisions.gate import Ruling, Verdict
from risk.decisions.rollback_watch import Failure
from risk.errors import DataError
from risk.explain import reasons, run_line
from risk.ledger.database import Record
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing
from risk.models.model import Model
from risk.models.watched import require_model
from risk.monitoring import adopting, watching
from risk.monitoring.adopting import Wanted
from risk.monitoring.watching import Chosen

BY_HAND = Grounds(ReasonCode.BY_HAND, {})


@dataclass(frozen=True)
class Deployment(cli.Result):
    """The decision, its reason, and the release to be live afterwards."""

    action: Action
    version: int | None
    reason: str
    decision_id: int
    decision: Mapping[str, Any]

    @classmethod
    def from_ledger(cls, row: Record) -> Self:
        """Return a decision as it was recorded."""
        return cls(Action(row.action), row.version, row.reason, row.id, dict(row._mapping))

    def __str__(self) -> str:
        return f"{run_line.fitted(run_line.of_decision(self.decision))}\nWhy: {self.reason}"


def decide(
    config: Config,
    ledger: Ledger,
    through: int | None = None,
    *,
    why: Grounds = BY_HAND,
    first_look: bool = True,
) -> Deployment:
    """Commit the decision on the challenger; a resulting release is complete but not live yet.

    `through` is the last ingestion the decision considers; `why` is the reason for the challenger.
    """
    require_model(config, "there is no challenger to compare")
    challenger = _challenger(config, ledger)
    verdict = decisions.judge(config, ledger, challenger, first_look=first_look)
    ruling = cases.weighed(config, ledger, Ruling(verdict.action, why, verdict), challenger)
    if ruling.action != Action.DEPLOY:
        return record(ledger, ruling, through=through)
    return _deploy(config, ledger, challenger, ruling, through=through or 0)


def watch(config: Config, ledger: Ledger) -> Deployment | None:
    """Commit the first reference of predictions made elsewhere, or the same with its labels.

    None if there is nothing to do, or if rows are still missing.
    """
    chosen = watching.due(config, ledger)
    return refer(config, ledger, chosen, Grounds(ReasonCode.REFERENCE, {})) if chosen else None


def renew(config: Config, ledger: Ledger, through: int, grounds: Grounds) -> Deployment:
    """Commit the newest rows as the reference, as a person approved; keep the live one if unfit."""
    why = replace(grounds, code=ReasonCode.NEW_REFERENCE)
    try:
        return refer(config, ledger, watching.newest(config, ledger), why)
    except DataError as error:
        return record(ledger, Ruling(Action.KEEP, why.failed(error)), through=through)


def refer(config: Config, ledger: Ledger, chosen: Chosen, why: Grounds) -> Deployment:
    """Commit a new reference of predictions made elsewhere."""
    manifest = watching.write(config, ledger, chosen)
    grounds = why.with_facts(rows=manifest.rows_trained, chosen=manifest.rows_chosen)
    challenger = _challenger(config, ledger)
    return _deploy(config, ledger, challenger, Ruling(Action.DEPLOY, grounds))


def force(config: Config, ledger: Ledger) -> Deployment:
    """Commit the deployment of the challenger, regardless of the gate."""
    require_model(config, "no challenger can be deployed")
    verdict = Verdict(deploy=True, proven=False, verdict=VerdictCode.FORCED)
    ruling = Ruling(Action.DEPLOY, Grounds(ReasonCode.FORCED, {}), verdict)
    return _deploy(config, ledger, _challenger(config, ledger), ruling)


def approved(config: Config, ledger: Ledger) -> Deployment | None:
    """Commit the deployment of the challenger that a person approved, None if there is none."""
    if ruling := cases.approved(config, ledger):
        return _deploy(config, ledger, _challenger(config, ledger), ruling)
    return None


def _challenger(config: Config, ledger: Ledger) -> Model:
    """Remove what a crash left among the releases, and return the challenger."""
    releases.sweep(config.deployment_folder, last_version=ledger.releases.last_version())
    return model.load(config.model_folder, signing.key(config))


def _deploy(
    config: Config, ledger: Ledger, challenger: Model, ruling: Ruling, *, through: int = 0
) -> Deployment:
    version = ledger.releases.last_version() + 1
    proven = bool(ruling.verdict and ruling.verdict.proven)
    release = publishing.publish(config, ledger, challenger, version) | {"proven": proven}
    answered = decisions.answered(config, ledger, challenger.manifest)
    ruling = replace(ruling, version=version, release=release, answered=answered)
    through = max(challenger.manifest.trained_through, through)
    return record(ledger, ruling, through=through)


def fall_back(ledger: Ledger, failure: Failure, *, through: int | None = None) -> Deployment:
    """Commit the rollback of a release that failed or is damaged, or that it was restored."""
    answered = decisions.answered_by_rollback(ledger, failure.version)
    return record(ledger, replace(failure.ruling, answered=answered), through=through)


def record(ledger: Ledger, ruling: Ruling, *, through: int | None = None) -> Deployment:
    """Commit a decision, its reason and the resulting release."""
    reason, version = reasons.reason(ruling), ruling.version
    decision_id = ledger.decisions.record(
        ruling.action, reason, version=version, through=through, judgement=ruling.judgement
    )
    return Deployment(ruling.action, version, reason.text, decision_id, reasons.as_row(ruling))


def carry_out(config: Config, version: int) -> None:
    """Make the decided release the live one."""
    releases.switch(config.deployment_folder, version)


def run(
    config: Config,
    ledger: Ledger,
    *,
    rollback: int | None = None,
    by_force: bool = False,
    show: bool = False,
) -> Deployment | str:
    """Decide and carry out a decision by hand, or list the releases."""
    root = config.deployment_folder
    if show:
        return releases.listed(ledger.releases.history(), releases.live_version(root))
    with ledger.runs.stage("deployment"):
        if rollback is not None:
            decided = record(ledger, by_hand.rollback(config, ledger, rollback))
        else:
            decided = force(config, ledger) if by_force else decide(config, ledger)
        if decided.version is not None:
            carry_out(config, decided.version)
            ledger.decisions.complete(decided.decision_id)
    return decided


def adopt_model(config: Config, ledger: Ledger, wanted: Wanted) -> Deployment:
    """Commit the deployment of a model trained elsewhere."""
    manifest = adopting.write(config, ledger, wanted)
    ruling = Ruling(Action.DEPLOY, Grounds(ReasonCode.ADOPTED, manifest.parameters))
    return _deploy(config, ledger, _challenger(config, ledger), ruling)


def from_options(
    config: Config, ledger: Ledger, *, new_reference: bool, adopt: Path | None, **options: Any
) -> Deployment | str:
    """Do what the options of the command line request."""
    wanted = Wanted.of(adopt, options.pop("like"), options.pop("trust"))
    if not new_reference and wanted is None:
        return run(config, ledger, **options)
    with ledger.runs.stage("deployment"):
        if wanted is not None:
            decided = adopt_model(config, ledger, wanted)
        else:
            why = Grounds(ReasonCode.NEW_REFERENCE, {})
            decided = refer(config, ledger, watching.newest(config, ledger), why)
        carry_out(config, decided.version or 0)
        ledger.decisions.complete(decided.decision_id)
    return decided


if __name__ == "__main__":
    cli.main(from_options, __doc__, add_options=by_hand.add_options, access=cli.unless(show="read"))
