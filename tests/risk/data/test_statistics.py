import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

import full_process
import ingestion
from risk import store
from risk.data import statistics
from risk.data.statistics import as_rows, each_row, summarise, summarise_accepted
from risk.ledger.tables import column_statistics

HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,colour,exited\n"


def test_a_long_category_stops_no_run(world, ledger):
    """The commonest value of a column may be a whole sentence; of it the ledger keeps a part."""
    test_data = world.config.test_data
    test_data.write_text(HEADER + "t,1,2,3,red,0\nu,3,2,1,red,1\n")
    world.set(columns__categorical=["colour"], input_folder_path="inbox")
    world.config.input_folder.mkdir()
    rows = [f"firm {i},{i % 7},{i % 5},{i % 3 + 1},{'x' * 300},{i % 2}\n" for i in range(200)]
    world.drop("long.csv", HEADER + "".join(rows))

    outcome = full_process.run(world.config, ledger)

    with ledger.engine.connect() as connection:
        kept = list(connection.scalars(sa.select(column_statistics.c.top_value)))
    assert outcome.exit_code == 0
    assert "x" * 254 + "…" in kept
    assert ledger.decisions.live_version() == 1


def test_cells_are_plain_values_and_what_json_has_no_word_for_is_none():
    """Of numbers, texts, times and mixed columns, each by its own type."""
    day = pd.Timestamp("2026-03-01", tz="UTC")
    table = pd.DataFrame(
        {
            "number": [1.5, np.nan, -np.inf],
            "count": np.array([1, 0, 2], "int8"),
            "is_known": [True, False, True],
            "text": pd.Series(["a", None, ""], dtype="str"),
            "moment": [day, pd.NaT, day],
            "mixed": [{"a": 1}, np.inf, None],
        }
    )

    rows = as_rows(table)

    assert [[*row.values()] for row in rows] == [
        [1.5, 1, True, "a", day, {"a": 1}],
        [None, 0, False, None, None, None],
        [None, 2, True, "", day, None],
    ]
    assert {type(row["count"]) for row in rows} == {int}
    assert as_rows(table.head(0)) == []


def a_long_history(world):
    """Take drops of numbers, texts and missing cells, the last with a column more."""
    world.take_from_inbox()
    rng, ledger = np.random.default_rng(0), world.open_ledger()
    with ledger as opened:
        for number in range(3):
            lines = [
                f"n{number}-{i},{rng.integers(99) or ''},{i},{rng.integers(9)},{i % 2}\n"
                for i in range(70)
            ]
            world.drop(f"{number}.csv", HEADER.replace("colour,", "") + "".join(lines))
        ingestion.run(world.config, opened)
        world.set(columns__categorical=["colour"])
        coloured = [f"c{i},1,2,3,{'red' if i % 3 else 'blue'},1\n" for i in range(9)]
        world.drop("coloured.csv", HEADER + "".join(coloured))
        ingestion.run(world.config, opened)
    return world


@pytest.mark.parametrize("settings", [{}, {"engine": "processes", "engine_workers": 2}])
def test_statistics_are_the_same_however_few_columns_are_in_memory(world, monkeypatch, settings):
    """Those of all rows in one table, to the last bit; also if workers compute them."""
    config = a_long_history(world).set(**settings)
    monkeypatch.setattr(statistics, "CELLS_AT_ONCE", 500)  # two of five columns

    with world.open_ledger() as ledger:
        found = summarise_accepted(config, ledger)
        rows = store.read_parts(config, ledger.parts.ids())

    assert len(rows) == 219
    pd.testing.assert_frame_equal(found, summarise(rows, config.columns), check_exact=True)
    assert found.set_index("column_name").loc["colour", "missing_count"] == 210


def test_before_the_first_row_statistics_count_none(world, ledger):
    found = summarise_accepted(world.config, ledger)

    assert found["row_count"].tolist() == [0, 0, 0, 0]


def test_rows_of_a_long_table_are_yielded_one_after_another():
    """As plain values, also those beyond the rows that are converted at once."""
    n = 2 * statistics.ROWS_AT_ONCE + 3
    table = pd.DataFrame({"number": np.arange(n), "share": np.where(np.arange(n) % 2, 0.5, np.nan)})

    found = each_row(table)

    assert next(found) == {"number": 0, "share": None}
    assert list(found) == [{"number": i, "share": 0.5 if i % 2 else None} for i in range(1, n)]
