"""What the next run will refuse, and why: test data, new and quarantined drops, read only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from risk.cli import Result
from risk.config import Config
from risk.data import drops, inbox, late_labels, requeueing
from risk.data.drops import Changed, Drop, Piece, Signature
from risk.data.inbox import LeftAlone
from risk.decisions import run as decisions
from risk.errors import ConfigError, DataError, LedgerError, NoLedger, RiskError, StorageError
from risk.explain.plain_words import counted
from risk.lazily import pandas as pd
from risk.ledger.database import utc_now
from risk.ledger.ledger import Ledger
from risk.models import pipelines, releases
from risk.schema import ROW_HASH, fingerprints

MAX_FILES, MAX_ROWS = 200, 200_000
MAX_NAMED = 3
Kind = tuple[str, str]  # of a problem: its column, empty if it is of a whole row, and its rule


@dataclass(frozen=True)
class Fault:
    """One kind of problem: how many cells of which files it concerns, and an example of it."""

    text: str
    exit_code: int = DataError.exit_code
    files: Sequence[str] = ()
    cells: int = 0
    example: str = ""
    noun: str = "cell"

    def __str__(self) -> str:
        if not self.files:
            return self.text
        hidden = len(self.files) - MAX_NAMED
        names = ", ".join(self.files[:MAX_NAMED]) + (f" and {hidden} more" if hidden > 0 else "")
        where = counted(len(self.files), "file")
        if self.cells:
            where = f"{counted(self.cells, self.noun)} in {where}"
        return f"{self.text}{self.example}: {where} ({names})"


@dataclass(frozen=True)
class InputCheck(Result):
    """What was read, and every kind of problem that was found, commonest first."""

    n_new: int
    n_quarantined: int
    faults: Sequence[Fault]
    notes: Sequence[str] = ()
    is_trained: bool = True

    @property
    def exit_code(self) -> int:
        """0 if nothing will go wrong, else the greatest code."""
        return max((fault.exit_code for fault in self.faults), default=0)

    def __str__(self) -> str:
        read = "the test data, " if self.is_trained else ""
        read += counted(self.n_new, "new file")
        if self.n_quarantined:
            read += f" and the refused rows of {counted(self.n_quarantined, 'earlier file')}"
        return "\n".join(
            [
                f"checked the settings, {read}; nothing was written",
                *([f"- {fault}" for fault in self.faults] or ["no problem was found"]),
                *self.notes,
            ]
        )


@dataclass
class _Found:
    """What was read so far: valid rows, and cells by kind of problem and file, with an example."""

    rows: list[pd.DataFrame] = field(default_factory=list)
    n_rows: int = 0
    n_files: int = 0
    n_of_labels: int = 0
    refused: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    cells: defaultdict[Kind, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[Kind, str] = field(default_factory=dict)

    def read(self, config: Config, drop: Drop, *, is_test: bool = False) -> None:
        """Read a drop of rows, or of labels, and keep what is wrong with it."""
        self.n_files += 1
        now = None if is_test else utc_now()
        try:
            with drops.opened(drop) as file:
                header = drops.header_of(file, config.columns, config.ingestion)
                has_rows = not late_labels.has_only_labels(header, config.columns)
                columns = config.columns if has_rows else config.columns.of_labels(header)
                for piece in drops.read(file, columns, config.ingestion, name=drop.name, now=now):
                    self._add(piece, drop.name)
                    if has_rows:
                        self.rows.append(piece.rows)
                self.n_of_labels += not has_rows
        except DataError as error:
            self.refused[str(error)].append(drop.name)
        except Changed as change:
            self.refused[change.reason].append(drop.name)

    def faults(self) -> Iterator[Fault]:
        """Yield a fault for each kind of problem, those of whole files and the commonest first."""
        for reason, names in self.refused.items():
            yield Fault(reason, files=names)
        for kind, by_file in sorted(self.cells.items(), key=lambda item: -item[1].total()):
            column, rule = kind
            yield Fault(
                f"{column}: {rule}" if column else rule,
                files=[*by_file],
                cells=by_file.total(),
                example=self.examples[kind],
                noun="cell" if column else "row",
            )

    def _add(self, piece: Piece, name: str) -> None:
        self.n_rows += piece.n_read
        for problem in piece.problems:
            kind = problem.column, problem.rule
            self.cells[kind][name] += 1
            example = f", such as {problem.value!r} in line {problem.line}"
            self.examples.setdefault(kind, example)


def check(config: Config) -> InputCheck:
    """Read the test data and the new drops as a run would, and group what it would refuse."""
    tests, found, notes = _Found(), _Found(), list[str]()
    unusable = [] if config.watches_only else [*_unusable_settings(config)]
    if not config.watches_only:
        _read_test_data(config, tests)
    faults = [*unusable, *tests.faults()]
    try:
        new, refused, skipped = _drops(config)
    except (StorageError, LedgerError) as error:
        faults.append(Fault(str(error), error.exit_code))
        return InputCheck(0, 0, faults, is_trained=not config.watches_only)
    for drop in [*refused, *new]:
        if found.n_files == MAX_FILES or found.n_rows >= MAX_ROWS:
            notes.append(f"only the first {counted(found.n_files, 'file')} were read")
            break
        found.read(config, drop)
    faults += [*found.faults(), *_skipped(skipped)]
    if found.n_of_labels:
        notes.append("whether late labels belong to known rows is checked by the run itself")
    if config.object_store or config.sources:
        notes.append("only files were read; python full_process.py --dry-run reads all sources")
    is_first = releases.live_version(config.deployment_folder) is None
    if config.watches_only:
        return InputCheck(len(new), len(refused), faults, notes, is_trained=False)
    if is_first and found.rows and not (unusable or tests.refused or tests.cells):
        try:
            n_rows = decisions.first_training(config, _as_accepted(config, found.rows))
            notes.append(f"the first model would be trained on {counted(n_rows, 'labelled row')}")
        except RiskError as error:
            faults.append(Fault(f"no first model can be trained: {error}", error.exit_code))
    return InputCheck(len(new), len(refused), faults, notes)


def _unusable_settings(config: Config) -> Iterator[Fault]:
    """Yield what keeps the classifier of the settings from being made, such as a package."""
    try:
        pipelines.build(config.columns, config.training, random_seed=config.random_seed)
    except ConfigError as error:
        yield Fault(str(error), error.exit_code)


def _read_test_data(config: Config, tests: _Found) -> None:
    path, name = config.test_data, config.name_of(config.test_data)
    try:
        tests.read(config, Drop(path, name, Signature.of(path.lstat())), is_test=True)
    except FileNotFoundError:
        tests.refused["there is no such file; it is the test data"].append(name)


def _drops(config: Config) -> tuple[list[Drop], list[Drop], list[LeftAlone]]:
    """Return new drops, the refused rows of earlier ones, and the files that are skipped."""
    try:
        with Ledger.open(config, upgrade=False) as ledger:
            new, skipped = inbox.find_new(config, ledger)
            return new, [*requeueing.waiting(config, ledger)], skipped
    except NoLedger:
        new, skipped = inbox.find(config)
        return new, [], skipped


def _skipped(entries: Sequence[LeftAlone]) -> Iterator[Fault]:
    """Group by reason the files that are no drops, which make no run fail."""
    names = defaultdict[str, list[str]](list)
    for entry in entries:
        names[entry.reason].append(entry.name)
    for reason, files in names.items():
        yield Fault(reason, exit_code=0, files=files)


def _as_accepted(config: Config, pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows as a run accepts them: each once, with its hash."""
    rows = pd.concat(pieces, ignore_index=True)[config.columns.all]
    hashed = rows.assign(**{ROW_HASH: fingerprints(rows, config.columns.event_time)})
    return hashed.drop_duplicates(ROW_HASH, ignore_index=True)
