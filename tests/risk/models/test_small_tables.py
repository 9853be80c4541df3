import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from risk.models import small_tables


def test_a_small_table_is_kept_exactly_and_takes_little_room():
    """The sample of a release is compared with rows to erase, cell by cell."""
    rng, n = np.random.default_rng(0), 2000
    rows = pd.DataFrame(
        {
            "amount": rng.normal(size=n),
            "price": rng.integers(100, 200, n) / 100,
            "plan": pd.array(rng.choice(["basic", "extended", "business"], n), dtype="str"),
        }
    )
    rows.loc[::7, ["amount", "plan"]] = np.nan

    content = small_tables.to_bytes(rows)

    pd.testing.assert_frame_equal(small_tables.from_bytes(content), rows, check_exact=True)
    assert len(content) < 8 * n + 3 * n  # the random numbers, and a few bits for each other cell


@pytest.mark.parametrize(
    ("numbers", "kept_as"),
    [
        ([0.1, -2.5, 100.25, np.nan, 1e-9], "double"),
        ([0.1, -2.5, 100.25, np.nan, 1e-6], "decimal128(9, 6)"),
        ([7.0, 1e6, -1.0, np.nan, 0.0], "decimal128(9, 0)"),
        ([999_999_999.0, 1.0, 2.0, 3.0, 4.0], "decimal128(9, 0)"),
        ([1_000_000_000.0, 1.0, 2.0, 3.0, 4.0], "double"),
        ([0.1, -0.0, 1.0, 2.0, 3.0], "decimal128(9, 1)"),
        ([-0.0] * 5, "decimal128(9, 0)"),
        ([0.1 + 0.2, 1.0, 2.0, 3.0, 4.0], "double"),
        ([np.inf, 1.0, 2.0, 3.0, 4.0], "double"),
        ([1e300, 5e-324, 1e-4, 123_456.789, 3.0], "double"),
        ([np.nan] * 5, "decimal128(9, 0)"),
    ],
)
def test_numbers_of_few_digits_are_kept_as_decimals_if_that_changes_none(numbers, kept_as):
    """Half as large; any program that reads Parquet reads the same numbers."""
    rows = pd.DataFrame({"x": numbers})

    content = small_tables.to_bytes(rows)
    found = small_tables.from_bytes(content)

    assert str(pq.read_schema(io.BytesIO(content)).field("x").type) == kept_as
    pd.testing.assert_frame_equal(found, rows, check_exact=True)
    if kept_as == "double":
        assert found["x"].to_numpy().tobytes() == rows["x"].to_numpy().tobytes()


@pytest.mark.parametrize("n_decimals", range(9))
def test_every_decimal_is_read_as_the_number_it_was(n_decimals):
    """Arrow's own conversion of decimals misses the last bit of many."""
    whole = np.random.default_rng(n_decimals).integers(-(10**9) + 1, 10**9, 2000)
    rows = pd.DataFrame({"x": whole / 10.0**n_decimals})

    content = small_tables.to_bytes(rows)

    pd.testing.assert_frame_equal(small_tables.from_bytes(content), rows, check_exact=True)
    assert len(content) < 5 * len(rows) + 1000


def test_a_file_of_before_there_were_decimals_is_read():
    """Releases made by earlier versions have one."""
    rows = pd.DataFrame({"x": [0.1, np.nan], "plan": pd.array(["a", None], dtype="str")})
    content = io.BytesIO()
    rows.to_parquet(content, index=False)

    found = small_tables.from_bytes(content.getvalue())

    pd.testing.assert_frame_equal(found, rows, check_exact=True)
