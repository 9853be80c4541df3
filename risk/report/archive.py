"""Storage of reports: one per run and format; the newest is also stored with the challenger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from risk import store
from risk.config import Config, ReportKind
from risk.data import known_files
from risk.errors import UnknownName
from risk.ledger.ledger import Ledger
from risk.models.model import digest


def keep(
    config: Config,
    ledger: Ledger,
    contents: Mapping[ReportKind, bytes],
    *,
    run_id: int | None,
    since: datetime | None = None,
) -> list[Path]:
    """Write the report on a run, or on the state before the first run; record it in the ledger.

    A report with another start date is stored beside it and not recorded.
    """
    paths: list[Path] = []
    is_newest = since is None and (run_id or 0) >= ledger.reports.last_run()
    for kind, content in contents.items():
        own = store.report_path(config, run_id, kind) if run_id is not None else None
        if own and since:
            own = own.with_stem(f"{own.stem}-since-{since:%Y-%m-%d}")
        written = [path for path in (own, latest(config, kind) if is_newest else None) if path]
        for path in written:
            known_files.write(config, ledger, path, content)
        if own and not since:
            row = {"run_id": run_id, "kind": kind, "path": config.name_of(own)}
            ledger.reports.record(row | {"sha256": digest(content), "size_bytes": len(content)})
        paths += written
    return paths


def latest(config: Config, kind: ReportKind) -> Path:
    """Return the path of the newest report."""
    return config.model_folder / store.report_name(config, kind)


def read(path: Path, command: str) -> bytes:
    """Return a stored report; if there is none, raise UnknownName naming the command."""
    if not path.is_file():
        raise UnknownName(
            f"there is no such report yet; run: python reporting.py {command}".strip()
        )
    return store.read(path)
