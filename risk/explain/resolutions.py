"""Why an incident was resolved, as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk.explain.sentences import parsed
from risk.ledger.incidents import ResolutionCode


def of_resolution(row: Mapping[str, Any]) -> str:
    """Say why an incident was resolved, with the words of the person who did, if any."""
    code, facts = row["resolution_code"], parsed(row["resolution_facts"]) or {}
    if code is None or "by" in facts:  # resolved when the text was still stored as a whole
        return row["resolution"] or ""
    match ResolutionCode(code):
        case ResolutionCode.DEPLOYED:
            return f"Release {facts['version']} was deployed."
        case ResolutionCode.ROLLED_BACK:
            return f"Rolled back to release {facts['version']}."
        case ResolutionCode.RESTORED:
            return f"The files of release {facts['version']} were restored."
        case ResolutionCode.PASSED:
            return "It was not observed again."
        case ResolutionCode.BY_PERSON:
            by = f" (by {facts['key']})" if "key" in facts else ""
            return f"{row['resolution'] or 'Resolved by a person'}{by}"
