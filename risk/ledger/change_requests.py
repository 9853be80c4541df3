"""Requests for change over HTTP: who made them, and how they ended."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from risk.lazily import pandas as pd
from risk.ledger.database import Database, insert
from risk.ledger.tables import requests_for_change


@dataclass(frozen=True)
class ChangeRequests:
    """The requests for change, including those that were refused or failed."""

    database: Database

    def record(self, *, key_name: str, method: str, path: str) -> int:
        """Record a request for change before it is carried out; return its ID."""
        request = {"key_name": key_name, "method": method, "path": path}
        now = self.database.now()
        with self.database.begin() as connection:
            return insert(connection, requests_for_change, **request, requested_at=now)

    def close(self, request_id: int, status: int) -> None:
        """Record the HTTP status with which a request for change ended."""
        request = requests_for_change.update().where(requests_for_change.c.id == request_id)
        self.database.execute(request.values(status=status))

    def history(self) -> pd.DataFrame:
        """Return all requests for change, oldest first."""
        query = sa.select(requests_for_change).order_by(requests_for_change.c.id)
        return self.database.frame(query)
