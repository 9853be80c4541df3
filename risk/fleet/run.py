"""A run of a fleet in two phases: all models take and assess, then each decides.

Between the phases the verdict on the fleet is formed, so that no model is retrained for what moved
in many of them. Each phase of each model is a part of the engine; a model has its own settings,
folder, ledger and lock, as if it ran alone, and one that fails keeps none of the others from it.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path

from risk import cli, engine, store
from risk.config import Config
from risk.decisions.policy import Together
from risk.errors import BusyError, ConfigError, RiskError, StorageError, UsageError
from risk.explain.plain_words import counted, moved_together
from risk.explain.run_line import Outcome, Taken
from risk.fleet import verdict
from risk.fleet.verdict import Seen
from risk.ledger import engines, lease
from risk.ledger.ledger import Ledger
from risk.progress import track

log = logging.getLogger(__name__)
PAGE = "fleet.md"
BUG = 1


@dataclass(frozen=True)
class Member:
    """One model of the fleet: the file with its settings, and those of the fleet.

    `stages` is the module of the two phases, by name, as each worker imports it itself. `refusal`
    says why it does not run, if it does not.
    """

    name: str
    path: str
    settings: tuple[str, ...]
    stages: str
    refusal: str = ""

    def config(self) -> Config:
        """Read its settings; of the environment only what is in `.env` beside them counts."""
        if self.refusal:
            raise ConfigError(self.refusal)
        return Config.load(Path(self.path), environment={}, command_line=self.settings)


@dataclass(frozen=True)
class Assessed:
    """A model after the first phase: what it took and saw, or how it failed."""

    member: Member
    taken: Taken | None = None
    seen: Seen = Seen(frozenset(), frozenset())
    failure: Outcome | None = None


@dataclass(frozen=True)
class FleetOutcome(cli.Result):
    """What a run of a fleet did: its verdict, and the outcome of each model, the worst first."""

    models: Mapping[str, Outcome]
    together: Together
    budget: str
    budget_of_each: str
    needs_a_person: bool = field(init=False)
    exit_code: int = field(init=False)

    def __post_init__(self) -> None:
        outcomes = self.models.values()
        codes = [o.exit_code for o in outcomes if o.exit_code not in (0, BusyError.exit_code)]
        object.__setattr__(self, "exit_code", codes[0] if codes else 0)
        needed = any(outcome.needs_a_person for outcome in outcomes)
        object.__setattr__(self, "needs_a_person", needed)

    def failing_on(self, found: str | None) -> FleetOutcome:
        """Return the outcome in which each model in which --fail-on found something exits so."""
        models = {name: outcome.failing_on(found) for name, outcome in self.models.items()}
        return replace(self, models=models)

    @property
    def head(self) -> list[str]:
        """Return what is true of all models."""
        shared = [moved_together(*of) for of in self.together.items()]
        each = f"each has {self.budget_of_each}, whatever its own settings say"
        return [
            *shared,
            f"{counted(len(self.models), 'model')} with a false-alarm budget of {self.budget} "
            f"together: {each}.",
        ]

    def __str__(self) -> str:
        return "\n".join([*self.head, *(f"{name}: {o.line}" for name, o in self.models.items())])

    @property
    def page(self) -> str:
        """Return the same as a page of Markdown."""
        lines = [f"| {name} | {o.line.replace('|', '/')} |" for name, o in self.models.items()]
        parts = [*self.head, "\n".join(["| model | outcome |", "| --- | --- |", *lines])]
        return "\n\n".join(["# The fleet, worst first", *parts]) + "\n"


def run(config: Config, folder: Path, *, stages: str) -> FleetOutcome:
    """Run all models whose settings are in `folder`; `config` has the engine and the budget."""
    members = find(config, folder, stages=stages)
    over = engine.of(config)
    taken = track(over.map(take, members), "fleet: assess", unit="model", total=len(members))
    assessed = list(taken)
    found = verdict.together([each.seen for each in assessed])
    for subject, of in found.items():
        log.warning(moved_together(subject, of))
    decided = over.map(partial(respond, found), assessed)
    outcomes = list(track(decided, "fleet: decide", unit="model", total=len(members)))
    ranked = sorted(zip(members, outcomes, strict=True), key=lambda pair: _place(pair[1]))
    done = FleetOutcome(
        {member.name: outcome for member, outcome in ranked},
        found,
        config.alarms.false_alarm_budget,
        verdict.budget_of_each(config.alarms.false_alarm_budget, len(members)),
    )
    store.write(folder / PAGE, done.page)
    return done


def find(config: Config, folder: Path, *, stages: str) -> list[Member]:
    """Return a member for each file with settings: `*.json`, or `config.json` in a subfolder."""
    paths = sorted([*folder.glob("*.json"), *folder.glob("*/config.json")])
    if not paths:
        raise UsageError(f"--fleet: neither *.json nor */config.json in {folder}")
    alarms = config.alarms
    budgets = {
        "false_alarm_budget": verdict.budget_of_each(alarms.false_alarm_budget, len(paths)),
        "warning_budget": verdict.budget_of_each(alarms.warning_budget, len(paths)),
    }
    shared = [f"alarms.{name}={words}" for name, words in budgets.items()]
    settings = (*shared, "engine=local", "engine_address=null")
    return refuse_shared(
        [
            Member(name, str(path.resolve()), settings, stages)
            for name, path in zip(names(folder, paths), paths, strict=True)
        ]
    )


def names(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Return a name for each model: that of its file or subfolder, else its path in the folder.

    >>> names(Path("all"), [Path("all/a.json"), Path("all/a/config.json"), Path("all/b.json")])
    ['a.json', 'a/config.json', 'b']
    """
    short = [path.stem if path.parent == folder else path.parent.name for path in paths]
    whole = [str(path.relative_to(folder)) for path in paths]
    used = Counter([*short, *whole])
    return [s if used[s] == 1 else w for s, w in zip(short, whole, strict=True)]


def refuse_shared(members: Sequence[Member]) -> list[Member]:
    """Refuse each model that writes where one before it does: one would undo the other's work."""
    owners: dict[str, str] = {}
    checked = []
    for member in members:
        try:
            written = _written(member.config())
        except (RiskError, OSError, ValueError):  # which is reported when it runs
            written = {}
        shared = {name: owners[place] for name, place in written.items() if place in owners}
        if not shared:
            owners |= dict.fromkeys(written.values(), member.name)
        checked.append(replace(member, refusal=_refusal(shared)))
    return checked


def take(member: Member) -> Assessed:
    """Do the first phase of one model: take what is new, and assess it."""
    try:
        config = member.config()
        with lease.only_writer(config, holder=f"fleet, model {member.name}") as ledger:
            taken = import_module(member.stages).take(config, ledger)
            return Assessed(member, taken, _seen(config, ledger, taken))
    except Exception as error:  # of one model, which the others do not depend on
        return Assessed(member, failure=_failed(error))


def respond(found: Together, assessed: Assessed) -> Outcome:
    """Do the second phase of one model: decide, knowing what moved in many models."""
    member, taken = assessed.member, assessed.taken
    if assessed.failure or taken is None:
        return assessed.failure or Outcome("")
    try:
        config = member.config()
        with lease.only_writer(config, holder=f"fleet, model {member.name}") as ledger:
            done: Outcome = import_module(member.stages).respond(config, ledger, taken, found)
            return done
    except Exception as error:  # of one model, which the others do not depend on
        return _failed(error)


def _refusal(shared: Mapping[str, str]) -> str:
    """Say which settings name what another model writes, if there are any."""
    if not shared:
        return ""
    settings, owners = " and ".join(shared), " and ".join(dict.fromkeys(shared.values()))
    return f"{owners} writes to the same {settings}; give each model of a fleet its own"


def _written(config: Config) -> dict[str, str]:
    """Return where a model writes, by setting, whatever links lead there; inputs are only read."""
    address = engines.address_of(config.sqlalchemy_url)
    is_file = address.get_backend_name() == "sqlite"
    folders = {
        "output_folder_path": config.ingested_folder,
        "quarantine_folder_path": config.quarantine_folder,
        "output_model_path": config.model_folder,
        "prod_deployment_path": config.deployment_folder,
        "report_folder_path": config.report_folder,
    }
    places = {name: os.path.realpath(folder) for name, folder in folders.items()}
    ledger = os.path.realpath(address.database or "") if is_file else str(address)
    return {"database_url": ledger, **places}


def _seen(config: Config, ledger: Ledger, taken: Taken) -> Seen:
    """Return what moved: what an incident is open about, and what was warned of."""
    columns = {*config.columns.features, config.columns.target}
    moved = {incident.subject for incident in ledger.incidents.unresolved()}
    return Seen(frozenset(columns), frozenset(moved | {*taken.warned}))


def _failed(error: Exception) -> Outcome:
    """Return the outcome of a model that could not be run."""
    if isinstance(error, RiskError):
        return Outcome(" ".join(str(error).split()), exit_code=error.exit_code)
    code = StorageError.exit_code if isinstance(error, OSError) else BUG
    return Outcome(f"{type(error).__name__}: {error}", exit_code=code)


def _place(outcome: Outcome) -> tuple[bool, ...]:
    """Rank outcomes: failures, then what needs a person, then what was found."""
    busy = outcome.exit_code == BusyError.exit_code
    failed = outcome.exit_code != 0 and not busy
    return not failed, not outcome.needs_a_person, not outcome.drift, not busy
