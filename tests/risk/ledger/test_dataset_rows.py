import json

import pandas as pd
import pytest
import sqlalchemy as sa

import ingestion
from risk.errors import LedgerError
from risk.ledger.tables import dataset_rows
from tests.factories import FEATURES, HEADER, UNLABELLED
from tests.risk.data.test_late_labels import ingest
from tests.servers import on_every_server

pytestmark = on_every_server

LABELS = "corporation,exited\n"


@pytest.fixture
def inbox(world):
    """Give a world that keeps its data set in SQL, and whose input folder is empty."""
    world.set(input_folder_path="inbox", store_dataset_in_sql=True)
    world.config.input_folder.mkdir()
    return world


def in_sql(ledger):
    query = sa.select(dataset_rows).order_by(dataset_rows.c.ingestion_id, dataset_rows.c.identifier)
    with ledger.engine.connect() as connection:
        return list(connection.execute(query))


def labels(ledger):
    return {row.identifier: (row.y_true, row.labelled_by) for row in in_sql(ledger)}


def test_sql_holds_what_a_person_would_merge_by_hand(world, ledger):
    """The oracle is pandas: concatenate the drops, drop duplicates, nothing else."""
    world.set(store_dataset_in_sql=True)

    ingestion.run(world.config, ledger)

    found = pd.DataFrame([json.loads(row.row) for row in in_sql(ledger)])
    names = ("dataset1.csv", "dataset2.csv")
    drops = [pd.read_csv(world.folder / "data/development" / name) for name in names]
    expected = pd.concat(drops).drop_duplicates().sort_values(["corporation", "lastyear_activity"])
    found = found.sort_values(["corporation", "lastyear_activity"])
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), expected.reset_index(drop=True), check_dtype=False
    )


def test_nothing_is_stored_unless_it_is_asked_for(world, ledger):
    """By default the rows are in files alone."""
    ingestion.run(world.config, ledger)

    assert in_sql(ledger) == []


def test_a_row_keeps_every_digit_and_every_character(inbox, ledger):
    """0.1 + 0.2, a very large and the smallest number, quotes, emoji, a missing value."""
    numbers = [0.1 + 0.2, 9.999999999999998e19, 5e-324]
    name = "Ünï \"q\" \\ 's' 🐘"
    line = ",".join(map(repr, numbers))
    quoted = name.replace('"', '""')

    ingest(inbox, ledger, odd=HEADER + f'"{quoted}",{line},1\nblank,,2,3,0\n')

    blank, odd = sorted(in_sql(ledger), key=lambda row: row.identifier != "blank")
    assert (odd.identifier, odd.y_true, odd.labelled_by) == (name, 1, None)
    assert json.loads(odd.row) == {
        "corporation": name,
        **dict(zip(FEATURES, numbers, strict=True)),
        "exited": 1,
    }
    assert json.loads(blank.row)["lastmonth_activity"] is None


def test_the_database_can_look_into_the_json(inbox, ledger):
    """What an analyst writes, in each server's own words."""
    ingest(inbox, ledger, drop=HEADER + "a,1,2.5,3,1\nb,1,7.5,3,0\n")
    path = {
        "sqlite": "json_extract(\"row\", '$.lastyear_activity')",
        "postgresql": "(\"row\"::json ->> 'lastyear_activity')::float",
        "mysql": "json_value(`row`, '$.lastyear_activity')",
    }

    with ledger.engine.connect() as connection:
        name = {"mariadb": "mysql"}.get(connection.dialect.name, connection.dialect.name)
        query = f"SELECT sum({path[name]}) FROM dataset_rows"
        total = connection.exec_driver_sql(query).scalar()

    assert float(total) == 10.0


def test_the_time_of_the_event_is_a_column(inbox, ledger):
    """As it came, beside the JSON."""
    inbox.set(columns__event_time="seen_at")
    text = f"corporation,seen_at,{','.join(FEATURES)},exited\na,2026-03-01T12:00:00Z,1,2,3,1\n"

    ingest(inbox, ledger, drop=text)

    assert [row.event_time for row in in_sql(ledger)] == ["2026-03-01T12:00:00Z"]


def test_a_label_that_comes_later_ripens_the_row_in_sql(inbox, ledger):
    """The drop of labels is named beside it; the row stays as it came."""
    ingest(inbox, ledger, a_rows=UNLABELLED + "a,1,2,3\nb,1,2,3\nc,1,2,3\n")
    ingest(inbox, ledger, b_truth=LABELS + "a,1\nc,0\n")

    assert labels(ledger) == {"a": (1, 2), "b": (None, None), "c": (0, 2)}
    assert {json.loads(row.row)["exited"] for row in in_sql(ledger)} == {None}


def test_rows_from_before_it_was_asked_for_are_filled_in_with_their_labels(inbox, ledger):
    """Nothing new needs to come for that; it is the same as if it had always been on."""
    inbox.set(store_dataset_in_sql=False)
    ingest(inbox, ledger, a_rows=UNLABELLED + "a,1,2,3\nb,1,2,3\n")
    ingest(inbox, ledger, b_truth=LABELS + "a,1\n")
    ingest(inbox, ledger, c_rows=HEADER + "c,1,2,3,0\n")

    inbox.set(store_dataset_in_sql=True)
    ingest(inbox, ledger)

    assert labels(ledger) == {"a": (1, 2), "b": (None, None), "c": (0, None)}


def test_labels_reach_rows_in_sql_while_no_more_are_stored(inbox, ledger):
    """Switched off for a while, what is there stays true."""
    ingest(inbox, ledger, a_rows=UNLABELLED + "a,1,2,3\n")
    inbox.set(store_dataset_in_sql=False)

    ingest(inbox, ledger, b_truth=LABELS + "a,1\n")

    assert labels(ledger) == {"a": (1, 2)}


def test_rows_in_sql_are_accepted_in_the_same_moment(inbox, ledger):
    """A row SQL refuses undoes the whole drop: neither its hash nor its ingestion stays."""
    ingest(inbox, ledger, a=HEADER + "a,1,2,3,0\n")
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM row_hashes"))

    with pytest.raises(LedgerError):
        ingest(inbox, ledger, b=HEADER + "a,1,2,3,0\nb,1,2,3,0\n")

    assert ledger.ingestions.last_id() == 1
    with ledger.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM row_hashes")) == 0
    assert len(in_sql(ledger)) == 1


def test_a_requeued_row_is_in_sql_once(inbox, ledger):
    """Its first drop was refused in part."""
    ingest(inbox, ledger, mixed=HEADER + "a,1,2,3,0\nb,-1,2,3,0\n")
    mended = inbox.set(columns__allowed_ranges={})

    ingestion.run(mended, ledger, requeue=1)

    assert [(row.identifier, row.ingestion_id) for row in in_sql(ledger)] == [("a", 1), ("b", 2)]


def test_a_name_too_long_for_sql_is_quarantined_and_never_cut_off(inbox, ledger):
    """650 characters are a name, 651 are not; each of them may be four bytes."""
    longest, too_long = "🐘" * 650, "🐘" * 651

    (intake,) = ingest(inbox, ledger, long=HEADER + f"{longest},1,2,3,0\n{too_long},1,2,3,0\n")

    assert (intake.rows_added, intake.rows_quarantined) == (1, 1)
    assert [row.identifier for row in in_sql(ledger)] == [longest]
    assert ledger.quarantine.commonest_problem(1) == "corporation longer than 650 characters"
