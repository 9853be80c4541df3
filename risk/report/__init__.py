"""The report: its chapters, written as PDF, HTML and JSON."""
