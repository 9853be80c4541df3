"""Why a score changed, in sentences and as a table, and what can be done about each part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk.decisions.codes import Response
from risk.explain import plain_words
from risk.explain.plain_words import counted
from risk.stats.score_changes import BASE_RATE, CHANCE, COVARIATES, RELATION
from risk.stats.scores import BIGGER_IS_BETTER

Change = Mapping[str, Any]
MIN_PART = 0.005
NAMES = {
    COVARIATES: "other rows",
    BASE_RATE: "more or fewer positives",
    RELATION: "another relation",
    CHANCE: "chance",
}
MEANINGS = {
    COVARIATES: "the features differ from those of earlier rows, and mean what they meant",
    BASE_RATE: "the share of positives differs, also among rows of equal features",
    RELATION: "the features say something else about the label than before",
    CHANCE: "what so few rows can do by themselves",
}
OFFERS = {
    COVARIATES: (Response.RETRAIN,),
    BASE_RATE: (Response.MOVE_THRESHOLD, Response.RECALIBRATE),
    RELATION: (Response.RETRAIN,),
    CHANCE: (Response.NOTHING,),
}
ADVICE = {
    COVARIATES: "Retraining on the new rows may bring it back.",
    BASE_RATE: "Retraining would not bring it back; another threshold or recalibration may.",
    RELATION: "Retraining on rows since the change may bring it back.",
}
NO_INCIDENT = "No incident is open: this may be chance, or be within what is tolerated."


def in_words(change: Change | None, *, is_incident: bool = True) -> str:
    """Say by how much the score differs from the promise, why, and what may bring it back.

    Every assessment looks, and one look in twenty finds a difference that is chance: where no
    incident is open, that is said, and nothing is advised.
    """
    if not change:
        return ""
    name, rows = plain_words.metric(change["metric"]), _rows(change)
    before, after = plain_words.distinct(change["before"], change["after"])
    if not change["is_beyond_chance"]:
        now = f"{name} of the live release is {after} on {rows}"
        return f"{now}, where {before} was promised: over all of them, chance explains that."
    rose = change["after"] > change["before"]
    said = f"{name} {'rose' if rose else 'fell'} from {before} to {after} on {rows}"
    along, against = _parts(change, rose=rose), _parts(change, rose=not rose)
    why = f": {_first(along)}" if along else ""
    offset = f"; in the other direction, {plain_words.listed(against, most=4)}" if against else ""
    advised = advice(change) if is_incident else NO_INCIDENT
    return " ".join(filter(None, [f"{said}{why}{offset}.", advised]))


def in_short(change: Change | None) -> str:
    """Say what most of a change is due to, where little room is left; nothing of mere chance."""
    if not change or not change["is_beyond_chance"] or change["cause"] == CHANCE:
        return ""
    name, rose = plain_words.metric(change["metric"]), change["after"] > change["before"]
    part = abs(change["parts"][change["cause"]]["value"])
    whole = abs(change["after"] - change["before"])
    way = "rise" if rose else "fall"
    why = _why(change["cause"], change)
    return f"{part:.2f} of the {way} of {name} by {whole:.2f} is because {why}."


def advice(change: Change | None) -> str:
    """Say what may bring back what was lost; nothing where the score is better or by chance."""
    if not change or not change["is_beyond_chance"]:
        return ""
    is_better = (change["after"] > change["before"]) is BIGGER_IS_BETTER[change["metric"]]
    return "" if is_better else ADVICE.get(change["cause"], "")


def offers(change: Change | None, *, is_incident: bool = True) -> list[str]:
    """Return the actions that may bring back what was lost, as the ledger calls them."""
    known = change if change and is_incident and advice(change) else {"cause": CHANCE}
    return [str(action) for action in OFFERS[known["cause"]]]


def rows_of_table(change: Change | None) -> list[tuple[str, str, float, float, float]]:
    """List the parts with their meaning and interval; none where chance explains the change."""
    parts = (change or {}).get("parts") or {}
    return [
        (NAMES[part], MEANINGS[part], found["value"], found["lower"], found["upper"])
        for part, found in parts.items()
    ]


def _rows(change: Change) -> str:
    return f"the newest {counted(change['n'], 'labelled row')}"


def _parts(change: Change, *, rose: bool) -> list[str]:
    """Name the parts of one direction that are worth a word, the largest first."""
    sign = 1 if rose else -1
    found = {part: sign * estimate["value"] for part, estimate in change["parts"].items()}
    return [
        f"{found[part]:.2f} because {_why(part, change)}"
        for part in sorted(found, key=lambda part: -found[part])
        if found[part] >= MIN_PART
    ]


def _first(parts: list[str]) -> str:
    """Say of the first part of how much it is one."""
    value, _, why = parts[0].partition(" ")
    return plain_words.listed([f"{value} of it {why}", *parts[1:]], most=4)


def _why(part: str, change: Change) -> str:
    rates = change["base_rates"]
    if part == BASE_RATE:
        way = "fewer" if rates["realised"] < rates["expected"] else "more"
        shares = f"{rates['realised']:.0%} instead of {rates['expected']:.0%}"
        return f"{way} rows are positive than expected ({shares})"
    return {
        COVARIATES: "the rows differ from earlier ones",
        RELATION: "the features say something else about the label than before",
        CHANCE: "chance explains as much",
    }[part]
