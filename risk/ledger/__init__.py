"""The ledger: the record of everything that happened, and all SQL that reads or writes it."""
