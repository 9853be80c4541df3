"""Where reports are kept: one of each format for each run, the newest beside the model too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from risk import store
from risk.config import Config, ReportFormat
from risk.errors import UnknownName
from risk.ledger.ledger import Ledger
from risk.models.model import digest


def keep(
    config: Config,
    ledger: Ledger,
    contents: Mapping[ReportFormat, bytes],
    *,
    run_id: int | None,
    since: datetime | None = None,
) -> list[Path]:
    """Write a report on a run, or on what there is before the first; note it in the ledger.

    One that begins at another day than usual is kept beside it, and is not the run's report.
    """
    paths: list[Path] = []
    is_newest = since is None and (run_id or 0) >= ledger.reports.last_run()
    for kind, content in contents.items():
        own = store.report_path(config, run_id, kind) if run_id is not None else None
        if own and since:
            own = own.with_stem(f"{own.stem}-since-{since:%Y-%m-%d}")
        written = [path for path in (own, latest(config, kind) if is_newest else None) if path]
        for path in written:
            store.write(path, content)
        if own and not since:
            told = {"run_id": run_id, "kind": kind, "path": config.name_of(own)}
            ledger.reports.record(told | {"sha256": digest(content), "size_bytes": len(content)})
        paths += written
    return paths


def latest(config: Config, kind: ReportFormat) -> Path:
    """Name the file that holds the newest report."""
    return (config.model_folder / config.report_filename).with_suffix(f".{kind}")


def read(path: Path, command: str) -> bytes:
    """Return a report that was kept; if there is none, tell by which command it is made."""
    if not path.is_file():
        raise UnknownName(
            f"there is no such report yet; run: python reporting.py {command}".strip()
        )
    return store.read(path)
