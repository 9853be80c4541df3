import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, f1_score

import scoring
from risk.errors import ModelError, UnknownName, UsageError
from risk.models import releases


def score_rows(ledger):
    import sqlalchemy as sa

    from risk.ledger import tables

    with ledger.engine.connect() as connection:
        return list(connection.execute(sa.select(tables.scores)))


def test_the_scores_are_those_of_scikit_learn(deployed, ledger):
    """F1 first; predicted again from the deployed model, equal to 1e-12."""
    result = scoring.run(deployed.config, ledger)

    rows = pd.read_csv(deployed.folder / "data/test/test_data.csv")
    champion = releases.load_champion(deployed.config)
    y_pred_proba = champion.predict_proba(rows)
    assert list(result.estimates)[0] == "f1"
    assert result.estimates["f1"].value == pytest.approx(
        f1_score(rows["exited"], champion.predict(y_pred_proba)), abs=1e-12
    )
    assert result.estimates["brier"].value == pytest.approx(
        brier_score_loss(rows["exited"], y_pred_proba), abs=1e-12
    )


def test_the_score_belongs_to_the_model_beside_it(deployed):
    """The mirror deployed the old model's score with the new model."""
    config = deployed.config
    recorded = pd.read_csv(config.deployment_folder / "latest_score.csv", index_col="metric")

    champion = releases.load_champion(config)

    card = scoring.evaluate(config, champion, "champion")
    assert recorded.loc["f1", "value"] == pytest.approx(card.estimates["f1"].value, abs=1e-12)
    assert recorded.loc["f1", "n"] == 5


def test_scoring_the_live_model_overwrites_nothing(deployed, ledger, tree):
    """Asking is not writing; only the ledger gains a record."""
    before, recorded = tree(), len(score_rows(ledger))

    scoring.run(deployed.config, ledger, name="champion")

    assert tree() == before
    assert len(score_rows(ledger)) == recorded + 9


def test_other_rows_can_be_scored(deployed, ledger, tree):
    """`--data` answers about a file; the file of the test score stays."""
    before = tree()
    data = deployed.folder / "data/development/dataset1.csv"

    result = scoring.run(deployed.config, ledger, data=data)

    assert result.estimates["f1"].n == 17
    assert result.dataset == "data/development/dataset1.csv"
    assert tree() == before


def test_a_model_must_exist_and_be_called_by_a_known_name(world, ledger):
    """Each wrong name gets its own advice."""
    with pytest.raises(ModelError, match="there is no model in .*run: python training.py"):
        scoring.run(world.config, ledger)
    with pytest.raises(ModelError, match="no release is live"):
        scoring.run(world.config, ledger, name="champion")
    with pytest.raises(UnknownName, match="there is no release 7"):
        scoring.run(world.config, ledger, name="7")
    with pytest.raises(UsageError, match="got 'best'"):
        scoring.run(world.config, ledger, name="best")


def test_a_broken_row_of_test_data_is_named(deployed):
    """A score on silently dropped rows would be a lie."""
    path = deployed.config.test_data
    path.write_text(path.read_text() + "new,many,2,3,1\n")

    result = deployed.command("scoring.py")

    assert result.returncode == 65
    assert "data/test/test_data.csv: line 7, column lastmonth_activity" in result.stderr
    assert "not a number, got 'many'" in result.stderr
