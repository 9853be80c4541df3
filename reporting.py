"""Reporting: draw the confusion matrix, report on a run, or print a trend.

Reads   the champion, the test data, the newest rows, the ledger
Writes  confusion_matrix.png, report.pdf (two pages) and report-appendix.pdf (the details) to
        output_model_path, the report on each run to report_folder_path; on an older run, or with
        --since, only there; predictions the next report may need again; with --trend or --account
        nothing
Exits   0 success, 64 no such run or trend, 65 unusable test data, 69 database unavailable,
        74 storage error, 75 another run is in progress, 76 no trusted model, 78 invalid
        configuration
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from risk import cli
from risk.config import Config, ReportFormat, ReportKind
from risk.data import drops, known_files
from risk.decisions import account as accounting
from risk.errors import DataError, RiskError, UsageError
from risk.explain import trend_table
from risk.explain.account import AccountReport
from risk.explain.trend_table import Trend
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.models.evaluation import count_outcomes, ripe
from risk.progress import track
from risk.report import archive
from risk.report.predicted import Predictions

log = logging.getLogger("reporting")


@dataclass(frozen=True)
class Report(cli.Result):
    """The files this stage wrote."""

    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"wrote {', '.join(self.files)}"


def draw(config: Config, ledger: Ledger) -> Report:
    """Draw the confusion matrix of the live model on the test data."""
    from risk.figures import canvas, matrix

    with ledger.runs.stage("plots"):
        manifest = releases.load_manifest(config, releases.live_folder(config.deployment_folder))
        predictions, columns = Predictions(config, ledger), config.columns
        rows = ripe(drops.read_whole(config, config.test_data), columns.target)
        if rows.empty:
            raise DataError(f"{config.name_of(config.test_data)}: no row has a label")
        y_true = rows[columns.target].to_numpy(dtype="int8")
        counts = count_outcomes(y_true, manifest.predict(predictions.of(manifest, rows)))
        figure = matrix.confusion_matrix(
            counts,
            labels=columns.classes,
            title=f"Release {manifest.version} on the test data, n = {len(rows)}",
        )
        path = config.model_folder / config.plot_filename
        known_files.write(config, ledger, path, canvas.as_png(figure))
        predictions.keep()
    return Report((config.name_of(path),))


def report(
    config: Config,
    ledger: Ledger,
    *,
    run_id: int | None = None,
    since: datetime | None = None,
    formats: Sequence[ReportKind] = (),
) -> Report:
    """Report on a run, by default the newest, in the formats of the settings by default."""
    from risk.report import context
    from risk.report.compose import compose, written

    with ledger.runs.stage("report"):
        run_id = ledger.runs.newest() if run_id is None else run_id
        known = context.gather(config, ledger, run_id=run_id, since=since)
        document = compose(known)
        kinds: list[ReportKind] = [*(formats or config.report_formats)]
        kinds += ["appendix"] if "pdf" in kinds else []
        files = track(kinds, "report", unit="file")
        contents = {kind: written(document, kind) for kind in files}
        paths = archive.keep(config, ledger, contents, run_id=run_id, since=since)
        known.predictions.keep()
    return Report(tuple(config.name_of(path) for path in paths))


def write_due_reports(config: Config, ledger: Ledger) -> int:
    """Report on each run that made a decision; return the exit code of what failed, or 0.

    An error in a report changes nothing else, and the next run tries again.
    """
    exit_code = 0
    for run_id in ledger.reports.due() if config.report_formats else ():
        try:
            log.info(report(config, ledger, run_id=run_id))
        except Exception as error:  # a bug here must not hide the outcome of the run
            is_foreseen = isinstance(error, RiskError)
            log.error("no report on run %d: %s", run_id, error, exc_info=not is_foreseen)
            exit_code = getattr(error, "exit_code", RiskError.exit_code)
    return exit_code


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this stage."""
    parser.add_argument("--run", type=cli.row_number, metavar="ID", help="report on this run")
    parser.add_argument(
        "--since",
        help="start of the report or trend: 30d or 12h ago, or 2026-10-01",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format", choices=get_args(ReportFormat), help="write the report in this format"
    )
    form.add_argument(
        "--full",
        dest="format",
        action="store_const",
        const="full",
        help="write report and appendix as one PDF, report-full.pdf",
    )
    trend_table.add_options(parser)
    parser.add_argument(
        "--account",
        action="store_true",
        help="say how the alarms turned out and what the releases gained; write nothing",
    )


def from_options(
    config: Config,
    ledger: Ledger,
    *,
    run: int | None,
    since: str | None,
    format: ReportKind | None,
    **trend_options: Any,
) -> Report | Trend | AccountReport:
    """Write what the options of the command line request."""
    if trend_options.pop("account"):
        return AccountReport(accounting.gather(config, ledger))
    if trend_options["trend"]:
        return trend_table.from_options(ledger, since=since, **trend_options)
    if trend_options["csv"]:
        raise UsageError("--csv requires --trend")
    begin = trend_table.moment(since, now=ledger.now()) if since else None
    formats = (format,) if format else ()
    written = report(config, ledger, run_id=run, since=begin, formats=formats)
    if run is not None or since or format:
        return written
    drawn = () if config.watches_only else draw(config, ledger).files  # on the test data
    return Report((*drawn, *written.files))


def needed_access(options: Mapping[str, Any]) -> cli.Access:
    """Take the lock only for options that write."""
    return "read" if options["trend"] or options["account"] else "write"


if __name__ == "__main__":
    cli.main(from_options, __doc__, add_options=add_options, access=needed_access)
