from tests.risk.ledger.test_ingestions import intake
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn


def test_a_decision_covers_the_ingestions_it_looked_at(ledger):
    """The third came after it was made."""
    for number in (1, 2, 3):
        ledger.ingestions.record(intake(number))

    ledger.decisions.record("keep", "quiet", through=2)

    assert ledger.ingestions.pending() == [3]


def test_a_switch_stays_open_until_it_is_carried_out(ledger):
    """A crash in between is what the next run looks for."""
    decision_id = ledger.decisions.record("rollback", "by hand", version=4)

    assert ledger.decisions.unfinished().id == decision_id
    ledger.decisions.complete(decision_id)
    assert ledger.decisions.unfinished() is None
    assert ledger.decisions.live_version() == 4
