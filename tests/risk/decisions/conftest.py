import pytest

from tests.factories import once
from tests.risk.decisions.days import START, Loop, learn


@pytest.fixture
def loop(world, shared):
    """Give a release that learnt 1500 customers."""
    world.copy_of(once(shared, "learnt_1500", learn))
    clock = [START]
    with world.open_ledger(clock=lambda: clock[0]) as ledger:
        yield Loop(world, ledger, clock)
