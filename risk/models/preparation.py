"""The preparation of features, in little memory; it imports scikit-learn, so import it late."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, get_index_dtype, issparse
from sklearn.compose import ColumnTransformer

ROWS_AT_ONCE = 50_000


class Preparation(ColumnTransformer):  # type: ignore[misc]
    """A ColumnTransformer that joins numbers and levels without copies in between."""

    def _hstack(self, Xs: list[Any], *, n_samples: int) -> Any:  # noqa: N803 - named by sklearn
        if [issparse(X) for X in Xs] == [False, True]:
            return beside(*Xs) if self.sparse_output_ else densely(*Xs)
        return super()._hstack(Xs, n_samples=n_samples)


def densely(numbers: NDArray[np.float64], levels: csr_matrix) -> NDArray[np.float64]:
    """Return numbers, and levels after them, as a dense matrix."""
    n_rows, n_numbers = numbers.shape
    joined = np.empty((n_rows, n_numbers + levels.shape[1]))
    joined[:, :n_numbers] = numbers
    for start in range(0, n_rows, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        joined[some, n_numbers:] = levels[some].toarray()
    return joined


def beside(numbers: NDArray[np.float64], levels: csr_matrix) -> csr_matrix:
    """Return a sparse matrix of numbers, each stored even if it is 0, and of levels after them."""
    n_rows, n_numbers = numbers.shape
    integer = get_index_dtype(maxval=max(numbers.size + levels.nnz, n_numbers + levels.shape[1]))
    added = n_numbers * np.arange(n_rows + 1, dtype=integer)  # numbers before the end of each row
    ends = levels.indptr + added
    values, columns = np.empty(ends[-1]), np.empty(ends[-1], dtype=integer)
    for start in range(0, n_rows, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        places = ends[:-1][some, None] + np.arange(n_numbers, dtype=integer)
        values[places], columns[places] = numbers[some], np.arange(n_numbers)
    places = np.arange(levels.nnz, dtype=integer) + np.repeat(added[1:], np.diff(levels.indptr))
    values[places], columns[places] = levels.data, levels.indices + n_numbers
    return csr_matrix((values, columns, ends), (n_rows, n_numbers + levels.shape[1]))
