import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from risk.models import preparation
from risk.models.preparation import beside, densely


@given(
    n_rows=st.integers(0, 6),
    n_numbers=st.integers(0, 4),
    n_levels=st.integers(0, 5),
    order=st.sampled_from(["C", "F"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_numbers_and_levels_are_joined_as_by_scipy(n_rows, n_numbers, n_levels, order, seed):
    """Also rows of no level or of several, and numbers that lie in memory by column."""
    rng = np.random.default_rng(seed)
    numbers = np.asarray(rng.integers(-1, 2, (n_rows, n_numbers)) / 2, order=order)
    levels = sparse.csr_matrix(rng.integers(0, 2, (n_rows, n_levels)).astype("float64"))

    joined = beside(numbers, levels)

    assert joined.has_canonical_format
    assert joined.nnz == numbers.size + levels.nnz  # zeros of the numbers are stored too
    expected = np.hstack([numbers, levels.toarray()])
    np.testing.assert_array_equal(joined.toarray(), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "ROWS_AT_ONCE", 2)
        dense = densely(numbers, levels)
    np.testing.assert_array_equal(dense, expected, strict=True)
    assert dense.flags.c_contiguous  # the order in which an estimator adds up


@pytest.mark.parametrize(("n_levels", "integer"), [(2, "int32"), (2**31, "int64")])
def test_places_fit_into_the_integers_of_the_matrix(n_levels, integer):
    """Estimators refuse 64 bits where 32 are enough, and 32 cannot name a column beyond 2**31."""
    levels = sparse.csr_matrix(([1.0], ([1], [n_levels - 1])), shape=(2, n_levels))

    joined = beside(np.array([[5.0], [6.0]]), levels)

    assert joined.indices.dtype == joined.indptr.dtype == integer
    assert joined[1, n_levels] == 1 and joined[1, 0] == 6
