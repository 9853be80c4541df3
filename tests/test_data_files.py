from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATA = Path(__file__).parents[1] / "data"
FEATURES = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
DEVELOPMENT = ["development/dataset1.csv", "development/dataset2.csv"]
PRODUCTION = ["production/dataset3.csv", "production/dataset4.csv"]
TEST = "test/test_data.csv"
ROWS = dict(zip([*DEVELOPMENT, *PRODUCTION, TEST], [17, 19, 11, 15, 5], strict=True))


def rows_of(*names):
    return pd.concat([pd.read_csv(DATA / name) for name in names], ignore_index=True)


@pytest.mark.parametrize(("name", "rows"), ROWS.items())
def test_the_files_have_the_documented_shapes(name, rows):
    """The README promises them."""
    file = rows_of(name)

    assert list(file) == ["corporation", *FEATURES, "exited"]
    assert len(file) == rows


@pytest.mark.parametrize("name", ROWS)
def test_the_values_are_counts_and_both_outcomes_occur(name):
    """Nothing missing, nothing negative, last month no more than last year."""
    file = rows_of(name)

    assert (file.dtypes[[*FEATURES, "exited"]] == "int64").all()
    assert (file[FEATURES] >= 0).all(axis=None)
    assert (file["lastmonth_activity"] <= file["lastyear_activity"]).all()
    assert file["exited"].value_counts().reindex([0, 1]).min() >= 2


def test_the_two_development_files_share_five_rows():
    """Ingestion has duplicates to find; each file alone has none."""
    one, two = (rows_of(name) for name in DEVELOPMENT)

    assert len(one.merge(two, on=list(one))) == 5
    assert not one.duplicated().any() and not two.duplicated().any()


def test_a_company_has_one_row_everywhere():
    """Equal names never come with contradicting rows."""
    distinct = rows_of(*ROWS).drop_duplicates()

    assert distinct["corporation"].is_unique


def test_no_test_company_is_seen_in_training():
    """Scores are about unknown customers."""
    known = set(rows_of(*DEVELOPMENT, *PRODUCTION)["corporation"])

    assert not known & set(rows_of(TEST)["corporation"])


@pytest.mark.parametrize("feature", FEATURES)
def test_production_differs_from_development_in_every_feature(feature):
    """Twenty-six rows suffice for a drift test at a strict level."""
    before, after = rows_of(*DEVELOPMENT).drop_duplicates(), rows_of(*PRODUCTION)

    assert ks_2samp(before[feature], after[feature]).pvalue < 0.001


def test_the_first_model_is_good_and_not_perfect_and_fails_in_production():
    """Logistic regression learns development, and production asks for another model."""
    known, strange = rows_of(*DEVELOPMENT).drop_duplicates(), rows_of(*PRODUCTION)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(known[FEATURES], known["exited"])

    known_f1, test_f1, strange_f1 = (
        f1_score(rows["exited"], model.predict(rows[FEATURES]))
        for rows in (known, rows_of(TEST), strange)
    )

    assert 0.7 < known_f1 < 0.95
    assert 0.6 < test_f1 < 0.9
    assert strange_f1 < 0.4
