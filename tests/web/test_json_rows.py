import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from web import json_rows

# no halves of a surrogate pair, which no request may hold
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["\n", "]\n[", '"], ['])
NAMES = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
RISKS = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1e-4, np.nextafter(1e-4, 0), 5e-324])
ROWS = st.lists(st.tuples(NAMES, RISKS, st.integers(0, 1), st.lists(TEXTS)), min_size=1)


@settings(deadline=None)  # the first example imports Arrow
@example([("a\nb", 1e-5, 0, ["c\nd", "]\r["]), (None, 0.5, 1, [])])
@given(ROWS)
def test_a_table_is_written_as_row_by_row(rows):
    """Nobody can tell the difference, to the last byte."""
    names, risks, codes, said = zip(*rows, strict=True)
    table = {
        'the "id"': list(names),
        "risk": np.array(risks),
        "label": json_rows.Coded(["no", 1.5], np.array(codes)),
        "said": list(said),
    }

    written = json_rows.written(table)

    labels = [["no", 1.5][code] for code in codes]
    each = zip(names, risks, labels, said, strict=True)
    expected = [dict(zip(table, cells, strict=True)) for cells in each]
    assert f"[{written}]" == json.dumps(expected, ensure_ascii=False)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_no_number_in_json_is_not_written(number):
    """A client could not parse it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_rows.written({"risk": np.array([0.5, number])})
