"""Stage 5 of 6: let the challenger replace the champion if it deserves to, or go back.

Reads   the challenger, the champion, the test data
Writes  the decision and its reason to the ledger; on "deploy" a release below
        prod_deployment_path, made live by one rename; on --rollback only that rename
Exits   0 done (also: the champion stays), 64 no such release, 65 unusable test data,
        69 no database, 74 storage fault, 75 another run is at work, 76 no model to trust,
        78 wrong configuration
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pandas as pd

from risk import cli, drops, gate, model, releases, scorecard, store
from risk.config import Config
from risk.errors import ModelError, UnknownName
from risk.gate import Prediction, Trial, Verdict
from risk.ledger import Ledger
from risk.model import Model
from risk.scorecard import Scorecard, ripe


@dataclass(frozen=True)
class Deployment:
    """What was decided, why, and which release is to be live afterwards."""

    action: str
    version: int | None
    reason: str
    decision_id: int

    def __str__(self) -> str:
        now = {"deploy": f"release {self.version} is live", "rollback": f"back to {self.version}"}
        return f"{now.get(self.action, 'the champion stays')}: {self.reason}"


def judge(config: Config, challenger: Model, *, drift: bool, force: bool = False) -> Verdict:
    """Compare the challenger with the champion on the test data."""
    rows = ripe(drops.read_whole(config, config.test_data), challenger.manifest.target)
    confidence, metric = config.scoring.confidence, config.checks.metric
    if force:
        return Verdict(deploy=True, proven=False, reason="forced by hand, so unproven")
    if releases.live_version(config.deployment_folder) is None:
        return gate.first(scorecard.score(challenger, rows, confidence=confidence)[metric], metric)
    champion = releases.load_champion(config)
    if champion.sha256 == challenger.sha256:
        return Verdict(deploy=False, proven=False, reason="the challenger is the champion already")
    y_true = rows[challenger.manifest.target].to_numpy(dtype="int8")
    trial = Trial(y_true, _predict(champion, rows), _predict(challenger, rows))
    return gate.compare(trial, config.gate, metric=metric, drift=drift)


def _predict(trusted: Model, rows: pd.DataFrame) -> Prediction:
    y_pred_proba = trusted.predict_proba(rows)
    return Prediction(y_pred_proba, trusted.predict(y_pred_proba))


def decide(
    config: Config,
    ledger: Ledger,
    *,
    why: str = "",
    force: bool = False,
    looked_at: int | None = None,
) -> Deployment:
    """Commit what becomes of the challenger; a release it makes is complete but not live yet.

    `why` names the drift that asked for the challenger; `looked_at` is the last ingestion the
    decision takes into account.
    """
    releases.sweep(config.deployment_folder, last_version=ledger.last_version())
    challenger = model.load(config.model_folder, store.signing_key(config))
    verdict = judge(config, challenger, drift=bool(why), force=force)
    reason = f"{why}; {verdict.reason}" if why else verdict.reason
    if not verdict.deploy:
        decision_id = ledger.decide("keep", reason, through=looked_at)
        return Deployment("keep", None, reason, decision_id)
    version = ledger.last_version() + 1
    release = _publish(config, challenger, version) | {"proven": verdict.proven}
    through = challenger.manifest.trained_through
    decision_id = ledger.decide("deploy", reason, version=version, release=release, through=through)
    return Deployment("deploy", version, reason, decision_id)


def carry_out(config: Config, version: int) -> None:
    """Make the decided release the live one."""
    releases.switch(config.deployment_folder, version)


def run(
    config: Config,
    ledger: Ledger,
    *,
    rollback: int | None = None,
    force: bool = False,
    show: bool = False,
) -> Deployment | str:
    """Decide and carry out, by hand; or list the releases."""
    if show:
        return _list(config, ledger)
    with ledger.stage("deployment"):
        if rollback is None:
            decided = decide(config, ledger, force=force)
        else:
            decided = _decide_rollback(config, ledger, rollback)
        if decided.version is not None:
            carry_out(config, decided.version)
            ledger.complete(decided.decision_id)
    return decided


def _publish(config: Config, challenger: Model, version: int) -> dict[str, object]:
    """Put the challenger on the shelf with the record of its data and its own score."""
    rows = drops.read_whole(config, config.test_data)
    estimates = scorecard.score(challenger, rows, confidence=config.scoring.confidence)
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
    shelf, live = config.deployment_folder, releases.live_version(config.deployment_folder)
    if live is None:
        raise ModelError("nothing is deployed, so there is nothing to roll back")
    target = version or max((v for v in releases.versions(shelf) if v < live), default=0)
    if not target:
        raise UnknownName(f"there is no release before {live} to go back to")
    model.load(releases.existing(shelf, target), store.signing_key(config))
    reason = f"rolled back by hand from release {live}"
    decision_id = ledger.decide("rollback", reason, version=target)
    return Deployment("rollback", target, reason, decision_id)


def _list(config: Config, ledger: Ledger) -> str:
    live = releases.live_version(config.deployment_folder)
    table = ledger.releases()
    if table.empty:
        return "no release yet"
    marks = table["version"].map(lambda version: "live" if version == live else "")
    return str(table.assign(live=marks).to_string(index=False))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this stage can do."""
    parser.add_argument(
        "--rollback",
        type=int,
        nargs="?",
        const=0,
        metavar="VERSION",
        help="make an earlier release live again (default: the one before)",
    )
    parser.add_argument("--list", dest="show", action="store_true", help="list the releases")
    parser.add_argument(
        "--force", action="store_true", help="deploy whatever the gate says; this is recorded"
    )


if __name__ == "__main__":
    cli.main(run, __doc__, add_options=add_options)
