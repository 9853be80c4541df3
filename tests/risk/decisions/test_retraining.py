from datetime import timedelta

import numpy as np
import pytest

from risk.decisions import run as decisions
from risk.decisions.codes import Response
from risk.models import model, signing
from risk.schema import ROW_HASH
from tests.factories import customers
from tests.risk.decisions.days import labels_of, mixed, without_labels
from tests.torture import sampled

CHANGES = {"column": {"grown": 40}, "concept": {"sign": -1}, "small": {"grown": 15}}


@pytest.mark.parametrize("kind", ["column", "concept"])
def test_a_change_in_the_middle_of_a_drop_is_dated_to_its_row(loop, kind):
    """The reference of the challenger begins there, so that the change is not half in it."""
    loop.day(d1=customers("q", 300, seed=1))
    loop.day(d2=mixed("m", 600, usual=200, seed=2, **CHANGES[kind]))

    challenger = model.load(loop.config.model_folder, signing.key(loop.config))
    since = challenger.manifest.changed_at

    assert since.ingestion_id == 3
    assert 195 <= since.place <= 215


def test_a_challenger_waits_for_the_labels_of_enough_new_rows(loop):
    """None of its rows would lie after the change; it is said how many are missing, and when."""
    early = customers("e", 300, seed=1)
    loop.day(d1=without_labels(early))
    loop.clock[0] += timedelta(days=4)
    loop.day(d2=labels_of(early))
    changed = customers("c", 300, seed=2, grown=40)

    choice = loop.day(d3=without_labels(changed))

    known = choice.grounds.facts
    assert (choice.action, choice.grounds.code) == (Response.NOTHING, "few_rows_since")
    assert (known["labelled"], known["needed"]) == (0, 250)
    assert 290 <= known["rows"] <= 300
    assert known["due"] == (loop.clock[0] + timedelta(days=5)).date().isoformat()
    assert loop.challengers == []


def test_when_the_labels_come_the_challenger_is_trained(loop):
    """On what lies after the change, by its date and not by the drop of labels."""
    changed = customers("c", 300, seed=2, grown=40)
    loop.day(d1=without_labels(changed))

    choice = loop.day(d2=labels_of(changed))

    assert choice.action is Response.RETRAIN
    assert choice.since.ingestion_id == 2


@pytest.mark.torture
def test_another_challenger_for_one_change_needs_twice_the_rows(loop):
    """On nearly the same evidence it would be refused again; three are the most."""
    loop.config = loop.world.set(gate__when_unsure="keep", gate__alpha=1e-9)

    chosen = [
        loop.day(**{f"d{day}": customers(f"d{day}x", 300, seed=day, grown=40)}).action
        for day in range(1, 10)
    ]

    assert loop.releases == []
    assert [day for day, action in enumerate(chosen, 1) if action == "retrain"] == [1, 2, 4]
    assert set(chosen[4:]) == {"judge"}


@pytest.mark.parametrize(
    "stream",
    sampled(
        [
            ("small", 0, 180),
            ("column", 0, 180),
            ("concept", 5, 180),
            ("concept", 0, 30),
            ("column", 5, 270),
            ("concept", 5, 270),
        ],
        every=6,
    ),
)
def test_after_a_release_there_is_peace(loop, stream):
    """Two weeks of 300 rows a day, a change in the middle of the fourth, labels late or at once."""
    (kind, late, usual), texts = stream, {}
    loop.config = loop.world.set(policy__refresh_growth=None)
    for day in range(1, 15):
        text = customers(f"d{day}x", 300, seed=day, **(CHANGES[kind] if day > 4 else {}))
        if day == 4:
            text = mixed("m", 300, usual=usual, seed=day, **CHANGES[kind])
        texts[day] = text
        drops = {f"d{day}": without_labels(text) if late else text}
        if late and day > late:
            drops[f"l{day}"] = labels_of(texts[day - late])
        loop.day(**drops)

    assert len(loop.releases) == 1
    assert 1 <= len(loop.challengers) <= 3
    assert loop.ledger.incidents.unresolved() == []


def test_a_challenger_from_before_the_change_is_not_judged_as_an_answer_to_it(loop):
    """A drop too small for another training: the live release stays."""
    loop.config = loop.world.set(policy__cool_down_growth=0.9)

    choice = loop.day(d1=customers("c", 300, seed=2, grown=40))

    assert (choice.action, choice.grounds.code) == (Response.NOTHING, "few_new_rows")
    assert choice.grounds.facts["is_older"]


def test_labels_that_are_missing_are_named_also_before_the_cool_down_is_over(loop):
    """Sixty rows are 4 % of what was learnt."""
    choice = loop.day(d1=customers("c", 60, seed=2, grown=40, labelled=False))

    assert choice.grounds.code == "few_rows_since"
    assert choice.grounds.facts["labelled"] == 0


def test_after_a_change_the_gate_compares_on_the_rows_since_then_alone(loop):
    """A fifth is held out, and of the rest two thirds are predicted before they are learnt."""
    loop.config = loop.world.set(gate__when_unsure="keep", gate__alpha=1e-9)

    choice = loop.day(d1=customers("c", 900, seed=1, grown=40))

    known = choice.grounds.facts["labelled"]
    compared = loop.ledger.decisions.last_comparison()["comparison"]
    held_out = round(0.2 * known)
    first_part = -(-(known - held_out) // 3)
    assert compared["sources"] == {"newest": known - first_part}
    assert compared["n"] == known - first_part


def test_predictions_made_before_rows_were_learnt_take_the_place_of_later_ones(loop):
    """Those of the challenger itself would flatter it: it has learnt the rows."""
    loop.config = loop.world.set(gate__when_unsure="keep", gate__alpha=1e-9)
    loop.day(d1=customers("c", 900, seed=1, grown=40))
    challenger = model.load(loop.config.model_folder, signing.key(loop.config))

    rows, rolled = decisions._unlearnt(loop.config, loop.ledger, challenger)
    both = decisions.predict_with_both(challenger, challenger, rows, metric="f1", sources={})
    found = decisions._as_rolled(both, rows, rolled)

    before = rows[ROW_HASH].isin(rolled.index).to_numpy()
    assert 0 < before.sum() < len(rows)
    said = rolled.loc[rows.loc[before, ROW_HASH]]
    assert found.challenger.y_pred_proba[before].tolist() == said["y_pred_proba"].tolist()
    assert found.challenger.y_pred[before].tolist() == said["y_pred"].tolist()
    np.testing.assert_array_equal(
        found.challenger.y_pred_proba[~before], both.challenger.y_pred_proba[~before]
    )
    np.testing.assert_array_equal(found.champion.y_pred, both.champion.y_pred)


@pytest.mark.parametrize(("sign", "action", "begins"), [(1, "judge", 2), (-1, "retrain", 3)])
def test_what_changes_further_is_answered_by_another_challenger(loop, sign, action, begins):
    """Its rows are those since then; without it twice as many rows are needed."""
    loop.config = loop.world.set(gate__when_unsure="keep", gate__alpha=1e-300)
    loop.day(d1=customers("c", 600, seed=1, grown=40))

    choice = loop.day(d2=customers("d", 300, seed=2, grown=40, sign=sign))

    assert loop.releases == []
    assert choice.action == action
    assert choice.grounds.facts["change"]["ingestion_id"] == begins
