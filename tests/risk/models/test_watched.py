from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from risk.config import Columns, ModelSource
from risk.errors import DataError, WatchedOnly
from risk.models import watched
from risk.models.watched import Predictions

COLUMNS = Columns(
    identifier="id",
    target="left",
    positive_label="yes",
    negative_label="no",
    numeric=("x",),
    probability="p",
    decision="d",
)


def settings(threshold=None):
    model = ModelSource(source="predictions", threshold=threshold)
    return SimpleNamespace(columns=COLUMNS, model=model)


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_disagrees_with_as_few_decisions_as_any(seed):
    """As trying each of them shows; some decisions here are exceptions to the rule."""
    rng = np.random.default_rng(seed)
    proba = rng.choice(np.linspace(0, 1, 41), 200)
    decided = proba >= rng.uniform(0, 1)
    decided[rng.choice(200, 4, replace=False)] ^= True
    rows = pd.DataFrame({"p": proba, "d": np.where(decided, "yes", "no")})

    found, reason = watched.threshold(settings(), rows)

    every = [*np.unique(proba), 2.0]
    fewest = min(int(((proba >= cut) != decided).sum()) for cut in every)
    assert int(((proba >= found) != decided).sum()) == fewest
    assert reason == f"agrees with {1 - fewest / 200:.1%} of the decisions"


def test_a_threshold_of_the_settings_needs_no_decisions():
    assert watched.threshold(settings(0.3), pd.DataFrame({"p": [0.1]}))[0] == 0.3


def test_decisions_that_follow_no_threshold_are_refused():
    """Scores by any threshold would not be those of the decisions that were made."""
    rows = pd.DataFrame({"p": np.linspace(0, 1, 100), "d": ["yes", "no"] * 50})

    with pytest.raises(DataError, match=r"d follows no threshold of p.*set model.threshold"):
        watched.threshold(settings(), rows)


def test_only_rows_with_a_prediction_have_one():
    predictions = Predictions.from_json(Predictions("p").to_json(drops=[1]).encode())

    assert predictions.of(pd.DataFrame({"p": [0.25, 0.5]})).tolist() == [0.25, 0.5]
    with pytest.raises(WatchedOnly, match="the model is elsewhere"):
        predictions.of(pd.DataFrame({"x": [1.0]}))
