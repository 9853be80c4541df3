import csv

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import store
from risk.config import Columns
from risk.data import compiled


def test_the_compiled_csv_reads_back_equal(world):
    """Whole numbers without a point, labels as they came."""
    config = world.set(columns__positive_label="Yes", columns__negative_label="No")
    rows = store.read_parts(config, [])
    row = dict.fromkeys(rows.columns, [2.0]) | {"corporation": ["a, b"], "exited": [1]}
    rows = pd.concat([rows, pd.DataFrame(row).astype({"exited": "Int8"})])

    assert compiled.content(rows, config.columns) == b'"a, b",2,2,2,Yes\n'


def test_labels_are_written_as_configured_also_beside_missing_ones(world):
    """Not as 1.0, which a missing value beside it would make of 1."""
    rows = store.read_parts(world.config, [])
    row = dict.fromkeys(rows.columns, [2.0, 2.0]) | {"corporation": ["a", "b"], "exited": [1, None]}
    rows = pd.concat([rows, pd.DataFrame(row).astype({"exited": "Int8"})])

    assert compiled.content(rows, world.config.columns) == b"a,2,2,2,1\nb,2,2,2,\n"


TEXTS = st.sampled_from(["a", "b c", "Müller", "漢字", "1", " x ", "'", ";"])
ODD_TEXTS = st.sampled_from(["a,b", 'say "so"', "two\nlines", "old\rend"])
NUMBERS = st.none() | st.integers(-(2**60), 2**60).map(float) | st.floats(allow_nan=False)
USUAL = st.none() | st.integers(-9, 9).map(float) | st.floats(-9e9, 9e9).map(lambda x: round(x, 4))


@given(
    st.lists(st.tuples(TEXTS, USUAL | NUMBERS, USUAL, st.sampled_from([0, 1, None])), min_size=1),
    st.lists(st.tuples(ODD_TEXTS, USUAL, USUAL, st.just(1)), max_size=1),
    st.sampled_from([(0, 1), ("no", "yes"), ("n,o", "yes"), (0.5, 2.0)]),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_compiled_csv_is_what_pandas_writes(rows, odd, labels):
    """Byte by byte: it is appended to for years, and others read it."""
    negative, positive = labels
    columns = Columns(
        identifier="id",
        target="y",
        negative_label=negative,
        positive_label=positive,
        numeric=("x", "z"),
    )
    frame = pd.DataFrame([*rows, *odd], columns=["id", "x", "z", "y"])
    frame = frame.astype({"id": "str", "x": "float64", "z": "float64", "y": "Int8"})

    content = compiled.content(frame, columns)

    written = {0: str(negative), 1: str(positive)}
    shown = frame.assign(y=pd.Series([written.get(label, "") for label in frame["y"]], dtype="str"))
    for name in ("x", "z"):
        known = frame[name].dropna()
        if (known % 1 == 0).all() and (known.abs() < 2**53).all():
            shown[name] = frame[name].astype("Int64")
    quoting = csv.QUOTE_ALL if any("\r" in name for name in frame["id"]) else csv.QUOTE_MINIMAL
    text = shown.to_csv(index=False, header=False, lineterminator="\n", quoting=quoting)
    assert content == text.encode()
