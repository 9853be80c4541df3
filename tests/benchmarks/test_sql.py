import pytest
import sqlalchemy as sa

from benchmarks import sql
from risk.ledger.tables import dataset_rows
from tests.servers import REMOTE, SQLITE, on_every_server

ADDRESSES = {SQLITE: "sqlite://"} | {name: address for name, (address, _) in REMOTE.items()}


@on_every_server
def test_both_ways_store_the_very_same_rows(server, tmp_path, monkeypatch):
    """A comparison of speeds is worth nothing otherwise."""
    monkeypatch.setattr(sql, "DATABASE", f"test_{sql.DATABASE}")
    part, file = sql.make_part(tmp_path, 1, 500)
    columns = [column for column in dataset_rows.c if column.name != "labelled_by"]
    query = sa.select(*columns).order_by(dataset_rows.c.row_hash)

    with sql.ledger_at(ADDRESSES[server.name], tmp_path) as engine:
        sql.introduce(engine, [1])
        stored = []
        for store in (
            lambda connection: sql.ours(connection, 1, part),
            lambda connection: sql.LOADERS[engine.dialect.name][1](connection, file),
        ):
            with engine.begin() as connection:
                store(connection)
            with engine.begin() as connection:
                stored.append([tuple(row) for row in connection.execute(query)])
                connection.execute(dataset_rows.delete())

    assert len(stored[0]) == 500
    assert stored[0] == stored[1]


def test_the_slower_of_two_says_so():
    """Half the loader's speed is what is promised."""
    speed = sql.Speed("postgresql", "COPY", ours=30_000, theirs=40_000)

    assert str(speed) == "postgresql: ours 30,000 rows/s, COPY 40,000 rows/s, ratio 0.75"


@pytest.mark.parametrize(("n", "turns"), [(1, "to"), (2, "toot"), (3, "tootto")])
def test_they_take_turns(n, turns):
    """Neither always writes into the smaller table."""
    assert "".join(who[0] for who in sql.order(n)) == turns
