"""Bar charts by name: drift of features, faults of columns, durations of stages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from risk.explain import plain_words
from risk.figures.canvas import LIGHT, Frame, add_axes, blank, in_percent, say_instead
from risk.figures.labels import fitted_all, percent
from risk.figures.rows import BAR, ROW, explain_above, name_rows, note, rows_of
from risk.lazily import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 12
MAX_BAR_LENGTH = 10.0  # times the tolerance; a longer bar would make the others invisible
FAULTS = {"missing": "missing", "out_of_range": "out of range", "unseen": "unseen value"}
LOOKS: dict[bool, dict[str, Any]] = {
    True: {"facecolor": LIGHT.estimated, "edgecolor": LIGHT.estimated},
    False: {"facecolor": "white", "edgecolor": LIGHT.faint, "hatch": "////"},
}


def drift_ranking(rows: pd.DataFrame, *, n: int) -> Figure:
    """Draw the drift score of each feature as a multiple of its tolerance, largest first.

    `rows` has feature, drift_score, threshold (in the unit of the score) and drift_detected; `n`
    is the number of current rows. Beyond 12 features the rest is summarised in a note.
    """
    times = rows["drift_score"].astype("float64").abs() / rows["threshold"].astype("float64")
    known = rows.assign(times=times)[np.isfinite(times)]
    ranked = known.sort_values("times", ascending=False, kind="stable")
    if ranked.empty:
        return say_instead("not enough data: no feature has a drift score")
    shown = ranked.head(MAX_ROWS)
    numbers = [f"{times:,.1f}×" for times in shown["times"]]
    foot = _not_drawn(len(rows) - len(ranked), ranked["times"].iloc[MAX_ROWS:])
    figure, axes = rows_of(shown["feature"].tolist(), numbers, foot=foot)
    detected = shown["drift_detected"].fillna(False).astype("bool")
    for is_drift, look in LOOKS.items():
        chosen = np.flatnonzero(detected == is_drift)
        lengths = shown["times"].clip(upper=MAX_BAR_LENGTH).iloc[chosen]
        axes.barh(chosen, lengths, BAR, **look)
    axes.axvline(1, color=LIGHT.ink, linewidth=1.2, linestyle="--")
    axes.set_xlim(0, 1.04 * max(1.2, min(shown["times"].max(), MAX_BAR_LENGTH)))
    _mark_longer(axes, shown["times"])
    axes.set_xlabel(f"drift score as a multiple of the tolerance, n = {n:,}")
    explain_above(axes, [*_patches(), _line("tolerance (1×)")])
    return figure


def data_quality(counts: pd.DataFrame, *, n: int) -> Figure:
    """Draw the shares of missing, out-of-range and unseen values of each column.

    `counts` has column, missing, out_of_range and unseen (shares of the rows; missing where the
    check does not apply); `n` is the number of rows.
    """
    if n == 0 or counts.empty:
        return say_instead("not enough data: there are no rows to check")
    counts = counts.reset_index(drop=True)
    shares = counts[[*FAULTS]].astype("float64").dropna(axis=1, how="all")
    worst = shares.max(axis=1).fillna(0).sort_values(ascending=False, kind="stable")
    faulty = worst[worst > 0]
    if faulty.empty:
        return say_instead(f"Nothing is missing, out of range or unseen, n = {n:,}.")
    shown = faulty.index[:MAX_ROWS]
    figure = _panels(counts.loc[shown, "column"].tolist(), shares.loc[shown])
    rest = faulty.iloc[MAX_ROWS:]
    sentences = [f"Shares of {plain_words.counted(n, 'row')}."]
    if len(rest):
        columns = plain_words.counted(len(rest), "more column")
        sentences.append(f"Not drawn: {columns}, at most {percent(rest.max())} each.")
    if clean := len(counts) - len(faulty):
        sentences.append(f"{plain_words.counted(clean, 'column')} without faults.")
    note(figure, " ".join(sentences))
    return figure


def stage_timings(rows: pd.DataFrame) -> Figure:
    """Draw the duration of each stage, in the order given.

    `rows` has stage, runs, last, median and p95 (seconds), as returned by
    `risk.data.statistics.summarise_timings`.
    """
    rows = rows.dropna(subset=["median", "p95", "last"])
    if rows.empty:
        return say_instead("not enough data: no stage has been timed")
    numbers = [
        f"{median:.2f} s, {plain_words.counted(runs, 'run')}"
        for median, runs in zip(rows["median"], rows["runs"], strict=True)
    ]
    figure, axes = rows_of(rows["stage"].tolist(), numbers)
    places = np.arange(len(rows))
    usual, slow, last = (rows[name].astype("float64") for name in ("median", "p95", "last"))
    bars = axes.barh(places, usual, BAR, color=LIGHT.quiet, label="median")
    lines = axes.hlines(places, usual, slow, color=LIGHT.ink, label="to the 95th percentile")
    (marks,) = axes.plot(last, places, "D", color=LIGHT.measured, markersize=5, label="last run")
    axes.set_xlim(0, 1.05 * max(slow.max(), last.max(), 1e-3))
    axes.set_xlabel("seconds (on the right: the median)")
    explain_above(axes, [bars, lines, marks])
    return figure


def _mark_longer(axes: Axes, times: pd.Series[float]) -> None:
    """Mark bars that extend beyond the axis."""
    rows = np.flatnonzero(times > MAX_BAR_LENGTH)
    axes.plot(np.full(len(rows), 1.015 * MAX_BAR_LENGTH), rows, ">", color=LIGHT.estimated)


def _patches() -> list[Any]:
    from matplotlib.patches import Patch

    words = {True: "drift detected", False: "may be chance"}
    return [Patch(label=words[is_drift], **look) for is_drift, look in LOOKS.items()]


def _line(label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=LIGHT.ink, linewidth=1.2, linestyle="--", label=label)


def _not_drawn(n_unknown: int, rest: pd.Series[float]) -> str:
    sentences = []
    if len(rest):
        features = plain_words.counted(len(rest), "more feature")
        sentences.append(f"Not drawn: {features}, at most {rest.max():,.1f}× the tolerance.")
    if n_unknown:
        sentences.append(f"Without a score: {plain_words.counted(n_unknown, 'feature')}.")
    return " ".join(sentences)


def _panels(names: list[Any], shares: pd.DataFrame) -> Figure:
    """Draw one panel of bars per kind of fault, all on the same scale."""
    short, left = fitted_all(names, 2.2)
    height = 0.95 + ROW * len(names)
    frame = Frame(height=height, left=left + 0.2, right=0.1, below=0.6, above=0.35)
    figure = blank(frame)
    width = frame.inner[0] / shares.shape[1]
    for place, name in enumerate(shares):
        begin = frame.left + place * width
        end = frame.width - begin - width + 0.6  # space for the numbers
        axes = add_axes(figure, replace(frame, left=begin, right=end), grid="x")
        numbers = ["–" if pd.isna(share) else percent(share) for share in shares[name]]
        axes.barh(range(len(names)), shares[name].fillna(0), BAR, color=LIGHT.measured)
        name_rows(axes, short if place == 0 else [""] * len(names), numbers)
        axes.set_xlim(0, float(np.nanmax(shares.to_numpy())))
        in_percent(axes.xaxis, most=2)
        axes.set_title(FAULTS[str(name)], loc="left", fontsize=9, color=LIGHT.ink)
    return figure
