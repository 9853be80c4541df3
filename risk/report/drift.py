"""What changed in the data: which features moved, how, and what that did to the predicted risk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from risk.data.statistics import as_rows
from risk.explain import distributions, plain_words, reasons, seasons, sentences
from risk.explain.plain_words import counted
from risk.lazily import pandas as pd
from risk.monitoring.findings import METHOD
from risk.monitoring.monitored_release import ReportedRelease
from risk.monitoring.profile import Column, cells_moved
from risk.report.context import Context, Seen
from risk.report.document import Block, Paragraph, Picture, Section, Table

TITLE = "What changed in the data?"
MAX_ROWS, MAX_DRAWN = 30, 8
MIN_PART = 0.0005
NOTHING_YET = "Nothing can be compared yet: no rows have arrived since the first release."
DISTANCES = {
    "psi": "population stability index",
    "jensenshannon": "Jensen-Shannon",
    "hellinger": "Hellinger",
    "ks": "Kolmogorov-Smirnov",
    "wasserstein": "Wasserstein (sd)",
    "chisquare": "Cramer's V",
}


def section(known: Context) -> Section:
    """Rank the features by drift, draw them, and explain the effect on the predicted risk."""
    seen = known.seen
    if seen is None:
        return Section(TITLE, (Paragraph(NOTHING_YET),))
    still_open = _still_open(known, seen)
    found = ranked(seen.findings, still_open)
    features = found[found["feature"].isin(known.config.columns.features)]
    others = found[~found["feature"].isin(known.config.columns.features)]
    return Section(
        TITLE,
        (
            Paragraph(_in_short(seen, features, still_open)),
            Paragraph(_assessed_by(known, seen), "aside"),
            *_expected(seen),
            table(features, "Features by drift, alarms first."),
            *_others(others),
            *_drawn(seen, features),
            *_explained(seen),
            *_distances(features, seen.known_rows),
        ),
    )


def ranked(findings: pd.DataFrame, still_open: Mapping[str, datetime]) -> pd.DataFrame:
    """Select the findings of the detectors, alarms first, then by drift score.

    An alarm counts until its incident is resolved, even if later rows are too few to raise it
    again.
    """
    monitored = findings[findings["method"] == METHOD]
    monitored = monitored.assign(
        size=monitored["drift_score"].astype("float64").abs(),
        is_new=monitored["drift_detected"].astype("bool"),
        drift_detected=monitored["drift_detected"].astype("bool")
        | monitored["feature"].isin(list(still_open)),
    )
    order = ["drift_detected", "size"]
    return monitored.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def _still_open(known: Context, seen: Seen) -> dict[str, datetime]:
    """Return the columns with an open data drift incident, and when it was opened."""
    return {
        incident["subject"]: incident["opened_at"]
        for incident in known.snapshot.open_incidents
        if incident["kind"] == "data_drift" and incident["version"] == seen.assessment.version
    }


def _in_short(seen: Seen, features: pd.DataFrame, still_open: Mapping[str, datetime]) -> str:
    moved = features.loc[features["is_new"], "feature"].tolist()
    earlier = features.loc[features["drift_detected"] & ~features["is_new"], "feature"]
    since = [
        f"{plain_words.in_short(name, 40)} since {plain_words.day(still_open[name])}"
        for name in earlier
    ]
    if not since:
        return _newest_rows(seen, moved, len(features))
    alarms = "An earlier alarm is" if len(since) == 1 else "Earlier alarms are"
    still = f"{alarms} still open: {plain_words.listed(since, most=5)}."
    return f"{_newest_rows(seen, moved, len(features))} {still}"


def _newest_rows(seen: Seen, moved: Sequence[str], n_features: int) -> str:
    rows, known = counted(seen.assessment.n, "new row"), seen.known_rows
    if not moved:
        if n_features == 1:
            return f"No drift: the feature is within tolerance of the {known} ({rows})."
        return f"No drift: all {n_features} features are within tolerance of the {known} ({rows})."
    which = plain_words.listed([plain_words.in_short(name, 40) for name in moved], most=5)
    return f"Drift in {len(moved)} of {counted(n_features, 'feature')} ({rows}): {which}."


def _assessed_by(known: Context, seen: Seen) -> str:
    version, live = seen.assessment.version, known.snapshot.release
    when = plain_words.day(seen.assessment.assessed_at)
    compared = f"These rows were compared with the {seen.known_rows} of release {version} on {when}"
    if live and live["version"] != version:
        compared += f"; none have been compared with release {live['version']}, which is live, yet"
    not_drawn = f" Their values cannot be drawn: {seen.fault}." if seen.monitored is None else ""
    return (
        f"{compared}. Drift is measured in standard deviations (sd) of the {seen.known_rows}; "
        f"evidence of 100 % raises an alarm.{not_drawn}"
    )


def _expected(seen: Seen) -> tuple[Block, ...]:
    words = seasons.in_words(sentences.parsed(seen.assessment.facts))
    return (Paragraph(words, "aside"),) if words else ()


def ranking(known: Context) -> Picture | None:
    """Draw the features that drifted most, None before anything was compared."""
    from risk.figures import rankings

    seen = known.seen
    if seen is None:
        return None
    found = ranked(seen.findings, _still_open(known, seen))
    features = found[found["feature"].isin(known.config.columns.features)]
    moved = features.loc[features["drift_detected"], "feature"].tolist()
    alarms = f"Alarms: {plain_words.listed(moved, most=5)}." if moved else "No alarm."
    return Picture(
        rankings.drift_ranking(features.head(MAX_DRAWN), n=seen.assessment.n),
        "Drift of each feature as a multiple of its tolerance, largest first.",
        f"Drift of {counted(len(features), 'feature')}. {alarms}",
    )


def table(found: pd.DataFrame, caption: str) -> Table:
    """List the first findings of `ranked`: how each subject changed, and by how much."""
    shown = as_rows(found.head(MAX_ROWS))
    rows = tuple(
        (
            plain_words.subject(row["feature"]),
            "unchanged" if row["size"] == 0 else sentences.change_of(row),
            row["size"],
            row["threshold"],
            row["e_value"] and min(row["e_value"], 1.0),
            row["drift_detected"],
        )
        for row in shown
    )
    hidden = len(found) - len(shown)
    return Table(
        ("subject", "change", "drift (sd)", "tolerance (sd)", "evidence", "alarm"),
        rows,
        caption=caption,
        shares=("evidence",),
        omitted=f"{hidden} of {len(found)} are not shown; they drifted less." if hidden else "",
    )


def _others(others: pd.DataFrame) -> tuple[Block, ...]:
    if others.empty:
        return ()
    caption = "Predictions, scores, labels, and pairs of features."
    return (table(others, caption),)


def _drawn(seen: Seen, features: pd.DataFrame) -> tuple[Section, ...]:
    """Draw the distributions of the features with an alarm, before and now."""
    if seen.monitored is None:
        return ()
    columns = {column.name: column for column in seen.monitored.reference.columns}
    moved = features[features["drift_detected"] & features["feature"].isin(list(columns))]
    shown = as_rows(moved.head(MAX_DRAWN))
    drawn = [
        _feature(seen, seen.monitored, columns[row["feature"]], sentences.of_finding(row))
        for row in shown
    ]
    if not drawn:
        return ()
    hidden = len(moved) - len(drawn)
    note = (
        (Paragraph(f"{counted(hidden, 'more feature')} with less drift not drawn.", "aside"),)
        if hidden
        else ()
    )
    return (Section("Distributions of drifted features", (*drawn, *note)),)


def _feature(seen: Seen, monitored: ReportedRelease, column: Column, words: str) -> Section:
    from risk.figures.distributions import of_feature

    name, reference = column.name, monitored.reference
    before, now = reference.profile.counts[name], seen.recent.counts[name]
    figure = of_feature(distributions.of_feature(reference, name, seen.recent))
    shares = [cell._asdict() for cell in cells_moved(column, before, now)]
    text = f"{words} Largest changes: {reasons.cells_in_words(shares)}."
    caption = (
        f"{name}: shares of {counted(reference.profile.n, 'reference row')} and of "
        f"{counted(seen.recent.n, 'new row')}."
    )
    return Section(plain_words.in_short(name), (Paragraph(text), Picture(figure, caption, text)))


def _explained(seen: Seen) -> tuple[Section, ...]:
    """Attribute the change in the mean predicted risk to the features."""
    from risk.figures import waterfall

    if not seen.assessment.attribution:
        return ()
    found = json.loads(seen.assessment.attribution)
    before, after, parts = found["before"], found["after"], found["parts"]
    frame = pd.DataFrame({"feature": list(parts), "contribution": list(parts.values())})
    words = (
        f"The mean predicted risk is {before:.3f} on the {seen.known_rows} and {after:.3f} on "
        f"{counted(seen.assessment.n, 'new row')}: {_changed(after - before)}. "
        f"{_largest(parts)}"
    )
    figure = waterfall.risk_attribution(
        frame,
        before=before,
        after=after,
        n_reference=len(seen.monitored.sample) if seen.monitored else 0,
        n_current=seen.assessment.n,
    )
    return (
        Section(
            "What changed the predicted risk?",
            (
                Paragraph(words),
                Picture(
                    figure,
                    "Contribution of each feature to the change in mean predicted risk.",
                    words,
                ),
                _parts(parts, after - before, found.get("errors", {})),
            ),
        ),
    )


def _changed(change: float) -> str:
    return f"a change of {change:+.3f}" if abs(change) >= MIN_PART else "almost no change"


def _largest(parts: Mapping[str, float]) -> str:
    name, part = next(iter(parts.items()))
    return f"The largest contribution is that of {name}: {part:+.3f}."


def _parts(parts: Mapping[str, float], total: float, errors: Mapping[str, float | None]) -> Table:
    shown = [(name, part) for name, part in parts.items() if abs(part) >= MIN_PART][:MAX_ROWS]
    rest = total - sum(part for _, part in shown)
    hidden = len(parts) - len(shown)
    others = [(f"{counted(hidden, 'other feature')} together", rest)] if hidden else []
    known = [error for error in errors.values() if error is not None]
    accuracy = f", each with a standard error of at most {max(known):.3f}" if known else ""
    return Table(
        ("feature", "contribution"),
        (*shown, *others, ("total", total)),
        caption=f"The contributions add up to the total change{accuracy}.",
    )


def _distances(features: pd.DataFrame, known_rows: str) -> tuple[Section, ...]:
    """List the usual distance measures; they raise no alarms."""
    shown = as_rows(features.dropna(subset="distances").head(MAX_ROWS))
    if not shown:
        return ()
    parsed = [(row["feature"], json.loads(row["distances"])) for row in shown]
    names = [name for name in DISTANCES if any(name in found for _, found in parsed)]
    rows = tuple(
        (feature, *(found[name]["value"] if name in found else None for name in names))
        for feature, found in parsed
    )
    hidden = len(features) - len(shown)
    table = Table(
        ("feature", *(DISTANCES[name] for name in names)),
        rows,
        caption=f"Distances between the {known_rows} and the new rows; 0 means no difference.",
        omitted=f"{counted(hidden, 'more feature')} not shown." if hidden else "",
    )
    return (Section("Distance measures", (table,)),)
