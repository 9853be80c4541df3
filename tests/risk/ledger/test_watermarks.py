from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from risk.errors import SourceError
from risk.ledger import watermarks
from risk.ledger.ingestions import Taken
from risk.ledger.watermarks import MAX_AGAIN, Watermark
from tests.risk.ledger.test_ingestions import intake
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

MARKS = [
    2**62,
    0.1 + 0.2,
    Decimal("12345678901234567890.123456789"),
    "Ünï 🐘 '\\",
    datetime(2026, 3, 1, 12, 0, 0, 123456),
    datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=2))),
    date(2026, 3, 1),
]


@pytest.mark.parametrize("value", MARKS, ids=repr)
def test_a_mark_comes_back_as_what_it_was(ledger, value):
    """Of the same kind and with every digit, else rows would be lost or taken twice."""
    mark = Watermark("crm", value, Counter({1: 2, 2**63: 1}))

    ledger.ingestions.record(intake(1), taken=Taken(mark=mark))

    found = ledger.watermarks.of("crm")
    assert found == mark
    assert type(found.value) is type(value)


def test_a_source_has_one_mark_which_moves(ledger):
    """Another source has its own; one never read has none."""
    for number, name, value in [(1, "crm", 5), (2, "shop", 7), (3, "crm", 9)]:
        mark = Watermark(name, value)
        ledger.ingestions.record(intake(number), taken=Taken(mark=mark))

    marks = [ledger.watermarks.of(name) for name in ("crm", "shop", "other")]

    assert marks == [Watermark("crm", 9), Watermark("shop", 7), None]


def test_a_drop_that_is_not_committed_moves_no_mark(ledger, monkeypatch):
    """They are one transaction."""
    ledger.ingestions.record(intake(1), taken=Taken(mark=Watermark("crm", 5)))

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(watermarks, "move", crash)
    with pytest.raises(KeyboardInterrupt):
        ledger.ingestions.record(intake(2), taken=Taken(hashes=[1], mark=Watermark("crm", 9)))

    assert ledger.watermarks.of("crm") == Watermark("crm", 5)
    assert ledger.ingestions.known_hashes([1]) == []


@pytest.mark.parametrize("value", [True, b"1", 1j])
def test_what_cannot_be_ordered_like_in_sql_is_no_mark(ledger, value):
    """A boolean knows two moments only."""
    with pytest.raises(SourceError, match="mark must be a number, a time or a text, not"):
        Watermark("crm", value)


def test_more_ties_than_can_be_remembered_are_refused():
    """Else the server would refuse the whole drop, and each run after it."""
    Watermark("crm", 1, Counter({1: MAX_AGAIN}))

    with pytest.raises(SourceError, match="choose a finer mark"):
        Watermark("crm", 1, Counter({1: MAX_AGAIN, 2: 1}))
