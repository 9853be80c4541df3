"""The forms a report can be written in; each is loaded when it is asked for."""

from __future__ import annotations

from risk.config import ReportFormat
from risk.report.document import Document


def written(document: Document, kind: ReportFormat) -> bytes:
    """Write a report down; equal reports become equal bytes."""
    if kind == "pdf":
        from risk.report.pdf import write as pdf

        return pdf.write(document)
    if kind == "html":
        from risk.report import html

        return html.write(document)
    from risk.report import as_json

    return as_json.write(document)
