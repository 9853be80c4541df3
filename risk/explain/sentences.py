"""What was found, in sentences: the one place where a finding or an incident becomes words.

A row that was recorded before the ledger had facts keeps the text it was given then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from risk.explain import plain_words, score_change
from risk.explain.plain_words import counted, day
from risk.ledger.findings import WARNING
from risk.monitoring.broken_feed import LABELS
from risk.monitoring.data_quality import (
    ARRIVAL,
    DUPLICATES,
    QUARANTINED,
    REFUSED,
    UNDECLARED,
    VOLUME,
)
from risk.monitoring.findings import (
    ABOVE,
    BELOW,
    CONSTANT,
    HIGHER,
    HIGHEST,
    LOWER,
    LOWEST,
    METHOD,
    MISSING_LESS,
    MISSING_MORE,
    MORE_OFTEN,
    OTHERS_LESS,
    OTHERS_MORE,
    UNSEEN,
    WARNED_SINCE,
    Finding,
)
from risk.monitoring.loss_ratios import FEWER
from risk.monitoring.outcomes import UNRELIABLE
from risk.monitoring.reference import EXPECTED_LOSS, LABELLED
from risk.stats.directions import AGAINST, TOGETHER

Row = Mapping[str, Any]
EARLY = "early, may be nothing"
SHARES = {  # what a share is of, and whether it went up
    MISSING_MORE: ("is missing", True),
    MISSING_LESS: ("is missing", False),
    OTHERS_MORE: ("has less common values", True),
    OTHERS_LESS: ("has less common values", False),
    UNSEEN: ("has values unknown to the reference", True),
    ABOVE: ("is above every reference value", True),
    BELOW: ("is below every reference value", True),
    LOWEST: ("is in the lowest half per cent of reference values", True),
    HIGHEST: ("is in the highest half per cent of reference values", True),
}
SHAPES = {
    "more spread": "is spread wider",
    "less spread": "is spread less",
    "right-skewed": "is skewed more to the right",
    "left-skewed": "is skewed more to the left",
    "heavier tails": "has heavier tails",
    "lighter tails": "has lighter tails",
    TOGETHER: "rise together more than before",
    AGAINST: "move against each other more than before",
}


@dataclass(frozen=True)
class Clause:
    """What something is about, and what it did, which is enough where a table names the subject.

    Names of columns and files are spelt as the data spell them, so a sentence does not begin with
    one but with its `noun`.
    """

    subject: str
    change: str
    noun: str = ""

    def __str__(self) -> str:
        return f"{self.subject} {self.change}".strip()


def of_finding(row: Row) -> str:
    """Say what a check found, as a sentence."""
    found = _clause(row)
    if found is None:
        return str(row["detail"])
    early = f"{EARLY}: " if row.get("tier") == WARNING else ""
    said = plain_words.sentence(f"{early}{found.noun} {found}".strip())
    since = parsed(row["facts"]).get(WARNED_SINCE) if row["drift_detected"] else None
    return f"{said} Warned of since {day(datetime.fromisoformat(since))}." if since else said


def of_incident(row: Row) -> str:
    """Say what an incident is about, and why the score changed, if it did."""
    facts = parsed(row.get("facts")) or {}
    why = score_change.in_words(facts.get("score_change"))
    return " ".join(filter(None, [of_finding(_as_finding(row)), why]))


def incident_clause(row: Row) -> str:
    """Say what an incident is about where more follows."""
    return str(_clause(_as_finding(row)) or row["detail"])


def worst(alarms: Sequence[Finding], *, most: int = 3) -> str:
    """Say what was found, the worst first, and how much more there is."""
    words = [of_finding(alarm.as_row()) for alarm in alarms[:most]]
    rest = [f"And {len(alarms) - most} more."] if len(alarms) > most else []
    return " ".join([*words, *rest])


def change_of(row: Row) -> str:
    """Say what a finding's subject did, without naming it."""
    found = _clause(row)
    return found.change if found else str(row["detail"])


def parsed(facts: Any) -> Any:
    """Return what is JSON in some rows of the ledger and read already in others."""
    return json.loads(facts) if isinstance(facts, str) else facts


def _as_finding(incident: Row) -> Row:
    own = {"check_name": incident["kind"], "feature": incident["subject"], "drift_detected": True}
    return {**incident, **own, "drift_score": incident.get("effect")}


def _clause(row: Row) -> Clause | None:
    facts, feature = parsed(row.get("facts")), row["feature"]
    if facts is None:
        return None
    if row["check_name"] == "damaged_release":
        return Clause(f"release {facts['version']}", f"was damaged: {facts['fault']}")
    if row["check_name"] == "estimate":
        return _of_estimate(row, facts)
    if row["method"] == CONSTANT:
        return _constant(row, facts)
    if row["method"] != METHOD:
        return _of_drop(row, facts)
    if feature == LABELLED:
        return _of_score(row, facts) if "metric" in facts else _of_calibration(row, facts)
    if feature == EXPECTED_LOSS:
        return _of_loss(row, facts)
    return Clause(subject(feature), _change(row, facts), _noun(row))


def _noun(row: Row) -> str:
    """Name what a subject is, if it is one the data have a name for."""
    if row["feature"].startswith("("):
        return ""
    return "columns" if row["check_name"] == "joint_drift" else "column"


def subject(feature: str) -> str:
    """Write what a sentence is about: a column as it is called, what is derived with an article."""
    words = plain_words.in_short(plain_words.subject(feature))
    return f"the {words}" if feature.startswith("(") else words


def _change(row: Row, facts: Row) -> str:
    direction, by = row["direction"], f"by {abs(row['drift_score']):.2f} standard deviations"
    if (level := facts.get("level")) is not None:
        name = plain_words.in_short(level)
        return _share(row, "is positive" if name == "positive" else f'is "{name}"')
    if direction in SHARES:
        return f"{_share(row, SHARES[direction][0])}{_spellings(facts)}"
    if direction in SHAPES:
        return f"{SHAPES[direction]}, {by}"
    before, after = row["value_before"], row["value_after"]
    if before is None or after is None or (after < before) is not (direction == LOWER):
        return f"is {direction} {by}"
    earlier, later = (plain_words.about_value(value) for value in (before, after))
    if earlier == later:
        return f"is {direction} {by}"
    moved = "rose" if direction == HIGHER else "fell"
    return (
        f"is {direction}: its median {moved} from about {earlier} to {later} "
        f"in the newest {counted(facts['rows'], 'row')}"
    )


def _spellings(facts: Row) -> str:
    """Say which known values the unseen ones are, where that is evident."""
    known = facts.get("spellings") or {}
    told = [
        f'"{plain_words.in_short(value)}" is "{plain_words.in_short(level)}"'
        for value, level in known.items()
    ]
    return f"; known values in another spelling: {', '.join(told)}" if told else ""


def _share(row: Row, what: str) -> str:
    """Say how often something is now; a batch may contradict the evidence of all of them."""
    before, after, rows = row["value_before"], row["value_after"], counted(row["n"], "row")
    is_up = SHARES[row["direction"]][1] if row["direction"] in SHARES else _is_more(row)
    if _is_reported(row) and (after > before) is not is_up:
        over = f"{what} {'more' if is_up else 'less'} often over several batches"
        return f"{over}: {before:.1%} before, {after:.1%} of the newest {rows}"
    whole = rows if row["n"] == 1 else f"all {rows}"
    part = {0.0: f"none of {rows}", 1.0: whole}.get(after, f"{after:.1%} of {rows}")
    earlier = {0.0: "none", 1.0: "all"}.get(before, f"{before:.1%}")
    if f"{before:.1%}" == f"{after:.1%}":
        return f"{what} in {part}, as before"
    return f"{what} in {part}, {'up' if after > before else 'down'} from {earlier}"


def _is_reported(row: Row) -> bool:
    return bool(row["drift_detected"]) or row.get("tier") == WARNING


def _is_more(row: Row) -> bool:
    return bool(row["direction"] == MORE_OFTEN)


def _of_score(row: Row, facts: Row) -> Clause:
    """Say from what it promised to what a score went; a batch may be better than all of them."""
    name, before, after = (
        plain_words.metric(facts["metric"]),
        row["value_before"],
        row["value_after"],
    )
    should_rise = row["direction"] == LOWER
    worse = "fallen" if should_rise else "risen"
    rows = counted(facts.get("rows", row["n"]), "labelled row")
    if before is None or after is None:
        by = f"{abs(row['drift_score']):.2f} standard deviations"
        return Clause("", f"{name} has {worse} by {by} on {rows}")
    earlier, later = plain_words.distinct(before, after)
    is_worse = after < before if should_rise else after > before
    if _is_reported(row) and not is_worse:
        newest = f"on the newest {rows} it is {later}, where {earlier} was promised"
        return Clause("", f"{name} has {worse} over several batches; {newest}")
    if earlier == later:
        return Clause("", f"{name} is {later} on {rows}, as promised")
    return Clause(
        "", f"{name} {'fell' if after < before else 'rose'} from {earlier} to {later} on {rows}"
    )


def _of_calibration(row: Row, facts: Row) -> Clause:
    way = "rarer" if row["direction"] == FEWER else "more frequent"
    predicted, came = row["value_before"], row["value_after"]
    rows = counted(facts.get("rows", row["n"]), "labelled row")
    if predicted is None or came is None:
        by = f"{abs(row['drift_score']):.2f} standard deviations"
        return Clause("", f"positives are {way} than predicted by {by} on {rows}")
    over = "" if (came < predicted) is (way == "rarer") else " over several batches"
    words = f"{came:.1%} of the newest {rows}, where {predicted:.1%} were predicted"
    return Clause("", f"positives are {way} than predicted{over}: {words}")


def _of_loss(row: Row, facts: Row) -> Clause:
    name, before, after = "the expected loss", row["value_before"], row["value_after"]
    if before is None or after is None:
        way, by = "higher" if row["drift_score"] >= 0 else "lower", abs(row["drift_score"])
        return Clause(
            name, f"is {way} by {by:.2f} standard deviations on {counted(row['n'], 'row')}"
        )
    earlier, later = plain_words.distinct(before, after, least=3)
    rows = f"the newest {counted(facts['rows'], 'row')}"
    if earlier == later:
        return Clause(name, f"is {later} on {rows}, as before")
    return Clause(
        name, f"{'rose' if after > before else 'fell'} from {earlier} to {later} on {rows}"
    )


def _of_estimate(row: Row, facts: Row) -> Clause:
    agrees = row["direction"] != UNRELIABLE
    verdict = "agrees with the labels" if agrees else "cannot be relied on"
    expected, realised = (plain_words.score(facts[name]) for name in ("expected", "realised"))
    rows = counted(row["n"], "labelled row")
    name = f"the estimate of {plain_words.metric(row['method'])}"
    return Clause(name, f"{verdict}: {expected} expected, {realised} measured on {rows}")


def _constant(row: Row, facts: Row) -> Clause:
    value = facts["value"]
    if row["feature"] == LABELS:
        shown = f'"{value}"' if isinstance(value, str) else f"{value:.10g}"
        return Clause("", f"all {counted(row['n'], 'label')} that came together are {shown}")
    shown = f'"{plain_words.in_short(value)}"' if isinstance(value, str) else f"{value or 0:.10g}"
    is_what = "missing" if value is None else shown
    words = f"is {is_what} in all {counted(row['n'], 'row')}"
    return Clause(subject(row["feature"]), words, "column")


def _of_drop(row: Row, facts: Row) -> Clause:
    """Say what is odd about a drop, or that none came."""
    usual, now, feature = row["value_before"], row["value_after"], row["feature"]
    if feature == ARRIVAL:
        waited, gap = (plain_words.duration(timedelta(hours=hours)) for hours in (now, usual))
        return Clause("", f"no data came for {waited}, where the usual gap is {gap}")
    path = facts["path"]
    if feature == VOLUME:
        words = f"has {counted(round(now), 'row')}, where about {usual:,.0f} are usual"
        return Clause(path, words, "file")
    if row["direction"] == REFUSED:
        return Clause(path, f"was refused: {facts['reason']}", "file")
    if row["direction"] == UNDECLARED:
        names = [f'"{plain_words.in_short(name)}"' for name in facts["columns"]]
        noun = "a column that is" if len(names) == 1 else "columns that are"
        return Clause(path, f"has {noun} not declared: {plain_words.listed(names)}", "file")
    became = {DUPLICATES: "known already", QUARANTINED: "refused"}[feature]
    was = "was" if facts["rows"] == 1 else "were"
    why = f", most often for {facts['problem']}" if "problem" in facts else ""
    words = f"{was} {became}{why}; {usual:.1%} are usual"
    return Clause(f"{facts['rows']:,} of {counted(row['n'], 'row')} of {path}", words)
