"""Deployment: replace the champion if the challenger passes the gate, or roll back.

Reads   the challenger, the champion, the test data, the newest labelled rows, open incidents
Writes  the decision and its reason to the ledger; on "deploy" a release below
        prod_deployment_path, made live by one rename; on --rollback only that rename
Exits   0 success (also: the champion stays), 64 no such release, 65 unusable test data,
        69 database unavailable, 74 storage error, 75 another run is in progress, 76 no trusted
        model, 78 invalid configuration
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from risk import cli, store
from risk.config import Config
from risk.data import drops
from risk.decisions import cases, damage
from risk.decisions import run as decisions
from risk.decisions.codes import Action, Grounds, ReasonCode, VerdictCode
from risk.decisions.gate import Ruling, Verdict
from risk.decisions.rollback_watch import Failure
from risk.errors import ModelError, UnknownName
from risk.explain import reasons, run_line
from risk.ledger.database import Record
from risk.ledger.ledger import Ledger
from risk.models import evaluation, model, releases
from risk.models.evaluation import Scorecard
from risk.models.model import Model

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
    challenger = _challenger(config, ledger)
    verdict = decisions.judge(config, ledger, challenger, first_look=first_look)
    ruling = cases.weighed(config, ledger, Ruling(verdict.action, why, verdict), challenger)
    if ruling.action != Action.DEPLOY:
        return record(ledger, ruling, through=through)
    return _deploy(config, ledger, challenger, ruling, through=through or 0)


def force(config: Config, ledger: Ledger) -> Deployment:
    """Commit the deployment of the challenger, regardless of the gate."""
    challenger = _challenger(config, ledger)
    verdict = Verdict(deploy=True, proven=False, verdict=VerdictCode.FORCED)
    ruling = Ruling(Action.DEPLOY, Grounds(ReasonCode.FORCED, {}), verdict)
    return _deploy(config, ledger, challenger, ruling)


def approved(config: Config, ledger: Ledger) -> Deployment | None:
    """Commit the deployment of the challenger that a person approved, None if there is none."""
    if ruling := cases.approved(config, ledger):
        return _deploy(config, ledger, _challenger(config, ledger), ruling)
    return None


def _challenger(config: Config, ledger: Ledger) -> Model:
    """Remove what a crash left among the releases, and return the challenger."""
    releases.sweep(config.deployment_folder, last_version=ledger.releases.last_version())
    return model.load(config.model_folder, store.signing_key(config))


def _deploy(
    config: Config, ledger: Ledger, challenger: Model, ruling: Ruling, *, through: int = 0
) -> Deployment:
    version = ledger.releases.last_version() + 1
    proven = bool(ruling.verdict and ruling.verdict.proven)
    release = _publish(config, challenger, version) | {"proven": proven}
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
            decided = _decide_rollback(config, ledger, rollback)
        else:
            decided = force(config, ledger) if by_force else decide(config, ledger)
        if decided.version is not None:
            carry_out(config, decided.version)
            ledger.decisions.complete(decided.decision_id)
    return decided


def _publish(config: Config, challenger: Model, version: int) -> dict[str, object]:
    """Publish the challenger with the record of its data and its score."""
    rows = drops.read_whole(config, config.test_data)
    estimates = evaluation.score(challenger, rows, config=config)
    scores = Scorecard(f"release {version}", config.name_of(config.test_data), estimates)
    folder, manifest = config.model_folder, challenger.manifest
    record = config.ingested_folder / config.compilation_record_filename
    files = {name: model.read_checked(folder, name, manifest) for name in manifest.files}
    files[config.score_filename] = scores.to_csv().encode()
    files[config.compilation_record_filename] = store.read(record)
    digests = {name: model.digest(content) for name, content in files.items()}
    complete = manifest.model_copy(
        update={"version": version, "files": digests, "test_scores": estimates}
    )
    files[model.MANIFEST] = model.sign(complete, store.signing_key(config)).encode()
    releases.publish(config.deployment_folder, version, files)
    return {
        "model_sha256": challenger.sha256,
        "rows_trained": manifest.rows_trained,
        "manifest": complete.model_dump_json(),
    }


def _decide_rollback(config: Config, ledger: Ledger, version: int) -> Deployment:
    root = config.deployment_folder
    live = releases.live_version(root)
    if live is None:
        raise ModelError("no release is deployed, so there is nothing to roll back")
    target = version or max((v for v in releases.versions(root) if v < live), default=0)
    if not target:
        raise UnknownName(f"there is no release before {live}; --list shows the releases")
    damage.require_usable(config, ledger, target)
    grounds = Grounds(ReasonCode.ROLLED_BACK_BY_HAND, {"from": live, "to": target})
    answered = decisions.answered_by_rollback(ledger, live)
    return record(ledger, Ruling(Action.ROLLBACK, grounds, version=target, answered=answered))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    parser.add_argument(
        "--rollback",
        type=cli.row_number,
        nargs="?",
        const=0,
        metavar="VERSION",
        help="make an earlier release live again (default: the previous one)",
    )
    parser.add_argument("--list", dest="show", action="store_true", help="list the releases")
    parser.add_argument(
        "--force",
        dest="by_force",
        action="store_true",
        help="deploy the challenger regardless of the gate; this is recorded",
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options, access=cli.unless(show="read"))
