"""Stage 6 of 6: draw what the live model gets right and wrong, report on a run, or print a trend.

Reads   the champion, the test data, the newest rows, the ledger
Writes  confusion_matrix.png and report.pdf to output_model_path, the report on each run to
        report_folder_path; of an older run, or with --since, only there; with --trend nothing
Exits   0 done, 64 no such run or trend, 65 unusable test data, 69 no database, 74 storage fault,
        75 another run is at work, 76 no model to trust, 78 wrong configuration
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from risk import cli, store
from risk.config import Config, ReportFormat
from risk.data import drops
from risk.errors import DataError, RiskError, UsageError
from risk.explain import trend_table
from risk.explain.trend_table import Trend
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.models.evaluation import count_outcomes, ripe
from risk.report import archive

log = logging.getLogger("reporting")


@dataclass(frozen=True)
class Report:
    """The files this stage wrote."""

    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"wrote {', '.join(self.files) or 'nothing'}"


def draw(config: Config, ledger: Ledger) -> Report:
    """Read, count, draw, write."""
    from risk.figures import canvas, matrix

    with ledger.runs.stage("plots"):
        champion = releases.load_champion(config)
        manifest, columns = champion.manifest, config.columns
        rows = ripe(drops.read_whole(config, config.test_data), columns.target)
        if rows.empty:
            raise DataError(f"{config.name_of(config.test_data)}: no row has a label")
        y_true = rows[columns.target].to_numpy(dtype="int8")
        counts = count_outcomes(y_true, champion.predict(champion.predict_proba(rows)))
        figure = matrix.confusion_matrix(
            counts,
            labels=columns.classes,
            title=f"Release {manifest.version} on the test data, n = {len(rows)}",
        )
        path = config.model_folder / config.plot_filename
        store.write(path, canvas.as_png(figure))
    return Report((config.name_of(path),))


def report(
    config: Config,
    ledger: Ledger,
    *,
    run_id: int | None = None,
    since: datetime | None = None,
    formats: Sequence[ReportFormat] = (),
) -> Report:
    """Report on a run, unless told otherwise the newest, and in the formats of the settings."""
    from risk.report.compose import compose, written

    with ledger.runs.stage("report"):
        run_id = ledger.runs.newest() if run_id is None else run_id
        document = compose(config, ledger, run_id=run_id, since=since)
        contents = {kind: written(document, kind) for kind in formats or config.report_formats}
        paths = archive.keep(config, ledger, contents, run_id=run_id, since=since)
    return Report(tuple(config.name_of(path) for path in paths))


def write_due_reports(config: Config, ledger: Ledger) -> int:
    """Report on each run that decided something; return the exit code of what failed, or 0.

    Whatever is wrong with a report undoes nothing, and the next run tries again.
    """
    exit_code = 0
    for run_id in ledger.reports.due() if config.report_formats else ():
        try:
            log.info(report(config, ledger, run_id=run_id))
        except Exception as error:  # a bug here shall not hide what the run did
            is_foreseen = isinstance(error, RiskError)
            log.error("no report on run %d: %s", run_id, error, exc_info=not is_foreseen)
            exit_code = getattr(error, "exit_code", RiskError.exit_code)
    return exit_code


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this stage can do."""
    parser.add_argument("--run", type=cli.row_number, metavar="ID", help="report on this run")
    parser.add_argument(
        "--since", help="how far back a report or a trend goes: 30d, 12h or 2026-10-01"
    )
    parser.add_argument(
        "--format", choices=get_args(ReportFormat), help="write the report in this format"
    )
    trend_table.add_options(parser)


def from_options(
    config: Config,
    ledger: Ledger,
    *,
    run: int | None,
    since: str | None,
    format: ReportFormat | None,
    **of_trend: Any,
) -> Report | Trend:
    """Turn the options of the command line into what is asked for."""
    if of_trend["trend"]:
        return trend_table.from_options(ledger, since=since, **of_trend)
    if of_trend["csv"]:
        raise UsageError("--csv is of a --trend")
    begin = trend_table.moment(since, now=ledger.now()) if since else None
    formats = (format,) if format else ()
    told = report(config, ledger, run_id=run, since=begin, formats=formats)
    if run is not None or since or format:
        return told
    return Report((*draw(config, ledger).files, *told.files))


def needed_access(options: Mapping[str, Any]) -> cli.Access:
    """Take the lock only for what writes."""
    return "read" if options["trend"] else "write"


if __name__ == "__main__":
    cli.main(from_options, __doc__, add_options=add_options, access=needed_access)
