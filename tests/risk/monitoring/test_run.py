from dataclasses import replace

from threadpoolctl import threadpool_info, threadpool_limits

import ingestion
from risk.monitoring import run as monitoring
from tests.factories import customers, first_release


def test_a_look_at_new_rows_takes_one_thread(world):
    """Threads that wait for each other at every tree make a drop of 100 rows take seconds."""
    config, threads = world.take_from_inbox(), set()

    def summary(_facts):
        threads.update(library["num_threads"] for library in threadpool_info())
        return ""

    with world.open_ledger() as ledger, threadpool_limits(2):
        world.drop("history.csv", customers("h", 300, seed=0))
        first_release(config, ledger)
        world.drop("new.csv", customers("n", 100, seed=1))
        ingestion.run(config, ledger)
        monitoring.assess(config, ledger, describe=replace(monitoring.SILENT, summary=summary))

    assert threads == {1}
