"""What `make bench` reports; the measurements themselves take minutes."""

import time

import pytest

from benchmarks import costs


def test_the_cost_of_work_is_its_processor_time():
    """Waiting costs wall time only."""
    found = costs.seconds(lambda: time.sleep(0.05))

    assert found.wall >= 0.05
    assert found.cpu < found.wall


def test_a_line_holds_the_least_of_the_repeats_and_the_median_of_their_ratios():
    """The two of a ratio were measured in the same moment, the repeats were not."""
    measured = {
        ("look", "this"): [
            costs.Cost(3.0, 4.0, 50.0, 0.5),
            costs.Cost(2.0, 5.0, 60.0, 0.8),
            costs.Cost(2.5, 4.5, 55.0, 1.25),
        ],
        ("look", "other"): [
            costs.Cost(6.0, bare=1.0),
            costs.Cost(5.0, bare=1.0),
            costs.Cost(4.0, bare=1.0),
        ],
        ("release", "this"): [costs.Cost(kilobytes=1234.0)],
    }

    _, _, look, _, release = costs.table(measured, ["this", "other"])

    assert [cell.strip() for cell in look.split("|")[2:10]] == [
        "this", "2.00", "2.50", "4.00", "counting with numpy, 0.50 s", "2.5", "0.50", "60",
    ]  # fmt: skip
    assert "1,234 kB" in release


@pytest.mark.parametrize("columns", [15, 30])
def test_customers_have_the_columns_asked_for(columns, tmp_path):
    """Beside their name and label; the same again for the same seed."""
    world = costs.World(tmp_path, columns=columns, rows=10)

    first, again = world.customers(50, seed=1), world.customers(50, seed=1)

    assert first.shape == (50, columns + 2)
    assert first.equals(again)


def test_the_first_category_has_the_levels_asked_for(tmp_path):
    """The others few; so a release of many levels differs in one column."""
    customers = costs.World(tmp_path, levels=40, rows=10).customers(5000, seed=1)

    assert customers[["k0", "k1", "k2"]].nunique().tolist() == [40, 8, 8]
