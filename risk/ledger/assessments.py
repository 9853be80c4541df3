"""What the detectors saw and what came of it: assessments, incidents, predictions, later labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import sqlalchemy as sa

from risk.errors import UnknownName
from risk.ledger.database import Connected, Record, Row, insert, insert_many
from risk.ledger.tables import (
    assessments,
    detectors,
    findings,
    incidents,
    ingestions,
    later_labels,
    predictions,
    quarantined_rows,
    requests_for_change,
    scores,
)


@dataclass(frozen=True)
class Case:
    """Everything one assessment adds to the ledger, in one transaction."""

    version: int
    n: int
    profile: str
    state: str
    attribution: str | None
    ingestion_ids: Sequence[int]
    summary: str = ""
    cause: str = ""
    findings: Sequence[Row] = ()
    scores: Sequence[Row] = ()
    predictions: Iterable[Row] = ()
    opened: Sequence[Row] = ()
    seen_again: Sequence[Row] = ()
    resolved: Sequence[int] = field(default=())


class Casebook(Connected):
    """The part of the ledger that is about evidence."""

    def record_assessment(self, case: Case) -> None:
        """Commit what was found: from here on these rows have been looked at, once for ever."""
        run, now = {"run_id": self.run_id}, self.now()
        with self._begin() as connection:
            row = {"profile": case.profile, "attribution": case.attribution, "n": case.n}
            row |= {"summary": case.summary, "cause": case.cause}
            number = insert(
                connection, assessments, **run, assessed_at=now, version=case.version, **row
            )
            kept = {"version": case.version, "assessment_id": number, "state": case.state}
            connection.execute(detectors.delete().where(detectors.c.version == case.version))
            connection.execute(detectors.insert().values(kept))
            insert_many(
                connection, findings, ({**run, "found_at": now, **f} for f in case.findings)
            )
            insert_many(connection, scores, ({**run, "scored_at": now, **s} for s in case.scores))
            insert_many(
                connection, predictions, ({"version": case.version, **p} for p in case.predictions)
            )
            times = {"opened_at": now, "last_seen_at": now, "version": case.version}
            insert_many(connection, incidents, ({**run, **times, **i} for i in case.opened))
            for incident in case.seen_again:
                again = incidents.update().where(incidents.c.id == incident["id"])
                connection.execute(again.values({**incident, "last_seen_at": now}))
            self._resolve(connection, case.resolved, "nothing more was seen of it")
            looked_at = ingestions.update().where(ingestions.c.id.in_(case.ingestion_ids))
            connection.execute(looked_at.values(assessment_id=number))

    def record_findings(self, rows: Sequence[Row]) -> None:
        """Keep findings that rest on no rows, such as that none came."""
        self._write(findings, [{"run_id": self.run_id, "found_at": self.now(), **r} for r in rows])

    def open_incident(self, row: Row) -> None:
        """Open an incident that rests on no rows."""
        now = self.now()
        times = {"run_id": self.run_id, "opened_at": now, "last_seen_at": now}
        self._write(incidents, [{**times, **row}])

    def detector_state(self, version: int) -> str | None:
        """Return where the detectors of a release stand; None before its first rows."""
        state: str | None = self._scalar(
            sa.select(detectors.c.state).where(detectors.c.version == version)
        )
        return state

    def assessments(self, version: int | None = None, *, newest: int | None = None) -> list[Record]:
        """Return what was seen by one release, or by all, the oldest first."""
        query = sa.select(assessments)
        if version is not None:
            query = query.where(assessments.c.version == version)
        rows = self._rows(query.order_by(assessments.c.id.desc()).limit(newest))
        return rows[::-1]

    def open_incidents(self) -> list[Record]:
        """Return the incidents that are not resolved, oldest first."""
        query = sa.select(incidents).where(incidents.c.resolved_at.is_(None))
        return self._rows(query.order_by(incidents.c.id))

    def incidents(self) -> pd.DataFrame:
        """Return every incident there ever was, oldest first."""
        return self._frame(sa.select(incidents).order_by(incidents.c.id))

    def findings(self, *, run_id: int | None = None) -> pd.DataFrame:
        """Return the findings of one run, or all, oldest first."""
        query = sa.select(findings)
        query = query if run_id is None else query.where(findings.c.run_id == run_id)
        return self._frame(query.order_by(findings.c.id))

    def doubtful(self, most_in_a_row: int) -> set[int]:
        """Return the ingestions in which a feature was broken, unless so often that it is normal.

        `most_in_a_row` is how often in a row a person is asked before it is taken for granted.
        """
        found = (findings.c.check_name == "data_quality") & findings.c.drift_detected
        broken = found & findings.c.method.in_(("e_detector", "constant"))
        query = (
            sa.select(ingestions.c.id, findings.c.feature)
            .join_from(ingestions, assessments, ingestions.c.assessment_id == assessments.c.id)
            .join(findings, findings.c.run_id == assessments.c.run_id)
            .where(broken)
        )
        table = incidents.c
        lasting = (table.kind == "data_quality") & (table.times_seen > most_in_a_row)
        ranges = sa.select(table.subject, table.since_ingestion_id, table.last_ingestion_id)
        ranges = ranges.where(lasting & table.since_ingestion_id.is_not(None))
        normal = {
            (feature, number)
            for feature, first, last in self._rows(ranges)
            for number in range(first, last + 1)
        }
        return {row[0] for row in self._rows(query.distinct()) if (row[1], row[0]) not in normal}

    def acknowledge(self, incident_id: int) -> None:
        """Note that a person knows of an incident."""
        self._change(incident_id, acknowledged_at=self.now())

    def resolve(self, incident_id: int, why: str) -> None:
        """Let a person close an incident."""
        self._change(incident_id, resolved_at=self.now(), resolution=why)

    def resolve_all(self, connection: sa.Connection, why: str) -> None:
        """Close what a new release answers, in the transaction that decides it."""
        connection.execute(
            incidents.update()
            .where(incidents.c.resolved_at.is_(None))
            .values(resolved_at=self.now(), resolution=why)
        )

    def refusals(self, ingestion_ids: Sequence[int]) -> list[tuple[str, str, int]]:
        """Return column, rule and in how many cells of these drops, the commonest first."""
        table, tally = quarantined_rows.c, Counter[tuple[str, str]]()
        query = sa.select(table.column_name, table.rule, sa.func.count().label("cells"))
        grouped = query.group_by(table.column_name, table.rule)
        for row in self._in_chunks(grouped, table.ingestion_id, ingestion_ids):
            tally[row.column_name, row.rule] += row.cells
        return [(*broken, n) for broken, n in sorted(tally.items(), key=lambda x: (-x[1], x[0]))]

    def later_labels(self, part_ids: Sequence[int]) -> dict[int, int]:
        """Return the labels, by row hash, that came later for the rows of these parts."""
        table = later_labels.c
        query = sa.select(table.row_hash, table.y_true)
        return {row[0]: row[1] for row in self._in_chunks(query, table.row_ingestion_id, part_ids)}

    def ripened_parts(self, ingestion_ids: Sequence[int]) -> list[int]:
        """Return the ingestions that brought the rows whose labels these brought, in order."""
        table = later_labels.c
        query = sa.select(table.row_ingestion_id).distinct()
        found = self._in_chunks(query, table.ingestion_id, ingestion_ids)
        return sorted({row[0] for row in found})

    def ripened_predictions(self, ingestion_ids: Sequence[int]) -> pd.DataFrame:
        """Return the labels of these ingestions with every prediction once made of their rows."""
        query = sa.select(
            later_labels.c.row_hash,
            later_labels.c.y_true,
            predictions.c.version,
            predictions.c.y_pred_proba,
            predictions.c.expected_proba,
        ).join_from(later_labels, predictions, later_labels.c.row_hash == predictions.c.row_hash)
        rows = list(self._in_chunks(query, later_labels.c.ingestion_id, ingestion_ids))
        return pd.DataFrame(rows, columns=[column.name for column in query.selected_columns])

    def request_change(self, *, key_name: str, method: str, path: str) -> int:
        """Note who asks for a change, before it is carried out; return the request's number."""
        asked = {"key_name": key_name, "method": method, "path": path, "requested_at": self.now()}
        with self._begin() as connection:
            return insert(connection, requests_for_change, **asked)

    def close_request(self, request_id: int, status: int) -> None:
        """Note how a request for a change ended, as an HTTP status."""
        table = requests_for_change
        with self._begin() as connection:
            asked = table.update().where(table.c.id == request_id)
            connection.execute(asked.values(status=status))

    def requests_for_change(self) -> pd.DataFrame:
        """Return who asked for which change, oldest first."""
        return self._frame(sa.select(requests_for_change).order_by(requests_for_change.c.id))

    def _change(self, incident_id: int, **values: Any) -> None:
        change = incidents.update().where(
            (incidents.c.id == incident_id) & incidents.c.resolved_at.is_(None)
        )
        with self._begin() as connection:
            if not connection.execute(change.values(values)).rowcount:
                raise UnknownName(f"there is no open incident {incident_id}")

    def _resolve(self, connection: sa.Connection, numbers: Sequence[int], why: str) -> None:
        closed = incidents.update().where(incidents.c.id.in_(numbers))
        connection.execute(closed.values(resolved_at=self.now(), resolution=why))
