"""A fire drill in words: a table of what would be found and when, then what would not, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from risk import cli
from risk.config import Config
from risk.explain import plain_words
from risk.explain.plain_words import counted
from risk.ledger.ledger import Ledger
from risk.monitoring import drill as drills
from risk.monitoring.drill import MAX_DAYS, Drill, Obstacle, Result
from risk.monitoring.planted import LABELS_LATE
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
    "late_errors": "+{:g} points",
}
OBSTACLES: Mapping[Obstacle, str] = {
    "tolerance": "so small a change is tolerated; a smaller alarms.tolerance would find it",
    "reference": "the reference is too small to tell it from chance; a release with more reference "
    "rows would find it",
    "volume": "too few rows arrive in time",
}


@dataclass(frozen=True)
class DrillReport(cli.Result):
    """A drill, and the changes that must be found in time and would not be."""

    drill: Drill
    missed: tuple[Result, ...]
    fail_on: str | None = None

    @classmethod
    def of(cls, config: Config, ledger: Ledger, *, fail_on: str | None = None) -> Self:
        """Drill the live release."""
        done = drills.run(config, ledger)
        return cls(done, drills.missed(done, config.alarms.must_find), fail_on)

    @property
    def exit_code(self) -> int:
        """3 if something is missed and was asked to fail."""
        return cli.ASKED_TO_FAIL if self.missed and self.fail_on == "blind" else 0

    def __str__(self) -> str:
        drill = self.drill
        every = plain_words.duration(timedelta(days=drill.days_per_drop))
        drawn = "drawn from the reference, so the results are optimistic"
        of = drawn if drill.is_optimistic else "of this release's quiet history"
        head = (
            f"Fire drill of release {drill.version}: drops until a change is found, in the median; "
            f"{counted(drill.n_batches, 'batch', 'batches')} {of}, about "
            f"{counted(drill.rows_per_drop, 'row')} every {every}."
        )
        tables = [_table(names, rows) for names, rows in grouped(drill.results)]
        return "\n\n".join([head, *tables, *remarks(drill), verdict(self.missed)])


def in_short(drill: Drill, missed: Sequence[Result]) -> str:
    """Say in one sentence how much would be found, and whether what must be."""
    found = sum(result.drops is not None for result in drill.results)
    share = f"{found} of {counted(len(drill.results), 'planted change')}"
    return f"In a fire drill {share} would be found within {MAX_DAYS:g} days. {verdict(missed)}"


def remarks(drill: Drill) -> list[str]:
    """Say what is not found, and why, and what else limits the results."""
    said = _not_found(drill)
    if drill.label_days:
        late = plain_words.duration(timedelta(days=drill.label_days))
        said.append(
            f"Labels come {late} after their rows, so errors are found that much later than with "
            "labels that come at once."
        )
    if drill.n_left_out:
        said.append(
            f"Left out: {counted(drill.n_left_out, 'change')}; python diagnostics.py --drill "
            "plants all."
        )
    return said


def name_of(result: Result) -> str:
    """Name a planted change."""
    size = 100 * result.size if result.subject == LABELLED else result.size
    return CHANGES[result.kind].format(size)


def subject_of(result: Result) -> str:
    """Name what was changed."""
    if result.kind == "late_errors":
        return f"errors, labels {LABELS_LATE.days} days late"
    return "errors" if result.subject == LABELLED else plain_words.in_short(result.subject)


def grouped(results: Sequence[Result]) -> list[tuple[tuple[str, ...], list[list[Result]]]]:
    """Group the subjects with the same changes; each group fits into one table."""
    by_subject: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        by_subject.setdefault((result.subject, subject_of(result)), []).append(result)
    groups: dict[tuple[str, ...], list[list[Result]]] = {}
    for found in by_subject.values():
        groups.setdefault(tuple(map(name_of, found)), []).append(found)
    return list(groups.items())


def _table(names: Sequence[str], rows: Sequence[Sequence[Result]]) -> str:
    lines = [["", *names]]
    lines += [[subject_of(row[0]), *map(in_drops, row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def in_drops(result: Result) -> str:
    """Write after how many drops a change is found."""
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


def verdict(missed: Sequence[Result]) -> str:
    """Say whether all that must be found in time would be."""
    if not missed:
        return "All that the setting alarms.must_find names would be found in time."
    names = [f"{subject_of(result)} {name_of(result)}" for result in missed]
    them = "it" if len(names) == 1 else "them"
    asked = f"Not found in time, although the setting alarms.must_find names {them}"
    return f"{asked}: {plain_words.listed(names, most=MAX_NAMED)}."
