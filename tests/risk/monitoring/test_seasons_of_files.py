"""Seasons through everything a run does: files in, rows dated, a release made, drops assessed."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import ingestion
from risk.monitoring import monitored_release
from risk.monitoring import run as monitoring
from risk.monitoring.detector import BY_SIMULATION
from risk.stats.seasons import WEEKEND
from tests.factories import FEATURES, first_release
from tests.torture import in_full

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HEADER = f"corporation,at,{','.join(FEATURES)},exited\n"


def of_days(rng, days, *, size=100):
    """Write customers of some days, who are larger companies at weekends."""
    lines = [HEADER]
    for day in days:
        for i, second in enumerate(rng.integers(0, 86_400, size)):
            at = MONDAY + timedelta(days=int(day), seconds=int(second))
            activity, weekend = rng.integers(0, 100), at.weekday() >= 5
            employees = round(rng.normal(500 + 50 * weekend, 100))
            left = int(rng.random() < 1 / (1 + np.exp((activity - 50) / 8)))
            numbers = f"{activity},{10 * activity},{employees},{left}"
            lines.append(f"c{day}x{i},{at:%Y-%m-%dT%H:%M:%SZ},{numbers}\n")
    return "".join(lines)


@pytest.mark.parametrize("n_days", [2, in_full(60)])
def test_weekends_in_the_files_raise_no_alarm(world, n_days):
    """Four weeks in three files, the last day a Friday; then a drop a day."""
    world.take_from_inbox()
    world.set(columns__event_time="at", columns__numeric=[*FEATURES])
    rng, clock = np.random.default_rng(20261217), [MONDAY + timedelta(days=33)]
    for part in np.array_split(np.arange(5, 33), 3):
        world.drop(f"history{part[0]}.csv", of_days(rng, part))
    world.config.test_data.write_text(of_days(rng, range(100, 107), size=20))
    with world.open_ledger(clock=lambda: clock[0]) as ledger:
        first_release(world.config, ledger)
        found = []
        for day in range(33, 33 + n_days):
            clock[0] += timedelta(days=1)
            world.drop(f"{day}.csv", of_days(rng, [day]))
            ingestion.run(world.config, ledger)
            found.append(monitoring.assess(world.config, ledger))
    reference = monitored_release.load(world.config).reference

    assert reference.curves["number_of_employees"].terms == (WEEKEND,)
    assert [alarm for each in found for alarm in each.alarms] == []
    assert found[0].facts["seasons"]["curves"][0]["subject"] == "number_of_employees"
    rests_on = {
        f.feature: f.facts["guarantee"] for f in found[0].findings if "guarantee" in f.facts
    }
    assert rests_on["number_of_employees"] == BY_SIMULATION
