"""Drops read from SQL: the rows of a table or query added since the last fetch."""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import quoted_name

from risk import store
from risk.config import Config, Ingestion, Source
from risk.data import marks
from risk.data.drops import Signature
from risk.errors import LedgerError, SourceError
from risk.ledger.engines import address_of, make_engine, on_one_line
from risk.ledger.ledger import Ledger
from risk.ledger.watermarks import Watermark
from risk.schema import FROM_SQL, Problem, shorten

log = logging.getLogger("ingestion")
ROWS_AT_ONCE = 5000
BIT = 16  # MariaDB's number for the type BIT


@dataclass(frozen=True)
class Fetch:
    """New rows of a source as an unnamed CSV file, and the watermark they advance it to.

    `ahead` are the problems of rows, by position, whose marks are in the future.
    """

    name: str
    signature: Signature
    file: io.BufferedRandom
    mark: Watermark
    is_last: bool
    ahead: Mapping[int, Problem]


def new(config: Config, ledger: Ledger, *, out_of_reach: list[str]) -> Iterator[Fetch]:
    """Yield the new rows of every source; take each before the next is requested.

    A source that cannot be read is added to `out_of_reach` and does not hold up the others.
    """
    for name in config.sources:
        try:
            yield from _fetches(config, ledger, name)
        except SourceError as error:
            out_of_reach.append(str(error))


def settings_of(config: Config, drop: str) -> Ingestion:
    """Return how the rows of a drop are written, and how far ahead of now their times may be."""
    if not drop.startswith(FROM_SQL):
        return config.ingestion
    source = config.sources.get(drop.removeprefix(FROM_SQL).partition("/")[0])
    plain = config.ingestion.plain
    return plain.model_copy(update={"seconds_ahead": source.seconds_ahead}) if source else plain


def probe(config: Config, name: str) -> None:
    """Raise SourceError if a source cannot be read."""
    source = config.sources[name]
    with _faults(name, source), _connected(config, source) as connection:
        connection.execute(_query(source, None).limit(1)).first()


def _fetches(config: Config, ledger: Ledger, name: str) -> Iterator[Fetch]:
    """Yield the new rows of a source, fetch by fetch, until there are no more.

    Rows at the mark are read again, as more may have been added; those taken are skipped.
    """
    mark = ledger.watermarks.of(name)
    while True:
        with _fetched(config, ledger, name, mark) as fetch:
            if fetch is None:
                return
            yield fetch
            if fetch.is_last:
                return
            mark = fetch.mark


@contextmanager
def _fetched(
    config: Config, ledger: Ledger, name: str, mark: Watermark | None
) -> Iterator[Fetch | None]:
    source, number = config.sources[name], ledger.ingestions.last_id() + 1
    reading = Reading(source, mark, declared=config.columns.all, now=ledger.now())
    with store.spooling() as file:
        with _faults(name, source), _connected(config, source) as connection:
            for rows in reading.new_rows(connection):
                file.write(rows.encode())
            moved = reading.moved(name)
        if reading.n_endless:
            message = "source %s: rows skipped because %s is NaN or infinite: %d"
            log.warning(message, name, source.high_water_mark, reading.n_endless)
        if reading.ahead:
            message = "source %s: rows in quarantine until %s is no longer in the future: %d"
            log.warning(message, name, source.high_water_mark, reading.ahead.total())
        size_bytes = file.tell()
        file.seek(0)
        if moved is None:
            yield None
        else:
            drop = f"{FROM_SQL}{name}/{number:08d}"
            signature, is_last = Signature(size_bytes, 0, 0, 0), reading.is_last
            yield Fetch(drop, signature, file, moved, is_last, reading.new_ahead)


class Reading:
    """One pass over the rows of a source, in ascending order of their marks."""

    def __init__(
        self, source: Source, mark: Watermark | None, *, declared: Iterable[str], now: datetime
    ) -> None:
        self.source, self.mark, self.declared = source, mark, {*declared}
        self.latest = now + timedelta(seconds=source.seconds_ahead)
        self.again = Counter(mark.taken if mark else ())
        self.known_ahead = Counter(mark.ahead if mark else ())
        self.ahead: Counter[int] = Counter()
        self.new_ahead: dict[int, Problem] = {}
        self.limit = source.max_rows + self.again.total() + self.known_ahead.total()
        self.recent: deque[tuple[Any, int]] = deque()
        self.n_read = self.n_new = self.n_endless = 0
        self.bits: set[str] = set()

    def new_rows(self, connection: sa.Connection) -> Iterator[str]:
        """Yield the new rows as CSV text, the first with a header."""
        mark = self.mark.value if self.mark else None
        is_first = mark is None or marks.is_endless(mark)
        beginning = None if is_first else marks.behind(mark, self.source.overlap)
        query = _query(self.source, beginning).limit(self.limit)
        result = connection.execution_options(stream_results=True).execute(query)
        self.bits = {name for name, kind, *_ in result.cursor.description if kind == BIT}
        for rows in result.mappings().partitions(ROWS_AT_ONCE):
            text = io.StringIO()
            writer = csv.writer(text, lineterminator=store.LINE_END)
            for row in rows:
                self._write(writer, row)
            yield text.getvalue()

    @property
    def is_last(self) -> bool:
        """Whether the source was read to its end."""
        return self.n_read < self.limit

    def moved(self, name: str) -> Watermark | None:
        """Return the new watermark of the source, None if there were no new rows."""
        if not self.n_new:
            return None
        if not self.recent:  # all new rows are in the future
            mark = self.mark or Watermark(name, None)
            return Watermark(name, mark.value, mark.taken, self.ahead)
        newest = self._newest(self.recent[-1][0])
        beginning = self._beginning(newest)
        taken = Counter(each for mark, each in self.recent if marks.is_read_again(mark, beginning))
        if self.mark and newest == self.mark.value:
            taken |= self.mark.taken
        return Watermark(name, newest, taken, self.ahead)

    def _write(self, writer: Any, row: Mapping[Any, Any]) -> None:
        values = {name: self._readable(name, value) for name, value in row.items()}
        mark = self._readable(self.source.high_water_mark, row[self.source.high_water_mark])
        self.n_read += 1
        if marks.is_endless(mark):
            self.n_endless += 1
            return
        cells = {name: _cell(value) for name, value in values.items()}
        digest = int.from_bytes(blake2b("\0".join(cells.values()).encode(), digest_size=8).digest())
        is_ahead = marks.is_after(mark, self.latest, previous=self._previous())
        if self._is_new_ahead(mark, digest) if is_ahead else self._is_new(mark, digest):
            if self.source.high_water_mark not in self.declared:
                del cells[self.source.high_water_mark]
            if not self.n_new:
                writer.writerow(cells)
            writer.writerow(cells.values())
            self.n_new += 1

    def _previous(self) -> Any:
        """Return the greatest mark read so far that is not in the future."""
        if self.recent:
            return self.recent[-1][0]
        return self.mark.value if self.mark else None

    def _readable(self, name: str, value: Any) -> Any:
        """Return a BIT value as an integer; raise SourceError for other bytes in a used column."""
        if not isinstance(value, bytes):
            return value
        if name in self.bits:
            return int.from_bytes(value)
        if name in self.declared or name == self.source.high_water_mark:
            raise SourceError(f"column {name} holds bytes; convert it to text or a number in query")
        return value

    def _is_new_ahead(self, mark: Any, digest: int) -> bool:
        self.ahead[digest] += 1
        if self.known_ahead[digest]:
            self.known_ahead[digest] -= 1
            return False
        rule = "high-water mark in the future"
        name, value = self.source.high_water_mark, shorten(str(mark))
        self.new_ahead[self.n_new] = Problem(0, name, rule, value)
        return True

    def _is_new(self, mark: Any, digest: int) -> bool:
        self.recent.append((mark, digest))
        if type(mark) is not type(self.recent[0][0]):
            raise SourceError(
                "values of high_water_mark have different types; convert them in query"
            )
        beginning = self._beginning(self._newest(mark))
        while not marks.is_read_again(self.recent[0][0], beginning):
            self.recent.popleft()
        if self.again[digest]:
            self.again[digest] -= 1
            return False
        return True

    def _newest(self, mark: Any) -> Any:
        """Return the greatest mark once this one was read, which may have a blank for a T."""
        before = self.mark.value if self.mark else None
        blank = marks.written_with_blank(before)
        return before if blank and isinstance(mark, str) and mark.startswith(blank) else mark

    def _beginning(self, newest: Any) -> Any:
        return marks.least(marks.behind(newest, self.source.overlap))


def _query(source: Source, beginning: Any) -> sa.Select[Any]:
    """Return the query for the rows from a mark on; rows without a mark are excluded."""
    column: sa.ColumnClause[Any] = sa.column(quoted_name(source.high_water_mark, quote=True))
    if source.query:
        text = source.query.strip().rstrip(";").replace(":", r"\:")  # not a bound parameter
        rows: Any = sa.text(text).columns(column).subquery("source")
    else:
        *schema, table = [quoted_name(name, quote=True) for name in str(source.table).split(".")]
        rows = sa.table(table, column, schema=schema[0] if schema else None)
    (mark,) = rows.c
    query: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(rows).order_by(mark)
    if beginning is None:
        return query.where(mark.is_not(None))
    # untyped, as SQLAlchemy would otherwise cast it to its default for the Python type
    follows: sa.ColumnElement[bool] = mark >= sa.literal(beginning, sa.types.NullType())
    if blank := marks.written_with_blank(beginning):
        follows |= mark.like(sa.literal(f"{blank}%", sa.types.NullType()))
        follows &= mark >= sa.literal(beginning[:10], sa.types.NullType())  # for an index
    return query.where(follows)


def _cell(value: Any) -> str:
    """Return a value as a CSV cell: empty if missing, 1 or 0 for a boolean."""
    if value is None or value != value:
        return ""
    return str(int(value) if isinstance(value, bool) else value)


@contextmanager
def _connected(config: Config, source: Source) -> Iterator[sa.Connection]:
    """Yield a read-only connection, enforced by the database."""
    address = _address(config, source)
    is_sqlite = address.get_backend_name() == "sqlite"
    engine = _read_only_sqlite(address) if is_sqlite else make_engine(address)
    try:
        with engine.connect() as connection:
            if connection.dialect.name in ("mysql", "mariadb"):
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection.execution_options(postgresql_readonly=True)
    finally:
        engine.dispose()


def _read_only_sqlite(address: sa.URL) -> sa.Engine:
    file = Path(address.database or ":memory:").absolute().as_uri()
    return sa.create_engine(address.set(database=file, query={"mode": "ro", "uri": "true"}))


def _address(config: Config, source: Source) -> sa.URL:
    if not source.url_env:
        return address_of(config.sqlalchemy_url)
    if source.url is None:
        raise SourceError(f"the environment variable {source.url_env} is not set")
    return address_of(config.absolute(source.url.get_secret_value()))


@contextmanager
def _faults(name: str, source: Source) -> Iterator[None]:
    """Convert faults to SourceError naming the source, without showing its address."""
    try:
        yield
    except (SQLAlchemyError, ArithmeticError, LedgerError, SourceError) as error:
        message = on_one_line(error).replace("database_url", source.url_env or "database_url")
        raise SourceError(f"source {name}: {message}") from error
