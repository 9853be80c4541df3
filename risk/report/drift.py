"""What changed in the data: which features moved, how, and what that did to the predicted risk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from risk.data.statistics import as_rows
from risk.explain import plain_words, reasons, sentences
from risk.explain.plain_words import counted
from risk.monitoring.findings import METHOD
from risk.monitoring.monitored_release import MonitoredRelease
from risk.monitoring.profile import Column, cells_moved
from risk.report import distributions
from risk.report.context import Context, Seen
from risk.report.document import Block, Paragraph, Picture, Section, Table

TITLE = "What changed in the data?"
MAX_ROWS, MAX_DRAWN = 30, 8
MIN_PART = 0.0005
NOTHING_YET = (
    "Nothing can be compared yet: no rows have come since the first model learnt from those there "
    "were."
)
DISTANCES = {
    "psi": "population stability",
    "jensenshannon": "Jensen Shannon",
    "hellinger": "Hellinger",
    "ks": "Kolmogorov Smirnov",
    "wasserstein": "Wasserstein (sd)",
    "chisquare": "Cramer's V",
}


def section(known: Context) -> Section:
    """Rank what moved, draw it, and tell what it did to the predicted risk."""
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
            Paragraph(_who_looked(known, seen), "aside"),
            _ranking(features, seen),
            table(features, "The features that moved most, alarms first."),
            *_others(others),
            *_drawn(seen, features),
            *_explained(seen),
            *_distances(features),
        ),
    )


def ranked(findings: pd.DataFrame, still_open: Mapping[str, datetime]) -> pd.DataFrame:
    """Select what the detectors say, alarms first, then by how far each subject moved.

    An alarm counts until the incident it opened is closed, also while later rows are too few to
    raise it again.
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
    """Tell since when the incidents about single columns have been open."""
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
    told = f" An earlier alarm is still open: {plain_words.listed(since, most=5)}." if since else ""
    return _newest_rows(seen, moved, len(features)) + told


def _newest_rows(seen: Seen, moved: Sequence[str], n_features: int) -> str:
    rows = counted(seen.assessment.n, "row")
    if not moved:
        return (
            f"None of {counted(n_features, 'feature')} of the newest {rows} differs from the "
            "rows the model learnt from by more than is tolerated and chance explains."
        )
    which = plain_words.listed([plain_words.in_short(name, 40) for name in moved], most=5)
    return (
        f"{len(moved)} of {counted(n_features, 'feature')} of the newest {rows} "
        f"{'differs' if len(moved) == 1 else 'differ'} from the rows the model learnt from by "
        f"more than is tolerated and chance explains: {which}."
    )


def _who_looked(known: Context, seen: Seen) -> str:
    version, live = seen.assessment.version, known.snapshot.release
    told = (
        f"Release {version} looked at these rows on {plain_words.day(seen.assessment.assessed_at)}"
    )
    if live and live["version"] != version:
        told += f"; release {live['version']}, which is live now, has not seen any rows yet"
    monitored = f" Their values cannot be drawn: {seen.fault}." if seen.monitored is None else ""
    return (
        f"{told}. How far a feature moved is counted in standard deviations of the rows learnt "
        f"from; evidence of 100 % is an alarm.{monitored}"
    )


def _ranking(features: pd.DataFrame, seen: Seen) -> Picture:
    from risk.figures import rankings

    moved = features.loc[features["drift_detected"], "feature"].tolist()
    told = f"Alarms: {plain_words.listed(moved, most=5)}." if moved else "No alarm."
    return Picture(
        rankings.drift_ranking(features, n=seen.assessment.n),
        "How far each feature moved, against how far it may.",
        f"How far each of {counted(len(features), 'feature')} moved. {told}",
    )


def table(found: pd.DataFrame, caption: str) -> Table:
    """List how far subjects moved and how, those of `ranked` that moved most."""
    shown = as_rows(found.head(MAX_ROWS))
    rows = tuple(
        (
            plain_words.subject(row["feature"]),
            "as it was" if row["size"] == 0 else sentences.change_of(row),
            row["size"],
            row["threshold"],
            row["e_value"] and min(row["e_value"], 1.0),
            row["drift_detected"],
        )
        for row in shown
    )
    hidden = len(found) - len(shown)
    return Table(
        ("what", "how it changed", "moved by (sd)", "tolerated (sd)", "evidence", "alarm"),
        rows,
        caption=caption,
        shares=("evidence",),
        omitted=f"{hidden} more of {len(found)} moved less and are left out." if hidden else "",
    )


def _others(others: pd.DataFrame) -> tuple[Block, ...]:
    if others.empty:
        return ()
    caption = "What the model says, how good it is, labels, and features taken together."
    return (table(others, caption),)


def _drawn(seen: Seen, features: pd.DataFrame) -> tuple[Section, ...]:
    """Draw the features that alarm, before and now."""
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
    note = (Paragraph(f"{hidden} more moved less and are not drawn.", "aside"),) if hidden else ()
    return (Section("How they changed", (*drawn, *note)),)


def _feature(seen: Seen, monitored: MonitoredRelease, column: Column, words: str) -> Section:
    from risk.figures import distributions as distribution_figures

    name, reference = column.name, monitored.reference
    before, now = reference.profile.counts[name], seen.recent.counts[name]
    sizes: dict[str, Any] = {
        "feature": name,
        "n_reference": reference.profile.n,
        "n_current": seen.recent.n,
    }
    if column.edges is None:
        cells = distributions.categorical(column, before, now)
        figure = distribution_figures.categorical_feature(cells, **sizes)
    else:
        cells = distributions.numeric(column, before, now)
        figure = distribution_figures.numeric_feature(cells, **sizes)
    shares = [cell._asdict() for cell in cells_moved(column, before, now)]
    told = f"{words} What moved most: {reasons.cells_in_words(shares)}."
    caption = (
        f"{name}: shares of the {reference.profile.n:,} rows learnt from and of the newest "
        f"{seen.recent.n:,}."
    )
    return Section(plain_words.in_short(name), (Paragraph(told), Picture(figure, caption, told)))


def _explained(seen: Seen) -> tuple[Section, ...]:
    """Tell how much of the change in the mean predicted risk each feature makes."""
    from risk.figures import waterfall

    if not seen.assessment.attribution:
        return ()
    told = json.loads(seen.assessment.attribution)
    before, after, parts = told["before"], told["after"], told["parts"]
    frame = pd.DataFrame({"feature": list(parts), "contribution": list(parts.values())})
    words = (
        f"The mean predicted risk was {before:.3f} for the rows learnt from and is {after:.3f} for "
        f"the newest {counted(seen.assessment.n, 'row')}: {_changed(after - before)}. "
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
            "What moved the predicted risk?",
            (
                Paragraph(words),
                Picture(figure, "From the mean risk then to that of today, by feature.", words),
                _parts(parts, after - before),
            ),
        ),
    )


def _changed(change: float) -> str:
    return f"a change of {change:+.3f}" if abs(change) >= MIN_PART else "hardly any change"


def _largest(parts: Mapping[str, float]) -> str:
    name, part = next(iter(parts.items()))
    return f"{name} moved it most, by {part:+.3f}."


def _parts(parts: Mapping[str, float], total: float) -> Table:
    shown = [(name, part) for name, part in parts.items() if abs(part) >= MIN_PART][:MAX_ROWS]
    rest = total - sum(part for _, part in shown)
    hidden = len(parts) - len(shown)
    others = [(f"{counted(hidden, 'other feature')} together", rest)] if hidden else []
    return Table(
        ("feature", "part of the change"),
        (*shown, *others, ("all", total)),
        caption="The parts add up to the whole change.",
    )


def _distances(features: pd.DataFrame) -> tuple[Section, ...]:
    """Give engineers the usual distances, which describe and never alarm."""
    told = as_rows(features.dropna(subset="distances").head(MAX_ROWS))
    if not told:
        return ()
    parsed = [(row["feature"], json.loads(row["distances"])) for row in told]
    names = [name for name in DISTANCES if any(name in found for _, found in parsed)]
    rows = tuple(
        (feature, *(found[name]["value"] if name in found else None for name in names))
        for feature, found in parsed
    )
    hidden = len(features) - len(told)
    table = Table(
        ("feature", *(DISTANCES[name] for name in names)),
        rows,
        caption="Distances between the rows learnt from and the newest; 0 is no difference.",
        omitted=f"{hidden} more features are left out." if hidden else "",
    )
    return (Section("Distances, for engineers", (table,)),)
