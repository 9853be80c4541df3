"""Training data: accepted rows with the labels known so far, and the rows a model may learn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk import store
from risk.config import Config
from risk.data import drops, part_files
from risk.lazily import pandas as pd
from risk.ledger.ledger import Ledger
from risk.models import model, releases, signing
from risk.models.dating import (
    INGESTION,
    LABELLED_BY,
    PLACE,
    Change,
    in_order,
    is_since,
    with_moments,
)
from risk.models.evaluation import ripe
from risk.models.model import Manifest
from risk.models.sampling import Sample, with_more
from risk.schema import ROW_HASH, fingerprints

MAX_KEPT = 5000
MAX_ROWS = 50_000  # of a history that a run reads, so that it stays short
MAX_CHANGED = 100_000  # of the rows since a change, enough to answer it
IsNew = Callable[["pd.DataFrame"], NDArray[np.bool_]]


@dataclass(frozen=True)
class Drawn:
    """Labelled rows to train on, or a sample of them, and the newest ones, which are held out.

    Of all sound drops there are `total`, besides `n_left_out` of the test data. `outermost` are the
    rows beside a sample with the outermost values of all.
    """

    rows: pd.DataFrame
    held_out: pd.DataFrame
    total: int
    n_left_out: int
    outermost: pd.DataFrame


@dataclass(frozen=True)
class Split:
    """Labelled rows to train on, and the newest ones held out for the gate.

    `is_recent` are the training rows that the champion has not seen, `is_changed` those of them
    that are dated after the change. `drawn_from` is the number of labelled rows if these are a
    sample, and `outermost` are the rows beside it with the outermost values of all.
    """

    rows: pd.DataFrame
    held_out: pd.DataFrame
    is_recent: NDArray[np.bool_]
    is_changed: NDArray[np.bool_]
    outermost: pd.DataFrame
    rows_left_out: int
    through: int
    drawn_from: int | None = None

    @property
    def recent(self) -> pd.DataFrame:
        """The training rows that the champion has not seen."""
        return self.rows[self.is_recent]

    @property
    def changed(self) -> pd.DataFrame:
        """The recent ones that are dated after the change."""
        return self.rows[self.is_changed]

    def seen(self) -> pd.DataFrame:
        """Return the rows to train on, those held out, and those with the outermost values."""
        others = pd.concat([self.held_out, self.outermost]).drop_duplicates(ROW_HASH)
        return pd.concat([self.rows, others[~others[ROW_HASH].isin(self.rows[ROW_HASH])]])

    def described(self, chosen: str) -> dict[str, Any]:
        """Return what a manifest says of the choice of the rows."""
        sampled = f"; drawn at random from {self.drawn_from:,}" if self.drawn_from else ""
        return {"rows_chosen": chosen + sampled, "drawn_from": self.drawn_from}


def accepted(
    config: Config,
    ledger: Ledger,
    ingestion_ids: Sequence[int],
    *,
    without: Collection[int] = (),
) -> pd.DataFrame:
    """Return the accepted rows of ingestions, in the order given, with their late labels.

    INGESTION brought the row, as the row number PLACE of its drop, and LABELLED_BY its label; it
    is dated MOMENT. Labels of the ingestions `without` are left out.
    """
    part_files.require(config, ledger, ingestion_ids)
    rows, sizes = store.read_counted(config, ingestion_ids)
    numbers = np.repeat(np.asarray(ingestion_ids, dtype="int64"), sizes)
    places = np.concatenate([np.arange(size) for size in sizes] or [np.arange(0)])
    target = config.columns.target
    came = pd.Series(numbers, dtype="Int64").where(rows[target].notna())
    later = ledger.labels.of_parts(ingestion_ids)
    if len(later := later[~later["ingestion_id"].isin(list(without))]):
        late = later.set_index("row_hash")
        rows[target] = rows[target].fillna(rows[ROW_HASH].map(late["y_true"]).astype("Int8"))
        came = came.fillna(rows[ROW_HASH].map(late["ingestion_id"]).astype("Int64"))
    known = {INGESTION: numbers, PLACE: places, LABELLED_BY: came}
    rows = pd.concat([rows, pd.DataFrame(known, index=rows.index)], axis=1)
    arrivals = ledger.ingestions.arrivals(ingestion_ids)
    arrived_at = pd.to_datetime([arrivals[n] for n in ingestion_ids], utc=True).repeat(sizes)
    return with_moments(rows, config.columns.event_time, arrived_at)


def sound_parts(config: Config, ledger: Ledger, *, after: int = 0) -> list[int]:
    """Return the ingestions after one that added rows in which no feature was broken.

    A feature broken so often that a person, when asked, would have had it fixed counts as sound.
    """
    doubtful = _doubtful(config, ledger)
    return [number for number in ledger.parts.ids(after=after) if number not in doubtful]


def enough(parts: Sequence[int], sizes: Mapping[int, int], n_rows: int) -> list[int]:
    """Return the first of these parts that have so many rows together, all if they have fewer."""
    sums = np.cumsum([sizes[number] for number in parts])
    return [*parts[: int(np.searchsorted(sums, n_rows)) + 1]]


def sound_rows(
    config: Config, ledger: Ledger, parts: Sequence[int], *, labelled_after: int = 0
) -> pd.DataFrame:
    """Return the labelled rows of sound drops, but for labels that came in a drop that is not.

    Only rows whose label came after an ingestion, with the row or later.
    """
    rows = accepted(config, ledger, parts, without=_doubtful(config, ledger))
    rows = ripe(rows, config.columns.target)
    return rows[rows[LABELLED_BY] > labelled_after]


def parts_labelled_after(config: Config, ledger: Ledger, number: int) -> list[int]:
    """Return the sound parts that came after an ingestion, or got a label later than that."""
    late = {*ledger.labels.parts_labelled_after(number)} if number else set()
    parts = sound_parts(config, ledger, after=min({*late, number + 1}) - 1)
    return [part for part in parts if part > number or part in late]


def labelled_parts(
    config: Config, ledger: Ledger, *, after: int
) -> tuple[list[int], dict[int, int]]:
    """Return the sound parts with labels that came after an ingestion, and how many each has."""
    n_labels, doubtful = ledger.labels.count_after(after), _doubtful(config, ledger)
    return [part for part in sorted(n_labels) if part not in doubtful], n_labels


def drawn(config: Config, ledger: Ledger, is_new: IsNew, *, has_changed: bool) -> Drawn:
    """Return the labelled rows of all sound drops, a sample of them if they exceed `max_rows`.

    The newest of the rows that are new to the champion are held out. If these `has_changed`, their
    share of all rows may be too small to answer that: up to MAX_CHANGED of them are drawn then, as
    far as they are no more than half of the sample.
    """
    size, parts, test = config.training.max_rows, sound_parts(config, ledger), _test_hashes(config)
    sample = Sample(size, config.random_seed, spare=MAX_KEPT)
    most = min(size // 2, MAX_CHANGED) if size and has_changed else None
    changed = Sample(most, config.random_seed, spare=MAX_KEPT)
    newest = outermost = accepted(config, ledger, [])
    total = n_left_out = n_new = 0
    for some in _in_turn(ledger, parts) if size and parts else [parts]:
        rows = sound_rows(config, ledger, some)
        is_test = rows[ROW_HASH].isin(test).to_numpy()
        rows = rows[~is_test] if is_test.any() else rows
        total, n_left_out = total + len(rows), n_left_out + int(is_test.sum())
        places = np.flatnonzero(is_new(rows))
        n_new += len(places)
        newest = pd.concat([newest, rows.iloc[places[-MAX_KEPT:]]]).tail(MAX_KEPT)
        sample.add(rows)
        if most:
            changed.add(rows.iloc[places])
        if size:
            outermost = _outermost(pd.concat([outermost, rows], ignore_index=True), config)
    held_out = newest.tail(min(round(n_new * config.test_size), MAX_KEPT))
    rows = sample.rows(without=held_out[ROW_HASH].to_numpy())
    if most:
        wanted = changed.rows(without=held_out[ROW_HASH].to_numpy())
        rows = in_order(with_more(rows, wanted, is_new(rows), config.random_seed), None)
    return Drawn(rows, held_out, total, n_left_out, outermost)


def _in_turn(ledger: Ledger, parts: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield some parts after others, as many as are to be in memory at once."""
    sizes = ledger.parts.sizes(parts)
    while parts:
        some = enough(parts, sizes, MAX_ROWS)
        yield some
        parts = parts[len(some) :]


def _outermost(rows: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Return the rows with the least and the greatest number of each column, and each level."""
    found = set[Any]()
    for name in config.columns.features:
        values = rows[name].dropna()
        if name in config.columns.categorical:
            found.update(values.drop_duplicates().index)
        elif len(values):
            found |= {values.idxmin(), values.idxmax()}
    return rows.loc[sorted(found)]


def split(config: Config, ledger: Ledger, *, since: Change | None = None) -> Split:
    """Split the labelled, sound rows, without the test data, for training a challenger.

    Of the rows whose labels came after the champion's training, and that are dated after the change
    if there was one, the newest `test_size` share is held out for the gate: neither model has been
    trained on them.
    """
    champion, event_time = _champion(config), config.columns.event_time
    through = ledger.ingestions.last_id()
    seen = champion.trained_through if champion else through

    def is_recent(rows: pd.DataFrame) -> NDArray[np.bool_]:
        return (rows[LABELLED_BY] > seen).to_numpy(dtype=bool)

    def is_changed(rows: pd.DataFrame) -> NDArray[np.bool_]:
        return is_recent(rows) & is_since(rows, since, event_time)

    found = drawn(config, ledger, is_changed, has_changed=since is not None)
    return Split(
        rows=found.rows,
        held_out=found.held_out,
        is_recent=is_recent(found.rows),
        is_changed=is_changed(found.rows),
        outermost=found.outermost,
        rows_left_out=found.n_left_out,
        through=through,
        drawn_from=found.total if found.total > len(found.rows) + len(found.held_out) else None,
    )


def without_test(config: Config, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are not among the test data."""
    is_test = rows[ROW_HASH].isin(_test_hashes(config))
    return rows[~is_test] if is_test.any() else rows


def unlearnt(config: Config, ledger: Ledger, challenger: Manifest, kept: bytes) -> pd.DataFrame:
    """Return the labelled rows the champion was not trained on: `kept` ones and all newer ones."""
    champion = _champion(config)
    seen = champion.trained_through if champion else 0
    hashes = np.array(kept.decode().split(), dtype="int64")
    found = [accepted(config, ledger, [])]
    for parts in _in_turn(ledger, parts_labelled_after(config, ledger, seen)):
        rows = sound_rows(config, ledger, parts, labelled_after=seen)
        is_newer = (rows[LABELLED_BY] > challenger.trained_through).to_numpy(dtype=bool)
        found.append(rows[is_newer | rows[ROW_HASH].isin(hashes)])
    return without_test(config, pd.concat(found, ignore_index=True))


def to_list(rows: pd.DataFrame) -> str:
    """Return the hashes of rows, one per line."""
    return "".join(f"{row_hash}\n" for row_hash in rows[ROW_HASH])


def _champion(config: Config) -> Manifest | None:
    if releases.live_version(config.deployment_folder) is None:
        return None
    folder = releases.live_folder(config.deployment_folder)
    return model.load_manifest(folder, signing.key(config))


def _test_hashes(config: Config) -> NDArray[np.int64]:
    if not config.test_data.exists():
        return np.array([], dtype="int64")
    rows, event_time = drops.read_whole(config, config.test_data), config.columns.event_time
    return np.concatenate([fingerprints(rows, event_time), fingerprints(rows)])  # old and new


def _doubtful(config: Config, ledger: Ledger) -> set[int]:
    return ledger.parts.doubtful(config.policy.ask_first_batches)
