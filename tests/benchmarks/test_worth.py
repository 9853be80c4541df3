"""What `make worth` reports, on a stream that is over in seconds."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score

from benchmarks import worth
from benchmarks.worth import Stream
from demo import customers

COLUMNS = {
    "identifier": "id",
    "target": "left",
    "positive_label": 1,
    "negative_label": 0,
    "numeric": ["activity"],
    "categorical": [],
    "other": [],
}


def rows(name, n, *, seed, sign=1):
    """Make customers who leave when they are less active, or with sign -1 when they are more."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(0, 1, n)
    left = (rng.random(n) < 1 / (1 + np.exp(3 * sign * activity))).astype(int)
    made = {"id": [f"{name}{i}" for i in range(n)], "activity": activity, "left": left}
    return pd.DataFrame(made).astype(str)


@pytest.fixture
def stream():
    """Three drops, of which the last two have the labels the other way round."""
    return Stream(
        name="turned round",
        settings={"columns": COLUMNS},
        development=[rows("a", 300, seed=0)],
        test=rows("t", 100, seed=1),
        drops=[rows(f"d{n}x", 400, seed=2 + n, sign=1 if n < 1 else -1) for n in range(3)],
    )


def test_each_drop_is_predicted_by_the_model_from_before_it(stream):
    """So the drop in which the world changes is predicted badly by all; the next one is not."""
    played = {policy: worth.play(stream, policy) for policy in worth.POLICIES}

    scores = {name: [worth.f1([drop]) for drop in found.counts] for name, found in played.items()}
    assert len({tuple(found.counts[0]) for found in played.values()}) == 1
    for name in worth.POLICIES:
        assert scores[name][0] > 0.7 > 0.4 > scores[name][1]
    assert scores["never"][2] < 0.4
    assert scores["this system"][2] > 0.7
    assert played["never"].trainings == 0
    assert played["every drop"].releases == 3
    assert played["this system"].releases == 1


def test_with_late_labels_only_those_that_came_are_learnt(stream):
    """Two drops late: nothing of the new world is known while it is predicted."""
    late = replace(stream, delay=2)

    assert len(late.labelled_by(0)) == len(late.labelled_by(1)) == 300
    assert len(late.labelled_by(2)) == 700
    assert worth.play(late, "every drop").releases == 1


def test_outcomes_are_counted_by_the_threshold_of_the_model(stream, tmp_path):
    """The oracle: the confusion matrix of scikit-learn."""
    config = worth._install(tmp_path, stream)
    pipeline, threshold = worth._fit(config, stream.development[0])
    drop = stream.drops[0]

    found = worth._counts(config, drop, pipeline, threshold)

    features = drop[["activity"]].astype(float)
    y_true, y_pred = drop["left"].astype(int), pipeline.predict_proba(features)[:, 1] >= threshold
    (_, false_positive), (false_negative, true_positive) = confusion_matrix(y_true, y_pred)
    assert found.tolist() == [true_positive, false_positive, false_negative]
    assert worth.f1([found]) == pytest.approx(f1_score(y_true, y_pred))


def test_a_gain_is_paired_by_drop():
    """Drops differ much more than policies do: paired, a gain in each of them is beyond chance."""
    hard_or_easy = np.linspace(5, 95, 20).astype(int)
    ours = [np.array([caught, 10, 100 - caught]) for caught in hard_or_easy]
    others = [np.array([caught - 4, 10, 104 - caught]) for caught in hard_or_easy]

    gain = worth.gained(ours, others)

    low, high = gain.interval()
    assert gain.change == pytest.approx(worth.f1(ours) - worth.f1(others))
    assert 0 < low < gain.change < high
    assert worth.gained(ours, ours).interval() == (0, 0)


def test_intervals_of_a_gain_hold_with_few_drops_too():
    """With six, resampling alone would leave out the truth in 13 of 100 streams instead of 5."""
    rng, n_streams, missed = np.random.default_rng(20261201), 400, 0
    for _ in range(n_streams):
        caught = rng.normal(50, 5, size=(2, 6))
        ours, others = ([np.array([c, 10, 100 - c]) for c in policy] for policy in caught)
        low, high = worth.gained(ours, others).interval()
        missed += low > 0 or high < 0

    assert missed <= stats.binom(n_streams, 0.05).ppf(0.999)


def test_simultaneous_intervals_hold_all_at_once():
    """Nineteen streams without a difference: 5 % of pages err somewhere, not 5 % of intervals."""
    rng = np.random.default_rng(20261201)
    pages = 400
    truth = rng.normal(size=(pages, 19))
    drawn = rng.normal(size=(19, 2000))

    missed_at_once, missed_alone = 0, 0
    for changes in truth:
        gains = [worth.Gain(c, c + noise) for c, noise in zip(changes, drawn, strict=True)]
        missed_at_once += any(low > 0 or high < 0 for low, high in worth.simultaneous(gains))
        missed_alone += any(low > 0 or high < 0 for low, high in (g.interval() for g in gains))

    assert missed_at_once / pages == pytest.approx(0.05, abs=0.03)
    assert missed_alone / pages == pytest.approx(1 - 0.95**19, abs=0.08)


def test_a_stream_on_which_nothing_differs_has_an_interval_of_no_width():
    """It takes no part in how wide the others are."""
    same = worth.Gain(0.0, np.zeros(2000))
    other = worth.Gain(0.01, np.random.default_rng(0).normal(0.01, 0.02, 2000))

    first, second = worth.simultaneous([same, other])

    assert first == (0, 0)
    assert second == worth.simultaneous([other])[0]
    assert worth.simultaneous([same]) == [(0, 0)]


def test_luck_is_what_a_policy_differs_by_from_itself(stream):
    """By hand: F1 of 2/3, 2/3 and 1 make differences of 0, 1/3 and 1/3."""
    plays = [[np.array(counts)] for counts in ((1, 1, 0), (1, 0, 1), (2, 0, 0))]

    assert worth.luck_of(plays) == pytest.approx(np.sqrt(2 / 27))

    played = [worth.play(stream, "every drop", luck=n).counts for n in (1, 1, 2)]
    assert np.array_equal(played[0], played[1])
    assert not np.array_equal(played[0], played[2])


def test_broken_drops_are_those_of_which_the_manifest_says_so(tmp_path):
    """A feed may be broken from the first drop on, and sound in between."""
    injected = ["quality: x100 (activity)", "clean", "quality: unseen (plan)", "as it came"]
    entries = []
    for number, done in enumerate(injected):
        path = tmp_path / "prod_quality" / f"{number:03d}.csv"
        path.parent.mkdir(exist_ok=True)
        rows("a", 5, seed=number).to_csv(path, index=False)
        entries.append({"file": f"prod_quality/{number:03d}.csv", "injected": done})
    (tmp_path / "manifest.json").write_text(json.dumps({"files": entries}))

    found = worth._broken(tmp_path, sorted((tmp_path / "prod_quality").glob("*.csv")))

    assert found == {0, 2}


def test_the_stability_index_is_that_of_the_textbook(stream, tmp_path):
    """Two bins of a half each that become .9 and .1: .4 ln(.9/.5) - .4 ln(.1/.5) = .879."""
    columns = COLUMNS | {"numeric": [], "categorical": ["plan"]}
    config = worth._install(tmp_path, replace(stream, settings={"columns": columns}))
    before, now = (
        pd.DataFrame({"plan": ["a"] * a + ["b"] * (100 - a), "left": "0"}) for a in (50, 90)
    )

    assert worth._psi(config, before, now) == pytest.approx(0.879, abs=1e-3)


def test_the_generator_marks_the_drops_of_its_broken_feed():
    """The others are compared with one another, these are not."""
    made = worth.of_generator(days=60, rows=40)

    assert len(made.drops) == 60
    assert len(made.broken) == sum(r.kind == "data quality" for r in customers.REGIMES) > 0


@pytest.mark.torture
def test_the_page_has_a_line_for_each_stream(stream):
    """With the scores of all policies, and differences with their intervals."""
    found = worth.compare(stream)
    page = worth.page([found, replace(found, line=found.line | {"stream": "another"})])

    lines = [line for line in page.splitlines() if line.startswith("|")]
    names = [line.split(" | ")[0].strip("| ") for line in lines]
    assert names == ["stream", "---", "turned round", "another"] * 2
    assert found.line["releases: every drop, psi, this system"].split(", ")[0] == "3"
    assert float(found.line["this system"]) > float(found.line["never"])
    assert 0 <= found.luck < found.gains["never"].change
