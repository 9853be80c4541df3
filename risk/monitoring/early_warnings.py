"""Early warnings that stand: given, and neither ended nor become an alarm."""

from __future__ import annotations

from typing import Any

from risk.ledger.ledger import Ledger
from risk.monitoring.detector import State
from risk.monitoring.findings import WARNED_SINCE


def standing(ledger: Ledger, version: int | None) -> list[dict[str, Any]]:
    """Return the findings that warn about a release's rows, the newest first, and since when."""
    stored = ledger.assessments.detector_state(version) if version else None
    warned = State.from_json(stored).warned if stored else {}
    found = ledger.findings.newest_warnings([*warned]) if warned else []
    return [dict(row._mapping) | {WARNED_SINCE: warned[row.feature].since} for row in found]
