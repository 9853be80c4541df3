import csv

import pandas as pd
import pytest
import sqlalchemy as sa

import ingestion
import training
from risk import schema, store
from risk.data import identifiers, late_labels
from risk.data.drops import Piece
from risk.errors import UnknownName
from risk.ledger import tables
from risk.models import training_data
from risk.schema import LaterLabel
from tests.factories import FEATURES, UNLABELLED, counts
from tests.servers import on_servers_in_turn

pytestmark = on_servers_in_turn

LABELS = "corporation,exited\n"


class Row:
    """A row that waits, or a label that is known."""

    def __init__(self, key_hash, *, row_hash=0, ingestion_id=1, y_true=None):
        self.key_hash, self.row_hash, self.event_time_us = key_hash, row_hash, None
        self.ingestion_id, self.y_true = ingestion_id, y_true


def ingest(world, ledger, **drops):
    """Drop files and take them; return what became of each."""
    for name, text in drops.items():
        world.drop(f"{name}.csv", text)
    return ingestion.run(world.config, ledger).intakes


def known(world, ledger):
    """Return (name, label) of every accepted row in order of arrival, None where it is unknown."""
    rows = training_data.accepted(world.config, ledger, ledger.parts.ids())
    truth = [None if pd.isna(label) else int(label) for label in rows["exited"]]
    return list(zip(rows["corporation"], truth, strict=True))


def reasons(world, number):
    path = store.quarantine_path(world.config, number) / "reasons.csv"
    with open(path, newline="", encoding="utf-8") as file:
        return [tuple(row[1:]) for row in list(csv.reader(file))[1:]]


def piece(*pairs):
    """Make the piece of a drop that labels these names."""
    names, truth = zip(*pairs, strict=True)
    rows = pd.DataFrame(
        {"corporation": pd.array(names, dtype="str"), "exited": pd.array(truth, dtype="Int8")}
    )
    records = [[name, str(label)] for name, label in pairs]
    lines = list(range(2, len(pairs) + 2))
    return Piece(rows, [], ["corporation", "exited"], [], len(pairs), lines, records)


def match(world, told, *, waiting=(), earlier=()):
    columns = world.config.columns.of_labels(["corporation", "exited"])
    return late_labels.match(told, columns, waiting=lambda _: waiting, known=lambda _: earlier)


def name_hash(name):
    frame = pd.DataFrame({"corporation": pd.array([name], dtype="str")})
    return int(pd.util.hash_pandas_object(frame, index=False).to_numpy().view("int64")[0])


def test_a_label_goes_to_the_row_that_waited_longest(world):
    """Two rows of one name: the first label is the first row's."""
    a = name_hash("a")
    queue = [Row(a, row_hash=11, ingestion_id=1), Row(a, row_hash=12, ingestion_id=3)]

    matched = match(world, piece(("a", 1), ("a", 0)), waiting=queue)

    assert matched.labels == [LaterLabel(11, a, 1, 1), LaterLabel(12, a, 0, 3)]
    assert (matched.n_duplicate, matched.problems) == (0, [])


def test_a_label_that_is_known_is_a_duplicate_and_its_opposite_is_refused(world):
    """Sent twice does no harm; what contradicts is for a person."""
    earlier = [Row(name_hash("a"), y_true=1)]

    matched = match(world, piece(("a", 1), ("a", 0)), earlier=earlier)

    assert (matched.labels, matched.n_duplicate) == ([], 1)
    assert matched.problems == [schema.Problem(3, "corporation", late_labels.CONTRADICTION, "a")]
    assert matched.refused == [["a", "0"]]


def test_within_one_piece_a_label_is_known_once_it_was_given(world):
    """The second line repeats the first, the third contradicts it."""
    queue = [Row(name_hash("a"), row_hash=11)]

    matched = match(world, piece(("a", 1), ("a", 1), ("a", 0)), waiting=queue)

    assert [label.row_hash for label in matched.labels] == [11]
    assert (matched.n_duplicate, [problem.line for problem in matched.problems]) == (1, [4])


def test_a_blank_label_uses_up_no_row(world):
    """It is refused, and the next label finds the row still waiting."""
    queue = [Row(name_hash("a"), row_hash=11)]

    matched = match(world, piece(("a", None), ("a", 0)), waiting=queue)

    assert [problem.rule for problem in matched.problems] == [late_labels.NO_LABEL]
    assert [(label.row_hash, label.y_true) for label in matched.labels] == [(11, 0)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (["corporation", "exited"], True),
        (["exited", "corporation", "remark"], True),
        (["corporation", "exited", "number_of_employees"], False),
        (["corporation"], False),
    ],
)
def test_a_drop_of_labels_names_the_target_and_no_feature(world, header, expected):
    """A header that has a feature is one of rows, however incomplete."""
    assert late_labels.has_only_labels(header, world.config.columns) is expected


def test_labels_ripen_the_rows_that_wait_for_them(inbox, ledger):
    """The rows came last week; what became of their customers comes now."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\nb,4,5,6\nc,7,8,9\n")

    (intake,) = ingest(inbox, ledger, truth=LABELS + "c,1\na,0\n")

    assert (intake.kind, counts(intake)) == ("labels", (2, 2, 0, 0))
    assert known(inbox, ledger) == [("a", 0), ("b", None), ("c", 1)]


def test_over_many_drops_the_oldest_waiting_row_is_ripened_first(inbox, ledger):
    """One customer, seen in three months; the labels follow in the same order."""
    for month in (1, 2, 3):
        ingest(inbox, ledger, **{f"rows{month}": f"{UNLABELLED}a,{month},2,3\n"})

    for month, label in ((1, 1), (2, 0)):
        ingest(inbox, ledger, **{f"truth{month}": f"{LABELS}a,{label}\n,{month}\n"})

    assert known(inbox, ledger) == [("a", 1), ("a", 0), ("a", None)]


def test_an_event_time_tells_which_row_of_a_name_a_label_is_for(inbox, ledger):
    """Then the order of arrival no longer matters."""
    inbox.set(columns__event_time="day")
    rows = f"corporation,day,{','.join(FEATURES)}\na,2026-01-01,1,2,3\na,2026-02-01,1,2,3\n"
    ingest(inbox, ledger, rows=rows)

    (intake,) = ingest(inbox, ledger, truth="corporation,day,exited\na,2026-02-01,1\n")

    assert counts(intake) == (1, 1, 0, 0)
    assert known(inbox, ledger) == [("a", None), ("a", 1)]


def test_a_label_needs_an_event_time_only_where_its_identifier_has_several_rows(inbox, ledger):
    """Customer b came once; of a there are two rows, and one label without a day for both."""
    inbox.set(columns__event_time="day")
    rows = "a,2026-01-01,1,2,3\na,2026-02-01,1,2,3\nb,2026-01-01,1,2,3\n"
    ingest(inbox, ledger, rows=f"corporation,day,{','.join(FEATURES)}\n{rows}")

    (intake,) = ingest(inbox, ledger, truth=LABELS + "a,1\nb,0\n")

    assert counts(intake) == (2, 1, 0, 1)
    assert reasons(inbox, 2) == [("2", "corporation", late_labels.AMBIGUOUS, "a")]
    assert known(inbox, ledger) == [("a", None), ("a", None), ("b", 0)]


def test_a_label_without_its_time_is_not_given_to_the_next_row_of_that_name(inbox, ledger):
    """January's label is sent again when February's row waits; whose it is it does not say."""
    inbox.set(columns__event_time="day")
    header = f"corporation,day,{','.join(FEATURES)}\n"
    ingest(inbox, ledger, january=f"{header}a,2026-01-01,1,2,3\n", truth=LABELS + "a,0\n")

    _, again = ingest(
        inbox, ledger, february=f"{header}a,2026-02-01,1,2,3\n", truth2=LABELS + "a,0\n,\n"
    )

    assert reasons(inbox, 4)[0] == ("2", "corporation", late_labels.AMBIGUOUS, "a")
    assert known(inbox, ledger) == [("a", 0), ("a", None)]


SPELLINGS = [
    ("2026-03-01 10:00:00", "2026-03-01T10:00:00"),
    ("2026-03-01T10:00:00", "2026-03-01T10:00:00Z"),
    ("2026-03-01 10:00:00", "2026-03-01 10:00:00+00:00"),
    ("2026-03-01T10:00:00Z", "2026-03-01T12:30:00+02:30"),
    ("2026-03-01 10:00", "2026-03-01 10:00:00.000000"),
    ("2026-03-01 10:00:00.5", "2026-03-01T10:00:00.500Z"),
    ("2026-03-01", "2026-03-01 00:00:00"),
    ("2026-03-01T00:00:00.000Z", "2026-03-01"),
    ("2026-03-01", "2026-02-28T23:00:00-01:00"),
]


@pytest.mark.parametrize(("row", "label"), SPELLINGS)
def test_times_are_equal_if_they_mean_the_same_moment(inbox, ledger, row, label):
    """One system writes a blank, the other a T; without a zone both mean UTC."""
    inbox.set(columns__event_time="at")
    header = f"corporation,at,{','.join(FEATURES)}\n"
    ingest(inbox, ledger, a=f"{header}a,{row},1,2,3\n")

    again, intake = ingest(
        inbox, ledger, b=f"{header}a,{label},1,2,3\n", c=f"corporation,at,exited\na,{label},1\n"
    )

    assert (counts(again), counts(intake)) == ((1, 0, 1, 0), (1, 1, 0, 0))
    assert known(inbox, ledger) == [("a", 1)]


def test_other_moments_are_other_rows(inbox, ledger):
    """A microsecond is enough, and so is a tenth of one."""
    inbox.set(columns__event_time="at")
    times = ["10:00:00", "10:00:00.000001", "10:00:00.0000011", "10:00:00+01:00"]
    rows = "".join(f"a,2026-03-01 {at},1,2,3\n" for at in times)

    (intake,) = ingest(inbox, ledger, a=f"corporation,at,{','.join(FEATURES)}\n{rows}")

    assert counts(intake) == (4, 4, 0, 0)


def test_rows_accepted_under_the_text_of_their_time_are_known_by_its_moment(inbox, ledger):
    """An installation is upgraded: nothing is taken twice, and labels find the old rows."""
    inbox.set(columns__event_time="at")
    header = f"corporation,at,{','.join(FEATURES)}\n"
    old = inbox.drop("old.csv", f"{header}a,2026-03-01T10:00:00,1,2,3\nb,2026-03-01T10:00,1,2,3\n")
    ingestion.run(inbox.config, ledger)
    forget_moments(inbox, ledger)
    old.unlink()

    again, labels, relabelled = ingest(
        inbox,
        ledger,
        a=f"{header}a,2026-03-01 10:00:00,1,2,3\n",
        b="corporation,at,exited\na,2026-03-01 10:00:00Z,1\n",
        c=f"{header.strip()},exited\nb,2026-03-01T10:00:00,1,2,3,0\n",
    )

    assert (counts(again), counts(labels)) == ((1, 0, 1, 0), (1, 1, 0, 0))
    assert (relabelled.kind, counts(relabelled)) == ("labels", (1, 1, 0, 0))
    assert known(inbox, ledger) == [("a", 1), ("b", 0)]


def forget_moments(world, ledger):
    """Leave hashes and keys as the version before revision 0009 did: of the text of a time."""
    rows = store.read_parts(world.config, [1])
    names = rows[["corporation", "at"]]
    key_hashes = pd.util.hash_pandas_object(names, index=False).to_numpy().view("int64").tolist()
    hashes = schema.fingerprints(rows[world.config.columns.all]).tolist()
    with store.writing_part(store.part_path(world.config, 1), world.config.columns) as write:
        write(rows.assign(row_hash=hashes))
    with ledger.engine.begin() as connection:
        connection.execute(tables.row_hashes.delete())
        connection.execute(tables.unripe_rows.delete())
        connection.execute(tables.ingestions.update().values(hash_version=None, part_sha256=None))
        for row_hash, key_hash in zip(hashes, key_hashes, strict=True):
            row = {"row_hash": row_hash, "ingestion_id": 1}
            connection.execute(tables.row_hashes.insert().values(row))
            connection.execute(tables.unripe_rows.insert().values(row | {"key_hash": key_hash}))


def test_labels_sent_again_are_duplicates(inbox, ledger):
    """A larger file with all labels so far is usual; nothing is counted twice."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\nb,4,5,6\n", truth=LABELS + "a,1\n")

    (intake,) = ingest(inbox, ledger, whole_truth=LABELS + "a,1\nb,0\n")

    assert counts(intake) == (2, 1, 1, 0)
    assert known(inbox, ledger) == [("a", 1), ("b", 0)]


def test_what_a_label_drop_brings_is_added_duplicate_or_quarantined_for_a_reason(inbox, ledger):
    """Each of the seven lines is accounted for, and a person can read why."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\nb,4,5,6\nc,1,2,3\n")
    told = "a,1\na,1\na,0\nnobody,1\nb,\nc,maybe\nb,0\n"

    (intake,) = ingest(inbox, ledger, truth=LABELS + told)

    assert counts(intake) == (7, 2, 1, 4)
    assert sorted(reasons(inbox, 2)) == [
        ("4", "corporation", "contradicts the known label", "a"),
        ("5", "corporation", "no row with this key yet; the label waits for it", "nobody"),
        ("6", "corporation", "no label", "b"),
        ("7", "exited", "label other than 0 or 1", "maybe"),
    ]
    assert known(inbox, ledger) == [("a", 1), ("b", 0), ("c", None)]


def test_the_quarantine_holds_the_refused_lines_as_they_came(inbox, ledger):
    """So that they can be mended, or read again once their rows are there."""
    ingest(inbox, ledger, truth="exited,note,corporation\n1,seen,nobody\n0,,a\n")

    copy = store.quarantine_path(inbox.config, 1) / "rows.csv"
    assert copy.read_text() == "exited,note,corporation\n1,seen,nobody\n0,,a\n"


def test_a_label_that_came_too_early_waits_for_its_row(inbox, ledger):
    """It is neither lost nor an error, and is given to the row with which it was sent for."""
    inbox.drop("truth.csv", LABELS + "a,1\nb,0\n")
    early = ingestion.run(inbox.config, ledger)
    (rows,) = ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\nc,1,2,3\n")
    (more,) = ingest(inbox, ledger, more=UNLABELLED + "b,1,2,3\na,9,9,9\n")

    assert (counts(early.intakes[0]), early.exit_code) == ((2, 0, 0, 2), 0)
    assert "early labels: 2 waiting for their rows" in str(early)
    assert (counts(rows), rows.labels_added) == ((2, 2, 0, 0), 1)
    assert (counts(more), more.labels_added) == ((2, 2, 0, 0), 1)
    assert known(inbox, ledger) == [("a", 1), ("c", None), ("b", 0), ("a", None)]


def test_a_label_may_come_before_its_row_in_the_same_run(inbox, ledger):
    """Files are taken by name, which says nothing about who waits for whom."""
    ingest(inbox, ledger, a_truth=LABELS + "a,1\n", b_rows=UNLABELLED + "a,1,2,3\n")

    assert known(inbox, ledger) == [("a", 1)]


def test_a_waiting_label_that_is_sent_again_is_a_duplicate(inbox, ledger):
    """And its opposite is refused, as if the row were there."""
    ingest(inbox, ledger, truth=LABELS + "a,1\n")

    (again,) = ingest(inbox, ledger, again=LABELS + "a,1\na,0\n")

    assert counts(again) == (2, 0, 1, 1)


def test_a_waiting_label_goes_to_the_moment_it_names(inbox, ledger):
    """Two months of one customer: the label of February skips January."""
    inbox.set(columns__event_time="at")
    header = f"corporation,at,{','.join(FEATURES)}\n"
    ingest(inbox, ledger, a="corporation,at,exited\na,2026-02-01T00:00Z,1\n")

    ingest(inbox, ledger, b=f"{header}a,2026-01-01,1,2,3\na,2026-02-01,1,2,3\n")

    assert known(inbox, ledger) == [("a", None), ("a", 1)]


def test_no_more_labels_wait_than_there_is_room_for(inbox, ledger, monkeypatch):
    """Whoever sends labels of strangers for ever does not fill the database."""
    monkeypatch.setattr("risk.data.contents.MAX_EARLY", 2)

    (intake,) = ingest(inbox, ledger, truth=LABELS + "a,1\nb,1\nc,1\n")

    assert (counts(intake), intake.labels_waiting) == ((3, 0, 0, 3), 2)
    assert reasons(inbox, 1)[-1] == ("4", "corporation", late_labels.NO_ROW, "c")


def test_a_row_that_comes_again_with_its_label_ripens_the_first(inbox, ledger):
    """The same customers, exported again once it is known who left."""
    labelled = UNLABELLED.replace("\n", ",exited\n")
    ingest(inbox, ledger, rows=f"{labelled}a,1,2,3,\nb,4,5,6,\nb,4,5,7,\n")

    again = f"{labelled}b,4,5,7,1\na,1,2,3,0\nb,4,5,6,0\n"
    (intake,) = ingest(inbox, ledger, again=again)
    (third,) = ingest(inbox, ledger, third=f"{again}b,4,5,6,1\n")

    assert (intake.kind, counts(intake)) == ("labels", (3, 3, 0, 0))
    assert (third.kind, counts(third)) == ("rows", (4, 0, 3, 1))
    assert reasons(inbox, 3) == [("5", "corporation", late_labels.CONTRADICTION, "b")]
    assert known(inbox, ledger) == [("a", 0), ("b", 0), ("b", 1)]


def test_a_drop_may_bring_new_rows_and_labels_of_old_ones(inbox, ledger):
    """The counts still add up: such a row is a duplicate whose label was wanted."""
    labelled = UNLABELLED.replace("\n", ",exited\n")
    ingest(inbox, ledger, rows=f"{labelled}a,1,2,3,\n")

    result = ingestion.run(
        inbox.drop("again.csv", f"{labelled}c,1,2,3,\na,1,2,3,1\nc,1,2,3,0\n") and inbox.config,
        ledger,
    )

    (intake,) = result.intakes
    assert (intake.kind, counts(intake), intake.labels_added) == ("rows", (3, 1, 2, 0), 2)
    assert str(result).endswith("1 added, 2 duplicate, 0 quarantined; late labels: 2 added")
    assert known(inbox, ledger) == [("a", 1), ("c", 0)]


def test_labels_are_not_counted_as_rows(inbox, ledger):
    """Neither when they are added, nor when they come again."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\nb,4,5,6\n")
    inbox.drop("labels.csv", "corporation,exited\na,1\n")
    added = ingestion.run(inbox.config, ledger)
    inbox.drop("again.csv", "corporation,exited\na,1\nb,0\n")
    again = ingestion.run(inbox.config, ledger)

    no_rows = "1 drop ingested; rows: 0 read, 0 added, 0 duplicate, 0 quarantined; late labels: "
    assert str(added) == f"{no_rows}1 added, 0 duplicate, 0 quarantined"
    assert str(again) == f"{no_rows}1 added, 1 duplicate, 0 quarantined"


def test_a_row_that_comes_again_without_its_label_is_a_duplicate(inbox, ledger):
    """Whatever its label was: it is the same customer."""
    labelled = UNLABELLED.replace("\n", ",exited\n")
    ingest(inbox, ledger, rows=f"{labelled}a,1,2,3,1\nb,1,2,3,0\n")

    (intake,) = ingest(inbox, ledger, again=f"{labelled}a,1,2,3,\nb,1,2,3,\n")

    assert counts(intake) == (2, 0, 2, 0)


def test_identifiers_that_became_numbers_on_the_way_find_their_rows(inbox, ledger):
    """Pandas writes 1000.0 where a column has gaps; unless such a name is known by itself."""
    ingest(inbox, ledger, rows=UNLABELLED + "1000,1,2,3\n1001,1,2,3\n1001.0,1,2,3\n7.0,1,2,3\n")

    (intake,) = ingest(inbox, ledger, truth=LABELS + "1000.0,1\n1001.0,0\n7,1\n8.0,1\n")

    assert counts(intake) == (4, 3, 0, 1)
    assert intake.note == identifiers.ALSO_READ_AS
    assert known(inbox, ledger) == [("1000", 1), ("1001", None), ("1001.0", 0), ("7.0", 1)]


def test_rows_whose_identifiers_became_numbers_on_the_way_come_again(inbox, ledger):
    """With their label filled in, or as they were; a row that differs is another customer's."""
    header = UNLABELLED.strip() + ",exited\n"
    ingest(inbox, ledger, rows=header + "1000,1,2,3,\n1001,1,2,3,0\n1002,1,2,3,0\n")

    again = header + "1000.0,1,2,3,1\n1001.0,1,2,3,0\n1002.0,4,5,6,0\n"
    (intake,) = ingest(inbox, ledger, again=again)

    assert (counts(intake), intake.labels_added) == ((3, 1, 2, 0), 1)
    assert intake.note == identifiers.ALSO_READ_AS
    assert known(inbox, ledger) == [("1000", 1), ("1001", 0), ("1002", 0), ("1002.0", 0)]


def test_a_waiting_label_finds_an_identifier_that_became_a_number(inbox, ledger):
    """Whichever of the two files pandas wrote."""
    ingest(inbox, ledger, truth=LABELS + "1000.0,1\n7,0\n")

    ingest(inbox, ledger, rows=UNLABELLED + "1000,1,2,3\n7.0,1,2,3\n")

    assert known(inbox, ledger) == [("1000", 1), ("7.0", 0)]


def test_labels_that_wait_can_be_requeued_once(inbox, ledger):
    """After a correction of their file, say; they do not wait twice."""
    ingest(inbox, ledger, truth=LABELS + "a,1\nb,0\n")
    (intake,) = ingestion.run(inbox.config, ledger, requeue=1).intakes
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\na,2,2,3\n")

    assert (intake.kind, counts(intake)) == ("labels", (2, 0, 0, 2))
    assert known(inbox, ledger) == [("a", 1), ("a", None)]
    with pytest.raises(UnknownName, match="ingestion 1 has nothing in quarantine"):
        ingestion.run(inbox.config, ledger, requeue=1)


def test_labels_may_come_in_the_same_run_as_their_rows(inbox, ledger):
    """Files are taken by name: the rows first, then the labels that ripen them."""
    rows, truth = ingest(inbox, ledger, a_rows=UNLABELLED + "a,1,2,3\n", b_truth=LABELS + "a,1\n")

    assert (rows.kind, truth.kind, counts(truth)) == ("rows", "labels", (1, 1, 0, 0))
    assert known(inbox, ledger) == [("a", 1)]


def test_a_name_that_repeats_beyond_one_statement_is_still_one_row(inbox, ledger):
    """Names are looked up 500 at a time; the 601st line repeats the first."""
    names = [f"c{i}" for i in range(600)]
    ingest(inbox, ledger, rows=UNLABELLED + "".join(f"{name},1,2,3\n" for name in names))
    told = "".join(f"{name},1\n" for name in [*names, "c0"])

    (intake,) = ingest(inbox, ledger, truth=LABELS + told)

    assert counts(intake) == (601, 600, 1, 0)


def test_labels_of_many_pieces_find_each_row_once(inbox, ledger, monkeypatch):
    """A drop is read in pieces; what an earlier piece gave is given."""
    monkeypatch.setattr("risk.data.drops.ROWS_PER_PIECE", 2)
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\na,2,2,3\nb,1,2,3\n")

    (intake,) = ingest(inbox, ledger, truth=LABELS + "a,1\nb,0\na,0\nb,0\na,0\nb,1\n")

    assert counts(intake) == (6, 3, 2, 1)
    assert sorted(known(inbox, ledger), key=str) == [("a", 0), ("a", 1), ("b", 0)]


def test_a_row_that_has_its_label_waits_for_none(inbox, ledger):
    """Its label came with it; another one is for nobody."""
    ingest(inbox, ledger, rows=f"{UNLABELLED[:-1]},exited\na,1,2,3,0\n")

    (intake,) = ingest(inbox, ledger, truth=LABELS + "a,1\n")

    assert counts(intake) == (1, 0, 0, 1)
    assert known(inbox, ledger) == [("a", 0)]


def test_labels_do_not_change_the_files_of_rows(inbox, ledger):
    """final_data.csv holds rows as they came; the record tells which drop brought labels."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\n", truth=LABELS + "a,1\n")

    folder = inbox.config.ingested_folder
    record = pd.read_csv(folder / "ingested_files.csv")
    assert record["kind"].tolist() == ["rows", "labels"]
    assert (folder / "final_data.csv").read_text() == f"{UNLABELLED[:-1]},exited\na,1,2,3,\n"


def test_after_a_crash_before_the_commit_the_labels_are_taken_whole(inbox, ledger, monkeypatch):
    """Rows ripen in the transaction of their labels' ingestion, or not at all."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\nb,1,2,3\n")
    inbox.drop("truth.csv", LABELS + "a,1\nb,0\nnobody,1\n")

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("risk.ledger.quarantine.insert_many", crash)
        ingestion.run(inbox.config, ledger)
    (intake,) = ingestion.run(inbox.config, ledger).intakes

    assert counts(intake) == (3, 2, 0, 1)
    assert known(inbox, ledger) == [("a", 1), ("b", 0)]


def test_nothing_waits_once_every_label_came(inbox, ledger):
    """What waits and what is known are two tables; no row is in both."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\nb,1,2,3\n", truth=LABELS + "a,1\nb,0\n")

    with ledger.engine.connect() as connection:
        n_waiting = connection.scalar(sa.select(sa.func.count()).select_from(tables.unripe_rows))
        n_known = connection.scalar(sa.select(sa.func.count()).select_from(tables.later_labels))
    assert (n_waiting, n_known) == (0, 2)


def test_training_learns_from_labels_that_came_later(world, ledger):
    """The oracle is the same data with the labels in place: the very same model."""
    whole = pd.concat(
        pd.read_csv(path) for path in sorted(world.config.input_folder.glob("*.csv"))
    ).drop_duplicates(subset="corporation")
    ingestion.run(world.config, ledger)
    expected = training.run(world.config, ledger).manifest

    world.set(input_folder_path="inbox", output_folder_path="data/other")
    world.set(database_url="sqlite:///db/other.sqlite")
    world.config.input_folder.mkdir()
    whole.drop(columns="exited").to_csv(world.config.input_folder / "rows.csv", index=False)
    shuffled = whole[["corporation", "exited"]].sample(frac=1, random_state=1)
    shuffled.to_csv(world.config.input_folder / "truth.csv", index=False)
    with world.open_ledger() as other:
        ingestion.run(world.config, other)
        found = training.run(world.config, other).manifest

    assert found.held_out_scores == expected.held_out_scores
    assert (found.rows_trained, found.threshold) == (expected.rows_trained, expected.threshold)


def test_a_rehearsal_of_labels_tells_the_same_and_writes_nothing(inbox, ledger, tree):
    """`--dry-run` knows the rows that wait."""
    ingest(inbox, ledger, rows=UNLABELLED + "a,1,2,3\n")
    inbox.drop("truth.csv", LABELS + "a,1\nnobody,1\n")
    before = tree()

    would, rows = ingestion.rehearse(inbox.config, ledger)

    assert (len(rows), tree()) == (0, before)
    assert str(would) == str(ingestion.run(inbox.config, ledger))
