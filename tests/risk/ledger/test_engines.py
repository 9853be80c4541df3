import sys
import time

import certifi
import pytest
import sqlalchemy as sa

from risk.admin import check
from risk.errors import LedgerError
from risk.ledger import engines
from risk.ledger.database import database_faults
from risk.ledger.ledger import Ledger
from tests.factories import HEADER, ROOT
from tests.servers import (
    MARIADB,
    MYSQL_CONNECTOR,
    POSTGRESQL,
    hanging_server,
    on_every_server,
)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://u:p@host:5433/db", "postgresql+psycopg"),
        ("postgresql://u:p@host:5433/db", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@host:5433/db", "postgresql+psycopg"),
        ("mysql://u:p@host:5433/db", "mysql+pymysql"),
        ("mariadb://u:p@host:5433/db", "mariadb+pymysql"),
        ("mysql+mysqldb://u:p@host:5433/db", "mysql+mysqldb"),
    ],
)
def test_an_address_as_everybody_writes_it_is_understood(url, driver):
    """Only the driver is ours, and only where none is named."""
    address = engines.address_of(url)

    assert address.drivername == driver
    assert (address.username, address.password) == ("u", "p")
    assert (address.host, address.port, address.database) == ("host", 5433, "db")


@pytest.mark.parametrize(
    "url",
    ["geheim", "postgresql://u:geheim@host:geheim/db", "://u:geheim@h/db", "oracle9://u:geheim@h/"],
)
def test_an_address_that_is_none_is_refused_without_being_told(url):
    """What was meant as a password may stand anywhere in it."""
    with pytest.raises(LedgerError, match="database_url") as caught:
        engines.make_engine(url)

    assert caught.value.exit_code == 69
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("password", ["ge@heim", "@geheim", "ge@h@eim", "ge@:heim"])
def test_a_password_with_an_at_sign_is_refused_without_being_told(password):
    """Its end would be taken for the name of the host, which errors show."""
    with pytest.raises(LedgerError, match="database_url") as caught:
        engines.make_engine(f"postgresql://u:{password}@host/db")

    assert "heim" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "rest",
    [
        "127.0.0.1/db?ssl_ca=/nonexistent/ca.pem",
        "127.0.0.1/db?charset=nope",
        "127.0.0.1/db?foo=1",
        "127.0.0.1/db?compress=1",
        "127.0.0.1/db?connect_timeout=abc",
        "127.0.0.1/db?connect_timeout=0",
        "127.0.0.1/db?read_timeout=-1",
        f"{'a' * 64}.example/db",
    ],
)
@pytest.mark.parametrize("user", ["u", "u:geheim", "u:geheim漢"])
def test_an_address_that_only_the_driver_finds_wrong_is_a_fault_of_one_line(user, rest):
    """PyMySQL has an error of Python's for each, which were a traceback."""
    with pytest.raises(LedgerError, match="database_url cannot be used: .") as caught:
        engines.make_engine(f"mariadb://{user}@{rest}").connect()

    assert len(str(caught.value).splitlines()) == 1
    assert "geheim" not in str(caught.value)
    assert "\\u" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("kind", "driver"),
    [("postgresql", "psycopg"), ("mariadb", "pymysql"), ("mysql+pymysql", "pymysql")],
)
def test_a_driver_that_is_not_installed_is_named_with_the_command_that_installs_it(
    kind, driver, monkeypatch
):
    """Few ledgers are on a server."""
    monkeypatch.setitem(sys.modules, driver, None)  # as if it were not there

    with pytest.raises(LedgerError, match=f"database_url needs the package {driver}; ") as caught:
        engines.make_engine(f"{kind}://u:geheim@host/db")

    _, _, lock = str(caught.value).partition("; run: python -m pip install -r ")
    assert f"\n{driver}[" in (ROOT / lock).read_text()


def test_another_driver_is_not_said_to_be_among_ours():
    """Nor is a file that a driver lacks."""
    with pytest.raises(LedgerError, match="cannot be used") as caught:
        engines.make_engine("oracle+oracledb://u:geheim@host/db")

    assert "; run: " not in str(caught.value)


def test_a_refused_connection_is_no_fault_of_the_address():
    """It may be repeated."""
    with pytest.raises(sa.exc.OperationalError, match="refused"):
        engines.make_engine("mariadb://u@127.0.0.1:1/db").connect()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_server_that_takes_a_connection_and_says_nothing_is_away(kind):
    """As one that is out of memory, or whose disk hangs."""
    with hanging_server() as host, pytest.raises(sa.exc.OperationalError):
        begin = time.monotonic()
        engines.make_engine(f"{kind}://u@{host}/db?connect_timeout=1").connect()

    assert time.monotonic() - begin < 20


@pytest.mark.on(MARIADB)
def test_a_statement_may_take_longer_than_the_greetings(server):
    """PyMySQL has one limit for both."""
    engine = engines.make_engine(f"{server.url}?connect_timeout=1")

    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT SLEEP(1.5)")) == 0

    engine.dispose()


def test_what_the_address_says_of_a_connection_is_left_to_it():
    """Ours are only what nobody chose."""
    engine = engines.make_engine("postgresql://u@127.0.0.1:1/db?connect_timeout=1")
    asked = {}

    def look(_dialect, _record, _arguments, named):
        asked.update(named)

    sa.event.listen(sa.Engine, "do_connect", look)
    try:
        with pytest.raises(sa.exc.OperationalError):
            engine.connect()
    finally:
        sa.event.remove(sa.Engine, "do_connect", look)

    assert asked["connect_timeout"] == "1"
    assert asked["application_name"] == "risk"


ASKED = {
    "postgresql": {
        "SHOW timezone": "UTC",
        "SHOW statement_timeout": "5min",
        "SHOW lock_timeout": "30s",
        "SHOW transaction_isolation": "read committed",
        "SHOW client_encoding": "UTF8",
    },
    "mariadb": {
        "SELECT @@session.time_zone": "+00:00",
        "SELECT @@session.sql_mode LIKE '%STRICT_ALL_TABLES%'": 1,
        "SELECT @@session.innodb_lock_wait_timeout": 30,
        "SELECT @@session.tx_isolation": "READ-COMMITTED",
        "SELECT @@session.character_set_client": "utf8mb4",
    },
    "sqlite": {
        "PRAGMA journal_mode": "wal",
        "PRAGMA busy_timeout": 5000,
        "PRAGMA foreign_keys": 1,
        "PRAGMA cache_size": -32000,
        "PRAGMA wal_autocheckpoint": 16000,
    },
}


@on_every_server
def test_a_session_is_set_up_whatever_the_server_s_own_settings_are(ledger):
    """UTC, strict, patient for some seconds, and no longer."""
    with ledger.engine.connect() as connection:
        for query, expected in ASKED[ledger.engine.dialect.name].items():
            assert connection.scalar(sa.text(query)) == expected, query


def test_the_api_keeps_few_pages_of_a_ledger_for_each_of_its_threads(tmp_path):
    """A stage has one connection, a service as many as it answers requests at a time."""
    engine = engines.make_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}", engines.Away())

    with engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA cache_size")) == -2000  # as SQLite has it
    engine.dispose()


@pytest.mark.on(MARIADB)
def test_mysql_as_a_name_for_mariadb_makes_the_same_ledger(world, server):
    """Many write it so."""
    server.clear()
    config = world.set(database_url=server.url.replace("mariadb://", "mysql://"))

    with Ledger.open(config) as ledger:
        ledger.decisions.record("keep", "weil 漢字")

        assert ledger.decisions.last("keep").reason == "weil 漢字"


def lost(code):
    return sa.exc.OperationalError("SELECT 1", {}, Exception(code), connection_invalidated=True)


def test_a_question_is_repeated_while_the_server_is_away(monkeypatch):
    """After short pauses, and not for ever."""
    slept = []
    monkeypatch.setattr(engines.time, "sleep", slept.append)
    faults = [lost("gone"), lost("gone")]

    def ask():
        if faults:
            raise faults.pop()
        return "here again"

    assert engines.patiently(ask) == "here again"
    assert slept == list(engines.PAUSES_SECONDS[:2])
    faults += [lost("gone")] * 9
    with pytest.raises(sa.exc.OperationalError):
        engines.patiently(ask)
    assert len(faults) == 9 - 1 - len(engines.PAUSES_SECONDS)


def test_a_server_that_stays_away_is_asked_by_one_request_now_and_then(monkeypatch):
    """All who waited would keep those waiting who want a prediction."""
    times = iter(range(0, 1000, 3))
    monkeypatch.setattr(engines.time, "monotonic", lambda: next(times))
    away = engines.Away()
    with pytest.raises(OSError), away:
        raise OSError("it hangs")

    with pytest.raises(LedgerError, match="it hangs"), away:
        pytest.fail("it was asked again at once")
    with away, pytest.raises(LedgerError, match="it hangs"), away:
        pytest.fail("it was asked by two")
    with away:
        pass


@on_every_server
def test_a_question_that_is_wrong_is_asked_once(ledger, monkeypatch):
    """No pause makes it right."""
    monkeypatch.setattr(engines.time, "sleep", pytest.fail)
    asked = []

    def ask():
        asked.append(1)
        with ledger.engine.connect() as connection:
            connection.execute(sa.text("SELECT * FROM no_such_table"))

    with pytest.raises(sa.exc.DBAPIError):
        engines.patiently(ask)

    assert len(asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:ge@heim@host/db",
        "postgresql://me:ge@ss/db?x=heim@host/db",
        "postgresql://me:ge@ss?heim@host/db",
        "postgresql://me@x:geheim@host/db",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_before_its_end_is_taken_for_the_host(url):
    with pytest.raises(LedgerError) as caught:
        engines.make_engine(url)

    assert str(caught.value).startswith("database_url: write @, / and ? in the password as")
    assert "heim" not in str(caught.value)
    assert "ss" not in str(caught.value).replace("password", "")


@pytest.mark.on(MYSQL_CONNECTOR)
def test_an_optional_driver_has_the_same_session(world, server):
    """Strict, in UTC, with every character, and back after a lost connection."""
    with Ledger.open(world.config) as ledger:
        with ledger.engine.connect() as connection:
            session = "SELECT connection_id(), @@sql_mode, @@time_zone"
            number, mode, zone = connection.execute(sa.text(session)).one()
        other = engines.make_engine(server.url)
        with other.connect() as connection:
            connection.execute(sa.text(f"KILL {number}"))
        other.dispose()

        ledger.runs.start()
        ledger.runs.end("ok", "drei Kunden 😀")

        (run,) = ledger.runs.page().items
        assert (run["outcome"], zone) == ("drei Kunden 😀", "+00:00")
        assert "TRADITIONAL" in mode
        assert abs((run["started_at"] - ledger.now()).total_seconds()) < 60


@pytest.mark.on(MARIADB, MYSQL_CONNECTOR)
@pytest.mark.parametrize("options", ["ssl_ca={ca}", "ssl_ca={ca}&ssl_verify_identity=true"])
def test_who_names_a_certificate_authority_never_connects_without_tls(server, options):
    """The server of the tests has no certificate."""
    with pytest.raises(LedgerError, match="SSL"), database_faults():
        engines.make_engine(f"{server.url}?{options.format(ca=certifi.where())}").connect()


@pytest.mark.parametrize("url", ["mysql://root@127.0.0.1", "mariadb://root@127.0.0.1:3306/"])
def test_a_ledger_without_a_database_is_told(world, url):
    """Queries of a source may name theirs with each table."""
    config = world.set(database_url=url)

    with pytest.raises(LedgerError, match="names no database"), Ledger.open(config):
        pass
    assert engines.address_of(url).host == "127.0.0.1"


@pytest.mark.torture
@pytest.mark.on(MYSQL_CONNECTOR)
def test_runs_work_with_an_optional_driver(world):
    """A first run, late labels, rows in SQL, and nothing wrong afterwards."""
    world.set(store_dataset_in_sql=True)
    world.drop("odd.csv", f"{HEADER}odd 😀,=1+2,2,3,0\nlate é,1,2,3,\n")
    world.drop("z.csv", "corporation,exited\nlate é,1\n")

    world.run()
    world.run()

    with Ledger.open(world.config) as ledger:
        assert ledger.dataset_rows.missing_parts() == []
        assert ledger.quarantine.page().total == 1
    assert check.check(world.config).exit_code == 0


@pytest.mark.on(POSTGRESQL, MARIADB, MYSQL_CONNECTOR)
@pytest.mark.parametrize("user", [None, "SECRET_USER"])
def test_an_error_of_a_driver_names_neither_user_nor_database(server, user):
    """Nothing of an address is shown but its scheme and host."""
    address = engines.address_of(server.url).set(database="SECRET_DATABASE")
    if user:
        address = address.set(username=user, password="SECRET_PASSWORD")

    with pytest.raises(LedgerError) as caught, database_faults():
        engines.make_engine(address).connect()

    assert "***" in str(caught.value)
    assert "SECRET" not in f"{caught.value} {caught.value.__cause__!r}"
