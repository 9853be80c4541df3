"""Stage 5 of 6: let the challenger replace the champion if it deserves to, or go back.

Reads   the challenger, the champion, the test data, the newest labelled rows, open incidents
Writes  the decision and its reason to the ledger; on "deploy" a release below
        prod_deployment_path, made live by one rename; on --rollback only that rename
Exits   0 done (also: the champion stays), 64 no such release, 65 unusable test data,
        69 no database, 74 storage fault, 75 another run is at work, 76 no model to trust,
        78 wrong configuration
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

from risk import cli, store
from risk.config import Config
from risk.data import drops
from risk.decisions import run as decisions
from risk.decisions.codes import Action, Grounds, ReasonCode, VerdictCode
from risk.decisions.gate import Ruling, Verdict
from risk.decisions.rollback_watch import Failure
from risk.errors import ModelError, UnknownName
from risk.explain import reasons
from risk.ledger.decisions import Judgement
from risk.ledger.ledger import Ledger
from risk.models import evaluation, model, releases
from risk.models.evaluation import Scorecard
from risk.models.model import Model

DONE = {
    Action.DEPLOY: "release {} is live",
    Action.ROLLBACK: "back to release {}",
    Action.ASK: "a person is asked",
    Action.KEEP: "the champion stays",
}
BY_HAND = Grounds(ReasonCode.BY_HAND, {})


@dataclass(frozen=True)
class Deployment:
    """What was decided, why, and which release is to be live afterwards."""

    action: Action
    version: int | None
    reason: str
    decision_id: int

    def __str__(self) -> str:
        return f"{DONE[self.action].format(self.version)}: {self.reason}"


def decide(
    config: Config,
    ledger: Ledger,
    through: int | None = None,
    *,
    why: Grounds = BY_HAND,
    first_look: bool = True,
) -> Deployment:
    """Commit what becomes of the challenger; a release it makes is complete but not live yet.

    `through` is the last ingestion the decision takes into account; `why` is what asked for the
    challenger.
    """
    releases.sweep(config.deployment_folder, last_version=ledger.releases.last_version())
    challenger = model.load(config.model_folder, store.signing_key(config))
    verdict = decisions.judge(config, ledger, challenger, first_look=first_look)
    ruling = Ruling(verdict.action, why, verdict)
    if not verdict.deploy:
        return record(ledger, ruling, through=through)
    through = max(challenger.manifest.trained_through, through or 0)
    return _deploy(config, ledger, challenger, ruling, through=through)


def force(config: Config, ledger: Ledger) -> Deployment:
    """Commit that the challenger is deployed, whatever the gate would say."""
    releases.sweep(config.deployment_folder, last_version=ledger.releases.last_version())
    challenger = model.load(config.model_folder, store.signing_key(config))
    verdict = Verdict(deploy=True, proven=False, verdict=VerdictCode.FORCED)
    ruling = Ruling(Action.DEPLOY, Grounds(ReasonCode.FORCED, {}), verdict)
    through = challenger.manifest.trained_through
    return _deploy(config, ledger, challenger, ruling, through=through)


def _deploy(
    config: Config, ledger: Ledger, challenger: Model, ruling: Ruling, *, through: int
) -> Deployment:
    version = ledger.releases.last_version() + 1
    proven = bool(ruling.verdict and ruling.verdict.proven)
    release = _publish(config, challenger, version) | {"proven": proven}
    return record(ledger, replace(ruling, version=version, release=release), through=through)


def fall_back(ledger: Ledger, failure: Failure, *, through: int) -> Deployment:
    """Commit the return to the release before, because the live one failed on watch."""
    ruling = Ruling(Action.ROLLBACK, failure.grounds, version=failure.target)
    return record(ledger, ruling, through=through)


def record(ledger: Ledger, ruling: Ruling, *, through: int | None = None) -> Deployment:
    """Commit what is decided, why, and the release that comes of it."""
    reason, verdict, version = reasons.reason(ruling), ruling.verdict, ruling.version
    judgement = Judgement(verdict.comparison() if verdict else None, ruling.release)
    decision_id = ledger.decisions.record(
        ruling.action, reason, version=version, through=through, judgement=judgement
    )
    return Deployment(ruling.action, version, reason.text, decision_id)


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
    """Decide and carry out, by hand; or list the releases."""
    if show:
        return _list(config, ledger)
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
    """Publish the challenger with the record of its data and its own score."""
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
        raise ModelError("nothing is deployed, so there is nothing to roll back")
    target = version or max((v for v in releases.versions(root) if v < live), default=0)
    if not target:
        raise UnknownName(f"there is no release before {live} to go back to")
    model.load(releases.existing(root, target), store.signing_key(config))
    grounds = Grounds(ReasonCode.ROLLED_BACK_BY_HAND, {"from": live, "to": target})
    return record(ledger, Ruling(Action.ROLLBACK, grounds, version=target))


def _list(config: Config, ledger: Ledger) -> str:
    live = releases.live_version(config.deployment_folder)
    table = ledger.releases.history()
    if table.empty:
        return "no release yet"
    marks = table["version"].map(lambda version: "live" if version == live else "")
    return str(table.assign(live=marks).to_string(index=False))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this stage can do."""
    parser.add_argument(
        "--rollback",
        type=cli.row_number,
        nargs="?",
        const=0,
        metavar="VERSION",
        help="make an earlier release live again (default: the one before)",
    )
    parser.add_argument("--list", dest="show", action="store_true", help="list the releases")
    parser.add_argument(
        "--force",
        dest="by_force",
        action="store_true",
        help="deploy whatever the gate says; recorded",
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options, access=cli.unless("show", "read"))
