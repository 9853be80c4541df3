"""Decisions by hand: their options on the command line, and going back to an earlier release."""

from __future__ import annotations

import argparse
from pathlib import Path

from risk import cli
from risk.config import Config
from risk.decisions import damage
from risk.decisions import run as decisions
from risk.decisions.codes import Action, Grounds, ReasonCode
from risk.decisions.gate import Ruling
from risk.errors import ModelError, UnknownName
from risk.ledger.ledger import Ledger
from risk.models import releases


def rollback(config: Config, ledger: Ledger, version: int) -> Ruling:
    """Return the decision to go back to a release, 0 being the one before the live one."""
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
    return Ruling(Action.ROLLBACK, grounds, version=target, answered=answered)


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
        "--like", type=Path, metavar="CSV", help="with --adopt: labelled rows it was not trained on"
    )
    parser.add_argument(
        "--trust", metavar="SHA256", help="with --adopt: the digest of the file, once you trust it"
    )
    by_hand = parser.add_mutually_exclusive_group()
    by_hand.add_argument(
        "--adopt",
        type=Path,
        metavar="FILE",
        help="deploy a model trained elsewhere: a pickle, joblib or skops file, or an MLflow "
        "folder; without --trust say what reading it would import",
    )
    by_hand.add_argument(
        "--force",
        dest="by_force",
        action="store_true",
        help="deploy the challenger regardless of the gate; this is recorded",
    )
    by_hand.add_argument(
        "--new-reference",
        action="store_true",
        help="with model.source predictions: compare with the newest rows from now on",
    )
