"""The data of one report, read once and shared by all chapters; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.config import Config
from risk.data import drops
from risk.decisions import account
from risk.decisions.account import Account
from risk.errors import DataError, RiskError, WatchedOnly
from risk.explain import distributions, plain_words, snapshot
from risk.explain.snapshot import Row, Snapshot
from risk.lazily import pandas as pd
from risk.ledger.as_of import as_of
from risk.ledger.ledger import Ledger
from risk.ledger.queries import Part
from risk.models import model, releases, training_data
from risk.models.dating import INGESTION
from risk.models.evaluation import ripe
from risk.monitoring import monitored_release
from risk.monitoring.monitored_release import ReportedRelease
from risk.monitoring.profile import Profile
from risk.report.predicted import Predictions
from risk.schema import ROW_HASH

MAX_DROPS, MAX_RUNS = 200, 100
MAX_ROWS = 20_000
ENOUGH_ROWS = 200
Array = NDArray[Any]


@dataclass(frozen=True)
class Labelled:
    """Labelled rows, and the predictions of the live model."""

    name: str
    rows: pd.DataFrame
    y_true: Array
    y_pred_proba: Array
    y_pred: Array

    def __len__(self) -> int:
        return len(self.y_true)

    @property
    def has_both_classes(self) -> bool:
        """Whether there are positives and negatives, which curves require."""
        return len(np.unique(self.y_true)) == 2


@dataclass(frozen=True)
class Seen:
    """The newest assessed rows, and the release they were compared with.

    `recent` is the profile of the newest rows; if the release no longer exists, `monitored` is
    None and `fault` is the reason.
    """

    assessment: Any
    findings: pd.DataFrame
    recent: Profile
    monitored: ReportedRelease | None
    known_rows: str
    fault: str = ""


@dataclass(frozen=True)
class Context:
    """The ledger as of one run, and the release that was live then.

    `since` is the time of the previous report, unless another start was requested.
    """

    config: Config
    ledger: Ledger
    run: Row | None
    since: datetime | None
    snapshot: Snapshot
    monitored: ReportedRelease | None
    predictions: Predictions
    looks_back: bool = False
    since_is_asked: bool = False

    @property
    def reported_at(self) -> datetime:
        """The time of the state reported: when the run ended or decided."""
        return self.snapshot.now

    @cached_property
    def account(self) -> Account:
        """How the alarms turned out, and what the releases gained."""
        return account.gather(self.config, self.ledger, now=self.reported_at)

    @property
    def release_name(self) -> str:
        """The number of the live release."""
        return str(self.snapshot.release["version"]) if self.snapshot.release else "none"

    @property
    def known_rows(self) -> str:
        """What rows are compared with: the training data, or a reference."""
        release = self.snapshot.release
        is_watched = snapshot.is_watched(release) if release else self.config.watches_only
        return plain_words.known_rows(is_watched=is_watched)

    @cached_property
    def new_drops(self) -> Sequence[Row]:
        """The newest drops since the last report, the newest first."""
        listed = self.ledger.ingestions.page(Part(page_size=MAX_DROPS)).items
        return [drop for drop in listed if not self.since or drop["ingested_at"] > self.since]

    @cached_property
    def test(self) -> Labelled | RiskError:
        """The test data, or the error that makes them unusable."""
        config = self.config
        if config.watches_only:
            return WatchedOnly("there are no test data")
        try:
            found = self._labelled("the test data", drops.read_whole(config, config.test_data))
        except RiskError as error:
            return error
        return found or DataError(f"{config.name_of(config.test_data)}: no row has a label")

    @cached_property
    def unlearnt(self) -> Labelled | RiskError | None:
        """The newest labelled rows the live model was not trained on, or the error reading them.

        Rows of a broken feed are included: no model is trained on them, but they are predicted.
        """
        watches = self.config.watches_only
        name = "rows after the reference" if watches else "rows not used for training"
        try:
            return self._labelled(name, self._read_unlearnt())
        except RiskError as error:
            return error

    @cached_property
    def judged_on(self) -> Labelled | None:
        """The rows that best show the current performance of the live model."""
        test, unlearnt = (
            found if isinstance(found, Labelled) else None for found in (self.test, self.unlearnt)
        )
        if unlearnt and len(unlearnt) >= ENOUGH_ROWS and unlearnt.has_both_classes:
            return unlearnt
        return test or unlearnt

    @cached_property
    def seen(self) -> Seen | None:
        """The newest assessment, None before the first."""
        newest = self.ledger.assessments.history(newest=1)
        if not newest:
            return None
        version, known = newest[0].version, self.known_rows
        found = self.ledger.findings.history(run_id=newest[0].run_id)
        recent = distributions.newest_rows(self.ledger, version)
        if recent is None:
            only = f"only labels have arrived since release {version} went live"
            return Seen(newest[0], found, Profile.from_json(newest[0].profile), None, known, only)
        try:
            return Seen(newest[0], found, recent, self._watch_of(version), known)
        except RiskError as error:
            return Seen(newest[0], found, recent, None, known, str(error))

    def _read_unlearnt(self) -> pd.DataFrame:
        assert self.monitored
        manifest, config = self.monitored.manifest, self.config
        parts: list[int] = []
        rows_found = 0
        newest = self.ledger.parts.ids()[-MAX_DROPS:]
        sizes = self.ledger.parts.sizes(newest)
        for number in reversed(newest):
            if parts and rows_found + sizes[number] > MAX_ROWS:
                break
            parts.append(number)
            rows_found += sizes[number]
        rows = training_data.accepted(config, self.ledger, parts[::-1])
        folder = releases.existing(config.deployment_folder, manifest.version or 0)
        kept = model.read_checked(folder, model.HELD_OUT, manifest).decode().split()
        newer = rows[INGESTION] > manifest.trained_through
        return rows[newer | rows[ROW_HASH].isin(np.array(kept, dtype="int64"))]

    def _watch_of(self, version: int) -> ReportedRelease:
        if self.monitored and self.monitored.manifest.version == version:
            return self.monitored
        return monitored_release.load_reported(self.config, version)

    def _labelled(self, name: str, rows: pd.DataFrame) -> Labelled | None:
        """Predict the labelled rows with the live model."""
        assert self.monitored
        manifest = self.monitored.manifest
        labelled = ripe(rows, manifest.target)
        if labelled.empty:
            return None
        y_pred_proba = self.predictions.of(manifest, labelled)
        y_true = labelled[manifest.target].to_numpy(dtype="int8")
        return Labelled(name, labelled, y_true, y_pred_proba, manifest.predict(y_pred_proba))


def gather(
    config: Config, ledger: Ledger, *, run_id: int | None = None, since: datetime | None = None
) -> Context:
    """Read the state at the end of the newest run, or of an earlier one.

    `since` is where the report begins; by default at the previous run that made a decision.
    """
    live = releases.live_version(config.deployment_folder)
    predictions = Predictions(config, ledger)
    looks_back = run_id is not None and run_id != ledger.runs.newest()
    if looks_back and run_id is not None:
        ledger = as_of(ledger, run_id)
        live = ledger.decisions.live_version()
    run: Row | None = next(iter(ledger.runs.page(Part(page_size=1)).items), None)
    trusted, fault = _load(config, live)
    found = snapshot.look(config, ledger, fault=fault, live=live)
    known = replace(found, now=_moment(found, run))
    last = since or _last_report(known, run)
    asked = since is not None
    return Context(
        config, ledger, run, last, known, trusted, predictions, looks_back, since_is_asked=asked
    )


def _load(config: Config, version: int | None) -> tuple[ReportedRelease | None, str | None]:
    if version is None:
        return None, "no release is live"
    try:
        return monitored_release.load_reported(config, version), None
    except RiskError as error:
        return None, str(error)


def _moment(known: Snapshot, run: Row | None) -> datetime:
    """Return the time of the newest event reported, so that a report is reproducible."""
    moments = [decision["decided_at"] for decision in known.decisions[:1]]
    moments += [run["ended_at"] or run["started_at"]] if run else []
    return max(moments, default=known.now)


def _last_report(known: Snapshot, run: Row | None) -> datetime | None:
    """Return when an earlier run last made a decision, and so a report."""
    own = run["id"] if run else None
    earlier = [d["decided_at"] for d in known.decisions if d["run_id"] not in (own, None)]
    return earlier[0] if earlier else None
