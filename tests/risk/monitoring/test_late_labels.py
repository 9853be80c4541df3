from datetime import UTC, datetime, timedelta

import pytest

import deployment
import ingestion
import training
from risk.ledger.queries import Part
from risk.models.dating import Change
from risk.monitoring import run as monitoring
from risk.monitoring.outcomes import REALISED
from risk.monitoring.profile import Profile
from risk.monitoring.reference import LABELLED
from tests.factories import customers, first_release, once

START = datetime(2026, 3, 1, tzinfo=UTC)


class Feed:
    """Drops in a ledger whose clock goes on by a day with each."""

    def __init__(self, world, ledger, clock):
        self.world, self.ledger, self.clock = world, ledger, clock

    def bring(self, name, text):
        """Bring a drop and let the live release see it."""
        self.clock[0] += timedelta(days=1)
        self.world.drop(name, text)
        ingestion.run(self.world.config, self.ledger)
        return monitoring.assess(self.world.config, self.ledger)

    def labels(self, name, n, *, seed, start=0, sign=1):
        """Write the labels of some customers, a drop of their own."""
        lines = customers(name, n, seed=seed, sign=sign).splitlines()[1:]
        told = (f"{line.split(',')[0]},{line.split(',')[-1]}" for line in lines[start:])
        return "corporation,exited\n" + "\n".join(told) + "\n"

    def scores(self, metric="f1"):
        """Return (version, rows) of each realised score."""
        part = Part(page_size=100)
        found = self.ledger.scores.page(part, metric=metric, dataset=REALISED).items
        return sorted((row["version"], row["n"]) for row in found)

    def seen(self):
        """Return how many labels the newest assessment let the detectors see."""
        newest = self.ledger.assessments.history(newest=1)[-1]
        return sum(Profile.from_json(newest.profile).counts.get(LABELLED, ()))


def learn(world):
    world.take_from_inbox()
    world.drop("history.csv", customers("h", 450, seed=0))
    with world.open_ledger() as ledger:
        first_release(world.config, ledger)


@pytest.fixture
def feed(world, shared):
    """Give a release that learnt customers of whom the inactive leave."""
    world.copy_of(once(shared, "learnt_customers", learn))
    clock = [START]
    with world.open_ledger(clock=lambda: clock[0]) as ledger:
        yield Feed(world, ledger, clock)


def turn_round(feed):
    """Let the active ones leave, and a second release learn that."""
    feed.bring("turned.csv", customers("t", 300, seed=5, sign=-1))
    since = Change(feed.ledger.ingestions.last_id())
    training.run(feed.world.config, feed.ledger, since=since)
    deployment.run(feed.world.config, feed.ledger, by_force=True)


def test_labels_of_the_world_before_a_release_raise_no_alarm(feed):
    """A month of them; the release before is scored by every one."""
    feed.bring("old.csv", customers("o", 600, seed=3, labelled=False))
    turn_round(feed)
    text = feed.labels("o", 600, seed=3).splitlines()

    alarms = [
        alarm
        for day in range(30)
        for alarm in feed.bring(
            f"{day}.csv", "\n".join([text[0], *text[1 + 20 * day : 21 + 20 * day]]) + "\n"
        ).alarms
    ]

    assert alarms == []
    assert feed.scores() == [(1, 20)] * 30 + [(1, 300)]


def test_labels_of_the_world_of_a_release_inform_it_whoever_predicted_the_rows(feed):
    """They came between the change and the release: it has not learnt them."""
    feed.bring("turned.csv", customers("t", 300, seed=5, sign=-1))
    since = Change(feed.ledger.ingestions.last_id())
    feed.bring("between.csv", customers("b", 200, seed=6, sign=-1, labelled=False))
    training.run(feed.world.config, feed.ledger, since=since)
    deployment.run(feed.world.config, feed.ledger, by_force=True)

    found = feed.bring("labels.csv", feed.labels("b", 200, seed=6, sign=-1))

    assert feed.seen() == 200
    assert feed.scores() == [(1, 200), (1, 300)]
    assert found.alarms == []


def test_every_label_is_scored_once_though_a_release_came_in_between(feed):
    """Half of the labels came before it and half after."""
    feed.bring("rows.csv", customers("r", 400, seed=3, labelled=False))
    text = feed.labels("r", 400, seed=3).splitlines()
    feed.bring("first.csv", "\n".join(text[:201]) + "\n")
    training.run(feed.world.config, feed.ledger)
    deployment.run(feed.world.config, feed.ledger, by_force=True)

    feed.bring("second.csv", "\n".join([text[0], *text[201:]]) + "\n")

    assert feed.scores() == [(1, 200), (1, 200)]
    assert feed.seen() == 200


def test_rows_and_their_labels_in_one_run_are_seen_once(feed):
    """The row has no prediction yet when its label comes."""
    feed.world.drop("1.csv", customers("r", 100, seed=3, labelled=False))

    feed.bring("2.csv", feed.labels("r", 100, seed=3))

    assert feed.seen() == 100
    assert feed.scores() == [(1, 100)]


def test_a_model_drift_is_dated_by_the_rows_of_its_labels(feed):
    """Taken together with today's rows, whose labels nobody knows."""
    feed.bring("turned.csv", customers("t", 400, seed=5, sign=-1, labelled=False))
    first = feed.ledger.ingestions.last_id()
    feed.world.drop("today.csv", customers("n", 50, seed=6, sign=-1, labelled=False))

    feed.bring("zlabels.csv", feed.labels("t", 400, seed=5, sign=-1))

    found = {i.kind: i.since_ingestion_id for i in feed.ledger.incidents.unresolved()}
    assert found["model_drift"] == first


def test_late_labels_are_of_the_day_of_their_rows(feed):
    """Rows of a Monday whose labels come on Saturday know nothing about weekends."""
    feed.bring("rows.csv", customers("r", 100, seed=3, labelled=False))
    feed.clock[0] += timedelta(days=4)

    feed.bring("labels.csv", feed.labels("r", 100, seed=3))

    newest = Profile.from_json(feed.ledger.assessments.history(newest=1)[-1].profile)
    calendar = newest.when("labelled rows")
    assert feed.clock[0].weekday() == 5
    assert (calendar[9], calendar[10]) == (0, 1)  # no weekend, but a Monday
