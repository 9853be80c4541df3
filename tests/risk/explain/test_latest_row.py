import shutil

import pandas as pd
import pytest

import ingestion
from risk import store
from risk.errors import UnknownName
from risk.explain.latest_row import find_latest
from risk.ledger.ledger import Ledger

HEADER = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"
DATED = "corporation,at,lastmonth_activity,lastyear_activity,number_of_employees,exited\n"


def take(world, *texts):
    """Take drops, each in a run of its own."""
    shutil.rmtree(world.config.input_folder)
    world.config.input_folder.mkdir()
    with Ledger.open(world.config) as ledger:
        for number, text in enumerate(texts):
            world.drop(f"{number}.csv", text)
            ingestion.run(world.config, ledger)


def activity(world, name):
    with Ledger.open(world.config) as ledger:
        known = find_latest(world.config, ledger, name)
    assert len(known.row) == 1
    return known.row["lastmonth_activity"].iloc[0], known.dataset


def test_the_row_that_came_last_counts(world):
    """Within a drop the lower one; other customers' later drops do not matter."""
    take(world, HEADER + "ann,1,1,1,0\n", HEADER + "ann,2,1,1,0\nann,3,1,1,0\nbob,9,1,1,0\n",
         HEADER + "bob,4,1,1,0\n")  # fmt: skip

    assert activity(world, "ann") == (3.0, "data/ingested/final_data.csv")
    assert activity(world, "bob") == (4.0, "data/ingested/final_data.csv")


def test_where_there_is_an_event_time_it_says_what_is_last(world):
    """In any time zone, whatever came when; of the same moment, what came last."""
    world.set(columns__event_time="at")
    world.config.test_data.unlink()
    take(world, DATED + "ann,2026-03-02T00:30:00+02:00,1,1,1,0\nann,2026-03-01T23:00:00Z,2,1,1,0\n",
         DATED + "ann,2026-01-01,3,1,1,0\nbob,2026-01-01,4,1,1,0\nbob,2026-01-01,5,1,1,0\n"
    )  # fmt: skip

    assert activity(world, "ann")[0] == 2.0
    assert activity(world, "bob")[0] == 5.0


def test_whoever_is_only_in_the_test_data_is_found_there(world):
    """The accepted rows come first, also where both have one."""
    take(world, HEADER + "sk9ccm,7,1,1,0\n")

    assert activity(world, "sk9ccm") == (7.0, "data/ingested/final_data.csv")
    assert activity(world, "drstaz") == (142.0, "data/test/test_data.csv")


@pytest.mark.parametrize("name", ["nobody", "", "ANN", "an n", "../ann", "\udcff", "a" * 5000, "%"])
def test_whoever_is_unknown_is_not_found(world, name):
    """Nothing that resembles a name is taken for it; the message stays short."""
    take(world, HEADER + "ann,1,1,1,0\n")

    with pytest.raises(
        UnknownName, match="no corporation is called '.{0,60}', neither in "
    ) as told:
        activity(world, name)

    assert len(str(told.value)) < 200


def test_before_anything_is_accepted_the_test_data_may_answer(world, ledger):
    """And without test data nobody does, but no file is missed."""
    assert find_latest(world.config, ledger, "sk9ccm").row["lastyear_activity"].iloc[0] == 963
    world.config.test_data.unlink()

    with pytest.raises(UnknownName):
        find_latest(world.config, ledger, "sk9ccm")


def test_of_the_other_customers_no_row_is_read(world, ledger):
    """Of a part only the rows that are asked for; of one without names, none."""
    take(world, HEADER + "ann,1,1,1,0\nbob,2,1,1,0\nann,3,1,1,\n")
    (number,) = ledger.parts()

    rows = store.read_rows_of(world.config, number, "ann")

    everything = store.read_parts(world.config, [number])
    expected = everything[everything["corporation"] == "ann"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, expected)
    renamed = world.set(columns__identifier="company")
    assert store.read_rows_of(renamed, number, "ann").empty
