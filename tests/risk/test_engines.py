import pytest
import sqlalchemy as sa

from risk import engines
from risk.errors import LedgerError
from risk.ledger import Ledger
from tests.servers import MARIADB, on_every_server


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


def test_what_the_address_says_of_a_connection_is_left_to_it():
    """Ours are only what nobody chose."""
    engine = engines.make_engine("postgresql://u@127.0.0.1:1/db?connect_timeout=1")
    asked = {}

    @sa.event.listens_for(engine, "do_connect")
    def look(_dialect, _record, _arguments, named):
        asked.update(named)

    with pytest.raises(sa.exc.OperationalError):
        engine.connect()

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
    },
}


@on_every_server
def test_a_session_is_set_up_whatever_the_server_s_own_settings_are(ledger):
    """UTC, strict, patient for some seconds, and no longer."""
    with ledger.engine.connect() as connection:
        for query, expected in ASKED[ledger.engine.dialect.name].items():
            assert connection.scalar(sa.text(query)) == expected, query


@pytest.mark.on(MARIADB)
def test_mysql_as_a_name_for_mariadb_makes_the_same_ledger(world, server):
    """Many write it so."""
    server.clear()
    config = world.set(database_url=server.url.replace("mariadb://", "mysql://"))

    with Ledger.open(config) as ledger:
        ledger.decide("keep", "weil 漢字")

        assert ledger.last_decision("keep").reason == "weil 漢字"


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
