import pytest
import sqlalchemy as sa

from risk.ledger import tables
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn


def test_a_failed_stage_is_no_timing(ledger):
    """Timings are of real, whole runs."""
    with pytest.raises(ZeroDivisionError), ledger.runs.stage("training"):
        1 / 0  # noqa: B018
    with ledger.runs.stage("training"):
        pass

    assert len(ledger.runs.timings()) == 1


def test_a_run_cut_off_is_aborted_by_the_next(ledger):
    """It cannot say so itself."""
    ledger.runs.start()
    ledger.runs.start()

    with ledger.engine.connect() as connection:
        statuses = list(connection.scalars(sa.select(tables.runs.c.status)))
    assert statuses == ["aborted", "running"]
