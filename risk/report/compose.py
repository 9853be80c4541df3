"""A report from the ledger, the live release and its data; nothing is written."""

from __future__ import annotations

from dataclasses import replace

from risk.config import PRODUCT, ReportKind
from risk.explain import plain_words
from risk.lazily import import_sparing
from risk.progress import track
from risk.report import (
    account,
    appendix,
    changes,
    drift,
    gate,
    monitor,
    operations,
    performance,
    quality,
    segments,
    summary,
)
from risk.report.context import Context
from risk.report.document import Document

PAGES = (summary, changes)
CHAPTERS = (performance, drift, monitor, quality, gate, segments, account, operations, appendix)


def compose(known: Context) -> Document:
    """Write the chapters of a report."""
    import_sparing("seaborn")  # before a chapter imports something of scipy
    chapters = track((*PAGES, *CHAPTERS), "report", unit="chapter")
    sections = [chapter.section(known) for chapter in chapters]
    return Document(
        title=PRODUCT,
        subtitle=_subtitle(known),
        reported_at=known.reported_at,
        sections=tuple(sections[: len(PAGES)]),
        details=tuple(sections[len(PAGES) :]),
    )


def _subtitle(known: Context) -> str:
    """State the target, the live release, the run and the day."""
    columns, live = known.config.columns, known.snapshot.release
    predicts = f"Model report: {columns.classes[1]}"
    release = f"release {live['version']}" if live else "no release is live"
    run = f"run {known.run['id']}" if known.run else "before the first run"
    return f"{predicts}; {release}, {run}, {plain_words.day(known.reported_at)}"


def written(document: Document, kind: ReportKind) -> bytes:
    """Return a report as bytes in one format; equal reports give equal bytes.

    A PDF has two pages; its appendix is another with the details, and a full one has both.
    """
    if kind in ("pdf", "appendix", "full"):
        from risk.report.pdf import write as pdf

        subtitle = f"Appendix. {document.subtitle}"
        parts = {
            "pdf": replace(document, details=()),
            "appendix": replace(document, subtitle=subtitle, sections=()),
            "full": document,
        }
        return pdf.write(parts[kind])
    if kind == "html":
        from risk.report import html

        return html.write(document)
    from risk.report import as_json

    return as_json.write(document)
