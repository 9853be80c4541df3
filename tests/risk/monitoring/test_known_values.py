"""What sound rows had in each feature, and which features leave it by nature."""

import numpy as np
import pandas as pd
import pytest

import ingestion
import training
from risk import store
from risk.config import Config
from risk.models.dating import INGESTION, MOMENT
from risk.monitoring import known_values, monitored_release, reference_file
from risk.monitoring.known_values import MIN_ROWS, Known
from risk.monitoring.profile import Column
from tests.factories import customers, first_release

NUMBER = Column("x", edges=(0.0, 1.0))
CATEGORY = Column("x", levels=("u", "v"), rare=("w",))


def by_drop(*drops):
    """Return what is known of the values of drops: numbers, or texts."""
    values = pd.concat([pd.Series(drop) for drop in drops], ignore_index=True)
    column = CATEGORY if values.dtype in ("str", "object") else NUMBER
    number = np.repeat(np.arange(len(drops)), [len(drop) for drop in drops])
    rows = pd.DataFrame({"x": values, INGESTION: 3 + 2 * number})  # numbers are left out
    return known_values.of_rows(rows, [column], dated=False, minutes=1440)["x"]


def uniform(low, high, n=300):
    return np.random.default_rng(0).uniform(low, high, n)


def test_the_range_is_that_of_all_rows():
    known = by_drop([2.0, np.nan, 9.0], [-1.0])

    assert (known.low, known.high, known.levels) == (-1.0, 9.0, ())
    assert known.has(pd.Series([-1.0, 9.0, 9.1, np.nan])).tolist() == [True, True, False, False]


def test_levels_that_the_reference_has_are_not_repeated():
    known = by_drop(["u", "w", "z"], ["y", None])

    assert known.levels == ("y", "z")
    assert known.has(pd.Series(["y", "q", None])).tolist() == [True, False, False]


def test_a_column_without_values_is_not_known():
    assert by_drop([np.nan, np.nan]) == Known()


def test_an_index_that_rises_roams():
    assert by_drop(uniform(0, 1), uniform(1, 2), uniform(2, 3)).roams
    assert by_drop(-uniform(0, 1), -uniform(1, 2), -uniform(2, 3)).roams


def test_the_month_roams():
    assert by_drop(["may"] * 300, ["june"] * 300, ["july"] * 300).roams


@pytest.mark.parametrize(
    "drops",
    [
        pytest.param([uniform(0, 1), uniform(1, 2), uniform(0, 2)], id="once"),
        pytest.param([uniform(0, 1)] * 9, id="never"),
        pytest.param([uniform(0, 1, 90), uniform(1, 2, 90), uniform(2, 3, 90)], id="few before"),
        pytest.param([uniform(0, 1), *(k + uniform(0, 1, 19) for k in (1, 2, 3))], id="small"),
        pytest.param([uniform(0, 1), uniform(0, 1.6), uniform(0, 2.4)], id="fewer than half"),
        pytest.param(
            [["u"] * 300, ["u", "u", "v"] * 99, ["v"] * 300, *[["w", "u", "u"] * 99] * 2],
            id="seen before",
        ),
    ],
)
def test_other_columns_do_not(drops):
    assert MIN_ROWS == 20
    assert not by_drop(*drops).roams


def test_a_column_that_is_constant_in_most_drops_comes_in_blocks_and_roams():
    """Two values are no range."""
    for known in (by_drop([1.4] * 20, [1.1] * 20), by_drop(["u"] * 20, ["v"] * 20, ["u", "v"] * 9)):
        assert known.in_blocks and known.roams


@pytest.mark.parametrize(
    "drops",
    [
        pytest.param([[1.4] * 20, [1.4] * 20], id="always the same"),
        pytest.param([[1.4] * 20, [1.4] * 20, [1.4, 1.1] * 20], id="the same where constant"),
        pytest.param([[1.4] * 20, [1.1] * 20, *[[1.4, 1.1] * 20] * 3], id="in few of the drops"),
        pytest.param([[1.4] * 19, [1.1] * 19], id="small drops"),
    ],
)
def test_others_do_not_come_in_blocks(drops):
    assert not by_drop(*drops).in_blocks


def test_dated_rows_are_cut_by_their_time():
    """One file with an index that changes daily."""
    day = np.repeat(np.arange(20), 30)
    rows = pd.DataFrame({"x": day / 10, INGESTION: 1})
    rows[MOMENT] = pd.Timestamp("2026-01-01") + pd.to_timedelta(day, unit="D")

    def known(**how):
        return known_values.of_rows(rows, [NUMBER], minutes=1440, **how)["x"]

    assert (known(dated=True).roams, known(dated=True).in_blocks) == (True, True)
    assert (known(dated=False).roams, known(dated=False).in_blocks) == (False, False)
    assert known(dated=True).high == pytest.approx(1.9)


def test_a_challenger_knows_the_rows_held_out_for_the_gate(world, ledger):
    """They are the newest, so an index that rose is in them first."""
    first_release(world.config, ledger)
    world.drop("newer.csv", customers("newer", 60, seed=1) + "newest,1,10,987654,0\n")
    ingestion.run(world.config, ledger)

    challenger = training.run(world.config, ledger).manifest

    reference = reference_file.read(world.config.model_folder, challenger)
    assert challenger.rows_held_out > 0
    assert reference.known["number_of_employees"].high == 987_654


def test_a_release_knows_all_labelled_rows_and_not_only_those_of_its_reference(two_releases):
    """The second one begins with a change."""
    config = Config.load(two_releases / "config.json")
    numbers = sorted(int(path.stem) for path in config.ingested_folder.glob("parts/*.parquet"))
    rows = store.read_parts(config, numbers).dropna(subset=[config.columns.target])
    reference = monitored_release.load(config).reference

    for name in config.columns.numeric:
        known = reference.known[name]
        assert (known.low, known.high) == (rows[name].min(), rows[name].max())
    assert reference.profile.n < len(rows)
