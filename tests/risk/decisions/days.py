"""The days of an installation: drops come, the live release sees them, and something is decided."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import deployment
import ingestion
import training
from risk.decisions import run as decisions
from risk.monitoring import monitored_release
from risk.monitoring import run as monitoring
from tests.factories import customers, first_release

START = datetime(2026, 3, 1, tzinfo=UTC)


class Loop:
    """The days of an installation, but for its pictures, its API and its reports."""

    def __init__(self, world, ledger, clock):
        self.world, self.config, self.ledger, self.clock = world, world.config, ledger, clock
        self.challengers, self.releases = [], []

    def see(self, **drops):
        """Let a day begin, with some drops."""
        self.clock[0] += timedelta(days=1)
        for name, text in drops.items():
            self.world.drop(f"{name}.csv", text)
        ingestion.run(self.config, self.ledger)
        return monitoring.assess(self.config, self.ledger)

    def choose(self):
        return decisions.choose(self.config, self.ledger, monitored_release.load(self.config))

    def day(self, **drops):
        """Let a whole day pass; return what was chosen."""
        self.see(**drops)
        choice, through = self.choose(), self.ledger.ingestions.last_id()
        if choice.without_challenger:
            ruling = deployment.Ruling(choice.without_challenger, choice.grounds)
            deployment.record(self.ledger, ruling, through=through)
            return choice
        if choice.how:
            self.challengers.append(through)
            training.run(self.config, self.ledger, how=choice.how, since=choice.since)
        decided = deployment.decide(
            self.config, self.ledger, through, why=choice.grounds, first_look=bool(choice.how)
        )
        if decided.version:
            self.releases.append(through)
            deployment.carry_out(self.config, decided.version)
            self.ledger.decisions.complete(decided.decision_id)
        return choice


def learn(world):
    world.take_from_inbox()
    world.drop("history.csv", customers("h", 1500, seed=0))
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)


def mixed(name, n, *, usual, seed, **change):
    """Write a drop in whose middle something changes."""
    before = customers(f"{name}a", usual, seed=seed)
    after = customers(f"{name}b", n - usual, seed=seed + 1000, **change)
    return before + after.split("\n", 1)[1]


def without_labels(text):
    header, *lines = text.splitlines()
    return "\n".join([header, *(f"{line.rsplit(',', 1)[0]}," for line in lines)]) + "\n"


def labels_of(text):
    lines = (line.split(",") for line in text.splitlines()[1:])
    return "corporation,exited\n" + "".join(f"{cells[0]},{cells[-1]}\n" for cells in lines)
