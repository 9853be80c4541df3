"""The ledger: one repository per subject over one database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Self

import sqlalchemy as sa

from risk.config import Config
from risk.ledger import database
from risk.ledger.account import Account
from risk.ledger.assessments import Assessments
from risk.ledger.cases import Cases
from risk.ledger.change_requests import ChangeRequests
from risk.ledger.column_statistics import ColumnStatistics
from risk.ledger.database import Database, utc_now
from risk.ledger.dataset_rows import DatasetRows
from risk.ledger.decisions import Decisions
from risk.ledger.derived_files import DerivedFiles
from risk.ledger.drills import Drills
from risk.ledger.erasure import Erasure
from risk.ledger.file_digests import FileDigests
from risk.ledger.findings import Findings
from risk.ledger.gauges import Gauges
from risk.ledger.incidents import Incidents
from risk.ledger.ingestions import Ingestions
from risk.ledger.labels import Labels
from risk.ledger.outbox import Outbox
from risk.ledger.parts import Parts
from risk.ledger.quarantine import Quarantine
from risk.ledger.releases import Releases
from risk.ledger.reports import Reports
from risk.ledger.runs import Runs
from risk.ledger.scores import Scores
from risk.ledger.trends import Trends
from risk.ledger.watermarks import Watermarks


class Ledger:
    """One open database, by subject; every write is one transaction, so a crash leaves no half."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.runs = Runs(database)
        self.ingestions = Ingestions(database)
        self.parts = Parts(database)
        self.quarantine = Quarantine(database)
        self.labels = Labels(database)
        self.dataset_rows = DatasetRows(database)
        self.derived_files = DerivedFiles(database)
        self.file_digests = FileDigests(database)
        self.erasure = Erasure(database)
        self.watermarks = Watermarks(database)
        self.column_statistics = ColumnStatistics(database)
        self.assessments = Assessments(database)
        self.account = Account(database)
        self.findings = Findings(database)
        self.incidents = Incidents(database)
        self.decisions = Decisions(database)
        self.cases = Cases(database)
        self.releases = Releases(database)
        self.scores = Scores(database)
        self.trends = Trends(database)
        self.drills = Drills(database)
        self.reports = Reports(database)
        self.outbox = Outbox(database)
        self.gauges = Gauges(database)
        self.change_requests = ChangeRequests(database)

    @property
    def engine(self) -> sa.Engine:
        """The engine of the database."""
        return self.database.engine

    def now(self) -> datetime:
        """Return the time of this ledger's clock."""
        return self.database.now()

    @classmethod
    @contextmanager
    def open(
        cls, config: Config, *, clock: Callable[[], datetime] = utc_now, upgrade: bool = True
    ) -> Iterator[Self]:
        """Connect, upgrade an older SQLite ledger, and close on exit.

        Without `upgrade`, for read-only use, nothing is created or changed.
        """
        with database.connected(config, upgrade=upgrade) as engine:
            yield cls(Database(engine, clock))
