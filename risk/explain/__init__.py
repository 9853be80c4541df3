"""Explanations: what the ledger holds, in words."""
