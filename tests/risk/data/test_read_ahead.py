"""Drops read ahead by other processes: the same rows, refusals and numbers as without them."""

import pytest
import sqlalchemy as sa

import ingestion
from benchmarks import clusters
from risk import store
from risk.data import drops, read_ahead
from risk.data import inbox as finding
from risk.data.intake import take
from risk.ledger import tables
from tests.factories import HEADER, customers

OF_A_DROP = ["path", "status", "kind", "rows_read", "rows_added", "rows_duplicate"]
OF_A_DROP += ["rows_quarantined", "reason", "part_sha256", "unfinished_row_hash", "compiled_sha256"]
WHAT_IS_KNOWN = {
    tables.ingestions: OF_A_DROP,
    tables.row_hashes: ["row_hash", "ingestion_id"],
    tables.quarantined_rows: ["ingestion_id", "line", "column_name", "rule", "value"],
    tables.later_labels: ["row_hash", "y_true", "ingestion_id"],
}
DROPS = {
    "a.csv": customers("a", 300, seed=1),
    "b.csv": customers("a", 300, seed=1).replace("a299,", "b299,"),  # all but one came before
    "c.csv": f"{HEADER}c1,1,2,3,0\nc2,1,2,many,0\nc3,1,2,3\n\nc4,1,2,3,1\n",
    "d.csv": "name,age\nx,1\n",
    "e.csv": customers("e", 20, seed=2, labelled=False),
    "f.csv": "corporation,exited\ne1,1\ne2,0\nunknown,1\n",
    "g.csv": f'{HEADER}"g, the first",1,2,3,0\ng2,1,2,3,1',  # no line end
    "h.csv": "",
}


@pytest.fixture
def filled(inbox):
    """Give a world with drops of every kind in its inbox."""
    for name, text in DROPS.items():
        inbox.drop(name, text)
    return inbox


@pytest.fixture
def however_few(monkeypatch):
    """Let workers read drops that are much smaller than those they are for."""
    monkeypatch.setattr(read_ahead, "MIN_BYTES", 0)


def taken(world):
    """Ingest all drops, and give what is known of them then."""
    with world.open_ledger() as ledger:
        ingestion.run(world.config, ledger)
        found = {
            table.name: ledger.database.frame(sa.select(*(table.c[name] for name in names)))
            for table, names in WHAT_IS_KNOWN.items()
        }
        parts = store.read_parts(world.config, ledger.parts.ids())
    found = {name: sorted(map(str, frame.values.tolist())) for name, frame in found.items()}
    found["rows"] = parts.to_csv()
    found["text"] = (world.config.ingested_folder / "final_data.csv").read_bytes()
    folder = world.config.quarantine_folder
    return found | {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.csv")
    }


@pytest.fixture
def expected(filled, new_world, tmp_path_factory):
    """Give what one process takes from the same drops."""
    other = new_world(tmp_path_factory.mktemp("local"))
    other.take_from_inbox()
    for name, text in DROPS.items():
        other.drop(name, text)
    return taken(other)


@pytest.mark.usefixtures("however_few")
def test_two_processes_take_what_one_takes(filled, expected):
    """Accepted, duplicate, refused, late and unfinished rows, and files refused as a whole."""
    filled.set(engine="processes", engine_workers=2)

    assert taken(filled) == expected
    assert expected["text"].count(b"\n") == 1 + 300 + 1 + 2 + 20 + 2


@pytest.mark.torture
@pytest.mark.usefixtures("however_few")
def test_the_workers_of_a_cluster_take_what_one_process_takes(filled, expected, tmp_path):
    """They read the inbox by its path, which they share."""
    with clusters.running(tmp_path, workers=2) as cluster:
        filled.set(engine="dask", engine_address=cluster.address)

        assert taken(filled) == expected


@pytest.mark.usefixtures("however_few")
def test_rows_are_read_by_the_workers_and_all_else_by_this_process(filled, ledger):
    """Labels, what cannot be read, and what would not fit into the memory of many."""
    filled.set(engine="processes", engine_workers=2)
    row = "a,1,2,3,0\n"
    filled.drop("large.csv", HEADER + row * (1 + read_ahead.MAX_BYTES // len(row)))
    files, _ = finding.find_new(filled.config, ledger)

    found = {drop.name: drop.pieces for drop in read_ahead.of(files, filled.config, ledger.now())}

    n_rows = {
        name.rpartition("/")[2]: sum(len(piece.rows) for piece in pieces)
        for name, pieces in found.items()
        if pieces is not None
    }
    assert n_rows == {"a.csv": 300, "b.csv": 300, "c.csv": 2, "e.csv": 20, "g.csv": 2}
    assert len(found) == len(DROPS) + 1


def test_no_worker_is_started_for_drops_that_are_read_sooner_than_it_has(inbox, ledger):
    """A run of two small drops takes no longer on an engine than without."""
    inbox.set(engine="dask", engine_address="tcp://127.0.0.1:9")  # where nobody answers
    for name in ("a", "b"):
        inbox.drop(f"{name}.csv", f"{HEADER}{name},1,2,3,0\n")

    done = ingestion.run(inbox.config, ledger)

    assert [intake.rows_added for intake in done.intakes] == [1, 1]


@pytest.mark.usefixtures("however_few")
def test_a_drop_that_changed_since_it_was_read_is_left_for_a_later_run(inbox, ledger):
    """What was read of it is forgotten."""
    inbox.set(engine="processes", engine_workers=2)
    for name in ("a", "b"):
        inbox.drop(f"{name}.csv", f"{HEADER}{name},1,2,3,0\n")
    files, _ = finding.find_new(inbox.config, ledger)
    first, _ = read_ahead.of(files, inbox.config, ledger.now())
    first.path.write_text(f"{HEADER}other,1,2,3,0\n")

    with pytest.raises(drops.Changed):
        take(inbox.config, ledger, first, {})

    done = ingestion.run(inbox.config, ledger)
    assert [intake.rows_added for intake in done.intakes] == [1, 1]
    rows = store.read_parts(inbox.config, ledger.parts.ids())
    assert sorted(rows["corporation"]) == ["b", "other"]
