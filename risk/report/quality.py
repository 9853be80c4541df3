"""Data quality: values that are missing, out of range or unseen, and quarantined rows."""

from __future__ import annotations

import numpy as np

from risk.data.statistics import as_rows
from risk.explain import plain_words, sentences
from risk.explain.distributions import shares
from risk.explain.plain_words import counted, sentence
from risk.lazily import pandas as pd
from risk.monitoring.monitored_release import ReportedRelease
from risk.monitoring.profile import Column
from risk.report.context import MAX_DROPS, Context, Seen
from risk.report.document import Block, Bullets, Paragraph, Picture, Section, Table

TITLE = "How good are the data?"
MAX_ROWS = 30
MEANS = ("mean", "median", "standard_deviation", "distinct_count", "top_value")


def section(known: Context) -> Section:
    """Report alarms, new files, quarantined rows, unusual values and column statistics."""
    blocks: list[Block] = [*_alarms(known), *_arrived(known), *_refused(known)]
    seen = known.seen
    if seen and seen.monitored:
        blocks.append(_values(seen, seen.monitored, known))
    return Section(TITLE, (*blocks, *_statistics(known)))


def measured(seen: Seen, monitored: ReportedRelease) -> pd.DataFrame:
    """Return for each feature the shares of values that are missing, out of range and unseen.

    The columns are column, missing, missing_before, out_of_range and unseen; what does not apply
    to a column is NaN.
    """
    features = monitored.manifest.features
    columns = {column.name: column for column in monitored.reference.columns}
    rows = [_measure(columns[name], seen, monitored) for name in features if name in columns]
    return pd.DataFrame(rows)


def _measure(column: Column, seen: Seen, monitored: ReportedRelease) -> dict[str, str | float]:
    before = shares(monitored.reference.profile.counts[column.name])
    now = shares(seen.recent.counts[column.name])
    is_number = column.edges is not None
    return {
        "column": column.name,
        "missing": float(now[-1]),
        "missing_before": float(before[-1]),
        "out_of_range": float(now[0] + now[-2]) if is_number else np.nan,
        "unseen": np.nan if is_number else float(now[-2]),
    }


def _alarms(known: Context) -> tuple[Block, ...]:
    if known.seen is None:
        return ()
    found = known.seen.findings
    odd = found[(found["check_name"] == "data_quality") & found["drift_detected"].astype("bool")]
    new = [sentences.of_finding(row) for row in as_rows(odd.head(MAX_ROWS))]
    earlier = [
        f"Since {plain_words.day(incident['opened_at'])}: {sentences.of_incident(incident)}"
        for incident in known.snapshot.open_incidents[:MAX_ROWS]
        if incident["kind"] == "data_quality" and incident["subject"] not in set(odd["feature"])
    ]
    blocks: list[Block] = [Paragraph("No data quality alarm in the newest data.")]
    if new:
        alarms = "Data quality alarms in the newest data:"
        blocks = [Paragraph(alarms), Bullets(tuple(new))]
    if earlier:
        blocks += [
            Paragraph("Earlier data quality alarms that are still open:"),
            Bullets(tuple(earlier)),
        ]
    return tuple(blocks)


def _arrived(known: Context) -> tuple[Block, ...]:
    drops = known.new_drops
    since = f"since {plain_words.day(known.since)}" if known.since else "so far"
    if not drops:
        return (Paragraph(f"No new data {since}."),)
    total = {
        name: sum(drop[f"rows_{name}"] for drop in drops)
        for name in ("read", "added", "duplicate", "quarantined")
    }
    many = f"the newest {MAX_DROPS} files" if len(drops) == MAX_DROPS else ""
    text = (
        f"{many or counted(len(drops), 'file')} arrived {since} with "
        f"{counted(total['read'], 'row')}: {total['added']:,} added, "
        f"{total['duplicate']:,} duplicate, {total['quarantined']:,} quarantined."
    )
    shown = drops[:MAX_ROWS]
    rows = tuple(
        (
            drop["path"],
            drop["ingested_at"],
            drop["status"],
            drop["rows_read"],
            drop["rows_added"],
            drop["rows_duplicate"],
            drop["rows_quarantined"],
        )
        for drop in shown
    )
    hidden = len(drops) - len(shown)
    table = Table(
        ("file", "ingested (UTC)", "status", "rows", "added", "duplicate", "quarantined"),
        rows,
        caption=f"Files ingested {since}, newest first.",
        omitted=f"{counted(hidden, 'older file')} not shown." if hidden else "",
    )
    return (Paragraph(sentence(text)), table)


def _refused(known: Context) -> tuple[Block, ...]:
    numbers = [drop["id"] for drop in known.new_drops]
    refusals = known.ledger.quarantine.by_rule(numbers)
    if not refusals:
        return ()
    shown = refusals[:MAX_ROWS]
    hidden = len(refusals) - len(shown)
    folder = known.config.name_of(known.config.quarantine_folder)
    table = Table(
        ("column", "reason", "values"),
        tuple((column or "(the whole row)", rule, cells) for column, rule, cells in shown),
        caption=f"Reasons for quarantine. The rows are in {folder}; the next run reads "
        "them again once the settings accept them.",
        omitted=f"{counted(hidden, 'rarer reason')} not shown." if hidden else "",
    )
    return (table,)


def _values(seen: Seen, monitored: ReportedRelease, known: Context) -> Section:
    from risk.figures import rankings

    found = measured(seen, monitored)
    worst = found[["missing", "out_of_range", "unseen"]].max(axis=1)
    order = worst.sort_values(ascending=False, kind="stable").index
    ranked = found.loc[order]
    n_odd = int((worst > 0).sum())
    odd = ranked[:n_odd]
    text = (
        f"In {counted(seen.recent.n, 'new row')}, {n_odd or 'none'} of "
        f"{counted(len(found), 'column')} {'have' if n_odd > 1 else 'has'} values that are "
        f"missing, outside the range of the {seen.known_rows}, or not in the {seen.known_rows}."
    )
    title = "Missing, out of range, unseen"
    if not n_odd:
        return Section(title, (Paragraph(text),))
    shown = odd.head(MAX_ROWS)
    hidden = len(odd) - len(shown)
    columns = {
        "column": "column",
        "missing": "missing",
        "missing_before": "missing before",
        "out_of_range": "out of range",
        "unseen": "unseen",
    }
    plain = as_rows(shown[list(columns)])
    return Section(
        title,
        (
            Paragraph(text),
            Picture(
                rankings.data_quality(ranked, n=seen.recent.n),
                "Share of values that are missing, out of range, or unseen.",
                text,
            ),
            Table(
                tuple(columns.values()),
                tuple(tuple(row.values()) for row in plain),
                caption=f"Shares of the new rows; missing before: share of the {seen.known_rows}.",
                shares=tuple(columns.values())[1:],
                omitted=f"{counted(hidden, 'column')} with fewer not shown." if hidden else "",
            ),
        ),
    )


def _statistics(known: Context) -> tuple[Section, ...]:
    """Describe each column of the newest batch."""
    table = known.ledger.column_statistics.newest()
    if table.empty:
        return ()
    shown = table.astype({"distinct_count": "Int64"}).head(MAX_ROWS)
    hidden = len(table) - len(shown)
    names = ("column_name", "row_count", "missing_count", *MEANS)
    rows = tuple(tuple(row.values()) for row in as_rows(shown[list(names)]))
    arrived = plain_words.day(shown["computed_at"].iloc[0])
    return (
        Section(
            "Statistics of the newest data",
            (
                Table(
                    (
                        "column",
                        "rows",
                        "missing",
                        "mean",
                        "median",
                        "sd",
                        "values",
                        "most frequent",
                    ),
                    rows,
                    caption=f"Columns of the data that arrived on {arrived}.",
                    omitted=f"{counted(hidden, 'more column')} not shown." if hidden else "",
                ),
            ),
        ),
    )
