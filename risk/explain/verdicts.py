"""The verdict contract: what a finding claims and on what terms, and the outcome of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from risk.cli import Result
from risk.config import Alarms, Config
from risk.explain import resolutions
from risk.explain.sentences import parsed
from risk.ledger.findings import WARNING, Findings
from risk.ledger.ledger import Ledger
from risk.ledger.queries import Part
from risk.monitoring.data_quality import USUAL
from risk.monitoring.detector import BY_SIMULATION, EXACT, INDEPENDENT_ROWS
from risk.monitoring.findings import CONSTANT, METHOD
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED

Row = Mapping[str, Any]
ADDED = ("guarantee", "assumptions", "since", "rows_seen")
REFERENCE = "The reference rows show the world as it should be."
ON_ROWS = {
    EXACT: "Rows are independent: the reference shows no season and no likeness within a drop.",
    BY_SIMULATION: "Season and likeness within a drop stay as the reference rows show them.",
    INDEPENDENT_ROWS: "Rows are independent; reference rows without dates cannot show it.",
}
OF_MEMORY = (
    "About {memory:.0f} consecutive batches say as much as one, as the {reference_days:g} days of "
    "the reference show; slower swings are unknown and may raise false alarms. A longer reference "
    "would show them."
)
OF_LABELS = "Whether a row is labelled does not depend on its label."
OF_ESTIMATES = "Given the features, positives are as frequent as among the reference rows."
OF_DROPS = "Drops vary as the latest ones did, on a logarithmic scale."
OF_CONSTANTS = "The rows of a drop are independent of each other."
MOST = Part(page_size=100)


def complete(found: Sequence[Row], findings: Findings, config: Config) -> list[dict[str, Any]]:
    """Add to findings their guarantee, assumptions, and since when the change is seen."""
    return [
        {
            **finding,
            "guarantee": guarantee(finding, config.alarms),
            "assumptions": assumptions(finding),
            "since": _since(finding, findings),
            "rows_seen": finding["n"],
        }
        for finding in found
    ]


def guarantee(finding: Row, alarms: Alarms) -> str | None:
    """Say on what the limit of false alarms rests; None where no chance is involved."""
    by_method = {
        METHOD: _facts(finding).get("guarantee", INDEPENDENT_ROWS),
        CONSTANT: INDEPENDENT_ROWS,
        USUAL: BY_SIMULATION,
    }
    rests_on = by_method.get(finding["method"])
    if rests_on in (EXACT, INDEPENDENT_ROWS):
        is_warning = finding["tier"] == WARNING
        budget = alarms.warning_budget if is_warning else alarms.false_alarm_budget
        return f"anytime-valid, {budget} over all checks"
    return rests_on


def assumptions(finding: Row) -> list[str]:
    """Say what has to hold for the guarantee, in short sentences."""
    match finding["method"]:
        case "e_detector":
            return [REFERENCE, *_of_detector(finding)]
        case "constant":
            return [REFERENCE, OF_CONSTANTS]
        case "usual_before":
            return [OF_DROPS]
    return []


def of_run(outcome: Result, config: Config, ledger: Ledger) -> dict[str, Any]:
    """Return the outcome of a run: its alarms and warnings, the open incidents, the decision."""
    run_id = ledger.database.run_id
    found, decided = [], []
    if run_id is not None:  # a rehearsal is no run
        tiers = ("alarm", WARNING)
        found = [f for t in tiers for f in ledger.findings.page(MOST, run_id=run_id, tier=t).items]
        decided = ledger.decisions.page(Part(page_size=1), run_id=run_id).items
    incidents = ledger.incidents.page(MOST, is_open=True).items
    return {
        "run_id": run_id,
        **vars(outcome),
        "findings": complete(found, ledger.findings, config),
        "incidents": [worded(incident) for incident in incidents],
        "decision": decided[0] if decided else None,
    }


def worded(incident: Row) -> dict[str, Any]:
    """Return an incident with the sentence that says why it was resolved."""
    return {**incident, "resolution": resolutions.of_resolution(incident) or None}


def _of_detector(finding: Row) -> list[str]:
    facts = _facts(finding)
    known = [ON_ROWS[facts.get("guarantee", INDEPENDENT_ROWS)]]
    if "memory" in facts:
        known.append(OF_MEMORY.format_map(facts))
    if finding["threshold"]:
        known.append(f"A shift of up to {finding['threshold']:g} standard deviations is tolerated.")
    if finding["feature"] == LABELLED or finding["check_name"] == "label_drift":
        known.append(OF_LABELS)
    if finding["feature"] == EXPECTED_LOSS:
        known.append(OF_ESTIMATES)
    return known


def _since(finding: Row, findings: Findings) -> dict[str, Any] | None:
    """Return between which assessments the change of an alarm began to show."""
    if not finding["drift_detected"]:
        return None
    return {
        "from": findings.last_quiet(finding["id"], finding["feature"]),
        "to": finding["found_at"],
    }


def _facts(finding: Row) -> Row:
    return parsed(finding["facts"]) or {}
