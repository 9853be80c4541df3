"""Stage 6 of 6: draw what the live model gets right and wrong.

Reads   the champion and the test data
Writes  confusion_matrix.png to output_model_path
Exits   0 done, 65 unusable test data, 69 no database, 74 storage fault,
        75 another run is at work, 76 no model to trust, 78 wrong configuration
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from risk import cli, drops, releases, store
from risk.config import Config
from risk.errors import DataError
from risk.ledger import Ledger
from risk.scorecard import ripe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150


@dataclass(frozen=True)
class Report:
    """The files this stage wrote."""

    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"wrote {', '.join(self.files)}"


def count_outcomes(y_true: NDArray[Any], y_pred: NDArray[Any]) -> NDArray[np.int64]:
    """Count rows by true label (down: 0, 1) and predicted label (across: 0, 1)."""
    cells = 2 * y_true.astype("int64") + y_pred.astype("int64")
    return np.bincount(cells, minlength=4).reshape(2, 2)


def draw_confusion_matrix(
    counts: NDArray[np.int64], *, labels: tuple[str, str], title: str
) -> Figure:
    """Draw counts and the percentage of each true class; dark means many of that class."""
    import seaborn as sns
    from matplotlib.figure import Figure

    per_class = counts.sum(axis=1, keepdims=True)
    share = 100 * counts / np.maximum(per_class, 1)
    words = [
        [f"{n}\n{p:.0f} %" for n, p in zip(*row, strict=True)]
        for row in zip(counts, share, strict=True)
    ]
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.subplots()
    sns.heatmap(
        share,
        annot=np.array(words),
        fmt="",
        annot_kws={"fontsize": 14},
        cmap="Blues",
        vmin=0,
        vmax=100,
        square=True,
        linewidths=1,
        xticklabels=labels,
        yticklabels=[
            f"{label}\n(n = {n})" for label, n in zip(labels, per_class[:, 0], strict=True)
        ],
        cbar_kws={"label": "percent of the true class"},
        ax=axes,
    )
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(axis="y", rotation=0)
    axes.set_title(title, fontsize=11)
    return figure


def run(config: Config, ledger: Ledger) -> Report:
    """Read, count, draw, write."""
    with ledger.stage("reporting"):
        champion = releases.load_champion(config)
        manifest, columns = champion.manifest, config.columns
        rows = ripe(drops.read_whole(config, config.test_data), columns.target)
        if rows.empty:
            raise DataError(f"{config.name_of(config.test_data)}: no row has a label")
        y_true = rows[columns.target].to_numpy(dtype="int8")
        counts = count_outcomes(y_true, champion.predict(champion.predict_proba(rows)))
        figure = draw_confusion_matrix(
            counts,
            labels=(
                f"{columns.target} = {columns.negative_label}",
                f"{columns.target} = {columns.positive_label}",
            ),
            title=f"Release {manifest.version} on the test data, n = {len(rows)}",
        )
        path = config.model_folder / config.plot_filename
        with store.replacing(path) as file:
            figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return Report((config.name_of(path),))


if __name__ == "__main__":
    cli.main(run, __doc__)
