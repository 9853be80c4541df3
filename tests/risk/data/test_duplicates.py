from itertools import chain

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.config import Columns
from risk.data.duplicates import Seen
from risk.schema import fingerprints

COLUMNS = Columns(identifier="id", target="y", positive_label=1, negative_label=0, numeric=("x",))
ROWS = st.tuples(
    st.sampled_from("abcdefgh"), st.sampled_from([1.0, 2.0]), st.sampled_from([0, 1, None])
)


def frame(rows):
    types = {"id": "str", "x": "float64", "y": "Int8"}
    return pd.DataFrame(rows, columns=COLUMNS.all).astype(types)


def expected(pieces, known):
    """Sort row after row, by the rows themselves."""
    seen = set(known)
    for piece in pieces:
        fresh, again = [], []
        for i, (name, x, label) in enumerate(piece):
            others = [None] if label is not None else [0, 1]
            came_before = any((name, x, other) in seen for other in others)
            if (name, x, label) not in seen and not came_before:
                fresh.append(i)
            elif (name, x, label) not in seen and label is not None:
                again.append(i)
            seen.add((name, x, label))
        yield fresh, again


@given(st.lists(st.lists(ROWS, max_size=6), min_size=1, max_size=4), st.lists(ROWS, max_size=4))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_rows_are_sorted_as_if_one_after_the_other(pieces, known):
    """Whether all of a piece are new, which is seen at once, or not; new labels are no new rows."""
    hashes = set(fingerprints(frame(known)).tolist()) if known else set()
    came_late = any(label is None for *_, label in known)
    seen = Seen(hashes.intersection, came_late=came_late)

    found = [seen.sort(frame(piece), COLUMNS) for piece in pieces]

    assert [(each.fresh.index.tolist(), each.again) for each in found] == [*expected(pieces, known)]
    rows = frame([*chain.from_iterable(pieces)])
    hashes = [*chain.from_iterable(each.hashes.tolist() for each in found)]
    assert hashes == (fingerprints(rows).tolist() if len(rows) else [])
