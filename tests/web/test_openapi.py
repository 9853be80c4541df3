"""The schemas of rows follow the declared columns."""

import csv

import pytest
from jsonschema import Draft202012Validator

from risk.config import Columns
from web import openapi


@pytest.mark.parametrize(
    ("allowed", "cells"),
    [
        ((None, None), ["0", "u, v"]),
        ((0, 120), ["0", "u, v"]),
        ((3, None), ["3.0", "u, v"]),
        ((None, -5), ["-5.0", "u, v"]),
        ((-9, 0), ["0", "u, v"]),
    ],
)
def test_the_example_of_a_csv_is_allowed_by_its_pattern(allowed, cells):
    """Whatever the ranges; a value with a comma is in quotes."""
    columns = Columns(
        identifier="id",
        target="y",
        positive_label=1,
        negative_label=0,
        numeric=["a"],
        categorical=["c"],
        allowed_ranges={"a": allowed},
        allowed_values={"c": ["u, v", "w"]},
    )
    schema = openapi.of_columns(columns, 10)["Csv"]

    (example,) = schema["examples"]

    assert Draft202012Validator(schema).is_valid(example)
    assert list(csv.reader(example.splitlines())) == [["a", "c"], cells]
