"""Shapley attribution of a change in mean prediction, or of one row's prediction, to features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from risk.lazily import pandas as pd

# Rows of each table. Up to 998 pairs take 8 orders each, and every step but the last is predicted:
# about 8000 predictions per feature.
MAX_ROWS = 500
QUICK_ROWS = 200  # up to 398 pairs of two orders each: a tenth of the predictions (ADR 34)
MAX_ROTATIONS = 4  # of an order, plus the reverse of each: 8 orders per pair
ALL_ORDERS = 3  # features whose rotations and their reverses are all orders there are
MAX_COMPARED = 200  # reference rows; the result is computed while a user waits (ADR 14)
MANY_FEATURES = (
    20  # above, two orders: an order and its reverse still split pair interactions fairly
)
# The cells predicted are walks * features squared. These bounds are reached by 316 features, or 158
# where it is to be quick; beyond 1000 or so they grow again, as fewer than 20 rows tell nothing.
MAX_CELLS, MAX_QUICK_CELLS, MIN_ROWS = 200_000_000, 20_000_000, 20
CELLS_AT_ONCE = 2_000_000  # bounds the memory
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Attribution:
    """The mean predictions of two tables, and each feature's part of the change, largest first.

    `errors` are the standard errors of the parts due to the rows and orders that were taken, None
    where a table has a single row.
    """

    before: float
    after: float
    parts: dict[str, float]
    errors: dict[str, float | None]


class Predicted(NamedTuple):
    """Rows of the features, and what is predicted for them, (n_rows, n_outputs)."""

    rows: pd.DataFrame
    numbers: Floats


@dataclass(frozen=True)
class Contributions:
    """Each feature's part of a row's prediction, relative to the mean of `n` reference rows.

    `standard_errors` estimate the variation over other reference rows and orders.
    """

    baseline: float
    parts: Floats
    standard_errors: Floats
    n: int


def attribute(
    predict_proba: Callable[[pd.DataFrame], Floats],
    before: pd.DataFrame,
    after: pd.DataFrame,
    features: Sequence[str],
    *,
    rng: np.random.Generator,
) -> Attribution:
    r"""Attribute the change of the mean prediction between two tables to the features.

    Parameters
    ----------
    predict_proba : callable
        Gives one number per row of a frame of the features: a probability, a loss, any other.
    before, after : pandas.DataFrame
        At least one row each. A value missing, or seen in one table only, is a value like others.
    features : sequence of str
        The columns to switch, at least one.
    rng : numpy.random.Generator
        Draws the orders in which they are switched.

    Returns
    -------
    Attribution
        `parts` add up to `after` - `before`, but for rounding.

    Notes
    -----
    The rows of both tables are paired by the rank of their predictions, so that features that did
    not change differ little within a pair. Tables of different length share rows between pairs,
    each row keeping its weight; of more than 500 rows, every n-th in the order of the predictions
    is taken, fewer where more than 316 features would make the predictions too many, and what
    their mean misses of the table's is shared equally by the features. With
    f(S) the mean prediction of pairs whose features S come from `after`, the others from `before`,
    the part of feature j is its Shapley value [1]_,

    .. math:: \phi_j = \mathrm{mean}_\pi \, [f(\pi_{<j} \cup j) - f(\pi_{<j})],

    the mean being over orders of the features: per pair a random one, up to four rotations of it
    (beyond 20 features only itself) and the reverse of each [2]_. Up to three features these are
    all orders there are, so nothing depends on `rng`. The standard errors tell how far the parts of
    all rows and orders may be; rows being taken evenly, they come from the differences between
    neighbours [4]_ in the shorter table. Budhathoki et al. [3]_ attribute the change to causal
    mechanisms alike; here each column is a mechanism of its own, so a part says what the model saw,
    not why it happened.

    References
    ----------
    .. [1] Shapley, "A Value for n-Person Games", Contributions to the Theory of Games 2 (1953)
       307-317.
    .. [2] Mitchell, Cooper, Frank and Holmes, "Sampling Permutations for Shapley Value
       Estimation", Journal of Machine Learning Research 23 (2022) 1-46.
    .. [3] Budhathoki, Janzing, Bloebaum and Ng, "Why did the distribution change?",
       AISTATS 2021, PMLR 130, 1666-1674.
    .. [4] Wolter, "Introduction to Variance Estimation", 2nd ed., Springer (2007), chapter 8.

    Examples
    --------
    >>> before = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 0.0]})
    >>> after = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 1.0]})
    >>> risk = lambda rows: (0.3 * rows["x"] - 0.1 * rows["y"]).to_numpy()
    >>> found = attribute(risk, before, after, ["x", "y"], rng=np.random.default_rng(0))
    >>> {name: round(float(part), 2) for name, part in found.parts.items()}
    {'x': 0.3, 'y': -0.1}
    """
    tables = (table[[*features]] for table in (before, after))
    predicted = (Predicted(table, predict_proba(table)[:, None]) for table in tables)
    (found,) = attribute_each(lambda rows: predict_proba(rows)[:, None], *predicted, rng=rng)
    return found


def attribute_each(
    predict: Callable[[pd.DataFrame], Floats],
    before: Predicted,
    after: Predicted,
    *,
    rng: np.random.Generator,
    thorough: bool = True,
) -> list[Attribution]:
    """Attribute the changes of several means in one pass, as `attribute` does that of one.

    `predict` gives a row of numbers for each row of a frame of the features; of these the first
    pairs the rows. Unless `thorough`, of more than three features 200 rows of each table do, in a
    random order and its reverse.
    """
    features = list(before.rows)
    max_rows, n_rotations = _effort(len(features), thorough=thorough)
    chosen = [_spread(table.numbers[:, 0], max_rows) for table in (before, after)]
    rows = pd.concat([before.rows.iloc[chosen[0]], after.rows.iloc[chosen[1]]])
    ends = np.concatenate([before.numbers[chosen[0]], after.numbers[chosen[1]]])
    pairs = _pairs(len(chosen[0]), len(chosen[1]))  # (pairs, 3)
    # (walks, features): all pairs in their first order, then all in the next, hence the tile below
    orders = _orders(len(pairs), len(features), rng, n_rotations)
    first, last, weights = np.tile(pairs.T, len(orders) // len(pairs))
    between = _between(predict, rows, first, last, orders)
    # (features, walks, outputs): gains[k, i] belongs to the feature that walk i switches as its
    # k-th. Each sum telescopes, so parts add up whatever the model does.
    gains = np.diff([ends[first], *between, ends[last]], axis=0)
    gains *= (weights / weights.sum())[:, None]
    of_shorter = last if len(chosen[1]) <= len(chosen[0]) else first
    found = []
    for output, gain in enumerate(np.moveaxis(gains, 2, 0)):
        start, end = (float(table.numbers[:, output].mean()) for table in (before, after))
        parts, errors = _summed(gain, orders, of_shorter, end - start)
        ranked = [features[i] for i in np.argsort(-np.abs(parts), kind="stable")]
        part, error = (dict(zip(features, x.tolist(), strict=True)) for x in (parts, errors))
        found.append(
            Attribution(
                start,
                end,
                {name: part[name] for name in ranked},
                {name: None if np.isnan(error[name]) else error[name] for name in ranked},
            )
        )
    return found


def _summed(
    gains: Floats, orders: Integers, row_of_walk: Integers, change: float
) -> tuple[Floats, Floats]:
    """Return each feature's part and its error, from the gains of all walks in walking order."""
    parts = np.bincount(orders.T.ravel(), gains.ravel()).astype("float64")
    _, row = np.unique(row_of_walk, return_inverse=True)
    n = int(row.max()) + 1
    of_rows = np.bincount((orders.T * n + row).ravel(), gains.ravel()).reshape(-1, n)
    # Rows are in the order of their predictions; each has the same weight, 1 / n.
    errors = np.sqrt((np.diff(of_rows) ** 2).sum(axis=1) / 2 * n / max(n - 1, 1))
    # The sample's change is not quite the tables', for which no feature is to blame.
    parts += (change - parts.sum()) / len(parts)
    return parts, errors if n > 1 else np.full(len(parts), np.nan)


def _effort(n_features: int, *, thorough: bool) -> tuple[int, int]:
    """Return the rows to take of each table, and the rotations of an order for each pair."""
    if n_features <= ALL_ORDERS or (thorough and n_features <= MANY_FEATURES):
        return MAX_ROWS, MAX_ROTATIONS
    # two orders of nearly twice as many pairs as rows
    affordable = (MAX_CELLS if thorough else MAX_QUICK_CELLS) // (4 * n_features**2)
    return max(MIN_ROWS, min(MAX_ROWS if thorough else QUICK_ROWS, affordable)), 1


def attribute_row(
    predict_proba: Callable[[pd.DataFrame], Floats],
    row: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    rng: np.random.Generator,
) -> Contributions:
    r"""Attribute the prediction of one row to its features, relative to reference rows.

    Parameters
    ----------
    predict_proba : callable
        Gives one number per row of a frame of the features.
    row : pandas.DataFrame
        One row; its columns are the features, at least one.
    reference : pandas.DataFrame
        The rows to compare with, of the same columns, at least two.
    rng : numpy.random.Generator
        Draws the orders in which features are switched.

    Returns
    -------
    Contributions
        `parts`, in the order of the columns, add up to the prediction of `row` - `baseline`, but
        for rounding.

    Notes
    -----
    The interventional Shapley value [1]_: with :math:`f(S, z)` the prediction of a reference row
    z whose features S are those of `row`,

    .. math:: \phi_j = \mathrm{mean}_{z, \pi} [f(\pi_{<j} \cup j, z) - f(\pi_{<j}, z)],

    over the orders that `attribute` takes, and at most 200 rows z, evenly by their prediction. Up
    to three features these are all orders; beyond 20, to be quick, only one and its reverse for
    each z. The standard errors are those of a mean of independent z; as these are spread evenly,
    they are rather too large.

    References
    ----------
    .. [1] Janzing, Minorics and Bloebaum, "Feature relevance quantification in explainable AI: A
       causal problem", AISTATS 2020, PMLR 108, 2907-2916.

    Examples
    --------
    >>> reference = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 0.0]})
    >>> row = pd.DataFrame({"x": [1.0], "y": [1.0]})
    >>> risk = lambda rows: (0.4 * rows["x"] * rows["y"]).to_numpy()
    >>> attribute_row(risk, row, reference, rng=np.random.default_rng(0)).parts.round(3)
    array([0.1, 0.3])
    """
    usual = predict_proba(reference)
    chosen = _spread(usual, MAX_COMPARED)
    n, n_features = len(chosen), len(reference.columns)
    rows = pd.concat([reference.iloc[chosen], row[[*reference]]])  # the row itself is number n
    n_rotations = 1 if n_features > MANY_FEATURES else MAX_ROTATIONS
    orders = _orders(n, n_features, rng, n_rotations)
    first = np.tile(np.arange(n), len(orders) // n)
    last = np.full_like(first, n)  # no pairing by rank: each reference row becomes the same row
    between = _between(predict_proba, rows, first, last, orders)
    end = np.repeat(predict_proba(row[[*reference]]), len(orders))
    gains = np.diff([usual[chosen][first], *between, end], axis=0)
    # From the k-th of an order to the feature's own column: (walks, features). Kept by reference
    # row, as their scatter is the standard error.
    by_feature = np.empty((len(orders), n_features))
    np.put_along_axis(by_feature, orders, gains.T, axis=1)
    of_pairs = by_feature.reshape(-1, n, n_features).mean(axis=0)  # over the orders of each row
    errors = of_pairs.std(axis=0, ddof=1) / np.sqrt(n)
    return Contributions(float(usual[chosen].mean()), of_pairs.mean(axis=0), errors, n)


def means_with_one_value(
    predict: Callable[[pd.DataFrame], Floats], row: pd.DataFrame, reference: pd.DataFrame
) -> Floats:
    """Return the mean prediction of the reference rows with each feature in turn that of `row`."""
    rows, (n, n_features) = pd.concat([reference, row[[*reference]]]), reference.shape
    at_once, means = max(CELLS_AT_ONCE // reference.size, 1), list[Floats]()
    for start in range(0, n_features, at_once):
        own = np.arange(start, min(start + at_once, n_features))
        taken = np.tile(np.arange(n)[:, None], (len(own), 1, n_features))
        taken[np.arange(len(own)), :, own] = n  # the row itself
        predicted = predict(_mixed(rows, taken.reshape(-1, n_features)))
        means.append(predicted.reshape(len(own), n).mean(axis=1))
    return np.concatenate(means)


def _spread(risk: Floats, most: int) -> Integers:
    """Return row positions in order of risk: all, or the middle of each of `most` equal strata."""
    # No random sample: the middles of strata of the risk nearly keep its mean, and are the same
    # each time.
    n = min(len(risk), most)
    middles = (2 * np.arange(n) + 1) * len(risk) // (2 * n)
    return np.argsort(risk, kind="stable")[middles]


def _pairs(n_before: int, n_after: int) -> Integers:
    """Return pairs of rows of two ranked samples (the second appended to the first) and weights."""
    # Both samples span a line of length n_before * n_after, a row of the first being n_after
    # long and one of the second n_before: whole numbers, so that equal cuts are found equal. A pair
    # is what lies between two cuts; there are n_before + n_after - gcd of them.
    shares_before, shares_after = np.arange(n_before) * n_after, np.arange(n_after) * n_before
    starts = np.union1d(shares_before, shares_after)
    weights = np.diff(starts, append=n_before * n_after)
    return np.column_stack([starts // n_after, n_before + starts // n_before, weights])


def _orders(
    n_pairs: int, n_features: int, rng: np.random.Generator, max_rotations: int = MAX_ROTATIONS
) -> Integers:
    """Return a random order of the features for each pair, its rotations, and all reverses."""
    # an order of its own for each pair, so that chance averages out over the pairs
    drawn = rng.permuted(np.tile(np.arange(n_features), (n_pairs, 1)), axis=1)
    n_rotations = min(n_features, max_rotations)
    # Rotations by equal steps put each feature early, in the middle and late. In an order and its
    # reverse each of two features is once behind the other, so interactions of two are halved
    # exactly; only those of more depend on the draw.
    shifts = np.arange(n_rotations) * n_features // n_rotations
    rotated = np.concatenate([np.roll(drawn, shift, axis=1) for shift in shifts])
    return np.concatenate([rotated, rotated[:, ::-1]])


def _between(
    predict: Callable[[pd.DataFrame], Floats],
    rows: pd.DataFrame,
    first: Integers,
    last: Integers,
    orders: Integers,
) -> list[Floats]:
    """Predict the rows between first and last: one feature switched in each order, then two, ..."""
    positions = np.argsort(orders, axis=1)  # the inverse: when each feature is switched
    n_features, predicted = orders.shape[1], []
    at_once = max(CELLS_AT_ONCE // orders.size, 1)  # for most models a call costs more than rows
    for start in range(1, n_features, at_once):  # steps 0 and p are rows whose prediction is known
        steps = np.arange(start, min(start + at_once, n_features))
        switched = positions < steps[:, None, None]  # (steps, walks, features)
        taken = np.where(switched, last[:, None], first[:, None]).reshape(-1, n_features)
        predicted += np.split(predict(_mixed(rows, taken)), len(steps))
    return predicted


def _mixed(rows: pd.DataFrame, taken: Integers) -> pd.DataFrame:
    """Return a frame each cell of which comes from the row that `taken` names, (n, features)."""
    is_number = (rows.dtypes == "float64").to_numpy()
    names = rows.columns[is_number]
    numbers = rows[names].to_numpy()[taken[:, is_number], np.arange(len(names))]
    frame = pd.DataFrame(numbers, columns=names)
    if is_number.all():
        return frame
    # column by column: as one array, categories would lose their types
    others = {
        name: rows[name].array.take(taken[:, j]) for j, name in enumerate(rows) if not is_number[j]
    }
    return pd.concat([frame, pd.DataFrame(others)], axis=1)[list(rows)]
