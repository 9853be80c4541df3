"""A fire drill in words: a table of what would be found and when, then what would not, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from risk.cli import ASKED_TO_FAIL
from risk.explain import plain_words
from risk.explain.plain_words import counted
from risk.monitoring.drill import MAX_DAYS, Drill, Obstacle, Result
from risk.monitoring.reference import LABELLED

MAX_NAMED = 12
CHANGES = {
    "shift": "+{:g} sd",
    "spread": "spread x{:g}",
    "scale": "x{:g}",
    "missing": "{:.0%} missing",
    "unseen": "{:.0%} unseen",
    "vanished": "commonest gone",
    "unrelated": "unrelated",
    "errors": "+{:g} points",
}
OBSTACLES: Mapping[Obstacle, str] = {
    "tolerance": "so small a change is tolerated; a smaller `alarms.tolerance` would find it",
    "reference": "the training data are too few to tell it from chance; a release trained on more "
    "rows would find it",
    "volume": "too few rows arrive in time",
}


@dataclass(frozen=True)
class DrillReport:
    """A drill, and the changes that must be found in time and would not be."""

    drill: Drill
    missed: tuple[Result, ...]
    fail_on: str | None = None

    @property
    def exit_code(self) -> int:
        """3 if something is missed and was asked to fail."""
        return ASKED_TO_FAIL if self.missed and self.fail_on == "blind" else 0

    def __str__(self) -> str:
        drill = self.drill
        every = plain_words.duration(timedelta(days=drill.days_per_drop))
        drawn = "drawn from the training data, so the results are optimistic"
        of = drawn if drill.is_optimistic else "of this release's quiet history"
        head = (
            f"Fire drill of release {drill.version}: drops until a change is found, in the median; "
            f"{counted(drill.n_batches, 'batch', 'batches')} {of}, about "
            f"{counted(drill.rows_per_drop, 'row')} every {every}."
        )
        parts = [head, *_tables(drill.results), *_not_found(drill), _verdict(self.missed)]
        return "\n\n".join(parts)


def name_of(result: Result) -> str:
    """Name a planted change."""
    size = 100 * result.size if result.kind == "errors" else result.size
    return CHANGES[result.kind].format(size)


def subject_of(result: Result) -> str:
    """Name what was changed."""
    return "errors" if result.subject == LABELLED else plain_words.in_short(result.subject)


def _tables(results: Sequence[Result]) -> list[str]:
    """Write one table for each group of subjects with the same changes."""
    by_subject: dict[str, list[Result]] = {}
    for result in results:
        by_subject.setdefault(result.subject, []).append(result)
    groups: dict[tuple[str, ...], list[list[Result]]] = {}
    for found in by_subject.values():
        groups.setdefault(tuple(map(name_of, found)), []).append(found)
    return [_table(names, rows) for names, rows in groups.items()]


def _table(names: Sequence[str], rows: Sequence[Sequence[Result]]) -> str:
    lines = [["", *names]]
    lines += [[subject_of(row[0]), *(_drops(result) for result in row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def _drops(result: Result) -> str:
    return "-" if result.drops is None else f"{result.drops:.0f}"


def _not_found(drill: Drill) -> list[str]:
    """Say why changes are not found, the same reason once."""
    lines = []
    for obstacle, why in OBSTACLES.items():
        names = [
            f"{subject_of(result)} {name_of(result)}{_rows(result)}"
            for result in drill.results
            if result.obstacle == obstacle
        ]
        if names:
            listed = plain_words.listed(names, most=MAX_NAMED)
            lines.append(f"Not found within {MAX_DAYS:g} days, because {why}: {listed}.")
    return lines


def _rows(result: Result) -> str:
    needed = result.rows_needed
    return f" (about {needed:,} rows)" if needed is not None and needed > 0 else ""


def _verdict(missed: Sequence[Result]) -> str:
    if not missed:
        return "All changes of `alarms.must_find` would be found in time."
    names = [f"{subject_of(result)} {name_of(result)}" for result in missed]
    asked = "Not found in time, although `alarms.must_find` asks for it"
    return f"{asked}: {plain_words.listed(names, most=MAX_NAMED)}."
