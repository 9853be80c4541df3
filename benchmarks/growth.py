"""Measure how the cost of work grows with rows and with features, on axes of powers.

    python benchmarks/growth.py [--rows 10000 30000 100000 300000] [--repeat 2]

The exponent is the slope between the two largest sizes, where fixed costs weigh least: 1 is
linear, 0 no growth.

Reads   nothing
Writes  a temporary folder, benchmarks/growth.md, benchmarks/growth.png
Exits   0 success; prints a line per measurement
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import costs  # noqa: E402
from risk.figures.labels import spread  # noqa: E402

PICTURE = Path(__file__).with_name("growth.png")
APART = 0.12  # powers of ten between two labels
BY_ROWS = ("look", "ingestion", "training", "first")
Points = dict[str, dict[int, float]]  # CPU seconds by what was done and how much of it there was


def exponent(points: dict[int, float]) -> float:
    """Return the slope of the logarithm of the cost over that of the size, at the large end."""
    (small, before), (large, after) = sorted(points.items())[-2:]
    return float(np.log(after / before) / np.log(large / small))


def measure(works: dict[str, dict[int, costs.Work]], rows: int | None, repeat: int) -> Points:
    """Do each piece of work in each size in turn; keep the least CPU seconds."""
    found: Points = {}
    with tempfile.TemporaryDirectory() as name:
        for _ in range(repeat):
            for what, sizes in works.items():
                for size, work in sizes.items():
                    folder = Path(name, what, str(size))
                    folder.mkdir(parents=True, exist_ok=True)
                    cost = costs.measure(work, costs.ROOT, folder, rows or size)
                    least = found.setdefault(what, {})
                    least[size] = min(cost.cpu, least.get(size, cost.cpu))
                    print(f"{what:<28}{size:>9,}{cost.cpu:9.2f} s", flush=True)
    return found


def draw(plots: dict[str, Points]) -> Figure:
    """Draw each group of points on axes of powers, every line with its name and exponent."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(9, 4), layout="constrained")
        for axes, (label, points) in zip(
            figure.subplots(1, len(plots), squeeze=False)[0], plots.items(), strict=True
        ):
            ordered = sorted(points.items(), key=lambda item: item[1][max(item[1])])
            ends = [float(np.log10(least[max(least)])) for _, least in ordered]
            for (what, least), end in zip(ordered, spread(ends, APART), strict=True):
                (line,) = axes.plot([*least], [*least.values()], marker="o")
                text, colour = f"  {what}, {exponent(least):.2f}", line.get_color()
                axes.annotate(text, (max(least), 10**end), color=colour, va="center")
            axes.set(xscale="log", yscale="log", xlabel=label, ylabel="CPU seconds")
            sizes = [*next(iter(points.values()))]
            axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # also within a power of ten
            axes.yaxis.set_major_formatter("{x:g}")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3)
    return figure


def page(plots: dict[str, Points]) -> str:
    """Return the content of growth.md."""
    lines = [
        "# How costs grow",
        "",
        f"Measured by `make bench` on {datetime.now(UTC):%Y-%m-%d}; least CPU seconds of repeats "
        "in turn, one thread. The exponent is the slope between the two largest sizes; 1 is "
        "linear.",
        "",
        f"![CPU seconds over size]({PICTURE.name})",
    ]
    for label, points in plots.items():
        sizes = [*next(iter(points.values()))]
        lines += [
            "",
            f"| {label} | {' | '.join(f'{size:,}' for size in sizes)} | exponent |",
            f"|---|{'---:|' * (len(sizes) + 1)}",
        ]
        lines += [
            f"| {what} | {' | '.join(f'{least[size]:.2f} s' for size in sizes)} | "
            f"{exponent(least):.2f} |"
            for what, least in points.items()
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, draw, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000])
    parser.add_argument("--repeat", type=int, default=2)
    options = parser.parse_args()
    named = {work.name: work for work in costs.WORKS}
    by_rows = {named[name].what: dict.fromkeys(options.rows, named[name]) for name in BY_ROWS}
    runs = {work.columns: work for work in costs.WORKS if work.measure is costs.drop}
    by_features = {named["drop"].what: runs}
    plots = {
        "rows": measure(by_rows, None, options.repeat),
        "features": measure(by_features, 5000, options.repeat),
    }
    draw(plots).savefig(PICTURE, dpi=120)
    PICTURE.with_suffix(".md").write_text(page(plots), encoding="utf-8")


if __name__ == "__main__":
    main()
