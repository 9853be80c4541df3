"""Adoption of a model file made elsewhere: what it would import, and the model once trusted.

A pickle runs code when it is read. So nothing is unpickled before a person has confirmed the digest
of the very bytes that are then read.
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk import store
from risk.config import Columns
from risk.errors import DataError, ModelError, UsageError
from risk.lazily import pandas as pd
from risk.models import model
from risk.schema import is_label, is_positive

FILE_NAME = "adopted_model.pkl"
MLFLOW, OUTSIDE = "MLmodel", re.compile(r"[\\/:]|^\.")
MAX_NAMED = 40
STORES = ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT")
LOADS = ("BINGET", "LONG_BINGET", "GET")
NEVER_SEEN = "\N{SYMBOL FOR NULL}"
FAULTS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)  # of predicting
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Adopted:
    """A classifier made elsewhere, with the columns it takes in its order.

    `usual` are values in place of missing ones, `known` the categories it knows, the most frequent
    one first, in place of new ones; each only if the classifier refuses such rows.
    """

    estimator: Any
    names: tuple[str, ...]
    positive: int
    usual: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def classes_(self) -> list[int]:
        """The labels as this project writes them."""
        return [0, 1]

    def predict_proba(self, features: pd.DataFrame) -> Floats:
        """Return the probability of both labels for each row."""
        taken = features[[*self.names]]
        for name, levels in self.known.items():
            is_known = taken[name].isin(levels) | taken[name].isna()
            taken = taken.assign(**{name: taken[name].where(is_known, levels[0])})
        both = self.estimator.predict_proba(taken.fillna({**self.usual}) if self.usual else taken)
        positive = np.asarray(both, dtype="float64")[:, self.positive]
        return np.column_stack([1 - positive, positive])


def read(path: Path) -> tuple[Path, bytes]:
    """Return the file of a model and its content; of an MLflow folder, the model within."""
    if (path / MLFLOW).is_file():
        path = path / _pickled_model(store.read(path / MLFLOW).decode("utf-8", "replace"))
    if not path.is_file():
        raise UsageError(f"{path} is neither a file nor a folder with the file {MLFLOW}")
    return path, store.read(path)


def trusted(path: Path, content: bytes, trust: str | None) -> Any:
    """Return the model in a file if `trust` is its digest; else say what it would import."""
    digest = model.digest(content)
    if (trust or "").lower() != digest:
        wrong = "" if trust is None else f"--trust {trust} is not its digest.\n"
        raise UsageError(
            f"{path} was not read, as reading it runs code.\n{wrong}SHA-256: {digest}\n"
            f"{described(path, content)}\nIf it is yours, repeat with --trust {digest}"
        )
    return _loaded(path, content)


def fitted_to(found: Any, columns: Columns) -> Adopted:
    """Return a model that takes the declared features; DataError if it cannot."""
    if not hasattr(found, "predict_proba") or not hasattr(found, "classes_"):
        raise DataError(f"{_name(found)} is no fitted classifier with predict_proba and classes_")
    names = [str(name) for name in getattr(found, "feature_names_in_", columns.features)]
    if unknown := sorted(set(names) - set(columns.features)):
        raise DataError(f"the model needs columns that are no declared features: {unknown}")
    if (n := getattr(found, "n_features_in_", len(names))) != len(names):
        raise DataError(f"the model takes {n} columns, but {len(names)} features are declared")
    classes = pd.Series([*found.classes_]).map(_as_text)
    positive = np.flatnonzero(is_positive(classes, columns))
    if len(classes) == 2 and not is_label(classes, columns).all() and set(classes) == {"0", "1"}:
        positive = np.flatnonzero(classes == "1")  # labels were encoded before it was fitted
    if len(classes) != 2 or len(positive) != 1:
        raise DataError(f"the model predicts {[*classes]}, not {columns.classes}")
    return Adopted(found, tuple(names), int(positive[0]))


def for_every_row(
    fitted: Adopted, features: pd.DataFrame, categorical: Sequence[str]
) -> tuple[Adopted, list[str]]:
    """Return a model that predicts every row a drop may hold, and what is replaced for it.

    Drops may hold missing values and new categories, which many classifiers refuse. These are
    replaced by the median or the most frequent value of `features`.
    """
    texts, replaced = [name for name in fitted.names if name in categorical], list[str]()
    if not all(_takes(fitted, features, name, None) for name in fitted.names):
        replaced.append("missing values")
        usual: dict[str, list[Any]] = {}
        usual |= {name: _by_frequency(features[name])[:1] for name in texts}
        usual |= {name: [features[name].median()] for name in fitted.names if name not in texts}
        known = {name: found[0] for name, found in usual.items() if found}
        fitted = replace(fitted, usual=known)
    if not all(_takes(fitted, features, name, NEVER_SEEN) for name in texts):
        replaced.append("new categories")
        levels = {name: tuple(_by_frequency(features[name])) for name in texts}
        fitted = replace(fitted, known={name: each for name, each in levels.items() if each})
    return fitted, replaced


def imports(content: bytes) -> Iterator[str]:
    """Yield what a pickle imports, by its opcodes alone; ValueError where these end.

    A name that is computed while it is read cannot be seen here.
    """
    texts, memo, n_memo, pushed = ["?", "?"], dict[Any, str](), 0, None
    for opcode, argument, _ in pickletools.genops(content):
        just_pushed, pushed = pushed, None
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif opcode.name in STORES:
            number = n_memo if argument is None else argument
            n_memo += 1
            if just_pushed is not None:
                memo[number] = pushed = just_pushed
        elif opcode.name in LOADS and argument in memo:
            pushed = memo[argument]
            texts.append(pushed)
        elif isinstance(argument, str):
            pushed = argument
            texts.append(pushed)


def described(path: Path, content: bytes) -> str:
    """Say what reading a model would import, as far as that can be known without reading it."""
    if path.suffix == ".skops":
        found, ending = model.skops().get_untrusted_types(data=content), " beyond what skops trusts"
    else:
        found, ending = [], ""
        try:
            found.extend(imports(content))
        except (ValueError, UnicodeDecodeError):
            ending = "; the rest cannot be listed, as the file is compressed or written by joblib"
    names = sorted(set(found))
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"It imports at least: {', '.join(names[:MAX_NAMED]) or 'nothing'}{more}{ending}."


def _takes(fitted: Adopted, features: pd.DataFrame, name: str, value: str | None) -> bool:
    """Whether a model predicts a row with this value in a column."""
    row = features.head(1)
    row = row.assign(**{name: row[name].where(row[name].isna(), value)})
    try:
        return bool(np.isfinite(fitted.predict_proba(row)).all())
    except FAULTS:
        return False


def _by_frequency(texts: pd.Series[Any]) -> list[str]:
    return [*texts.value_counts().index]


def _pickled_model(text: str) -> str:
    """Return the file that an MLmodel file names for its scikit-learn flavour."""
    flavour = re.search(r"^(\s+)sklearn:\s*\n((?:\1\s+.*\n?)+)", text, re.MULTILINE)
    named = flavour and re.search(r"pickled_model:\s*[\"']?([^\s\"']+)", flavour[2])
    if not named:
        raise UsageError(f"{MLFLOW} has no flavour sklearn with a pickled_model")
    if OUTSIDE.search(named[1]):
        raise UsageError(f"{MLFLOW} names a model outside its folder: {named[1]}")
    return named[1]


def _loaded(path: Path, content: bytes) -> Any:
    """Read a model; refuse one that another version of scikit-learn wrote."""
    import joblib
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            if path.suffix == ".skops":
                types = model.skops().get_untrusted_types(data=content)
                return model.skops().loads(content, trusted=types)
            return joblib.load(io.BytesIO(content))  # reads plain pickles, too
        except InconsistentVersionWarning as error:
            made, own = error.original_sklearn_version, error.current_sklearn_version
            raise ModelError(
                f"{path} was written by scikit-learn {made}, installed is {own}: write it again "
                "with that version"
            ) from None
        except ModuleNotFoundError as error:
            raise ModelError(f"{path} needs a package that is not installed: {error}") from None
        except model.UNREADABLE as error:
            what = f"{type(error).__name__}: {error}"
            raise ModelError(
                f"{path} cannot be read as a pickle, joblib or skops file: {what}"
            ) from None


def _name(found: Any) -> str:
    return f"{type(found).__module__}.{type(found).__qualname__}"


def _as_text(label: Any) -> str:
    """Write a class as a cell would be: 1 for True and 1.0."""
    if isinstance(label, (bool, np.bool_)):
        return str(int(label))
    is_whole = isinstance(label, (float, np.floating)) and float(label).is_integer()
    return str(int(label)) if is_whole else str(label)
