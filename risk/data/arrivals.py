"""What arrives: files of the input folder, objects of a store, new rows of SQL sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from risk.config import Config
from risk.data import object_store, sql_sources
from risk.data.drops import Drop
from risk.data.object_store import Object
from risk.data.sql_sources import Fetch
from risk.ledger.ledger import Ledger

Arrival = Drop | Object | Fetch


def after(
    files: Iterable[Drop],
    config: Config,
    ledger: Ledger,
    left_alone: list[str],
    out_of_reach: list[str],
) -> Iterator[Arrival]:
    """Yield the files, then what is new elsewhere; take each before the next is requested.

    A place that cannot be read is added to `out_of_reach` and does not hold up the others.
    """
    yield from files
    yield from object_store.new(config, ledger, left_alone=left_alone, out_of_reach=out_of_reach)
    yield from sql_sources.new(config, ledger, out_of_reach=out_of_reach)
