"""Rival detectors of a rising error rate, used as their documentation says.

They are optional: `pip install driftfdr validanytime-detectors`. Whatever is not installed is
skipped by name; nothing else imports these packages.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Errors = NDArray[np.float64]  # of each row, in the order of time: 1 where the model is wrong
Watch = Callable[[Errors], int]  # the number of the batch that raises the first alarm, or 0
MIN_BATCHES = 8  # of a reference, for a step to be a batch; below it a step is a row
WINDOW_OF_ROWS, HORIZON = 100, 5  # as in driftfdr's quick start
MIN_TRAINING = 30  # steps, the default of CUSUM


@dataclass(frozen=True)
class Terms:
    """What all detectors have in common: how rows come, the budget, and what is tolerated.

    `days` are those between two false alarms, `tolerance` is a rise of the error rate.
    """

    batch: int
    a_day: int
    days: float
    tolerance: float

    def means(self, rows: Errors) -> Errors:
        """Return the error rate of each batch, the last of which may be smaller."""
        starts = np.arange(0, len(rows), self.batch)
        sizes = np.diff(np.append(starts, len(rows)))
        means: Errors = np.add.reduceat(rows, starts) / sizes
        return means


def mean_shift(reference: Errors, terms: Terms) -> Watch:
    """Prepare driftfdr's detector of a rise that lasts three windows."""
    return _of_driftfdr(lambda package: package.MeanShift(3), reference, terms)


def e_cusum(reference: Errors, terms: Terms) -> Watch:
    """Prepare driftfdr's sequential e-detector."""
    return _of_driftfdr(lambda package: package.ECUSUM(), reference, terms, sequential=True)


def _of_driftfdr(
    detector: Callable[[Any], Any], reference: Errors, terms: Terms, *, sequential: bool = False
) -> Watch:
    """Let a step be a batch and a window a day, the cycle; of a short reference a row and 100."""
    package = import_module("driftfdr")
    by_row = len(reference) < MIN_BATCHES * terms.batch
    window = WINDOW_OF_ROWS if by_row else terms.a_day
    steps_a_batch = terms.batch if by_row else 1

    def steps(rows: Errors) -> list[float]:
        values: list[float] = (rows if by_row else terms.means(rows)).tolist()
        return values

    monitor = package.StreamingMonitor(
        model_ids=["model"],
        detector_factory=lambda: detector(package),
        # the chance of a false alarm in a window
        alpha=window / steps_a_batch / terms.a_day / terms.days,
        n_ref=len(steps(reference)),
        window=window,
        horizon=HORIZON,
        calibration=package.CalibrationConfig(tolerance=terms.tolerance),
        sequential=sequential,
    )
    for value in steps(reference):
        monitor.update({"model": value})

    def watch(rows: Errors) -> int:
        own = copy.deepcopy(monitor)
        for i, value in enumerate(steps(rows)):
            if own.update({"model": value}):
                return i // steps_a_batch + 1
        return 0

    return watch


def e_process(reference: Errors, terms: Terms) -> Watch:
    """Prepare the pages of validanytime-detectors: the suggested settings, which its gate checks.

    Its average run length is that between two false alarms of the budget.
    """
    package = import_module("validanytime_detectors")
    history = terms.means(reference).tolist()
    suggested = package.suggest_config(history)
    run_length = terms.days * terms.a_day
    monitors = [
        {**spec, "arl_target": run_length} if "arl_target" in spec else spec
        for spec in suggested.monitors
    ]
    config = replace(suggested, monitors=tuple(monitors))
    if package.backtest_gate(history, config=config)["false_alarm_on_normal"]:
        config = package.conservative_config(config)

    def watch(rows: Errors) -> int:
        trace = package.replay_series(history + terms.means(rows).tolist(), config)
        alarms = np.any([each.alarm for each in trace.monitors], axis=0)[len(history) :]
        return int(np.argmax(alarms)) + 1 if alarms.any() else 0

    return watch


def cusum(reference: Errors, terms: Terms) -> Watch:
    """Prepare the warnings of validanytime-detectors: CUSUM, its limit for a run of 2000 steps."""
    package = import_module("validanytime_detectors")
    history = terms.means(reference).tolist()
    training = max(len(history), MIN_TRAINING)

    def watch(rows: Errors) -> int:
        found = package.cusum_events(history + terms.means(rows).tolist(), train=training)
        return next((event - len(history) for event in found.events), 0)

    return watch


# The package that each requires, and how it is prepared.
RIVALS: dict[str, tuple[str, Callable[[Errors, Terms], Watch]]] = {
    "driftfdr, MeanShift(3)": ("driftfdr", mean_shift),
    "driftfdr, ECUSUM": ("driftfdr", e_cusum),
    "validanytime-detectors, pages": ("validanytime_detectors", e_process),
    "validanytime-detectors, CUSUM warnings": ("validanytime_detectors", cusum),
}


def is_installed(package: str) -> bool:
    """Return whether a package can be imported."""
    return find_spec(package) is not None
