"""The short names the ledger has for what is decided and why; `risk.explain` has the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What is decided about the live release."""

    KEEP = "keep"
    ASK = "ask"
    DEPLOY = "deploy"
    ROLLBACK = "rollback"


class Response(StrEnum):
    """What the policy chooses to do about open incidents."""

    NOTHING = "nothing"
    ASK = "ask"
    JUDGE = "judge"
    RETRAIN = "retrain"
    REFRESH = "refresh"
    RECALIBRATE = "recalibrate"
    MOVE_THRESHOLD = "move_threshold"
    REFER = "refer"


class ReasonCode(StrEnum):
    """Why something is decided."""

    NO_INCIDENT = "no_incident"
    SOUND_AGAIN = "sound_again"
    BROKEN_FEED = "broken_feed"
    HELD = "held"
    DRIFT = "drift"
    FEW_NEW_ROWS = "few_new_rows"
    FEW_ROWS_SINCE = "few_rows_since"
    REFRESH = "refresh"
    REFRESH_AGAIN = "refresh_again"
    ADJUSTMENT = "adjustment"
    NO_ADJUSTMENT = "no_adjustment"
    NO_REMEDY = "no_remedy"
    TOGETHER = "together"
    TRAINING_FAILED = "training_failed"
    FIRST_MODEL = "first_model"
    BY_HAND = "by_hand"
    FORCED = "forced"
    APPROVED = "approved"
    WORSE_THAN_BEFORE = "worse_than_before"
    ESTIMATED_WORSE = "estimated_worse"
    ROLLED_BACK_BY_HAND = "rolled_back_by_hand"
    DAMAGED = "damaged"
    RESTORED = "restored"
    REFERENCE = "reference"
    NEW_REFERENCE = "new_reference"
    WATCHED = "watched"
    ADOPTED = "adopted"


QUIET = (ReasonCode.NO_INCIDENT, ReasonCode.SOUND_AGAIN)


class VerdictCode(StrEnum):
    """What the gate finds of a challenger."""

    WORSE_BEYOND_CHANCE = "worse_beyond_chance"
    WORSE = "worse"
    BETTER = "better"
    NOT_INFERIOR = "not_inferior"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"
    ONE_CLASS = "one_class"
    SAME_MODEL = "same_model"
    FIRST = "first"
    FORCED = "forced"


@dataclass(frozen=True)
class Grounds:
    """Why something is decided, as a code and what is known."""

    code: ReasonCode
    facts: Mapping[str, Any]

    def with_facts(self, **more: Any) -> Grounds:
        """Add what is known now."""
        return replace(self, facts={**self.facts, **more})

    def failed(self, error: Exception) -> Grounds:
        """Say that the training these grounds asked for could not be done."""
        failed = replace(self, code=ReasonCode.TRAINING_FAILED)
        return failed.with_facts(asked_for=self.code, error=str(error))
