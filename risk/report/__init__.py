"""The report: what it says (chapters), and how it is written down (PDF, HTML, JSON)."""
