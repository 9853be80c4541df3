"""Predictions of a model elsewhere are found in a file nobody has described."""

import numpy as np
import pandas as pd
import pytest

import full_process
from risk.config import Config
from risk.data.initialise import initialise
from risk.data.proposal import propose
from risk.errors import DataError
from risk.ledger.ledger import Ledger
from risk.monitoring import monitored_release

N = 300
RNG = np.random.default_rng(6)
PROBA = RNG.random(N).round(4)
LABELS = np.where(RNG.random(N) < PROBA, "yes", "no")


@pytest.fixture
def feed(tmp_path):
    def feed(**others):
        columns = {
            "id": [f"c{n}" for n in range(N)],
            "spend": RNG.gamma(2, 50, N).round(2),
            "senior": RNG.integers(0, 2, N),
            "score": PROBA,
        }
        rows = pd.DataFrame({k: v for k, v in (columns | others).items() if v is not None})
        rows.to_csv(tmp_path / "feed.csv", index=False)
        return tmp_path / "feed.csv"

    return feed


@pytest.mark.parametrize(
    "name", ["score", "churn_probability", "y_pred_proba", "P(churn)", "prediction", "riskScore"]
)
def test_probabilities_are_found_by_name_and_values(feed, name):
    """That they are watched is said to be a guess; no other column is."""
    found = propose(feed(**{"score": None, name: PROBA, "churn": LABELS}))

    assert found.columns["probability"] == name
    assert found.model["source"] == "predictions"
    assert found.columns["target"] == "churn"
    assert sum("is a guess: it is watched" in doubt for doubt in found.doubts) == 1


@pytest.mark.parametrize(
    "cells", [RNG.integers(300, 850, N), RNG.integers(0, 2, N), RNG.normal(0, 1, N)]
)
def test_a_score_outside_0_to_1_is_a_feature(feed, cells):
    """A credit score, codes, logits: a model is trained."""
    found = propose(feed(score=cells, churn=LABELS))

    assert found.model == {}
    assert "score" in [*found.columns["numeric"], *found.columns["categorical"]]


def test_a_model_is_trained_if_one_says_so(feed):
    """The probability is a feature then."""
    found = propose(feed(churn=LABELS), predictions="none")

    assert found.model == {}
    assert "score" in found.columns["numeric"]


@pytest.mark.parametrize("name", ["flagged", "predicted_churn", "sent_to_agent"])
def test_the_decision_is_what_a_threshold_separates(feed, name):
    """Whatever its name; from it the threshold will be found."""
    found = propose(feed(**{name: np.where(PROBA >= 0.4, "Y", "N")}, churn=LABELS))

    assert found.columns["decision"] == name
    assert (found.columns["target"], found.model["threshold"]) == ("churn", None)


@pytest.mark.parametrize(("name", "is_decision"), [("flagged", True), ("insured", False)])
def test_a_decision_by_its_name_may_differ_from_the_threshold_in_some_rows(feed, name, is_decision):
    """By rounding, or because people decided otherwise; a feature that nearly agrees is one."""
    decided = PROBA >= 0.4
    decided[np.argmax(PROBA)] = False

    found = propose(feed(**{name: decided.astype(int)}, churn=LABELS))

    assert (found.columns["decision"] == name) is is_decision
    assert (name in found.columns["categorical"]) is not is_decision


def test_a_row_without_a_decision_says_nothing_about_the_threshold(feed):
    """It is no negative one; that a run will refuse it is said."""
    decided = np.where(PROBA >= 0.4, "stop", "go")
    decided[:60] = ""

    found = propose(feed(decision=decided))

    assert found.columns["decision"] == "decision"
    doubt = "decision: rows without a decision are refused, 60 of these"
    assert doubt in found.doubts


def test_a_column_filled_only_where_nothing_was_predicted_is_no_decision(feed):
    """The rows at the end, say, which another process decided."""
    is_last = np.arange(N) >= N - 20
    score = np.where(is_last, "", PROBA.astype(str))
    found = propose(feed(score=score, approved=np.where(is_last, LABELS, ""), churn=LABELS))

    assert (found.columns["probability"], found.columns["decision"]) == ("score", None)


def test_the_positive_label_is_the_one_predicted_to_be_likelier(feed):
    """Whatever the labels are called."""
    labels = np.where(LABELS == "yes", "stayed", "went")

    found = propose(feed(churn=labels))

    assert (found.columns["positive_label"], found.columns["negative_label"]) == ("stayed", "went")


def test_without_labels_the_decisions_have_their_values(feed):
    """A feature of two values is not taken for the labels; where they may come is said."""
    found = propose(feed(flagged=np.where(PROBA >= 0.4, "review", "pass")))

    assert (found.columns["target"], found.columns["positive_label"]) == ("label", "review")
    assert "senior" in found.columns["categorical"]
    assert any(doubt.startswith("no column seems to have labels") for doubt in found.doubts)


def test_a_column_for_later_labels_may_be_empty(feed):
    """It keeps its name."""
    found = propose(feed(churn=[""] * N))

    assert (found.columns["target"], found.columns["positive_label"]) == ("churn", 1)
    assert "the labels are a guess, 0 and 1: no column has both yet" in found.doubts


def test_labels_of_three_values_are_refused(feed):
    """As those of a table without predictions are."""
    with pytest.raises(DataError, match="status is not binary: it has 3 values"):
        propose(feed(status=RNG.choice(["a", "b", "c"], N)), target="status")


@pytest.mark.parametrize("labels", [None, LABELS])
def test_a_feed_runs_without_editing(feed, labels):
    """With labels or without any: its rows become the reference."""
    made = initialise(feed(flagged=np.where(PROBA >= 0.4, "yes", "no"), churn=labels))

    config = Config.load(made.config_path)
    with Ledger.open(config) as ledger:
        outcome = full_process.run(config, ledger)
        live = monitored_release.load(config)
    assert outcome.exit_code == 0
    assert outcome.line.startswith("Release 1 is live")
    assert (live.champion.manifest.is_watched, live.champion.manifest.rows_trained) == (True, N)
