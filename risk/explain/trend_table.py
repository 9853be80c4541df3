"""One trend of the ledger as its user wants it: a table, a line of blocks, or CSV."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np

from risk.cli import Result
from risk.errors import UnknownName, UsageError
from risk.explain.plain_words import details
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.ledger.trends import MEASURES, Period

log = logging.getLogger("reporting")
OTHER_NAMES = {"missing": "missing_percent", "latency": "duration_seconds", "volume": "rows"}
NAMES = [*MEASURES, *OTHER_NAMES]
UNITS = {"d": "days", "h": "hours"}
BLOCKS = "▁▂▃▄▅▆▇█"
MAX_BLOCKS = 60
MAX_NAMED = 20


@dataclass(frozen=True)
class Trend(Result):
    """How something developed, the oldest point first; written as a table."""

    name: str
    per: Period
    points: pd.DataFrame

    def __str__(self) -> str:
        if self.points.empty:
            return f"nothing is recorded of {self.name}"
        table = self.points.dropna(axis="columns", how="all").rename(columns={"run_id": "run"})
        minute = "%Y-%m-%d" if self.per == "day" else "%Y-%m-%d %H:%M"
        table["at"] = table["at"].dt.strftime(minute)
        if self.per == "day":
            table = table.drop(columns="run", errors="ignore")
        return table.to_string(index=False, na_rep="", float_format="{:.4g}".format)


class DrawnTrend(Trend):
    """Written as a table under a line of blocks for each of its series."""

    def __str__(self) -> str:
        labels = _names(self.points).fillna(self.name)
        lines = [
            f"{sparkline(values.tolist())}  {label}: {values.iloc[-1]:.4g}"
            for label, values in self.points["value"].groupby(labels, sort=True)
        ]
        return "\n".join([*lines, super().__str__()])


class TrendAsCsv(Trend):
    """Written as CSV."""

    def __str__(self) -> str:
        at = self.points["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.points.assign(at=at).to_csv(index=False, lineterminator="\n").rstrip("\n")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ask for a trend, but --since, which a report has too."""
    parser.add_argument(
        "--trend",
        metavar="NAME",
        help="print how something developed instead: a score, or such as mean:FEATURE, "
        "missing:FEATURE, drift_score:FEATURE, latency:STAGE, volume",
    )
    parser.add_argument(
        "--per", choices=get_args(Period), default="run", help="a point per run (default) or day"
    )
    parser.add_argument("--csv", action="store_true", help="print the trend as CSV")


def from_options(ledger: Ledger, *, trend: str, since: str | None, per: Period, csv: bool) -> Trend:
    """Turn the options into what is printed; blocks are for people at a terminal."""
    found = read_trend(ledger, trend, since=since, per=per)
    form = TrendAsCsv if csv else DrawnTrend if sys.stdout.isatty() else Trend
    return form(found.name, found.per, found.points)


def read_trend(
    ledger: Ledger, asked: str, *, since: str | None = None, per: Period = "run"
) -> Trend:
    """Read what is asked for as NAME or NAME:SUBJECT, such as f1, mean:age or latency:training."""
    name, _, subject = asked.partition(":")
    if name not in NAMES:
        raise UnknownName(f"no trend is called {name[:80]!r}; known: {', '.join(NAMES)}")
    metric, begin = OTHER_NAMES.get(name, name), None
    if since is not None:
        begin = moment(since, now=ledger.now())
    points = ledger.trends.of(metric, feature=subject or None, since=begin, per=per)
    if points.empty and subject and ledger.trends.of(metric, feature=subject).empty:
        raise UnknownName(f"{name} is not recorded of {subject[:80]!r}{_known(ledger, metric)}")
    if points.attrs["is_cut"]:
        log.warning("only the newest %d points are shown; --per day reaches further", len(points))
    return Trend(asked, per, points)


def moment(words: str, *, now: datetime) -> datetime:
    """Understand how far back 30d or 12h is, or a date such as 2026-10-01, in UTC."""
    ago = re.fullmatch(r"([1-9][0-9]{0,3})([dh])", words)
    if ago:
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(words)
    except ValueError:
        raise UsageError(
            f"--since takes 30d, 12h or a date such as 2026-10-01, got {words[:80]!r}"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def sparkline(values: Sequence[float]) -> str:
    """Draw the newest values as blocks between the lowest and the highest; a gap where none is."""
    shown = np.array(values[-MAX_BLOCKS:], dtype="float64")
    known = shown[np.isfinite(shown)]
    low, width = (known.min(), np.ptp(known)) if len(known) else (0.0, 0.0)
    steps = (shown - low) / (width or 1) * (len(BLOCKS) - 1)
    return "".join(BLOCKS[round(step)] if np.isfinite(step) else " " for step in steps)


def _known(ledger: Ledger, metric: str) -> str:
    """List what a trend is recorded of, as far as its newest points show."""
    points = ledger.trends.of(metric)
    names = _names(points)
    if metric == "duration_seconds":
        names = ledger.runs.timings()["stage"]
    known = sorted(names.dropna().unique())
    return f"; known: {details(known, most=MAX_NAMED)}" if known else ""


def _names(points: pd.DataFrame) -> pd.Series[Any]:
    """Name what each point is of: a feature or stage, or a data set."""
    feature, dataset = points["feature"].astype("object"), points["dataset"].astype("object")
    return feature.where(feature.notna(), dataset)
