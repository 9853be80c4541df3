"""The promise of `make evidence`, small: the same simulations with fewer runs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import evidence
from risk.stats.evidence import intraclass_correlation


@pytest.fixture(scope="module")
def made():
    """Ten normal columns, 20,000 reference rows in batches of 200."""
    rows = np.random.default_rng(1).normal(size=(20_000, 10))
    return evidence.bench(pd.DataFrame(rows, columns=[f"x{i}" for i in range(10)]), batch=200)


@pytest.mark.parametrize("n", [50, 1000])
def test_a_month_of_quiet_checks_raises_no_alarm(made, n):
    """Every ten minutes, ten columns; fixed rules alarm again and again."""
    rng = np.random.default_rng(n)
    quiet = [evidence.normal(made, rng, n, evidence.A_MONTH) for _ in range(4)]

    alarms = [evidence.first_alarm(made.watched, table) for table in quiet]

    assert alarms == [0] * 4
    assert evidence.ks_rule(made, quiet[0]).mean() > 0.05
    assert evidence.three_sigma_rule(made, quiet[0]).any()


@pytest.mark.parametrize(("n", "most"), [(50, 18), (200, 6), (1000, 2)])
def test_a_quarter_of_a_standard_deviation_is_found_in_time(made, n, most):
    """With a smaller reference than in docs/evidence.md, so a little later than there."""
    rng = np.random.default_rng(n)

    delays = [
        evidence.delay(
            made.watched,
            evidence.normal(made, rng, n, evidence.A_DAY),
            evidence.normal(made, rng, n, 60, shift=0.25),
        )
        for _ in range(15)
    ]

    assert np.median(delays) <= most


@pytest.mark.parametrize("case", evidence.CASES)
def test_a_model_that_does_worse_is_found_and_one_that_does_not_is_left_alone(case):
    """200 labelled rows at a time."""
    metric, before, after = evidence.CASES[case]
    rng = np.random.default_rng(3)
    delays, alarms = [], 0
    for _ in range(15):
        watched = [evidence.model_watch(metric, rng.multinomial(10_000, before).astype(float))]
        quiet = [rng.multinomial(200, before, size=evidence.A_MONTH // 3).astype(float)]
        changed = [rng.multinomial(200, after, size=60).astype(float)]
        alarms += evidence.first_alarm(watched, quiet) > 0
        delays.append(evidence.delay(watched, [quiet[0][:50]], changed))

    assert alarms == 0
    assert np.median(delays) <= 10


def test_batches_with_an_effect_of_their_own_do_not_alarm():
    """An error of .20 + N(0, .04) in batches of 1000: only the design effect keeps them quiet."""
    rng = np.random.default_rng(5)

    def batches(n):
        wrong = np.clip(0.2 + rng.normal(0, 0.04, n), 0.01, 0.9)[:, None] / 2
        chances = np.hstack([0.5 - wrong, wrong, wrong, 0.5 - wrong])
        return rng.multinomial(1000, chances).astype(float)

    past, month = batches(100), batches(evidence.A_MONTH)
    naive = evidence.model_watch("accuracy", past.sum(axis=0))
    alike = intraclass_correlation(past, naive.directions.values)
    settled = replace(naive, correlation=alike)

    assert evidence.first_alarm([naive], [month]) > 0
    assert evidence.first_alarm([settled], [month]) == 0
