"""Administration of the ledger: `python -m risk.admin`."""
