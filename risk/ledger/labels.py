"""Late labels, received after their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from risk.ledger import dataset_rows
from risk.ledger.database import VALUES_PER_QUERY, Database, Record, insert_rows
from risk.ledger.tables import early_labels, later_labels, predictions, unripe_rows
from risk.schema import EarlyLabel, Key, LaterLabel


@dataclass(frozen=True)
class Labels:
    """The late labels, and the rows still waiting for theirs."""

    database: Database

    def waiting(self, key_hashes: Sequence[int]) -> list[Record]:
        """Return the rows with these keys that wait for a label, oldest first."""
        query = sa.select(unripe_rows)
        found = self.database.in_chunks(query, unripe_rows.c.key_hash, key_hashes)
        return sorted(found, key=lambda row: (row.ingestion_id, row.row_hash))

    def known(self, key_hashes: Sequence[int]) -> list[Record]:
        """Return the late labels of the rows with these keys."""
        query = sa.select(later_labels)
        return list(self.database.in_chunks(query, later_labels.c.key_hash, key_hashes))

    def early(self, key_hashes: Sequence[int], *, besides: int | None = None) -> list[Record]:
        """Return the labels that wait for rows with these keys, except those of one ingestion."""
        query = sa.select(early_labels)
        found = self.database.in_chunks(query, early_labels.c.key_hash, key_hashes)
        return [label for label in found if label.ingestion_id != besides]

    def count_early(self) -> int:
        """Count the labels that wait for their rows."""
        return int(self.database.scalar(sa.select(sa.func.count()).select_from(early_labels)))

    def of_parts(self, part_ids: Sequence[int]) -> dict[int, int]:
        """Return the late labels of the rows in these parts, by row hash."""
        table = later_labels.c
        query = sa.select(table.row_hash, table.y_true)
        found = self.database.in_chunks(query, table.row_ingestion_id, part_ids)
        return {row_hash: y_true for row_hash, y_true in found}

    def labelled_parts(self, ingestion_ids: Sequence[int]) -> list[int]:
        """Return the ingestions of the rows labelled by these ingestions, in order."""
        table = later_labels.c
        query = sa.select(table.row_ingestion_id).distinct()
        found = self.database.in_chunks(query, table.ingestion_id, ingestion_ids)
        return sorted({row[0] for row in found})

    def with_predictions(self, ingestion_ids: Sequence[int]) -> pd.DataFrame:
        """Return the labels in these ingestions with every recorded prediction for their rows."""
        query = sa.select(
            later_labels.c.row_hash,
            later_labels.c.y_true,
            predictions.c.version,
            predictions.c.y_pred_proba,
            predictions.c.expected_proba,
        ).join_from(later_labels, predictions, later_labels.c.row_hash == predictions.c.row_hash)
        return self.database.frame_in_chunks(query, later_labels.c.ingestion_id, ingestion_ids)


def add(connection: sa.Connection, ingestion_id: int, labels: Sequence[LaterLabel]) -> None:
    """Record labels for the rows that waited for them, also in SQL if stored there."""
    if not labels:
        return
    names = (*LaterLabel._fields, "ingestion_id")
    insert_rows(connection, later_labels, names, ((*label, ingestion_id) for label in labels))
    brought = later_labels.c.ingestion_id == ingestion_id
    labelled = sa.select(later_labels.c.row_hash).where(brought)
    connection.execute(unripe_rows.delete().where(unripe_rows.c.row_hash.in_(labelled)))
    dataset_rows.label_rows(connection, brought)


def replace_keys(connection: sa.Connection, part: int, keys: Mapping[int, Key]) -> None:
    """Replace the keys of the rows of a part that wait for a label, or got it late."""
    for table, origin in (
        (unripe_rows, unripe_rows.c.ingestion_id),
        (later_labels, later_labels.c.row_ingestion_id),
    ):
        found = connection.scalars(sa.select(table.c.row_hash).where(origin == part)).all()
        rows = [{"of": row_hash, **keys[row_hash]._asdict()} for row_hash in found]
        if rows:
            this = table.c.row_hash == sa.bindparam("of")
            connection.execute(table.update().where(this), rows)


def hold(connection: sa.Connection, ingestion_id: int, labels: Sequence[EarlyLabel]) -> None:
    """Keep labels until their rows come."""
    names = (*EarlyLabel._fields, "ingestion_id")
    insert_rows(connection, early_labels, names, ((*label, ingestion_id) for label in labels))


def release(connection: sa.Connection, which: Sequence[int], *, of: int | None) -> None:
    """Keep these labels no longer, nor those of an ingestion that is read again."""
    for start in range(0, len(which), VALUES_PER_QUERY):
        some = early_labels.c.id.in_(which[start : start + VALUES_PER_QUERY])
        connection.execute(early_labels.delete().where(some))
    if of is not None:
        connection.execute(early_labels.delete().where(early_labels.c.ingestion_id == of))
