"""A first config.json for a CSV file nobody has described yet: what each column seems to be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from risk.data import dates, leaks, predictions, target
from risk.data.dates import ISO
from risk.data.dialect import Dialect, read
from risk.data.footers import MAX_FOOTERS, TOTAL
from risk.data.target import MARKERS, NONE, Findings, snake
from risk.errors import DataError
from risk.labels import Label
from risk.numerals import UNIT

IDENTIFIERS = re.compile(
    r"(^|_)(id|identifier|no|num|number|nr|nummer|numero|numer|key|customer|client|cliente|account"
    r"|[a-z]*(client|customer|kunden?|klant|account|acct|konto|user|member|employee|contract"
    r"|vertrags)(id|no|num|nr|number|nummer))s?($|_)"
)
MISREAD = r"(\w*[^\W\d_][³¹¿¼¾£¥][^\W\d_]\w*)"  # such as Op³ata
KEY = r"[\w./:@#-]{1,64}"
LIKE_A_NUMBER = r"\D{0,4}\d[\d.,'\s]*[.,]\d+\D{0,4}"
MIN_DIGITS = 6  # of different whole numbers of one length, which are identifiers
ROW_NUMBER = "row_id"
MAX_CODES = 10  # whole numbers with so few values are more often codes than quantities
MAX_LEVELS = 0.2  # share of rows above which different texts are no categories
MIN_LEVELS = 50
OF_ROWS = re.compile(  # names of a column that says when a row is from
    r"((event|snapshot|record|recorded|created|updated|order|invoice|transaction|as_of)_?)?"
    r"(date|datum|time|timestamp|at|on|day|month)"
)
OF_PEOPLE = re.compile(r"birth|geburt|naissance|nacimiento|nascita|(^|_)dob($|_)")


class Named(NamedTuple):
    """The columns that the user names."""

    target: str | None = None
    identifier: str | None = None
    predictions: str | None = None
    decision: str | None = None
    event_time: str | None = None


@dataclass(frozen=True)
class Proposal:
    """The settings proposed for a table, and why; `rows` are the table's, as text."""

    dialect: Dialect
    ingestion: dict[str, Any]
    columns: dict[str, Any]
    model: dict[str, Any]
    rows: pd.DataFrame
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


def propose(path: Path, **names: str | None) -> Proposal:
    """Look at a CSV file and propose its settings; raise DataError if it cannot be used."""
    named = Named(**names)
    dialect, lines = read(path)
    text, below = _without_footers(lines)
    found = Findings(text, dialect.decimal)
    _leave_nameless_out(found, dialect.header)
    _require_columns(named._replace(target=None), path.name, found.names)
    found.doubts += [] if dialect.encoding == "utf-8" else _misread(text)
    found.notes += [f"left out above the header: {line}" for line in dialect.above]
    found.notes += [f"left out below the rows: {line}" for line in below]
    watched = predictions.find(found, named.predictions, named.decision)
    if watched:
        label, negative, positive = predictions.labels(found, watched, named.target)
    else:
        _require_columns(named, path.name, found.names)
        label = named.target or target.choose(found)
        negative, positive = target.labels(found, label)
    own = {label, *(watched.names if watched else ())}
    known = _identifier(found, own, named.identifier) or _new_name(ROW_NUMBER, dialect.header)
    taken = {*own, known}
    roles = _roles(found, [name for name in found.names if name not in taken])
    if not watched:
        leaks.set_aside(found, roles, label, positive)
    of_role = _by_role(roles)
    times = of_role.pop("time")
    time, written = _event_time(found, times, named.event_time)
    of_role["other"] += [name for name in times if name != time]
    markers = sorted(set(MARKERS) & set(np.unique(text.to_numpy())))
    ingestion = {**dialect.settings, "dates": written, "number_rows": known not in text}
    columns = {
        "identifier": known,
        "target": label,
        "positive_label": _label(positive),
        "negative_label": _label(negative),
        "event_time": time,
        "missing_markers": markers,
        **of_role,
    }
    model = predictions.settings(found, watched) if watched else {}
    if watched:
        columns |= asdict(watched)
    if not (of_role["numeric"] or of_role["categorical"]):
        raise DataError(f"{path.name}: no column can serve as a feature")
    notes, doubts = map(_on_one_line_each, (found.notes, found.doubts))
    return Proposal(dialect, ingestion, columns, model, text, notes, doubts)


def _on_one_line_each(said: Sequence[str]) -> tuple[str, ...]:
    """Return what was said without the line breaks that names and cells of spreadsheets have."""
    return tuple(" ".join(each.split()) for each in said)


def _require_columns(named: Named, file: str, names: Sequence[str]) -> None:
    for option, name in named._asdict().items():
        is_none = option in ("event_time", "predictions") and name == NONE
        if name is not None and name not in names and not is_none:
            like = {other.casefold(): other for other in names}
            close = get_close_matches(name.casefold(), [*like], n=1)
            hint = f"did you mean {like[close[0]]!r}?" if close else f"it has {', '.join(names)}"
            shown = option.replace("_", "-")
            raise DataError(f"--{shown}: {file} has no column {name!r}; {hint}")


def _misread(text: pd.DataFrame) -> list[str]:
    """Doubt the encoding if a word has a mark within that is a letter in another one."""
    for words in (pd.Series([*text]), *(text[name].head(1000) for name in text)):
        found = words.str.extract(MISREAD, expand=False).dropna()
        if len(found):
            why = "the file seems to be neither in UTF-8 nor in Windows-1252; save it in UTF-8"
            return [f"{found.iloc[0]} looks misread: {why}"]
    return []


def _leave_nameless_out(found: Findings, header: Sequence[str]) -> None:
    """Leave out columns that no setting could name: without a name, or with that of another."""
    names = Counter(header)
    if names[""]:
        found.notes.append("columns without a name are not used")
    for name, times in names.items():
        if name and times > 1:
            found.doubts.append(f"{times} columns are named {name}: none of them is used")
    found.text = found.text.loc[:, [bool(name) and names[name] == 1 for name in header]]


def _event_time(found: Findings, times: Sequence[str], named: str | None) -> tuple[str | None, str]:
    """Return the column that says when a row is from, and how its dates are written."""
    if named and named != NONE and named not in times:
        raise DataError(f"--event-time: {named} does not have a date in every row")
    of_rows = [name for name in times if OF_ROWS.fullmatch(snake(name))]
    fit = [name for name in times if not OF_PEOPLE.search(snake(name))]
    chosen = named or next(iter([*of_rows, *fit]), None)
    if chosen is None or chosen == NONE:
        return None, ISO
    found.notes.append(f"{chosen}: taken as the time of each row")
    if not named and not of_rows:
        found.doubts.append(
            f"that rows are from the time in {chosen} is a guess (--event-time COLUMN, or none)"
        )
    cells = found.cells(chosen)
    if not dates.are_dates(cells):
        return chosen, ISO
    if order := dates.order(cells):
        return chosen, order
    found.doubts.append(f"the day before the month is a guess in {chosen}, such as {cells.iloc[0]}")
    return chosen, "day first"


def _without_footers(text: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out totals and remarks below the rows, as spreadsheets add them; return them too."""
    last = text.tail(MAX_FOOTERS + 1)
    is_filled = last != ""
    n_filled = is_filled.sum(axis=1)
    is_total = last.apply(lambda cells: cells.str.fullmatch(TOTAL)).any(axis=1)
    usual = (text.head(-len(last)) != "").sum(axis=1).min()
    is_footer = (n_filled <= usual / 2) & (is_total | (n_filled == 1))
    n = int(is_footer[::-1].cumprod().sum())
    if not 0 < n < len(last):
        return text, []
    kept = [" ".join(row[row != ""]) for _, row in last.tail(n).iterrows()]
    return text.head(-n), kept


def _identifier(found: Findings, own: Collection[str], named: str | None) -> str | None:
    text = found.text
    unique = [name for name in found.names if name not in own and _is_unique(text[name])]
    if named is not None:
        if named not in unique:
            found.doubts.append(f"{named} repeats: late labels need it to name one row each")
        return named
    words = [name for name in unique if IDENTIFIERS.search(snake(name))]
    words.sort(key=lambda name: _counts_rows(found.numbers(name)))
    keys = [name for name in unique if text[name].str.fullmatch(KEY).all()]
    texts = [name for name in keys if found.numbers(name).isna().any()]
    codes = [name for name in keys if _are_codes(text[name])]
    if chosen := next(iter([*words, *texts, *codes]), None):
        found.notes.append(f"identifier: {chosen}, which differs in every row")
        return chosen
    found.doubts.append(
        "no column identifies rows, so the file and the line do: labels cannot come later, and a "
        "row that comes again in another file counts twice (--identifier COLUMN, if one does)"
    )
    return None


def _new_name(name: str, others: Collection[str]) -> str:
    """Return a name that no other column has."""
    return name if name not in others else _new_name(f"{name}_", others)


def _counts_rows(numbers: pd.Series[Any]) -> bool:
    """Say whether a column has every whole number between its first and last, once."""
    return bool(numbers.is_unique and numbers.max() - numbers.min() + 1 == len(numbers))


def _is_unique(cells: pd.Series[Any]) -> bool:
    return bool((cells != "").all() and cells.is_unique)


def _by_role(roles: dict[str, str]) -> dict[str, list[str]]:
    kinds = ("numeric", "categorical", "other", "time")
    return {kind: [name for name, own in roles.items() if own == kind] for kind in kinds}


def _roles(found: Findings, names: Sequence[str]) -> dict[str, str]:
    return {name: _role(found, name) for name in names}


def _role(found: Findings, name: str) -> str:
    """Say what a column serves as, and note why."""
    cells, notes = found.cells(name), found.notes
    levels = cells.nunique()
    if levels < 2:
        notes.append(f"{name}: not used, it has {'one value' if levels else 'no value'} only")
        return "other"
    numbers = found.numbers(name)
    is_code = cells.str.fullmatch(r"0\d+").any() or dates.are_dates(cells)
    if is_code and numbers.notna().all():
        numbers[:] = np.nan  # such as postcodes, or 20261231
    if numbers.notna().all():
        whole = bool((numbers == numbers.round()).all())
        if whole and IDENTIFIERS.search(snake(name)) and levels > 0.95 * len(cells):
            notes.append(f"{name}: not used, it seems to be an identifier")
            return "other"
        if whole and levels > MIN_LEVELS and _are_other_keys(cells, numbers):
            notes.append(f"{name}: not used, it numbers the rows or is an identifier")
            return "other"
        if whole and levels <= MAX_CODES and cells.str.isdecimal().all():
            codes = ", ".join(sorted(set(cells), key=int))
            notes.append(f"{name}: category of the codes {codes}")
            return "categorical"
        unit = ", without its unit" if cells.str.contains(UNIT).any() else ""
        notes.append(f"{name}: number from {numbers.min():g} to {numbers.max():g}{unit}")
        return "numeric"
    if span := _span(cells):
        is_complete = len(cells) == len(found.text)
        why = "" if is_complete else ", not used: some rows have none"
        notes.append(f"{name}: time from {span[0]:%Y-%m-%d} to {span[1]:%Y-%m-%d}{why}")
        return "time" if is_complete else "other"
    if levels > max(MIN_LEVELS, MAX_LEVELS * len(cells)):
        found.doubts += _unclear(name, cells[numbers.isna()], len(cells), found.decimal)
        notes.append(f"{name}: not used, free text or an identifier ({levels:,} different values)")
        return "other"
    if (share := numbers.notna().mean()) > 0.5:
        odd = ", ".join(sorted(set(cells[numbers.isna()]))[:3])
        found.doubts.append(f"{name} has categories: {share:.0%} are numbers, but not {odd}")
    notes.append(f"{name}: category of {levels:,} values")
    return "categorical"


def _unclear(name: str, cells: pd.Series[Any], n_cells: int, decimal: str) -> list[str]:
    """Doubt a column in which many cells may be numbers, but cannot be read as such."""
    odd = cells[cells.str.fullmatch(LIKE_A_NUMBER)]
    if len(odd) <= n_cells / 4:
        return []
    what = f"what {odd.iloc[0]} means is not clear; write it like 1234{decimal}5"
    return [f"{name} is not used: {what}"]


def _are_other_keys(cells: pd.Series[Any], numbers: pd.Series[Any]) -> bool:
    """Say whether whole numbers count the rows, or differ all and have as many digits each."""
    return _counts_rows(numbers) or (_are_codes(cells) and cells.is_unique)


def _are_codes(cells: pd.Series[Any]) -> bool:
    """Say whether all cells have as many digits, and many."""
    n_digits = cells.str.len()
    return bool(n_digits.min() == n_digits.max() >= MIN_DIGITS and cells.str.isdecimal().all())


def _span(cells: pd.Series[Any]) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Return the first and the last time of a column, None if its cells are no times."""
    iso = cells
    if dates.are_dates(cells):
        iso = dates.as_iso(cells, dates.order(cells) or "day first")
    elif not cells.str.match(r"\d{4}-\d{2}-\d{2}").all():
        return None
    times = pd.to_datetime(iso, format="ISO8601", errors="coerce", utc=True)
    return None if times.isna().any() else (times.min(), times.max())


def _label(text: str) -> Label:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
