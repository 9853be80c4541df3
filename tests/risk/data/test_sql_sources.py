import csv
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

import full_process
import ingestion
from risk import store
from risk.config import Config
from risk.data.sql_sources import _connected
from risk.errors import ConfigError, SourceError
from risk.ledger.engines import make_engine
from risk.ledger.ingestions import Taken
from risk.ledger.watermarks import Watermark
from tests.factories import FEATURES, HEADER, counts
from tests.risk.ledger.test_ingestions import intake as record
from tests.servers import MARIADB, POSTGRESQL, Proxy, on_remote_servers_in_turn, on_servers_in_turn


class Crm:
    """The table of somebody else, in the database of the ledger or in one beside it."""

    def __init__(self, world, url, mark_type):
        self.world, self.engine = world, make_engine(url)
        self.table = sa.Table(
            "crm Customers",
            sa.MetaData(),
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("corporation", sa.String(50)),
            *(sa.Column(name, sa.Float) for name in FEATURES),
            sa.Column("exited", sa.Boolean),
            sa.Column("changed at", mark_type),
        )
        self.table.create(self.engine)

    def add(self, *rows):
        """Insert (name, mark) or (name, mark, last month's activity)."""
        values = [
            {"corporation": name, "exited": True, "changed at": mark}
            | dict(zip(FEATURES, (*activity, 1.0, 2.0, 3.0), strict=False))
            for name, mark, *activity in rows
        ]
        with self.engine.begin() as connection:
            connection.execute(self.table.insert(), values)

    def execute(self, statement):
        with self.engine.begin() as connection:
            connection.execute(statement)


@pytest.fixture
def new_crm(world, tmp_path):
    """Give what makes such a table, asked by the settings of an otherwise empty world."""
    made = []

    def new_crm(mark_type=None, **settings):
        world.take_from_inbox()
        crm = Crm(world, world.config.sqlalchemy_url, mark_type or sa.Integer())
        made.append(crm)
        entry = {"table": "crm Customers", "high_water_mark": "changed at", **settings}
        world.set(sources={"crm": {key: value for key, value in entry.items() if value}})
        return crm

    yield new_crm
    for crm in made:
        crm.table.drop(crm.engine)
        crm.engine.dispose()


@pytest.fixture
def crm(ledger, new_crm):
    """Give one whose marks are whole numbers."""
    return new_crm()


def names(world):
    path = world.config.ingested_folder / world.config.compiled_data_filename
    with open(path, newline="", encoding="utf-8") as file:
        return [row[0] for row in list(csv.reader(file))[1:]]


def run(crm, ledger):
    return ingestion.run(crm.world.config, ledger).intakes


@on_servers_in_turn
def test_rows_beyond_the_mark_are_a_drop(crm, ledger):
    """The first fetch takes all there is, the next only what came since, in order of the mark."""
    crm.add(("b", 2), ("a", 1))
    (first,) = run(crm, ledger)
    crm.add(("c", 3))

    (second,) = run(crm, ledger)

    assert (first.path, counts(first)) == ("sql:crm/00000001", (2, 2, 0, 0))
    assert (second.path, counts(second)) == ("sql:crm/00000002", (1, 1, 0, 0))
    assert names(crm.world) == ["a", "b", "c"]
    assert first.reason is None or "changed at" not in first.reason


@on_servers_in_turn
def test_without_new_rows_nothing_is_recorded(crm, ledger, tree):
    """Cron comes every 10 minutes."""
    crm.add(("a", 1))
    run(crm, ledger)
    before = tree()

    again = ingestion.run(crm.world.config, ledger)

    assert str(again) == "no new data"
    assert (tree(), ledger.ingestions.last_id()) == (before, 1)


@on_servers_in_turn
def test_rows_that_come_at_the_mark_are_neither_lost_nor_taken_twice(crm, ledger):
    """A batch is often written at one time; here it is read in its middle, again and again."""
    crm.add(("a", 1), ("b", 1))
    taken = [counts(*run(crm, ledger))]
    for name in "cd":
        crm.add((name, 1))
        taken.append(counts(*run(crm, ledger)))

    assert taken == [(2, 2, 0, 0), (1, 1, 0, 0), (1, 1, 0, 0)]
    assert names(crm.world) == ["a", "b", "c", "d"]
    assert run(crm, ledger) == ()


@on_servers_in_turn
def test_a_refused_row_at_the_mark_is_refused_once(crm, ledger):
    """Its hash is not among the accepted ones; it is known all the same."""
    crm.add(("a", 1), ("broken", 1, -5.0))
    (intake,) = run(crm, ledger)
    crm.add(("b", 1))

    (after,) = run(crm, ledger)

    assert counts(intake) == (2, 1, 0, 1)
    assert counts(after) == (1, 1, 0, 0)


@on_servers_in_turn
def test_ties_larger_than_a_fetch_are_taken_whole(new_crm, ledger):
    """Ten rows at one mark, three at a time, in whatever order: several drops, each row in one."""
    crm = new_crm(max_rows=3)
    crm.add(*((f"firm {number}", 1) for number in range(10)))

    intakes = run(crm, ledger)

    assert len(intakes) > 2
    assert [sum(each) for each in zip(*map(counts, intakes), strict=True)] == [10, 10, 0, 0]
    assert sorted(names(crm.world)) == sorted(f"firm {number}" for number in range(10))
    assert run(crm, ledger) == ()


@on_servers_in_turn
def test_rows_committed_late_are_found_within_the_overlap(new_crm, ledger):
    """Mark 8 becomes visible after mark 10 was read; mark 5 is too far behind."""
    crm = new_crm(overlap=3)
    crm.add(("a", 6), ("b", 9), ("c", 10))
    run(crm, ledger)
    crm.add(("late", 8), ("lost", 5))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (1, 1, 0, 0)
    assert names(crm.world) == ["a", "b", "c", "late"]
    assert run(crm, ledger) == ()
    crm.add(("d", 12))
    assert counts(*run(crm, ledger)) == (1, 1, 0, 0)


@on_servers_in_turn
def test_marks_may_be_times(new_crm, ledger, server):
    """Microseconds count; SQLite keeps times as texts."""
    kinds = {POSTGRESQL: sa.DateTime(timezone=True), MARIADB: sa.dialects.mysql.DATETIME(fsp=6)}
    crm = new_crm(kinds.get(server.name, sa.DateTime()))
    moment = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC if server.name == POSTGRESQL else None)
    crm.add(("a", moment))
    run(crm, ledger)
    crm.add(("b", moment), ("c", moment + timedelta(microseconds=1)), ("d", moment.replace(day=2)))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (3, 3, 0, 0)
    assert run(crm, ledger) == ()


@on_remote_servers_in_turn
def test_the_overlap_of_times_is_in_seconds(new_crm, ledger):
    """A minute: what was committed 59 seconds late is found, 61 is not."""
    crm = new_crm(sa.DateTime(), overlap=60)
    moment = datetime(2026, 3, 1, 12)
    crm.add(("a", moment))
    run(crm, ledger)
    crm.add(("b", moment - timedelta(seconds=59)), ("c", moment - timedelta(seconds=61)))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (1, 1, 0, 0)


@on_remote_servers_in_turn
@pytest.mark.parametrize(("overlap", "days"), [(1, 1), (86_400, 1), (86_401, 2)])
def test_the_overlap_of_dates_is_in_whole_days(new_crm, ledger, overlap, days):
    """A second is a day, a day and a second are two: a date knows no parts of a day."""
    crm = new_crm(sa.Date(), overlap=overlap)
    day = date(2026, 3, 10)
    crm.add(("a", day))
    run(crm, ledger)
    crm.add(("late", day - timedelta(days=days)), ("lost", day - timedelta(days=days + 1)))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (1, 1, 0, 0)
    assert names(crm.world) == ["a", "late"]
    assert run(crm, ledger) == ()


@on_servers_in_turn
def test_texts_of_one_day_with_a_blank_and_with_a_t_hide_no_row(new_crm, ledger):
    """A blank sorts before T: the row at 23:00 before one at 10:00, however often that is read."""
    crm = new_crm(sa.String(50), max_rows=2)
    added, taken = [("a", "2026-01-02 09:00:00"), ("b", "2026-01-02T10:00:00")], []
    evening = [("c", "2026-01-02 22:00"), ("d", "2026-01-02 23:00"), ("e", "2026-01-02 23:30")]
    for rows in (added, evening, [("f", "2026-01-02 23:40")], [("g", "2026-01-02T23:50:00")]):
        crm.add(*rows)
        taken.append([counts(intake) for intake in run(crm, ledger)])
        assert run(crm, ledger) == ()
    crm.add(("h", "2026-01-03 00:10"), ("i", "2026-01-01T23:00"))

    taken.append([counts(intake) for intake in run(crm, ledger)])

    assert [[sum(each) for each in zip(*drops, strict=True)] for drops in taken] == [
        [n, n, 0, 0] for n in (2, 3, 1, 1, 1)
    ]
    assert sorted(names(crm.world)) == [*"abcdefgh"]


def test_a_text_that_the_database_alone_sorts_behind_the_mark_is_taken(new_crm, ledger):
    """Whether upper case is before lower case, say, is for the collation to decide."""
    crm = new_crm(sa.String(50, collation="NOCASE"))
    crm.add(("a", "2026-01-02T10:00:00 a"))
    run(crm, ledger)
    crm.add(("b", "2026-01-02T10:00:00 B"))

    assert [counts(intake) for intake in run(crm, ledger)] == [(1, 1, 0, 0)]
    assert run(crm, ledger) == ()


@pytest.mark.on(MARIADB)
def test_marks_that_were_texts_may_become_times(new_crm, ledger):
    """MariaDB compares them with the text of the mark before."""
    crm = new_crm(sa.String(50))
    crm.add(("a", "2026-01-02T10:00:00"))
    run(crm, ledger)
    crm.execute(sa.text("ALTER TABLE `crm Customers` MODIFY `changed at` DATETIME"))
    crm.add(("b", datetime(2026, 1, 2, 11)))

    run(crm, ledger)

    assert names(crm.world) == ["a", "b"]
    assert run(crm, ledger) == ()


@on_servers_in_turn
@pytest.mark.parametrize(
    ("mark", "late", "too_late"),
    [
        ("2026-03-01T12:00:00+01:00", "2026-03-01T11:59:00+01:00", "2026-03-01T11:58:59+01:00"),
        ("2026-03-01 00:00", "2026-02-28 23:59", "2026-02-28 23:58"),
        ("2026-03-01", "2026-02-28", "2026-02-27"),
    ],
)
def test_the_overlap_of_texts_that_are_times_is_in_seconds(new_crm, ledger, mark, late, too_late):
    """In whole minutes, or days, where they have no smaller parts."""
    crm = new_crm(sa.String(50), overlap=60)
    crm.add(("a", mark))
    run(crm, ledger)
    crm.add(("late", late), ("lost", too_late))

    (intake,) = run(crm, ledger)

    assert (counts(intake), names(crm.world)) == ((1, 1, 0, 0), ["a", "late"])
    assert run(crm, ledger) == ()


@on_remote_servers_in_turn
def test_an_overlap_before_the_beginning_of_time_is_told(new_crm, ledger):
    """The year 1 is what some write for never; it must not stop the others."""
    crm = new_crm(sa.Date(), overlap=1)
    crm.add(("a", date.min))
    crm.world.drop("file.csv", HEADER + "from a file,1,2,3,0\n")

    taken = ingestion.run(crm.world.config, ledger)

    assert [intake.path for intake in taken.intakes] == ["inbox/file.csv"]
    assert taken.out_of_reach == ("source crm: date value out of range",)


@on_remote_servers_in_turn
def test_marks_may_be_decimals_beyond_any_float(new_crm, ledger):
    """20 digits, of which a float keeps 16."""
    crm = new_crm(sa.Numeric(20, 0))
    crm.add(("a", Decimal("12345678901234567890")), ("b", Decimal("12345678901234567891")))
    run(crm, ledger)
    crm.add(("c", Decimal("12345678901234567892")))

    assert counts(*run(crm, ledger)) == (1, 1, 0, 0)


@pytest.mark.parametrize("mark", [0.7, 1_234_567])
@on_remote_servers_in_turn
def test_ties_at_a_mark_of_single_precision_are_not_lost(new_crm, ledger, server, mark):
    """PostgreSQL's 0.7 is below the 0.7 it shows, MariaDB's 1234567 below the 1234570."""
    crm = new_crm(sa.REAL() if server.name == POSTGRESQL else sa.FLOAT())
    crm.add(("a", mark))
    first = run(crm, ledger)
    crm.add(("b", mark), ("c", mark if mark < 1 else mark + 1))

    assert [counts(intake) for intake in (*first, *run(crm, ledger))] == [
        (1, 1, 0, 0),
        (2, 2, 0, 0),
    ]
    assert run(crm, ledger) == ()


@on_servers_in_turn
def test_a_row_without_a_mark_is_left_alone(crm, ledger):
    """Before the first fetch as after it: nobody knows when it came."""
    crm.add(("a", 1), ("nobody", None))
    first = run(crm, ledger)
    crm.add(("other", None), ("b", 2))

    assert [intake.rows_added for intake in (*first, *run(crm, ledger))] == [1, 1]


@pytest.mark.on(POSTGRESQL)
@pytest.mark.parametrize("kind", [sa.Double(), sa.REAL(), sa.Numeric()], ids=str)
@pytest.mark.parametrize("endless", ["NaN", "Infinity"])
def test_a_mark_beyond_which_nothing_can_grow_is_left_alone(new_crm, ledger, kind, endless, caplog):
    """PostgreSQL sorts it last: were it the mark of the source, no row would ever be newer."""
    crm = new_crm(kind, max_rows=2)
    crm.add(("first", float("-inf")), ("a", 1), ("endless", endless))
    run(crm, ledger)
    crm.add(("b", 2))
    run(crm, ledger)
    crm.add(("c", 3))
    run(crm, ledger)

    assert names(crm.world) == ["first", "a", "b", "c"]
    assert "source crm: rows skipped because changed at is NaN or infinite: 1" in caplog.text
    assert run(crm, ledger) == ()
    crm.execute(crm.table.update().where(crm.table.c.id == 3).values({"changed at": 4}))
    assert [intake.rows_added for intake in run(crm, ledger)] == [1]


@pytest.mark.on(POSTGRESQL)
@pytest.mark.parametrize("endless", [math.nan, math.inf])
def test_a_source_that_was_read_up_to_no_end_is_read_anew(new_crm, ledger, endless):
    """An earlier version took such a mark; what it took then is found to be known."""
    crm = new_crm(sa.Double())
    crm.add(("a", 1))
    run(crm, ledger)
    mark = Watermark("crm", endless)
    ledger.ingestions.record(record(2, rows_added=0), taken=Taken(mark=mark))
    crm.add(("b", 2))

    assert [counts(intake) for intake in run(crm, ledger)] == [(2, 1, 1, 0)]
    assert run(crm, ledger) == ()


@pytest.mark.on(MARIADB)
def test_bits_are_numbers(crm, ledger):
    """BIT(1) is how many say boolean; the driver gives bytes."""
    crm.execute(sa.text("ALTER TABLE `crm Customers` MODIFY exited BIT(1)"))
    crm.add(("a", 1), ("b", 2), ("c", 3))
    crm.execute(crm.table.update().where(crm.table.c.corporation == "b").values(exited=False))
    crm.execute(crm.table.update().where(crm.table.c.corporation == "c").values(exited=None))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (3, 3, 0, 0)
    labels = store.read_parts(crm.world.config, [1])["exited"]
    assert labels.astype("object").where(labels.notna(), None).tolist() == [1, 0, None]


@pytest.mark.on(MARIADB)
def test_bits_may_be_the_mark(crm, ledger):
    """They grow like any number."""
    crm.execute(sa.text("ALTER TABLE `crm Customers` MODIFY `changed at` BIT(40)"))
    crm.add(("a", 255), ("b", 256))
    run(crm, ledger)
    crm.add(("c", 2**39))

    assert [counts(intake) for intake in run(crm, ledger)] == [(1, 1, 0, 0)]
    assert names(crm.world) == ["a", "b", "c"]


@pytest.mark.on(MARIADB)
@pytest.mark.parametrize("column", ["corporation", "changed at"])
def test_other_bytes_are_told_by_the_name_of_their_column(crm, ledger, column):
    """Nobody knows what they mean, and the text b'...' is nobody's name."""
    crm.execute(sa.text(f"ALTER TABLE `crm Customers` MODIFY `{column}` BLOB"))
    crm.add(("a", 1))

    (problem,) = ingestion.run(crm.world.config, ledger).out_of_reach

    told = f"column {column} holds bytes; convert it to text or a number in query"
    assert problem == f"source crm: {told}"


@pytest.mark.on(MARIADB)
def test_bytes_nobody_asked_for_are_no_fault(crm, ledger):
    """A table of customers may have their pictures."""
    crm.execute(sa.text("ALTER TABLE `crm Customers` ADD COLUMN picture BLOB DEFAULT 'x'"))
    crm.add(("a", 1))

    assert [counts(intake) for intake in run(crm, ledger)] == [(1, 1, 0, 0)]


@on_servers_in_turn
def test_a_query_is_asked_as_it_stands(new_crm, ledger):
    """Colons, percent signs, a semicolon at the end; its columns are named as the settings want."""
    query = (
        "WITH firms AS (SELECT * FROM crm) SELECT corporation, 7 AS lastmonth_activity, "
        "8 AS lastyear_activity, 9 AS number_of_employees, 0 AS exited, mark FROM firms "
        "WHERE corporation LIKE 'a%' OR corporation = 'b :c::d \\:e' ;\n"
    )
    crm = new_crm(table=None, query=query, high_water_mark="mark")
    view = sa.select(crm.table.c.corporation, crm.table.c["changed at"].label("mark"))
    crm.execute(sa.text(f"CREATE VIEW crm AS {view.compile(crm.engine)}"))
    crm.add(("apple", 1), ("pear", 2), ("ananas", 3))
    try:
        (intake,) = run(crm, ledger)
    finally:
        crm.execute(sa.text("DROP VIEW crm"))

    assert counts(intake) == (2, 2, 0, 0)
    assert names(crm.world) == ["apple", "ananas"]


@on_servers_in_turn
def test_what_is_missing_is_missing_and_a_boolean_is_a_label(crm, ledger):
    """NULL becomes nothing, true becomes 1; the database's own words for them are not asked."""
    crm.add(("a", 1))
    crm.execute(crm.table.update().values(lastmonth_activity=None))

    run(crm, ledger)

    rows = store.read_parts(crm.world.config, ledger.parts.ids())
    assert rows["lastmonth_activity"].isna().tolist() == [True]
    assert rows["exited"].tolist() == [1]


@on_servers_in_turn
def test_a_text_with_ends_of_lines_arrives_whole(crm, ledger):
    """Also with one of a Macintosh of long ago."""
    texts = ["one\rtwo", "one\r\ntwo", "one\ntwo"]
    crm.add(*((text, mark) for mark, text in enumerate(texts)))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (3, 3, 0, 0)
    assert store.read_parts(crm.world.config, [1])["corporation"].tolist() == texts


@on_servers_in_turn
def test_labels_may_come_from_a_source(new_crm, ledger):
    """A query of identifiers and labels ripens the rows that files brought."""
    crm = new_crm(
        table=None,
        query="SELECT 1 AS mark, 'a' AS corporation, 1 AS exited",
        high_water_mark="mark",
    )
    crm.world.drop("rows.csv", "corporation," + ",".join(FEATURES) + "\na,1,2,3\n")

    rows, labels = run(crm, ledger)

    assert (rows.kind, labels.kind, counts(labels)) == ("rows", "labels", (1, 1, 0, 0))
    assert ledger.labels.of_parts([1])["y_true"].tolist() == [1]


@on_servers_in_turn
def test_what_a_source_brought_can_be_requeued(crm, ledger):
    """Its refused rows lie in quarantine like those of a file."""
    crm.add(("a", 1), ("b", 1, -5.0))
    run(crm, ledger)
    mended = crm.world.set(columns__allowed_ranges={})

    (intake,) = ingestion.run(mended, ledger, requeue=1).intakes

    assert counts(intake) == (1, 1, 0, 0)
    assert names(crm.world) == ["a", "b"]


@on_servers_in_turn
def test_a_fetch_that_was_not_committed_is_fetched_again(crm, ledger, monkeypatch):
    """A crash before the commit: the mark did not move, the next run takes everything once."""
    crm.add(("a", 1), ("b", 2))

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("risk.ledger.quarantine.insert_many", crash)
        run(crm, ledger)
    (intake,) = run(crm, ledger)

    assert (intake.path, counts(intake)) == ("sql:crm/00000001", (2, 2, 0, 0))
    assert names(crm.world) == ["a", "b"]


@on_servers_in_turn
def test_a_rehearsal_tells_the_same_and_writes_nothing(crm, ledger, tree):
    """`--dry-run` reads the source, and moves no mark."""
    crm.add(("a", 1), ("b", 2))
    before = tree()

    would, rows = ingestion.rehearse(crm.world.config, ledger)

    assert (tree(), ledger.watermarks.of("crm"), len(rows)) == (before, None, 2)
    assert str(would) == str(ingestion.run(crm.world.config, ledger))


@on_servers_in_turn
def test_a_source_can_only_be_read(crm, ledger):
    """Not even a function in a query could change something: the database sees to it."""
    config = crm.world.config

    with pytest.raises(sa.exc.DBAPIError), _connected(config, config.sources["crm"]) as connection:
        connection.execute(crm.table.delete())

    crm.add(("a", 1))
    assert len(run(crm, ledger)) == 1


@on_servers_in_turn
def test_a_source_that_cannot_be_asked_keeps_nobody_else(crm, ledger):
    """The folder is taken, the other source too; the exit code tells that one is missing."""
    crm.add(("from sql", 1))
    crm.world.drop("file.csv", HEADER + "from a file,1,2,3,0\n")
    entries = {"broken": {"table": "nowhere", "high_water_mark": "id"}}
    crm.world.set(sources=entries | crm.world.settings["sources"])

    taken = ingestion.run(crm.world.config, ledger)

    assert [intake.path for intake in taken.intakes] == ["inbox/file.csv", "sql:crm/00000002"]
    assert taken.exit_code == SourceError.exit_code == 69
    (problem,) = taken.out_of_reach
    assert problem.startswith("source broken: ") and "nowhere" in problem
    assert problem in str(taken)


@on_remote_servers_in_turn
def test_a_source_that_is_down_is_asked_again_by_the_next_run(crm, ledger, server):
    """Nothing was lost meanwhile; neither line nor log shows the password."""
    crm.add(("a", 1))
    entry = crm.world.settings["sources"]["crm"]
    crm.world.set(sources={"crm": entry | {"url_env": "CRM_URL"}})
    with Proxy(server) as proxy:
        secret = sa.make_url(proxy.url).set(password="s3cret-pa55").render_as_string(False)
        plain = {"CRM_URL": proxy.url}
        proxy.cut()
        config = load(crm.world, {"CRM_URL": secret})
        down = ingestion.run(config, ledger)
        proxy.connect()

        up = ingestion.run(load(crm.world, plain), ledger)

    assert (down.intakes, down.exit_code) == ((), 69)
    assert "s3cret" not in str(down) and "source crm: " in str(down)
    assert "s3cret" not in config.model_dump_json() + repr(config)
    assert [counts(intake) for intake in up.intakes] == [(1, 1, 0, 0)]


def load(world, environment):
    return Config.load(world.folder / "config.json", environment=environment)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "source crm: the environment variable CRM_URL is not set"),
        ("s3cret-pa55", "source crm: CRM_URL is not a valid database URL"),
        ("oracle://u:s3cret-pa55@h/d", "source crm: CRM_URL cannot be used"),
        ("sqlite:///nowhere.sqlite", "source crm: unable to open database file"),
    ],
)
def test_an_address_that_is_no_use_is_told_without_its_words(crm, ledger, url, told):
    """The variable is named, and what it holds is not."""
    entry = crm.world.settings["sources"]["crm"]
    crm.world.set(sources={"crm": entry | {"url_env": "CRM_URL"}})
    config = load(crm.world, {"CRM_URL": url} if url else {})

    (problem,) = ingestion.run(config, ledger).out_of_reach

    assert problem.startswith(told)
    assert "s3cret" not in problem
    assert not (crm.world.folder / "nowhere.sqlite").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"high_water_mark": "nothing"}, "nothing"),
        (
            {"overlap": 5, "high_water_mark": "corporation"},
            "overlap requires a high_water_mark that is a number or a time",
        ),
        ({"high_water_mark": "flag"}, "values of high_water_mark have different types"),
    ],
)
def test_settings_a_source_cannot_follow_are_told(new_crm, ledger, changes, told):
    """It is left alone until they are mended."""
    crm = new_crm(sa.String(50), **{"high_water_mark": "changed at"} | changes)
    crm.execute(sa.text('ALTER TABLE "crm Customers" ADD COLUMN flag'))
    crm.add(("a", "2026-03-01"), ("b", "2026-03-02"))
    crm.execute(sa.text("UPDATE \"crm Customers\" SET flag = CASE id WHEN 1 THEN 1 ELSE 'x' END"))

    (problem,) = ingestion.run(crm.world.config, ledger).out_of_reach

    assert told in problem


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"table": "t", "query": "SELECT 1", "high_water_mark": "id"}, "either a table or a query"),
        ({"high_water_mark": "id"}, "either a table or a query"),
        ({"table": "t"}, "high_water_mark: missing"),
        ({"query": "DELETE FROM t", "high_water_mark": "id"}, "sources.crm.query"),
        ({"table": "t", "high_water_mark": "id", "url": "x"}, "sources.crm.url: unknown setting"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused_with_the_settings(world, entry, told):
    """Before anything is asked; an address never stands in the file."""
    with pytest.raises(ConfigError, match=told):
        world.set(sources={"crm": entry})


@pytest.mark.on(POSTGRESQL)
def test_a_model_can_live_on_a_source_alone(crm, ledger):
    """No file ever came: the first run trains and deploys; it tells that another source is away."""
    rows = [(f"firm {number}", number, float(number % 7)) for number in range(200)]
    crm.add(*rows)
    crm.execute(crm.table.update().where(crm.table.c.id % 2 == 0).values(exited=False))

    away = {"away": {"url_env": "AWAY_URL", "table": "t", "high_water_mark": "id"}}
    crm.world.set(sources=crm.world.settings["sources"] | away)

    outcome = full_process.run(crm.world.config, ledger)

    assert outcome.exit_code == 69
    assert "Source away: the environment variable AWAY_URL is not set" in str(outcome)
    assert ledger.decisions.live_version() == 1


@pytest.mark.parametrize("fault", ["unknown=1", "ssl_ca=/missing", "charset=nope"])
def test_an_address_the_driver_stumbles_over_is_a_fault_of_its_source_alone(world, ledger, fault):
    """Files are taken all the same; a missing certificate is no fault of our disk."""
    world.set(sources={"crm": {"url_env": "CRM", "table": "t", "high_water_mark": "id"}})
    config = load(world, {"CRM": f"mysql://u:s3cret@127.0.0.1/x?{fault}"})

    done = ingestion.run(config, ledger)

    (problem,) = done.out_of_reach
    assert problem.startswith("source crm: CRM cannot be used: ")
    assert "s3cret" not in problem
    assert done.intakes
    assert done.exit_code == 69


FUTURES = [
    (sa.DateTime(), datetime(2026, 3, 1), datetime(9999, 12, 31), datetime(2026, 3, 2)),
    (sa.Date(), date(2026, 3, 1), date(9999, 12, 31), date(2026, 3, 2)),
    (sa.String(50), "2026-03-01 10:00:00", "9999-12-31 00:00:00", "2026-03-02 10:00:00"),
    (sa.BigInteger(), 1_772_355_600, 99_999_999_999, 1_772_442_000),  # seconds since 1970
    (sa.Double(), 1_772_355_600_000.5, 4e12, 1_772_442_000_000.5),  # milliseconds
    (sa.String(50), "2026-03-01T10:00:00Z", "2999-01-01T00:00:00+09:00", "2026-03-02T10:00:00Z"),
    (sa.String(50), "2026-03-01 10:00:00", "9999-99-99", "2026-03-02 10:00:00"),
    (sa.String(50), "2026-03-01 10:00:00", "unknown", "2026-03-02 10:00:00"),
]


@pytest.mark.parametrize(("kind", "usual", "future", "later"), FUTURES)
def test_a_mark_in_the_future_is_quarantined_and_makes_no_source_deaf(
    new_crm, ledger, kind, usual, future, later
):
    """One wrong row, and every later one would lie behind the mark for ever."""
    crm = new_crm(kind)
    crm.add(("a", usual), ("wrong", future))
    (first,) = run(crm, ledger)
    quiet = run(crm, ledger)
    crm.add(("b", later))
    (second,) = run(crm, ledger)

    (problem,) = ledger.quarantine.page().items
    assert (counts(first), quiet, counts(second)) == ((2, 1, 0, 1), (), (1, 1, 0, 0))
    assert names(crm.world) == ["a", "b"]
    assert (problem["rule"], problem["column_name"]) == (
        "high-water mark in the future",
        "changed at",
    )


def test_identifiers_are_never_in_the_future(new_crm, ledger):
    """A number that was no time of the last years is none of the next ones either."""
    crm = new_crm(sa.BigInteger())
    crm.add(("a", 7), ("b", 99_999_999_999), ("c", 2**62))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (3, 3, 0, 0)


def test_a_row_ahead_of_its_time_is_taken_when_that_has_come(new_crm, world, ledger):
    """Nine hours ahead: a clock in another zone, or a plan; until then others are taken."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    crm = new_crm(sa.DateTime())
    crm.add(("ahead", datetime(2026, 3, 1, 21)))
    taken = []
    for hour in (12, 13, 14, 23):
        with world.open_ledger(clock=lambda hour=hour: now.replace(hour=hour)) as timed:
            taken.append([counts(intake) for intake in run(crm, timed)])
            crm.add((f"at {hour}", datetime(2026, 3, 1, hour)))

    assert taken == [[(1, 0, 0, 1)], [(1, 1, 0, 0)], [(1, 1, 0, 0)], [(2, 2, 0, 0)]]
    assert names(world) == ["at 12", "at 13", "at 14", "ahead"]


def test_how_far_ahead_a_mark_may_lie_is_a_setting(new_crm, ledger):
    """For a source that writes the time of another zone."""
    crm = new_crm(sa.DateTime(), seconds_ahead=10 * 3600)
    soon = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=9)
    crm.add(("a", soon))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (1, 1, 0, 0)


def test_a_rehearsal_knows_marks_in_the_future_too(new_crm, ledger, tree):
    """And moves no mark."""
    crm = new_crm(sa.DateTime())
    crm.add(("a", datetime(2026, 3, 1)), ("wrong", datetime(9999, 12, 31)))
    before = tree()

    would, _ = ingestion.rehearse(crm.world.config, ledger)

    assert tree() == before
    assert str(would) == str(ingestion.run(crm.world.config, ledger))


def test_the_last_row_of_a_table_is_no_total(crm, ledger):
    """Spreadsheets have them below the rows, tables do not."""
    crm.add(("a", 1), ("Total", 2, None, None, None))
    crm.execute(crm.table.update().values(exited=None).where(crm.table.c.corporation == "Total"))

    (intake,) = run(crm, ledger)

    assert counts(intake) == (2, 2, 0, 0)
