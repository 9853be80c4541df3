import math
import sys
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from risk.errors import LedgerError
from risk.ledger.ingestions import Taken
from risk.ledger.tables import assessments, findings, ingestions, quarantined_rows, scores
from risk.schema import Problem
from tests.servers import on_every_server

pytestmark = on_every_server

SOME = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# without NUL and halves of pairs, which have a test of their own
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
numbers = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.timezones() | st.just(UTC),
)
counts = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def engine(ledger):
    return ledger.engine


def stored(engine, table, row):
    """Return a row as it comes back, from another connection than it was written over."""
    with engine.begin() as connection:
        number = connection.execute(table.insert().values(row)).inserted_primary_key[0]
    with engine.connect() as connection:
        found = connection.execute(sa.select(table).where(table.c.id == number)).mappings().one()
    return {name: found[name] for name in row}


@SOME
@given(value=numbers, lower=st.none() | numbers, n=counts, moment=moments, name=texts)
def test_numbers_and_times_come_back_exactly(engine, value, lower, n, moment, name):
    """No digit, no microsecond and no sign is lost on the way."""
    row = {"value": value, "lower": lower, "n": n, "scored_at": moment, "dataset": name[:700]}

    found = stored(engine, scores, row | {"model_sha256": "0", "metric": "f1"})

    # by UTC: an hour that comes twice in its own zone is unequal to every time of another
    assert {name: found[name] for name in row} == row | {"scored_at": moment.astimezone(UTC)}
    assert math.copysign(1, found["value"]) == math.copysign(1, value) or value == 0
    assert found["scored_at"].tzinfo is UTC


@SOME
@given(detected=st.booleans(), feature=texts.filter(lambda t: len(t) <= 700), detail=texts)
def test_texts_and_truths_come_back_exactly(engine, detected, feature, detail):
    """In every script, with every sign, spaces at the end included."""
    row = {"drift_detected": detected, "feature": feature, "detail": detail}
    common = {"found_at": datetime.now(UTC), "check_name": "c", "method": "m", "n": 1}

    found = stored(engine, findings, row | common)

    assert {name: found[name] for name in row} == row
    assert type(found["drift_detected"]) is bool


@pytest.mark.parametrize("value", [sys.float_info.min, 5e-324, sys.float_info.max, -0.1, 1 / 3])
def test_numbers_at_the_edge_come_back_exactly(engine, value):
    """The smallest and the largest there are, and those that have no last digit."""
    row = {"scored_at": datetime.now(UTC), "model_sha256": "0", "metric": "f1", "n": 1}

    assert stored(engine, scores, row | {"dataset": "d", "value": value})["value"] == value


@pytest.mark.parametrize(
    ("value", "kept"),
    [(math.nan, None), (math.inf, sys.float_info.max), (-math.inf, -sys.float_info.max)],
)
def test_what_is_no_finite_number_is_stored_as_what_every_server_knows(engine, value, kept):
    """NaN is unknown; evidence beyond every number is the largest there is."""
    row = {"scored_at": datetime.now(UTC), "model_sha256": "0", "metric": "f1", "n": 1}

    assert stored(engine, scores, row | {"dataset": "d", "value": value})["value"] == kept


def drop(**changes):
    counted = ("rows_read", "rows_added", "rows_duplicate", "rows_quarantined")
    seen = ("size_bytes", "mtime_ns", "ctime_ns", "inode")
    common = {"ingested_at": datetime.now(UTC), "sha256": "0", "status": "taken"}
    return {"path": "a", **dict.fromkeys((*counted, *seen), 0), **common, **changes}


def test_names_are_told_apart_by_case_accents_and_spaces(engine):
    """What is one name to a person is two files on a disk."""
    names = ["data/a.csv", "data/A.csv", "data/á.csv", "data/a.csv ", "data/ａ.csv", "😀" * 500]
    for name in names:
        stored(engine, ingestions, drop(path=name))

    with engine.connect() as connection:
        for name in names:
            query = sa.select(ingestions.c.path).where(ingestions.c.path == name)
            assert list(connection.scalars(query)) == [name]
        query = sa.select(ingestions.c.path).order_by(ingestions.c.path)
        assert list(connection.scalars(query)) == sorted(names)


def test_a_name_that_is_too_long_is_refused_and_not_cut(ledger):
    """Two names cut to the same length would be one."""
    row = drop(path="ü" * 701)

    with pytest.raises(LedgerError, match="701 characters, max 700"):
        ledger.ingestions.record({"id": 1, **row})

    assert ledger.ingestions.last_id() == 0


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ü" * 255, "ü" * 255),
        ("ü" * 256, "ü" * 254 + "…"),
        ("\udc80" * 50, ("\\udc80" * 50)[:254] + "…"),
    ],
    ids=["it fits", "too long", "too long once shown"],
)
def test_a_text_that_only_describes_is_cut_to_what_fits(ledger, text, kept):
    """The reason for a refusal must never be the reason for a failure."""
    problem = Problem(2, text, text, text)

    ledger.ingestions.record({"id": 1, **drop()}, taken=Taken(problems=[problem]))

    with ledger.engine.connect() as connection:
        row = connection.execute(sa.select(quarantined_rows)).one()
    assert (row.column_name, row.rule, row.value) == (kept, kept, kept)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a\0b", "a␀b"), ("a\udc80", "a\\udc80"), ("\x01\x7f\u2028", "\x01\x7f\u2028")],
)
def test_signs_that_not_every_server_can_hold_are_shown(ledger, text, kept):
    """A broken cell of a drop must not fail the record that tells of it."""
    number = ledger.decisions.record("keep", text)
    stored(ledger.engine, ingestions, drop(path=text))

    assert ledger.decisions.last("keep").id == number
    assert ledger.decisions.last("keep").reason == kept
    assert ledger.ingestions.taken_paths() == [kept]


def test_texts_have_no_limit(engine):
    """A table of thousands of columns has a profile of megabytes."""
    text = "漢字 and \\ 'quotes' %s :name\n" * 200_000
    row = {"assessed_at": datetime.now(UTC), "version": 1, "n": 1, "profile": text}

    found = stored(engine, assessments, row | {"summary": text[:100_000], "cause": ""})

    assert found["profile"] == text
    assert found["summary"] == text[:100_000]


def test_a_time_without_a_zone_is_refused(ledger):
    """Nobody could tell what it means."""
    ledger.database.now = lambda: datetime(2026, 1, 1)  # noqa: DTZ001

    with pytest.raises(LedgerError, match="without a time zone"):
        ledger.decisions.record("keep", "because")
