"""Confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from risk.figures.canvas import LIGHT, Frame, canvas, say_instead
from risk.figures.labels import fitted, fitted_all, inches, percent
from risk.lazily import import_sparing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIELD = 1.65  # inches


def confusion_matrix(counts: NDArray[np.int64], *, labels: tuple[str, str], title: str) -> Figure:
    """Draw a confusion matrix with counts and percentages of each true class as shades.

    `counts` has true classes in rows and predicted ones in columns, in the order of `labels`.
    """
    if not counts.sum():
        return say_instead("not enough data: there are no labelled rows", width=4.6)
    import_sparing("seaborn")
    import seaborn as sns

    per_class = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(per_class, 1)
    words = [
        [f"{n:,}\n{percent(share / 100)}" for n, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
    short, left = fitted_all(labels, FIELD - 0.1)
    of_class = [f"n = {n:,}" for n in per_class[:, 0]]
    left = max(left, *map(inches, of_class)) + 0.5
    room = Frame(left + 2 * FIELD + 0.4, 2 * FIELD + 1.4, left, right=0.4, below=0.7, above=0.7)
    figure, axes = canvas(room)
    sns.heatmap(
        shares,
        annot=np.array(words),
        fmt="",
        annot_kws={"fontsize": 14},
        cmap="Blues",
        vmin=0,
        vmax=100,
        cbar=False,
        linewidths=1,
        xticklabels=short,
        yticklabels=[f"{label}\n{n}" for label, n in zip(short, of_class, strict=True)],
        ax=axes,
    )
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(axis="y", rotation=0)
    heading = fitted(title, room.width - 0.3, size=11)
    figure.text(0.5, 1 - 0.4 / room.height, heading, ha="center", fontsize=11, color=LIGHT.ink)
    return figure
