import numpy as np
import pytest

from risk.monitoring import change_point

CELLS = 10


def shifted(rng, n, shift):
    """Draw the cells of a normal column, tenths of the reference, that moved by `shift` sd."""
    edges = [-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816]
    return np.searchsorted(edges, rng.normal(shift, 1, n))


def reference(n=1500):
    return np.full(CELLS, n / CELLS)


@pytest.mark.parametrize(
    ("shift", "before", "after", "error"),
    [(3.0, 400, 200, 3), (3.0, 0, 300, 3), (1.0, 500, 500, 40), (0.5, 1000, 1000, 150)],
)
def test_a_change_is_dated_to_within_a_few_rows(shift, before, after, error):
    """The larger it is the better; 20 draws, and it is dated rather too late than too early."""
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(20):
        rows = np.concatenate([shifted(rng, before, 0), shifted(rng, after, shift)])
        errors.append(change_point.begin([rows], [reference()]) - before)

    assert np.median(np.abs(errors)) <= error
    assert np.mean(np.array(errors) >= -3) >= 0.8


def test_subjects_add_up():
    """Two columns that moved a little together say more than either, and one knows few rows."""
    rng = np.random.default_rng(2)
    alone, together = [], []
    for _ in range(20):
        columns = [np.concatenate([shifted(rng, 600, 0), shifted(rng, 600, 0.7)]) for _ in range(3)]
        columns[2][rng.random(1200) < 0.7] = -1
        alone.append(change_point.begin(columns[:1], [reference()]) - 600)
        together.append(change_point.begin(columns, [reference()] * 3) - 600)

    assert np.median(np.abs(together)) <= np.median(np.abs(alone))


@pytest.mark.parametrize("waiting", [0, 50, 5000])
def test_rows_that_wait_for_their_labels_say_nothing(waiting):
    """However many came since."""
    codes = np.array([0] * 300 + [1] * 40 + [-1] * waiting)

    assert 300 <= change_point.begin([codes], [[1400, 100]]) <= 302


def test_no_row_need_be_known():
    """Then nothing is."""
    assert change_point.begin([np.full(9, -1)], [[5, 5]]) is None
    assert change_point.bounds([np.full(9, -1)], [[5, 5]]) is None


@pytest.mark.parametrize("shift", [3.0, 1.0, 0.5])
def test_the_interval_of_the_date_has_the_change_in_it(shift):
    """In about 95 % of the draws, and it is the narrower, the larger the change is."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(100):
        rows = np.concatenate([shifted(rng, 400, 0), shifted(rng, 300, shift)])
        found.append(change_point.bounds([rows], [reference()]))
    first, likeliest, last = np.array(found).T

    assert np.mean((first <= 400) & (400 <= last)) >= 0.92  # 95 %, less 1.5 standard errors
    assert np.all((first <= likeliest) & (likeliest <= last))
    assert np.median(last - first) <= 4 + 20 / shift**2
