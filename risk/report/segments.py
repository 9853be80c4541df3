"""Weak segments: where the model is wrong more often than elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from risk.data.statistics import as_rows
from risk.explain import plain_words
from risk.lazily import pandas as pd
from risk.models.model import Manifest
from risk.report.context import Context
from risk.report.document import Paragraph, Picture, Section, Table
from risk.stats.scores import Estimate, accuracy
from risk.stats.segments import worse_than_elsewhere

MIN_ROWS = 30
QUARTILES = (0.25, 0.5, 0.75)
METRIC = "share of wrong predictions"
COLUMNS = "feature segment value lower upper n predicted observed p_value is_weak".split()
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Segment = tuple[str, str, Mask]


@dataclass(frozen=True)
class Segments:
    """How often the model is wrong in each segment, the strongest evidence first.

    `table` has `feature`, `segment` (in words), `value` with `lower` and `upper` (the share of
    wrong predictions), `n`, `predicted` (mean predicted risk), `observed` (share of positives),
    `p_value` and `is_weak`; it is empty, and `missing` says why, if nothing can be compared.
    `overall` is the share of wrong predictions of all labelled rows.
    """

    table: pd.DataFrame
    overall: Estimate
    missing: str = ""

    @property
    def weak(self) -> pd.DataFrame:
        """The segments in which the model is wrong more often than elsewhere, by evidence."""
        return self.table[self.table["is_weak"]]

    def __str__(self) -> str:
        return self.in_words()

    def in_words(self, *, max_shown: int = 3) -> str:
        """Name the segments in which the model is significantly worse than elsewhere."""
        if self.missing:
            return self.missing
        n_segments = plain_words.counted(len(self.table), "segment")
        overall = f"Overall it is wrong in {self.overall.value:.0%} of {self.overall.n:,} rows."
        if self.weak.empty:
            return f"The model is significantly worse in none of {n_segments}. {overall}"
        shown = [f"{row.segment} ({row.value:.0%} of {row.n:,})" for row in self.weak.itertuples()]
        worst = plain_words.details(shown, most=max_shown)
        return (
            f"The model is significantly worse in {len(self.weak)} of {n_segments} (share of wrong "
            f"predictions): {worst}. {overall}"
        )


def find_weak(
    rows: pd.DataFrame, y_pred_proba: Floats, manifest: Manifest, *, confidence: float
) -> Segments:
    """Compare how often the model is wrong in each segment of its features with elsewhere.

    Segments are the quarters of a numeric feature, the values of a categorical feature, and
    missing values, with at least 30 labelled rows each. `y_pred_proba` is the prediction of the
    model of `manifest` for each of `rows`; rows without a label are ignored. The probability that
    any segment is reported as weak by chance is at most 1 - `confidence`, over all segments.
    """
    ripe = rows[manifest.target].notna().to_numpy()
    y_true = rows[manifest.target].to_numpy()[ripe].astype("int8")
    risk = np.asarray(y_pred_proba)[ripe]
    wrong = (risk >= manifest.threshold) != y_true
    overall = _share(wrong, confidence)
    segments = [
        segment
        for name in manifest.features
        for segment in _segments(name, rows.loc[ripe, name], is_number=name in manifest.numeric)
        if MIN_ROWS <= segment[2].sum() <= len(wrong) - MIN_ROWS
    ]
    if not segments:
        return Segments(_table([]), overall, _why_none(len(wrong)))
    p_values = worse_than_elsewhere(wrong, np.array([members for _, _, members in segments]))
    described = [
        [
            feature,
            segment,
            *astuple(_share(wrong[members], confidence)),
            risk[members].mean(),
            y_true[members].mean(),
            p_value,
            p_value <= 1 - confidence,
        ]
        for (feature, segment, members), p_value in zip(segments, p_values, strict=True)
    ]
    return Segments(_table(described), overall)


def _why_none(n: int) -> str:
    if n < 2 * MIN_ROWS:
        known = plain_words.counted(n, "labelled row")
        return f"Only {known}: comparing segments requires at least {2 * MIN_ROWS}."
    return f"No feature divides the {n:,} labelled rows into segments of at least {MIN_ROWS}."


def _share(wrong: Mask, confidence: float) -> Estimate:
    """Estimate the share of wrong predictions, with the interval of an accuracy."""
    if not len(wrong):
        return Estimate(None, None, None, 0)
    return accuracy(np.ones(len(wrong)), wrong, confidence=confidence)


def _table(described: Sequence[Sequence[Any]]) -> pd.DataFrame:
    table = pd.DataFrame(described, columns=COLUMNS).astype({"is_weak": "bool"})
    strongest = table.sort_values(["p_value", "value"], ascending=[True, False], kind="stable")
    return strongest.reset_index(drop=True)


def _segments(name: str, values: pd.Series[Any], *, is_number: bool) -> Iterator[Segment]:
    """Yield the segments of one feature: its name, the segment in words, the rows in it."""
    missing = values.isna().to_numpy()
    for words, members in (_quarters if is_number else _categories)(values):
        yield name, f"{name} {words}", members & ~missing
    yield name, f"{name} is missing", missing


def _quarters(values: pd.Series[Any]) -> Iterator[tuple[str, Mask]]:
    """Cut at the quartiles; equal values stay together."""
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return
    cuts = np.unique(np.quantile(known, QUARTILES, method="inverted_cdf"))
    edges = [f"{edge + 0.0:g}" for edge in cuts]  # never -0
    between = [f"over {low} to {high}" for low, high in zip(edges, edges[1:], strict=False)]
    words = [f"up to {edges[0]}", *between, f"over {edges[-1]}"]
    cells = np.searchsorted(cuts, numbers, side="left")
    yield from ((text, cells == cell) for cell, text in enumerate(words))


def _categories(values: pd.Series[Any]) -> Iterator[tuple[str, Mask]]:
    """Yield each value with enough rows, and all other values together."""
    codes, known = pd.factorize(values)
    is_common = np.bincount(codes[codes >= 0], minlength=len(known)) >= MIN_ROWS
    for code in sorted(np.flatnonzero(is_common).tolist(), key=lambda code: known[code]):
        yield f"= {known[code]}", codes == code
    yield "is another value", np.isin(codes, np.flatnonzero(~is_common))


TITLE = "Where is the model weakest?"
MAX_ROWS, MAX_DRAWN = 20, 12
SHOWN = "segment n value lower upper predicted observed is_weak".split()


def section(known: Context) -> Section:
    """Compare how often the model is wrong in each segment with elsewhere."""
    from risk.figures import intervals

    labelled = known.judged_on if known.monitored else None
    if known.monitored is None or labelled is None:
        return Section(TITLE, (Paragraph("Not available: no row has a label."),))
    confidence = known.config.scoring.confidence
    found = find_weak(
        labelled.rows,
        labelled.y_pred_proba,
        known.monitored.manifest,
        confidence=confidence,
    )
    lead = Paragraph(found.in_words(max_shown=5))
    if found.missing or found.overall.value is None:
        return Section(TITLE, (lead,))
    shown = found.table.head(MAX_ROWS)
    hidden = len(found.table) - len(shown)
    figure = intervals.segments(shown.head(MAX_DRAWN), overall=found.overall.value, metric=METRIC)
    table = Table(
        ("segment", "rows", "wrong", "lower", "upper", "mean risk", "at risk", "weak"),
        tuple(tuple(row[name] for name in SHOWN) for row in as_rows(shown)),
        caption="Share of wrong predictions with its interval, strongest evidence first.",
        shares=("wrong", "lower", "upper", "mean risk", "at risk"),
        omitted=f"{plain_words.counted(hidden, 'more segment')} not shown." if hidden else "",
    )
    rule = (
        f"Based on {labelled.name}. At most {1 - confidence:.0%} of reports name a weak segment by "
        "chance."
    )
    caption = "Share of wrong predictions in each segment; the line is the share in all rows."
    return Section(
        TITLE,
        (lead, Paragraph(rule, "aside"), Picture(figure, caption, found.in_words()), table),
    )
