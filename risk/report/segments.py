"""Where the model is weakest: the segments in which it is wrong more often than elsewhere."""

from __future__ import annotations

from risk.data.statistics import as_rows
from risk.report import weak_segments
from risk.report.context import Evidence
from risk.report.document import Paragraph, Picture, Section, Table

TITLE = "Where is the model weakest?"
MOST_ROWS, MOST_DRAWN = 20, 12
COLUMNS = "segment n value lower upper predicted observed is_weak".split()


def section(known: Evidence) -> Section:
    """Compare how often the model is wrong in each segment with elsewhere."""
    from risk.figures import intervals

    labelled = known.judged_on if known.watch else None
    if known.watch is None or labelled is None:
        return Section(TITLE, (Paragraph("Not told: there is no row with a label to judge by."),))
    confidence = known.config.scoring.confidence
    found = weak_segments.find_weak(
        labelled.rows,
        labelled.y_pred_proba,
        known.watch.champion.manifest,
        confidence=confidence,
    )
    lead = Paragraph(found.in_words(most=5))
    if found.missing or found.overall.value is None:
        return Section(TITLE, (lead,))
    shown = found.table.head(MOST_ROWS)
    hidden = len(found.table) - len(shown)
    figure = intervals.segments(
        shown.head(MOST_DRAWN), overall=found.overall.value, metric=weak_segments.METRIC
    )
    table = Table(
        ("segment", "rows", "wrong", "from", "to", "mean risk", "were at risk", "weak"),
        tuple(tuple(row[name] for name in COLUMNS) for row in as_rows(shown)),
        caption="How often the model is wrong, the strongest evidence first.",
        shares=("wrong", "from", "to", "mean risk", "were at risk"),
        omitted=f"{hidden} more segments are left out, with less evidence." if hidden else "",
    )
    rule = (
        f"About {labelled.name}. A segment is called weak only where chance explains it in less "
        f"than {1 - confidence:.0%} of all reports, all segments taken together."
    )
    caption = "The share of wrong predictions in each segment; the line is that of all rows."
    return Section(
        TITLE,
        (lead, Paragraph(rule, "aside"), Picture(figure, caption, found.in_words()), table),
    )
