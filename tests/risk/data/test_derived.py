import pytest

import ingestion
from risk.data import derived, drops
from tests.factories import HEADER

ODD = [
    '"a, b",1,-0.0,3,0\n"say ""so""",,2.5,,1\n',
    "c,1e19,0.00001,3,\nd,12345678.25,1,9999.9999,1\ne,10000,9999.99996,3,0\n",
    'f,1,2,3,0\ng,,,,\n"two\nlines",0.1,0.2,7,1\nh,1,2.0,3,1\ni,5,6,7,0\n',
    "j,1,2,3,0\n",
]


def compiled_of(world):
    return (world.config.ingested_folder / "final_data.csv").read_bytes()


@pytest.mark.parametrize("rows_per_piece", [2, 50_000])
@pytest.mark.parametrize("max_cells", [0, 5, 10, 1_000_000])
def test_rows_from_memory_are_written_as_those_of_their_part(
    inbox, ledger, monkeypatch, rows_per_piece, max_cells
):
    """All, those of small drops, or none of them; a part is read only if the file is lost."""
    monkeypatch.setattr(drops, "ROWS_PER_PIECE", rows_per_piece)
    monkeypatch.setattr(derived, "MAX_CELLS", max_cells)
    for number, rows in enumerate(ODD):
        inbox.drop(f"{number}.csv", HEADER + rows)
    ingestion.run(inbox.config, ledger)
    from_memory = compiled_of(inbox)

    (inbox.config.ingested_folder / "final_data.csv").unlink()
    ingestion.run(inbox.config, ledger)

    assert compiled_of(inbox) == from_memory
    assert from_memory.count(b"\n") == 1 + 11 + 1  # one of them within quotes


def test_a_row_superseded_while_in_memory_is_not_written(inbox, ledger):
    """Its line is complete in the next drop of the same run."""
    header = "exited,corporation,lastmonth_activity,lastyear_activity,number_of_employees\n"
    inbox.drop("a.csv", f"{header}0,k,1,2,3\n1,l,1,2,10")
    inbox.drop("b.csv", f"{header}0,k,1,2,3\n1,l,1,2,109\n")

    ingestion.run(inbox.config, ledger)

    assert compiled_of(inbox).splitlines()[1:] == [b"k,1,2,3,0", b"l,1,2,109,1"]


def test_a_file_that_was_half_rebuilt_is_not_taken_as_whole(inbox, ledger, monkeypatch):
    """With another header it may be longer than it was before the crash, and lacks rows."""
    inbox.drop("a.csv", f"{HEADER}k,1,2,3,0\n")
    inbox.drop("b.csv", f"{HEADER}l,1,2,3,0\n")
    ingestion.run(inbox.config, ledger)
    inbox.set(columns__numeric=[*inbox.config.columns.numeric, "age_of_the_account_in_years"])

    def crash(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        known = ledger.derived_files.record
        patched.setattr(
            type(ledger.derived_files),
            "record",
            lambda _, name, **state: known(name, **state) if not state["size_bytes"] else crash(),
        )
        ingestion.run(inbox.config, ledger)
    half = compiled_of(inbox)
    ingestion.run(inbox.config, ledger)

    assert compiled_of(inbox) == half
