"""Rows accepted before times were compared as moments: the hashes they have by now."""

from __future__ import annotations

import logging

from risk.config import Config
from risk.data import part_files
from risk.ledger.ledger import Ledger
from risk.schema import ROW_HASH, Key, fingerprints, keys

log = logging.getLogger(__name__)


def rehash(config: Config, ledger: Ledger) -> None:
    """Add today's hashes and keys of such rows to the ledger, once after an upgrade.

    The hashes they were accepted under stay: predictions and labels refer to them.
    """
    columns = config.columns
    outdated = ledger.ingestions.hashed_before() if columns.event_time else []
    for number in outdated:
        hashes: set[int] = set()
        by_row: dict[int, Key] = {}
        for rows in part_files.read_in_batches(config, ledger, number):
            dated = rows[rows[columns.event_time].notna()]
            hashes.update(fingerprints(dated[columns.all], columns.event_time).tolist())
            by_row.update(zip(dated[ROW_HASH].tolist(), keys(dated, columns), strict=True))
        ledger.ingestions.rehash(number, hashes, by_row)
    if outdated:
        log.info("ingestions whose rows are now recognised by moment: %d", len(outdated))
