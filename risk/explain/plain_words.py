"""Numbers, moments and findings in the words of somebody who reads no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from risk.lazily import pandas as pd
from risk.models.watched import REFERENCE_ROWS
from risk.monitoring.detector import DOMAIN
from risk.monitoring.findings import OF_DATA
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED, PREDICTION

MEASURED, ESTIMATED, PROMISED = "measured", "estimated", "promised"
ADVICE = {
    "data_quality": "Ask whoever delivers the data whether the feed is broken.",
    "model_drift": "Ask what changed in the world: the model errs more than it promised.",
    "calibration_drift": "Treat predicted probabilities with care until it is resolved.",
    "damaged_release": "Find out what changed the files; python -m risk.admin check verifies all.",
    "suspected_harm": "Bring labels soon: without them the model's errors are only estimated.",
} | dict.fromkeys(OF_DATA, "Ask whether the change is real or only how the data is made.")
METRICS = {"f1": "F1", "roc_auc": "ROC AUC", "brier": "Brier score"}
MAX_EVIDENCE = 1e6
MAX_YEARS, DAYS_A_YEAR = 1000, 365.25
SUBJECTS = {
    PREDICTION: "predicted risk",
    LABELLED: "errors on labelled rows",
    EXPECTED_LOSS: "errors expected without labels",
    DOMAIN: "score of the domain classifier",
}


def subject(name: str | None) -> str:
    """Write what a finding is about; what is no column is in brackets in the ledger."""
    plain = SUBJECTS.get(name or "", name or "the model")
    return plain[1:-1] if plain.startswith("(") and plain.endswith(")") else plain


def about(incident: Mapping[str, Any]) -> str:
    """Write what an incident is about; two columns may each be as they were, yet not together."""
    plain = in_short(subject(incident["subject"]))
    return f"how {plain} go together" if incident["kind"] == "joint_drift" else plain


def in_short(name: str, most: int = 40) -> str:
    """Leave out the middle of a name that is too long for a sentence."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def metric(name: str) -> str:
    """Write a metric as people do."""
    return METRICS.get(name, name.replace("_", " "))


def score(estimate: Any) -> str:
    """Write a score with its interval."""
    value, lower, upper = (estimate[name] for name in ("value", "lower", "upper"))
    if pd.isna(value):
        return "undefined"
    return f"{value:.3f}" if pd.isna(lower) else f"{value:.3f} [{lower:.3f}, {upper:.3f}]"


def between(estimate: Any) -> str:
    """Say in words in which range a score is."""
    value, lower, upper = (estimate[name] for name in ("value", "lower", "upper"))
    if pd.isna(value):
        return "undefined"
    return f"{value:.2f}" if pd.isna(lower) else f"between {lower:.2f} and {upper:.2f}"


def distinct(first: float, second: float, *, least: int = 2) -> tuple[str, str]:
    """Write two scores with as many decimals as it takes to see which is larger, at most four."""
    for decimals in range(least, 5):
        written = f"{first:.{decimals}f}", f"{second:.{decimals}f}"
        if first == second or written[0] != written[1]:
            break
    return written


def worse(now: float | None, before: float | None, *, decimals: int = 4) -> str:
    """Say that a score is worse than another, or no better where so many decimals are equal."""
    same = None not in (now, before) and f"{now:.{decimals}f}" == f"{before:.{decimals}f}"
    return "no better" if same else "worse"


def about_value(value: float) -> str:
    """Write a value that is known to three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def evidence(e_value: float | None) -> str:
    """Write how strong evidence is, as far as the number still says something."""
    if e_value is None:
        return "unknown"
    if e_value > MAX_EVIDENCE:
        return f"more than {MAX_EVIDENCE:,.0f}"
    return f"{e_value:,.0f}" if e_value >= 10 else f"{e_value:.2f}"


def chance_share(e_value: float) -> str:
    """Say in how many cases chance alone reaches such evidence: by Markov, one in as many."""
    if e_value >= MAX_EVIDENCE:
        return "less than 1 in a million"
    share = min(1.0, 1 / e_value) if e_value > 0 else 1.0
    return f"up to {share:.0%}" if share >= 0.01 else f"up to 1 in {e_value:,.0f}"


def by_chance(e_value: float | None, days_per_false_alarm: float) -> str | None:
    """Say how rarely chance alone raises an alarm this strong, None of what is no alarm.

    An alarm is evidence of 1, which chance reaches once in the days of the budget; it reaches K
    times as much K times more rarely.
    """
    if e_value is None or e_value < 1:
        return None
    years = min(e_value, MAX_EVIDENCE) * days_per_false_alarm / DAYS_A_YEAR
    if years > MAX_YEARS:
        return f"Chance alone would do this less than once in {MAX_YEARS:,} years."
    often = f"{years:,.0f} years" if years >= 2 else f"{years * DAYS_A_YEAR:,.0f} days"
    return f"Chance alone would do this less than once in {often}."


def listed(words: Sequence[str], *, most: int = 3) -> str:
    """Write a list, and how many more there are."""
    named, rest = list(words[:most]), len(words) - most
    if rest > 0:
        named.append(f"{rest} more")
    return " and ".join(filter(None, [", ".join(named[:-1]), *named[-1:]]))


def details(words: Sequence[str], *, most: int) -> str:
    """Write what has commas of its own, and how much more there is."""
    rest = len(words) - most
    return "; ".join(words[:most]) + (f" (and {rest} more)" if rest > 0 else "")


def known_rows(*, is_watched: bool) -> str:
    """Return what the rows are called that new ones are compared with."""
    return "reference" if is_watched else "training data"


def rows_of(dataset: str) -> str:
    """Return what the rows of a promise are called."""
    return "rows of the reference" if dataset == REFERENCE_ROWS else "rows of test data"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number of things."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def day(moment: date) -> str:
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


def moved_together(subject: str, of: Sequence[int]) -> str:
    """Say that something moved in many models of a fleet, and what follows from it."""
    moved, known = of
    name = SUBJECTS.get(subject, subject)
    where = f"{moved} of {known} models moved together in {name}"
    return f"{where}: look at the shared source, retrain none."
