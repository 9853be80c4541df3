"""Numbers, moments and findings in the words of somebody who reads no statistics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from risk.monitoring.findings import OF_DATA
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED, PREDICTION

MEASURED, ESTIMATED, PROMISED = "measured", "estimated", "promised"
ADVICE = {
    "data_quality": "Ask whoever delivers the data whether the feed is broken.",
    "model_drift": "Ask what changed in the world: the model errs more than it promised.",
    "calibration_drift": "Treat predicted probabilities with care until it is resolved.",
    "suspected_harm": "Bring labels soon: without them the model's errors are only estimated.",
} | dict.fromkeys(OF_DATA, "Ask whether the change is real or only how the data is made.")
METRICS = {"f1": "F1", "roc_auc": "ROC AUC", "brier": "Brier score"}
MAX_EVIDENCE = 1e6
SUBJECTS = {
    PREDICTION: "predicted risk",
    LABELLED: "errors on labelled rows",
    EXPECTED_LOSS: "errors expected without labels",
}
PLAIN_WORDS = (
    (r"\((predicted risk|expected loss|predicted risk by label)\)", r"the \1"),
    (r"^(\S+) (?!missing )(\S.*? (?:more|less) often)", r"\1 is \2"),
    (r" is other levels (more|less) often", r" has values other than its usual ones \1 often"),
    (r" unseen levels \(", " has values that were never seen before ("),
    (r" (higher by|lower by|missing more|above every|below every)", r" is \1"),
    (r"(\d) sd\b", r"\1 standard deviations"),
    (r"\(([\d.]+%) -> ([\d.]+%) of (\d+) rows\)", r"(from \1 to \2 of \3 rows)"),
    (
        r"its median is where the reference had its percentile (\d+)",
        r"its middle value exceeds \1% of the training data",
    ),
    (r"every reference value", "every value of the training data"),
    (r"\bf1\b", "F1"),
    (r"\bbrier\b", "Brier score"),
)
COUNT = re.compile(r"\b\d{4,}(?= (?:labelled )?rows\b)")


def in_plain_words(detail: str) -> str:
    """Write what a finding says."""
    for pattern, words in PLAIN_WORDS:
        detail = re.sub(pattern, words, detail)
    return COUNT.sub(lambda found: f"{int(found[0]):,}", detail)


def subject(name: str | None) -> str:
    """Write what a finding is about; what is no column is in brackets in the ledger."""
    told = SUBJECTS.get(name or "", name or "the model")
    return told[1:-1] if told.startswith("(") and told.endswith(")") else told


def about(incident: Mapping[str, Any]) -> str:
    """Write what an incident is about; two columns may each be as they were, yet not together."""
    told = in_short(subject(incident["subject"]))
    return f"how {told} go together" if incident["kind"] == "joint_drift" else told


def in_short(name: str, most: int = 60) -> str:
    """Leave out the middle of a name that is too long for a sentence."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def with_short_names(words: str, most: int = 40) -> str:
    """Leave out the middle of whatever is too long to be a word."""
    return re.sub(rf"\S{{{most + 1},}}", lambda found: in_short(found[0], most), words)


def metric(name: str) -> str:
    """Write a metric as people do."""
    return METRICS.get(name, name.replace("_", " "))


def score(estimate: Any) -> str:
    """Write a score with its interval."""
    value, lower, upper = (estimate[name] for name in ("value", "lower", "upper"))
    if pd.isna(value):
        return "undefined"
    return f"{value:.3f}" if pd.isna(lower) else f"{value:.3f} [{lower:.3f}, {upper:.3f}]"


def evidence(e_value: float | None) -> str:
    """Write how strong evidence is, as far as the number still says something."""
    if e_value is None:
        return "unknown"
    if e_value > MAX_EVIDENCE:
        return f"more than {MAX_EVIDENCE:,.0f}"
    return f"{e_value:,.0f}" if e_value >= 10 else f"{e_value:.2f}"


def listed(words: Sequence[str], *, most: int = 3) -> str:
    """Write a list, and how many more there are."""
    told, rest = list(words[:most]), len(words) - most
    if rest > 0:
        told.append(f"{rest} more")
    return " and ".join(filter(None, [", ".join(told[:-1]), *told[-1:]]))


def details(words: Sequence[str], *, most: int) -> str:
    """Write what has commas of its own, and how much more there is."""
    rest = len(words) - most
    return "; ".join(words[:most]) + (f" (and {rest} more)" if rest > 0 else "")


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number of things."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def day(moment: datetime) -> str:
    """Write a date."""
    return f"{moment.day} {moment:%B %Y}"


def duration(time: timedelta) -> str:
    """Write how long something takes, in the unit that fits."""
    minutes = time.total_seconds() / 60
    if minutes >= 2 * 1440:
        return counted(round(minutes / 1440), "day")
    if minutes >= 120:
        return counted(round(minutes / 60), "hour")
    return counted(round(minutes), "minute")


def sentence(words: str) -> str:
    """Begin words of ours with a capital, and end them with one full stop."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
