import io
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from risk.config import Columns
from risk.errors import DataError, UsageError
from risk.models import adoption

COLUMNS = Columns(
    identifier="id", target="left", positive_label="yes", negative_label="no", numeric=("x",)
)


@pytest.mark.parametrize("protocol", range(6))
def test_imports_are_those_that_reading_makes(protocol):
    """The names that an unpickler is asked for are the oracle, in each protocol."""
    content = pickle.dumps([LogisticRegression(), np.float64(1), {1: LogisticRegression}], protocol)
    asked = []

    class Noting(pickle._Unpickler):
        def find_class(self, module, name):
            asked.append(f"{module}.{name}")
            return super().find_class(module, name)

    Noting(io.BytesIO(content)).load()

    assert {name.replace("__builtin__", "builtins") for name in adoption.imports(content)} >= {
        name.replace("__builtin__", "builtins") for name in asked
    }


@pytest.mark.parametrize(
    ("classes", "place"),
    [(["no", "yes"], 1), (["yes", "zero"], 0), ([0, 1], 1), ([False, True], 1)],
)
def test_the_positive_class_is_found(classes, place):
    """By its label as in the data, or as labels are usually encoded."""
    found = LogisticRegression().fit([[0.0], [1.0]], classes)

    assert adoption.fitted_to(found, COLUMNS).positive == place


def test_an_unknown_class_is_refused():
    found = LogisticRegression().fit([[0.0], [1.0]], ["stays", "goes"])

    with pytest.raises(DataError, match="predicts"):
        adoption.fitted_to(found, COLUMNS)


@pytest.mark.parametrize("named", ["../model.pkl", "/etc/passwd", "sub/model.pkl"])
def test_an_mlflow_model_lies_in_its_folder(tmp_path, named):
    (tmp_path / "MLmodel").write_text(f"flavors:\n  sklearn:\n    pickled_model: {named}\n")

    with pytest.raises(UsageError, match="outside its folder"):
        adoption.read(tmp_path)


def test_an_mlflow_folder_without_scikit_learn_is_refused(tmp_path):
    (tmp_path / "MLmodel").write_text("flavors:\n  pytorch:\n    model_data: data\n")

    with pytest.raises(UsageError, match="no flavour sklearn"):
        adoption.read(tmp_path)


def people(ages, plans):
    return pd.DataFrame({"age": ages, "plan": pd.Series(plans, dtype=object)})


PEOPLE = people([20.0, 30.0, 40.0, 50.0, 30.0], ["a", "a", "b", "b", "a"])
ODD, PLAIN = people([np.nan, 30.0, 30.0], ["b", None, "z"]), people([30.0] * 3, ["b", "a", "a"])


def adopted(encoder, number="passthrough"):
    """Fit a classifier elsewhere; return it and what is adopted."""
    prepared = make_column_transformer((number, ["age"]), (encoder, ["plan"]))
    own = make_pipeline(prepared, LogisticRegression()).fit(PEOPLE, [0, 1, 0, 1, 0])
    columns = COLUMNS.model_copy(update={"numeric": ("age",), "categorical": ("plan",)})
    return own, *adoption.for_every_row(adoption.fitted_to(own, columns), PEOPLE, ["plan"])


def test_what_a_classifier_refuses_is_replaced_by_what_is_usual():
    """Drops may hold missing values and new categories; the median age is 30, the usual plan a."""
    own, found, replaced = adopted(OneHotEncoder())

    assert replaced == ["missing values", "new categories"]
    assert found.predict_proba(ODD) == pytest.approx(own.predict_proba(PLAIN))
    assert found.predict_proba(PEOPLE) == pytest.approx(own.predict_proba(PEOPLE))


def test_what_a_classifier_takes_is_left_to_it():
    own, found, replaced = adopted(OneHotEncoder(handle_unknown="ignore"), SimpleImputer())

    assert replaced == []
    assert found.predict_proba(ODD) == pytest.approx(own.predict_proba(ODD))
