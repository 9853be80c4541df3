"""A first config.json for a CSV file nobody has described yet: what each column seems to be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from risk.data import dates, leaks, missing, predictions, roles, target
from risk.data.dates import ISO
from risk.data.dialect import Dialect, read
from risk.data.footers import MAX_FOOTERS, TOTAL
from risk.data.target import NONE, Findings, snake
from risk.errors import DataError
from risk.labels import Label
from risk.lazily import pandas as pd

KEY = r"[\w./:@#-]{1,64}"
ROW_NUMBER = "row_id"
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
    found = Findings(text, dialect.marks)
    _leave_nameless_out(found, dialect.header)
    _require_columns(named._replace(target=None), path.name, found.names)
    found.doubts += dialect.guess.doubts
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
    missing.find(found, own)
    taken = {*own, known}
    role_of = roles.of(found, [name for name in found.names if name not in taken])
    if not watched:
        leaks.set_aside(found, role_of, label, positive)
    of_role = _by_role(role_of)
    times = of_role.pop("time")
    time, written = _event_time(found, times, named.event_time)
    of_role["other"] += [name for name in times if name != time]
    ingestion = {**dialect.settings, "dates": written, "number_rows": known not in text}
    columns = {
        "identifier": known,
        "target": label,
        "positive_label": _label(positive),
        "negative_label": _label(negative),
        "event_time": time,
        "missing_markers": found.used_markers,
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
    is_footer = (is_total & (n_filled < usual)) | ((n_filled <= usual / 2) & (n_filled == 1))
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
    words = [name for name in unique if roles.IDENTIFIERS.search(snake(name))]
    words.sort(key=lambda name: roles.counts_rows(found.numbers(name)))
    keys = [name for name in unique if text[name].str.fullmatch(KEY).all()]
    texts = [name for name in keys if found.numbers(name).isna().any()]
    codes = [name for name in keys if roles.are_codes(text[name])]
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


def _is_unique(cells: pd.Series[Any]) -> bool:
    return bool((cells != "").all() and cells.is_unique)


def _by_role(role_of: dict[str, str]) -> dict[str, list[str]]:
    kinds = ("numeric", "categorical", "other", "time")
    return {kind: [name for name, own in role_of.items() if own == kind] for kind in kinds}


def _label(text: str) -> Label:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
