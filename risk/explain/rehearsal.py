"""What a run would do with the rows it would take, without doing it."""

from __future__ import annotations

from risk.config import Config
from risk.data import part_files
from risk.decisions import run as decisions
from risk.explain import run_line
from risk.explain.run_line import Outcome
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.monitoring import run as monitoring


def rehearse(config: Config, ledger: Ledger, taken: object, fresh: pd.DataFrame) -> Outcome:
    """Say what a run would do with what it would take; nothing is written."""
    pending = part_files.read(config, ledger, ledger.ingestions.pending())
    rows = pd.concat([pending, fresh], ignore_index=True)
    if rows.empty:
        return Outcome(f"would do nothing: {taken}")
    if not releases.live_version(config.deployment_folder):
        return Outcome(f"{taken}; {decisions.rehearse_first(config, rows)}")
    found = monitoring.rehearse(config, ledger, rows)
    return Outcome(run_line.of_rehearsal(taken, found), drift=bool(found.alarms))
