"""Columns derived from several others, in which a change of the joint distribution shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from risk.config import Columns
from risk.lazily import pandas as pd
from risk.monitoring.boosters import with_values
from risk.monitoring.profile import MAX_LEVELS

EXPLAINED = 0.8  # of the variance; the rest is the error of a usual row
CLIP = 10.0  # standard deviations: bounds what one mistyped number does to components and errors
MIN_ROWS_OF_PCA = 20  # components follow fewer rows so closely that new ones look strange
MIN_ROWS_OF_DOMAIN = 50  # a leaf has 20 rows or more: of fewer there is little to split
MAX_ROWS = 5000  # of each table, as a classifier is trained in every run
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reconstruction:
    """The principal components of numeric columns: their usual joint distribution.

    Missing values count as `medians`; values are standardised by `means` and `scales`.
    """

    names: tuple[str, ...]
    medians: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]

    def error(self, rows: pd.DataFrame) -> Floats:
        """Return how far each row is from the components, in standard deviations."""
        values = rows[[*self.names]].to_numpy("float64")
        # that values are missing shows in their own column; here they should not
        known = np.where(np.isnan(values), self.medians, values)
        z = _standardised(known, np.array(self.means), np.array(self.scales))
        components = np.array(self.components)
        # (rows, names) less their projection; `components` is (components, names), orthonormal
        residuals: Floats = np.linalg.norm(z - z @ components.T @ components, axis=1)
        return residuals

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Parse what `to_dict` returned, lists for tuples included."""
        plain = {name: tuple(content[name]) for name in ("names", "medians", "means", "scales")}
        return cls(**plain, components=tuple(map(tuple, content["components"])))


def fit_reconstruction(rows: pd.DataFrame, numeric: Sequence[str]) -> Reconstruction | None:
    """Fit the components that explain 80 % of the variance, one fewer than columns at most.

    None if there are fewer than 20 rows, or fewer than two columns that vary.
    """
    if len(rows) < MIN_ROWS_OF_PCA:
        return None
    varied = rows[[name for name in numeric if rows[name].nunique() > 1]]
    medians = varied.median()
    known = varied.fillna(medians)
    # a column of values near the largest float has an infinite spread, and is left out below
    with np.errstate(over="ignore", invalid="ignore"):
        means, scales = known.mean(), known.std(ddof=0)
    names = scales.index[np.isfinite(scales) & (scales > 0)].tolist()
    if len(names) < 2:
        return None
    centre, scale = means[names].to_numpy("float64"), scales[names].to_numpy("float64")
    z = _standardised(known[names].to_numpy("float64"), centre, scale)
    return Reconstruction(
        names=tuple(names),
        medians=tuple(medians[names].tolist()),
        means=tuple(centre.tolist()),
        scales=tuple(scale.tolist()),
        components=_components(z.T @ z / len(z)),  # of correlations: units do not matter
    )


def domain_score(
    reference_half: pd.DataFrame,
    earlier_current: pd.DataFrame,
    columns: Columns,
    *,
    random_seed: int,
) -> Callable[[pd.DataFrame], Floats] | None:
    """Train a classifier to distinguish earlier batches from one half of the reference rows.

    Returns a function that gives the probability of rows to be current. It has seen neither the
    other half nor the next batch, so on these two it is a column like those of the drop: equally
    distributed as long as nothing changes. Returns None if one of the tables has fewer than 50
    rows.
    """
    tables = [reference_half, earlier_current]
    if min(map(len, tables)) < MIN_ROWS_OF_DOMAIN:
        return None
    from sklearn.ensemble import HistGradientBoostingClassifier

    samples = [
        table.sample(min(len(table), MAX_ROWS), random_state=random_seed) for table in tables
    ]
    known = pd.concat(samples)
    encode = _encoder(known, columns)
    classifier = HistGradientBoostingClassifier(
        max_iter=50,  # small, as it is trained in every run
        max_leaf_nodes=8,
        early_stopping=False,
        class_weight="balanced",  # else the probability would follow the lengths of the tables
        categorical_features=np.arange(len(columns.numeric), len(columns.features)),
        random_state=random_seed,
    )
    classifier.fit(with_values(encode(known)), np.repeat([0, 1], [*map(len, samples)]))
    return lambda rows: classifier.predict_proba(encode(rows))[:, 1]


def _standardised(values: Floats, means: Floats, scales: Floats) -> Floats:
    """Clip before dividing: a value may be so far away that it would overflow."""
    reach = CLIP * scales
    standardised: Floats = (np.clip(values, means - reach, means + reach) - means) / scales
    return standardised


def _components(covariance: Floats) -> tuple[tuple[float, ...], ...]:
    variances, vectors = np.linalg.eigh(covariance)  # the smallest variance first
    explained = np.cumsum(variances[::-1]) / variances.sum()
    # as many components as columns would leave no error at all
    kept = min(int(np.searchsorted(explained, EXPLAINED)) + 1, len(variances) - 1)
    return tuple(map(tuple, vectors.T[::-1][:kept].tolist()))  # (components, columns)


def _encoder(known: pd.DataFrame, columns: Columns) -> Callable[[pd.DataFrame], Floats]:
    """Encode the most frequent levels; to scikit-learn, a category of -1 is a missing one."""
    levels = {name: known[name].value_counts().index[:MAX_LEVELS] for name in columns.categorical}

    def encode(rows: pd.DataFrame) -> Floats:
        numbers = rows[[*columns.numeric]].to_numpy("float64")
        codes = [index.get_indexer(pd.Index(rows[name])) for name, index in levels.items()]
        return np.column_stack([numbers, *codes])

    return encode
