"""The ledger: everything that happened, and all SQL that reads or writes it."""
