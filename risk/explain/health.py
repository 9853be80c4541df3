"""What a person wants to know in ten seconds, in sentences: is the model fit to use, and why."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Literal

from risk.explain import events, plain_words, score_change
from risk.explain.plain_words import (
    ADVICE,
    ESTIMATED,
    MEASURED,
    PROMISED,
    counted,
    day,
    sentence,
)
from risk.explain.snapshot import Row, Snapshot, is_watched

Fitness = Literal["fit", "fit with care", "too little data", "not fit"]
HEADLINES: dict[Fitness, str] = {
    "fit": "The model is fit to use",
    "fit with care": "The model is fit to use, with care",
    "too little data": "Too little data to say whether the model is fit to use",
    "not fit": "The model is not fit to use",
}
GRAVE = {
    "model_drift": "The model errs more than it promised.",
    "calibration_drift": "The probabilities it predicts are off.",
    "suspected_harm": "The model probably errs more than it promised; no labels confirm it yet.",
}
MORE_LABELS = "Bring more rows with labels: they show how good the model is."
MIN_GAPS, INTERVALS_UNTIL_LATE = 3, 3
MAX_WIDTH = 0.2  # of the interval of a score that shows whether a model is good
HARDLY_BETTER = 0.55  # ROC AUC; that of chance is 0.5
UNBOUNDED = ("log_loss", "cost")
CRON = timedelta(minutes=10)


@dataclass(frozen=True)
class Concern:
    """Something that speaks against using the model, and what a person can do about it."""

    sentence: str
    advice: str
    is_grave: bool = False


@dataclass(frozen=True)
class Status:
    """The answers: fit or not and why; what changed; what was done about it; what to do."""

    fitness: Fitness
    concerns: tuple[str, ...]
    scores: tuple[str, ...]
    why: tuple[str, ...]
    changed: tuple[str, ...]
    done: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """What the first answer rests on: what is wrong, the scores, why they changed."""
        return (*self.concerns, *self.scores, *self.why)

    @property
    def headline(self) -> str:
        """The first answer as a sentence."""
        return HEADLINES[self.fitness]


def assess(snapshot: Snapshot) -> Status:
    """Answer the questions; one grave concern makes a model unfit, any other asks for care.

    A model that nobody has measured well is neither: there is too little data to say.
    """
    unknown = [
        *_of_a_first_reference(snapshot),
        *_of_the_score(snapshot),
        *_of_the_ranking(snapshot),
    ]
    concerns = sorted([*_concerns(snapshot), *unknown], key=lambda concern: not concern.is_grave)
    fitness: Fitness = "fit with care" if concerns else "fit"
    if concerns and concerns[0].is_grave:
        fitness = "not fit"
    elif unknown:
        fitness = "too little data"
    words = [concern.sentence for concern in concerns]
    advice = dict.fromkeys(concern.advice for concern in concerns)
    return Status(
        fitness,
        concerns=tuple(words) or ("No incident is open, and the last run succeeded.",),
        scores=tuple(_score(snapshot)),
        why=tuple(_why(snapshot)),
        changed=tuple(events.changed(snapshot)),
        done=tuple(events.done(snapshot)),
        advice=tuple(advice) or ("Nothing: use it as usual.",),
    )


def _concerns(snapshot: Snapshot) -> list[Concern]:
    if snapshot.fault and not snapshot.waits:
        stop = "Use no prediction until a run has deployed a model that can be trusted."
        return [Concern(f"No model can be trusted: {snapshot.fault}.", stop, is_grave=True)]
    return [
        *_of_incidents(snapshot),
        *_of_the_release(snapshot),
        *_of_the_runs(snapshot),
    ]


def _of_incidents(snapshot: Snapshot) -> list[Concern]:
    """Group what is open: by what it does to the model, broken feeds, and the rest."""
    found, asked = snapshot.open_incidents, _asked_about(snapshot)
    kinds = {incident["kind"] for incident in found}
    concerns = [
        Concern(words, f"Do not rely on the predictions. {ADVICE[kind]}", is_grave=True)
        for kind, words in GRAVE.items()
        if kind in kinds
    ]
    if asked:
        stop = (
            f"{ADVICE['data_quality']} Until you know, trust no prediction for the rows it brought."
        )
        words = f"The data seem broken: {_subjects(asked)}."
        concerns.append(Concern(words, stop, is_grave=True))
    others = [i for i in found if i["kind"] not in GRAVE and i not in asked]
    odd = [i for i in others if i["kind"] == "data_quality"]
    if odd:
        words = f"Something is odd about the data: {_subjects(odd)}."
        concerns.append(Concern(words, ADVICE["data_quality"]))
    if moved := [i for i in others if i not in odd]:
        known = plain_words.known_rows(is_watched=is_watched(snapshot.release))
        words = f"The data differ from the {known}: {_subjects(moved)}."
        concerns.append(Concern(words, ADVICE["data_drift"]))
    return concerns


def _subjects(incidents: Sequence[Row]) -> str:
    return plain_words.listed([plain_words.about(incident) for incident in incidents])


def _asked_about(snapshot: Snapshot) -> list[Row]:
    """Return the open incidents of a broken feed about which a person is being asked."""
    newest = snapshot.decisions[0] if snapshot.decisions else None
    if newest is None or newest["action"] != "ask":
        return []
    return [
        cause
        for cause in snapshot.causes(newest)
        if cause["kind"] == "data_quality"
        and cause["severity"] == "large"
        and not cause["resolved_at"]
    ]


def _of_the_release(snapshot: Snapshot) -> list[Concern]:
    release = snapshot.release
    if release is None or release["proven"] or is_watched(release):
        return []
    words = f"Release {release['version']} was never proven better than the one before it."
    if release["version"] == 1:
        words = "Release 1 is the first model: it did not have to beat another one."
    patience = "Keep labels coming: they show how good an unproven release is."
    return [Concern(words, patience)]


def _of_the_runs(snapshot: Snapshot) -> list[Concern]:
    ended = [run for run in snapshot.runs if run["status"] != "running"]
    if not ended:
        return []
    concerns, last = [], ended[0]
    if last["status"] != "ok":
        how = "was interrupted" if last["status"] == "aborted" else f"failed: {last['outcome']}"
        words = sentence(f"the last run, on {day(last['started_at'])}, {how}")
        concerns.append(Concern(words, "Fix the cause of the last failure, and run it again."))
    good = [run for run in ended if run["status"] == "ok"]
    usual = _usual_interval(snapshot, good)
    since = snapshot.now - good[0]["started_at"] if good else None
    if since is None or since > INTERVALS_UNTIL_LATE * usual:
        ago, often = plain_words.duration(since) if since else "", plain_words.duration(usual)
        words = f"The last successful run was {ago} ago; one every {often} is usual."
        concerns.append(
            Concern(
                words if ago else f"None of the last {len(ended)} runs succeeded.",
                "Find out why no run succeeds any more: look at cron, or the timer, and its log.",
            )
        )
    return concerns


def _usual_interval(snapshot: Snapshot, good: Sequence[Row]) -> timedelta:
    gaps = [later["started_at"] - earlier["started_at"] for later, earlier in pairwise(good)]
    if len(gaps) < MIN_GAPS:
        return snapshot.usual_interval
    usual: timedelta = statistics.median(gaps)
    return max(usual, CRON)


def _of_the_score(snapshot: Snapshot) -> list[Concern]:
    """Say that no labelled rows show how good the live release is, or too few."""
    if snapshot.release is None or snapshot.fault:
        return []
    newest = snapshot.newest_scores
    measured = [newest[kind] for kind in (MEASURED, PROMISED) if kind in newest]
    doubts = [_doubt(score, snapshot) for score in measured]
    if measured and None in doubts:
        return []
    if doubts:
        return [Concern(str(doubts[0]), MORE_LABELS)]
    words = f"No labelled row shows how good release {snapshot.release['version']} is."
    return [Concern(words, MORE_LABELS)]


def _of_a_first_reference(snapshot: Snapshot) -> list[Concern]:
    """Say how many rows the first reference of predictions made elsewhere lacks."""
    more = "Bring more rows with predictions: the first ones become the reference."
    return [Concern(snapshot.waits, more)] if snapshot.waits else []


def _of_the_ranking(snapshot: Snapshot) -> list[Concern]:
    """Say that a model may rank rows no better than chance, if no rows show that it does."""
    newest = snapshot.newest_rankings
    known = [newest[kind] for kind in (MEASURED, PROMISED) if kind in newest]
    known = [score for score in known if score["lower"] is not None]
    if not known or snapshot.fault or any(score["lower"] > 0.5 for score in known):
        return []
    score = known[0]
    is_grave = all(score["upper"] <= HARDLY_BETTER for score in known)
    where = (
        f"ROC AUC is {plain_words.between(score)} on {counted(score['n'], 'labelled row')}, where "
        "0.5 is chance"
    )
    if is_grave:
        advice = "Do not rely on the predictions. Look for features that say more about the target."
        return [Concern(f"It is hardly better than guessing: {where}.", advice, is_grave=True)]
    return [Concern(f"It may be guessing: {where}.", MORE_LABELS)]


def _doubt(score: Row, snapshot: Snapshot) -> str | None:
    """Say why a score is too uncertain, None if it is not."""
    name, n = plain_words.metric(snapshot.metric), score["n"]
    positive = score.get("n_positive")
    if positive is not None:
        rarer = int(min(positive, n - positive))
        if rarer < snapshot.min_rows_per_class:
            label = "positive" if positive <= n - positive else "negative"
            are = "is" if rarer == 1 else "are"
            return f"{name} says little yet: only {rarer} of {n:,} labelled rows {are} {label}."
    if score["lower"] is None or score["upper"] is None:
        return f"{name} is not defined on {counted(n, 'labelled row')}."
    if snapshot.metric in UNBOUNDED or score["upper"] - score["lower"] <= MAX_WIDTH:
        return None
    span = f"from {score['lower']:.2f} to {score['upper']:.2f}"
    return f"{name} may be anything {span}, on {counted(n, 'labelled row')}."


def _score(snapshot: Snapshot) -> list[str]:
    """Describe the newest score of the live release, and what was promised."""
    newest, said = snapshot.newest_scores, []
    if score := newest.get(MEASURED):
        rows = f"measured on the newest {score['n']:,} labelled rows"
        said.append(f"{plain_words.score(score)} {rows}")
    elif score := newest.get(ESTIMATED):
        said.append(f"{plain_words.score(score)} estimated for {score['n']:,} rows without labels")
    if score := newest.get(PROMISED):
        rows = plain_words.rows_of(score["dataset"])
        then = "before it went live, " if said else ""
        said.append(f"{then}{plain_words.score(score)} on {score['n']:,} {rows}")
    return [f"{plain_words.metric(snapshot.metric)} is {'; '.join(said)}."] if said else []


def _why(snapshot: Snapshot) -> list[str]:
    """Say why the score differs from the promise, if an alarm says that it does not by chance."""
    if not snapshot.open_incidents:
        return []
    why = score_change.in_short(snapshot.score_change)
    advice = score_change.advice(snapshot.score_change)
    return [f"{why} {advice}".strip()] if why else []
