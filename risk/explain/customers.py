"""Why the live model says of many customers what it says: a line for each, the highest risk first.

Each block of customers is a part of the engine; each customer is explained as if asked for alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from risk import engine, store
from risk.cli import Result
from risk.config import Config
from risk.data import drops
from risk.data.statistics import as_rows
from risk.errors import UsageError
from risk.explain import customer
from risk.explain.customer import Explanation, Memory, explain_row, remember
from risk.explain.plain_words import counted
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import releases
from risk.models.watched import require_model
from risk.progress import track

ROWS_AT_ONCE = 20


@dataclass(frozen=True)
class Explanations(Result):
    """The customers of a file with their risk and what raises and lowers it, the riskiest first.

    `table` has the identifier, `y_pred_proba`, `y_pred`, `usual_risk`, `raises_most`,
    `lowers_most`, `scale` and a `contribution_of_` each feature: on the scale, they add up to the
    difference from the usual risk.
    """

    table: pd.DataFrame
    written_to: str | None

    def __str__(self) -> str:
        if self.written_to is None:
            return self.table.to_csv(index=False).removesuffix("\n")
        n, at_risk = len(self.table), int(self.table["y_pred"].sum())
        return f"{counted(n, 'customer')} explained, {at_risk} at risk: {self.written_to}"

    def in_full(self, *_: Any) -> list[dict[str, Any]]:
        """Return the customers as JSON."""
        return as_rows(self.table)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that explain one customer or many."""
    parser.add_argument(
        "--explain", metavar="IDENTIFIER", help="explain the predicted risk of a customer"
    )
    parser.add_argument(
        "--explain-file",
        type=Path,
        metavar="CSV",
        help="explain the predicted risk of each customer of a file, the riskiest first",
    )
    parser.add_argument(
        "--to", type=Path, metavar="FILE", help="with --explain-file: file to write"
    )


def from_options(
    config: Config, ledger: Ledger, options: Mapping[str, Any]
) -> Explanation | Explanations | None:
    """Explain what the options name; None if they name nobody."""
    if options["to"] and not options["explain_file"]:
        raise UsageError("--to requires --explain-file")
    if options["explain_file"] and options["explain"] is not None:
        raise UsageError("--explain and --explain-file exclude each other")
    if options["explain_file"]:
        return explain_all(config, options["explain_file"], options["to"])
    if options["explain"] is not None:
        return customer.explain(config, ledger, options["explain"])
    return None


def explain_all(config: Config, path: Path, to: Path | None = None) -> Explanations:
    """Explain what the live model says of each row of a CSV file; write a CSV file if `to` is."""
    require_model(config, "predictions cannot be explained")
    rows = drops.read_whole(config, path)
    memory = remember(config, releases.load_champion(config))
    explain = partial(
        _explain,
        memory,
        identifier=config.columns.identifier,
        dataset=config.name_of(path),
        random_seed=config.random_seed,
    )
    blocks = [rows.iloc[i : i + ROWS_AT_ONCE] for i in range(0, len(rows), ROWS_AT_ONCE)]
    done = track(engine.of(config).map(explain, blocks), "explain", unit="block", total=len(blocks))
    table = pd.DataFrame([line for block in done for line in block])
    table = table.sort_values("y_pred_proba", ascending=False, kind="stable", ignore_index=True)
    if to is not None:
        store.write(to, table.to_csv(index=False))
    return Explanations(table, str(to) if to else None)


def _explain(
    memory: Memory, rows: pd.DataFrame, *, identifier: str, dataset: str, random_seed: int
) -> list[dict[str, Any]]:
    """Return a line for each of some rows."""
    features, lines = memory.model.manifest.features, []
    for i in range(len(rows)):
        row = rows.iloc[i : i + 1].reset_index(drop=True)
        name = str(row[identifier][0])
        found = explain_row(memory, row, name, dataset, random_seed=random_seed)
        own = found.parts.set_index("feature")["contribution"]
        line = {
            identifier: name,
            "y_pred_proba": found.risk,
            "y_pred": int(found.risk >= found.threshold),
            "usual_risk": found.usual_risk,
            "raises_most": "; ".join(found.raising),
            "lowers_most": "; ".join(found.lowering),
            "scale": found.scale,
        }
        lines.append(line | {f"contribution_of_{feature}": own[feature] for feature in features})
    return lines
