"""Late labels, received after their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median_low

import sqlalchemy as sa

from risk.lazily import pandas as pd
from risk.ledger import dataset_rows
from risk.ledger.database import VALUES_PER_QUERY, Database, Record, insert_rows
from risk.ledger.parts import ADDED_ROWS
from risk.ledger.tables import (
    early_labels,
    ingestions,
    later_labels,
    predictions,
    superseded_rows,
    unripe_rows,
)
from risk.schema import EarlyLabel, Key, LaterLabel

MAX_DELAYS = 200


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

    def came_late(self) -> bool:
        """Return whether a row that is still known was ever accepted without its label."""
        tables = (unripe_rows, later_labels, superseded_rows)
        found = (self.database.first(sa.select(table.c.row_hash)) for table in tables)
        return any(row is not None for row in found)

    def of_parts(self, part_ids: Sequence[int]) -> pd.DataFrame:
        """Return the late labels of the rows in these parts: row_hash, y_true, ingestion_id."""
        table = later_labels.c
        query = sa.select(table.row_hash, table.y_true, table.ingestion_id)
        return self.database.frame_in_chunks(query, table.row_ingestion_id, part_ids)

    def labelled_parts(self, ingestion_ids: Sequence[int]) -> list[int]:
        """Return the ingestions of the rows labelled by these ingestions, in order."""
        table = later_labels.c
        query = sa.select(table.row_ingestion_id).distinct()
        found = self.database.in_chunks(query, table.ingestion_id, ingestion_ids)
        return sorted({row[0] for row in found})

    def parts_labelled_after(self, ingestion_id: int) -> list[int]:
        """Return the ingestions of the rows whose labels came after an ingestion, in order."""
        table = later_labels.c
        query = (
            sa.select(table.row_ingestion_id).distinct().where(table.ingestion_id > ingestion_id)
        )
        return sorted({row[0] for row in self.database.rows(query)})

    def count_after(self, ingestion_id: int) -> dict[int, int]:
        """Return how many rows of each part got their label after an ingestion, if any did."""
        rows, late, waiting = ingestions.c, later_labels.c, unripe_rows.c
        came = sa.select(rows.id, rows.rows_added).where(ADDED_ROWS & (rows.id > ingestion_id))
        n_labels = Counter({row.id: row.rows_added for row in self.database.rows(came)})
        unlabelled = sa.select(waiting.ingestion_id, sa.func.count())
        unlabelled = unlabelled.where(waiting.ingestion_id > ingestion_id)
        n_labels.subtract(dict(self.database.rows(unlabelled.group_by(waiting.ingestion_id))))
        ripened = sa.select(late.row_ingestion_id, sa.func.count())
        of_older = (late.ingestion_id > ingestion_id) & (late.row_ingestion_id <= ingestion_id)
        ripened = ripened.where(of_older).group_by(late.row_ingestion_id)
        n_labels.update(dict(self.database.rows(ripened)))
        return dict(+n_labels)

    def labelled_after(self, ingestion_id: int) -> int:
        """Return how many rows got their label after an ingestion, with them or later."""
        rows, late, waiting = ingestions.c, later_labels.c, unripe_rows.c
        is_newer = (rows.id > ingestion_id) & (rows.kind == "rows")
        came = self.database.scalar(sa.select(sa.func.sum(rows.rows_added)).where(is_newer))
        unlabelled = sa.select(sa.func.count()).where(waiting.ingestion_id > ingestion_id)
        of_older = (late.ingestion_id > ingestion_id) & (late.row_ingestion_id <= ingestion_id)
        ripened = self.database.scalar(sa.select(sa.func.count()).where(of_older))
        if not came:
            return int(ripened)
        return int(came) - int(self.database.scalar(unlabelled)) + int(ripened)

    def usual_delay(self) -> timedelta | None:
        """Return how long after their rows labels usually came, None if none ever came late."""
        came, row_came = ingestions.alias(), ingestions.alias()
        table = later_labels.c
        distinct = sa.select(table.ingestion_id, table.row_ingestion_id).distinct()
        pairs = distinct.order_by(table.ingestion_id.desc()).limit(MAX_DELAYS).subquery()
        query = sa.select(came.c.ingested_at, row_came.c.ingested_at.label("row_ingested_at"))
        query = query.select_from(
            pairs.join(came, came.c.id == pairs.c.ingestion_id).join(
                row_came, row_came.c.id == pairs.c.row_ingestion_id
            )
        )
        delays = [row.ingested_at - row.row_ingested_at for row in self.database.rows(query)]
        return median_low(delays) if delays else None

    def of_ingestions(self, ingestion_ids: Sequence[int]) -> pd.DataFrame:
        """Return row_hash, y_true, row_ingestion_id and ingestion_id of the labels in these."""
        table = later_labels.c
        query = sa.select(table.row_hash, table.y_true, table.row_ingestion_id, table.ingestion_id)
        return self.database.frame_in_chunks(query, table.ingestion_id, ingestion_ids)

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
