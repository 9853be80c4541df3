"""How a cost grows: the exponent of a power law, in a table and a picture."""

import pytest

from benchmarks import growth


@pytest.mark.parametrize("power", [0, 1, 2.1])
def test_the_exponent_is_that_of_a_power_law(power):
    points = {size: 3.0 * size**power for size in (10, 100, 1000)}

    assert growth.exponent(points) == pytest.approx(power)


def test_the_page_has_each_size_and_the_exponent():
    text = growth.page({"rows": {"look at new rows": {10_000: 0.5, 100_000: 5.0}}})

    assert "| rows | 10,000 | 100,000 | exponent |" in text
    assert "| look at new rows | 0.50 s | 5.00 s | 1.00 |" in text


def test_the_picture_has_both_axes_in_powers():
    figure = growth.draw({"rows": {"look": {10: 1.0, 100: 10.0}}})

    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
