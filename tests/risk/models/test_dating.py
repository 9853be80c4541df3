from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

from risk.models import dating
from risk.models.dating import INGESTION, MOMENT, PLACE, Change

ROWS = pd.DataFrame(
    {
        INGESTION: [1, 1, 2, 2, 3],
        PLACE: [0, 1, 0, 1, 0],
        "at": [
            "2026-03-03",
            "2026-03-01T10:00:00Z",
            "2026-03-02 00:00:00",
            "2026-03-01T12:00:00+03:00",
            "2026-03-05",
        ],
    }
)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (None, [0, 1, 2, 3, 4]),
        (Change(2), [2, 3, 4]),
        (Change(2, 1), [3, 4]),
        (Change(1, 1), [1, 2, 3, 4]),
        (Change(9), []),
    ],
)
def test_without_event_time_rows_are_dated_by_the_order_they_came(since, expected):
    """A change may begin in the middle of a drop."""
    known = dating.is_since(ROWS, since, None)

    assert known.nonzero()[0].tolist() == expected


def test_event_times_count_before_the_drop():
    """Times are compared as moments, whichever way they are written."""
    since = Change(1, 1, "2026-03-02T00:00:00+00:00")

    assert dating.is_since(ROWS, since, "at").tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("event_time", "order"), [(None, [0, 1, 2, 3, 4]), ("at", [3, 1, 2, 0, 4])]
)
def test_rows_are_put_into_the_order_of_their_dates(event_time, order):
    """A backlog may come in any order."""
    shuffled = ROWS.sample(frac=1, random_state=1)

    assert dating.in_order(shuffled, event_time).index.tolist() == order


@pytest.mark.parametrize("event_time", [None, "at"])
def test_a_change_that_begins_with_a_row_has_its_date(event_time):
    """So the row itself is after the change."""
    for position in range(len(ROWS)):
        change = dating.date_of(ROWS, position, event_time)

        assert dating.is_since(ROWS, change, event_time)[position]
        assert (change.ingestion_id, change.place) == tuple(ROWS[[INGESTION, PLACE]].loc[position])


def test_rows_are_dated_by_their_event_time_else_by_their_arrival():
    """In UTC without saying so, as arrays of numpy know no zones."""
    arrived = [datetime(2026, 3, 9, hour, tzinfo=UTC) for hour in range(5)]

    by_event, by_arrival, at_once = (
        dating.with_moments(ROWS, event_time, at)[MOMENT].astype("str").tolist()
        for event_time, at in (("at", arrived), (None, arrived), (None, arrived[0]))
    )

    assert by_event[3] == "2026-03-01 09:00:00"
    assert by_arrival == [f"2026-03-09 0{hour}:00:00" for hour in range(5)]
    assert len(set(at_once)) == 1


def test_rows_of_many_columns_are_dated_without_a_warning(recwarn):
    """Pandas warns of frames that grow by a column, as accepted rows are one block a column."""
    table = pa.table({f"x{number}": [0.5] for number in range(200)})
    rows = table.to_pandas(split_blocks=True)

    dated = dating.with_moments(rows, None, datetime(2026, 3, 7, tzinfo=UTC))

    assert dated.columns[-1] == MOMENT
    assert not recwarn.list
