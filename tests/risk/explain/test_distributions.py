import numpy as np
import pandas as pd

from risk.explain import distributions
from risk.monitoring.profile import Column


def test_each_cell_of_a_number_has_its_bounds_and_shares():
    """Open at both ends; missing values have no bounds."""
    column = Column("x", edges=(0.0, 10.0))

    bins = distributions.numeric(column, (0, 3, 0, 1), (1, 1, 0, 0))

    assert bins["left"].tolist()[:3] == [-np.inf, 0.0, 10.0]
    assert bins["right"].tolist()[:3] == [0.0, 10.0, np.inf]
    assert bins[["left", "right"]].iloc[-1].isna().all()
    assert bins["reference"].tolist() == [0, 0.75, 0, 0.25]
    assert bins["current"].tolist() == [0.5, 0.5, 0, 0]


def test_rare_unseen_and_missing_values_have_words():
    """A value that is called (rare) itself stays what it is."""
    column = Column("x", levels=("a", "(rare)"), rare=("b",))

    shares = distributions.categorical(column, (1, 1, 1, 0, 1), (0, 0, 0, 2, 2))

    assert shares["value"].tolist()[:4] == [
        "a",
        "(rare)",
        "rare values",
        "values unknown to the reference",
    ]
    assert pd.isna(shares["value"].iloc[-1])
    assert shares["current"].tolist() == [0, 0, 0, 0.5, 0.5]


def test_what_there_is_none_of_is_not_drawn():
    """Neither missing values nor unseen ones, if there are none on either side."""
    number, text = Column("x", edges=(0.0, 10.0)), Column("y", levels=("a", "b"))

    assert len(distributions.numeric(number, (0, 1, 0, 0), (0, 1, 0, 0))) == 3
    assert distributions.categorical(text, (1, 0, 0, 0, 0), (0, 1, 0, 0, 0))["value"].tolist() == [
        "a",
        "b",
    ]


def test_nothing_has_no_shares():
    """Of no rows, none is anywhere."""
    assert distributions.shares((0, 0)).tolist() == [0, 0]
