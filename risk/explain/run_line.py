"""What a run did in one line that fits into a mail: what a person must know comes first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from risk import cli
from risk.data.intake import Intake
from risk.decisions.codes import QUIET, Action, ReasonCode, VerdictCode
from risk.explain import gate_words, plain_words, reasons, score_change, sentences, verdicts
from risk.explain.plain_words import counted
from risk.explain.sentences import incident_clause, parsed
from risk.monitoring.assessment import Assessment
from risk.monitoring.findings import Finding

Row = Mapping[str, Any]
Wordings = Sequence[str]
MAX_LENGTH = 200
STAYS = "The live release stays"
OF_VERDICTS = {
    VerdictCode.WORSE_BEYOND_CHANCE: "The live release stays: the challenger {beyond_chance}",
    VerdictCode.WORSE: "The live release stays: the challenger did {worse}",
    VerdictCode.NOT_ENOUGH_EVIDENCE: "The live release stays: the challenger is not proven better",
    VerdictCode.ONE_CLASS: "The live release stays: there are no rows of one class to compare on",
    VerdictCode.SAME_MODEL: "The live release stays: the challenger is the same model",
}
OF_QUESTIONS = {
    ReasonCode.BROKEN_FEED: "Action needed: the new data may be broken; no model was "
    "trained on them.",
    ReasonCode.NO_ADJUSTMENT: "Action needed: no adjustment of the live model is expected to pay.",
    ReasonCode.NO_REMEDY: "Action needed: a new model would not help.",
    ReasonCode.WATCHED: "Action needed: the model is trained elsewhere.",
}


@dataclass(frozen=True)
class Taken:
    """What a run did before it decides: repairs in sentences, drops, and what the detectors found.

    `warned` are the subjects that warnings stand for; `exit_code` is that of the ingestion.
    """

    run_id: int
    first: list[str]
    ingested: str
    intakes: Sequence[Intake]
    failures: Sequence[str]
    quarantined: bool
    exit_code: int
    alarms: Sequence[Finding] = ()
    warned: Sequence[str] = ()

    @classmethod
    def of(
        cls, run_id: int, ingested: Any, seen: Assessment | None, *, first: Sequence[str]
    ) -> Self:
        """Keep what the decision and its line need of what a run has done so far."""
        result = ingested.intakes, ingested.out_of_reach, ingested.quarantined, ingested.exit_code
        found = (seen.alarms, tuple(seen.state.warned)) if seen else ((), ())
        return cls(run_id, [*first], str(ingested), *result, *found)

    def line(self, decision: Row | None = None, *, alarms: Sequence[Finding] = ()) -> str:
        """Say what the run did, with what was decided or, where nothing was, the alarms."""
        first = [*self.first, *(f"Alarm: {alarm.detail}" for alarm in alarms)]
        return of_run(self.intakes, decision, first=first, failures=self.failures)


@dataclass(frozen=True)
class Outcome(cli.Result):
    """What a run did, in the one line that is recorded and mailed; the log has the details."""

    line: str
    drift: bool = False
    quarantined: bool = False
    needs_a_person: bool = False
    exit_code: int = 0
    in_full = verdicts.of_run

    def __str__(self) -> str:
        return self.line

    def without_report(self, exit_code: int) -> Outcome:
        """Return the outcome of the same run, a report of which could not be written."""
        line = ending(self.line, "A report could not be written; the log says why.")
        return replace(self, line=line, exit_code=self.exit_code or exit_code)

    def asking(self, cases: Sequence[int]) -> Outcome:
        """Return the outcome of the same run, after which these cases wait for an answer."""
        if not cases or self.needs_a_person:
            return replace(self, needs_a_person=bool(cases))
        line = ending(self.line, f"Waiting for an answer: {counted(len(cases), 'case')}.")
        return replace(self, line=line, needs_a_person=True)

    def failing_on(self, found: str | None) -> Outcome:
        """Return the outcome with an exit code of its own if what --fail-on names was found."""
        asked_for = {"drift": self.drift, "quarantine": self.quarantined}
        is_found = found is not None and asked_for[found] and not self.exit_code
        return replace(self, exit_code=cli.ASKED_TO_FAIL) if is_found else self


def of_run(
    intakes: Sequence[Intake],
    decision: Row | None = None,
    *,
    first: Sequence[str] = (),
    failures: Sequence[str] = (),
) -> str:
    """Say what a run did; `first` are sentences that nothing may come before."""
    begin = [(words,) for words in first]
    trouble = [*_refused(intakes), *((plain_words.sentence(failure),) for failure in failures)]
    if decision is None:
        return fitted([*begin, *trouble, *(_taken(intakes) or [("No new data.",)])])
    decided = of_decision(decision)
    if decision["reason_code"] in QUIET:
        return fitted([*begin, *trouble, *decided, *_taken(intakes)])
    return fitted([*begin, *decided[:1], *trouble, *decided[1:], *_taken(intakes)])


def of_decision(decision: Row) -> list[Wordings]:
    """Say what was decided, on what scores, and what asked for it."""
    facts, comparison = parsed(decision.get("facts")) or {}, parsed(decision.get("comparison"))
    code, verdict = ReasonCode(decision["reason_code"]), facts.get("verdict")
    match decision["action"]:
        case Action.DEPLOY:
            done = _deployed(decision, comparison)
        case Action.ROLLBACK:
            before = facts.get("comparison")
            scores = f": {_scores(before)}" if before and before.get("champion") else ""
            done = f"Back to release {decision['version']}: release {facts['from']} does worse"
            if code == ReasonCode.ROLLED_BACK_BY_HAND:
                done = f"Back to release {decision['version']}, by hand"
            if code == ReasonCode.DAMAGED:
                done = f"Back to release {decision['version']}: release {facts['from']} is damaged"
            done += f"{scores}."
        case Action.ASK if comparison:
            done = f"Action needed: deploy the challenger? {_scores(comparison)}."
        case Action.ASK:
            done = OF_QUESTIONS.get(code) or f"Action needed: {reasons.main_reason(decision)}"
        case _ if held := facts.get("held_case"):
            done = f"The live release stays: the challenger was {held['state']}."
        case _ if verdict:
            scores = f" ({_scores(comparison)})" if comparison else ""
            done = f"{_of_verdict(VerdictCode(verdict), comparison)}{scores}."
        case _ if code == ReasonCode.NO_INCIDENT:
            return [("No incident; the live release stays.",)]
        case _:
            done = f"The live release stays. {reasons.main_reason(decision)}"
    why = score_change.in_short(facts.get("score_change"))
    return [(done,), *_causes(facts.get("incidents") or ()), *([(why,)] if why else [])]


def of_rehearsal(taken: object, found: Assessment) -> str:
    """Say what a run would take, and what it would do about what it would find."""
    if found.alarms:
        return f"{taken}; would act on: {sentences.worst(found.alarms)}"
    return f"{taken}; would keep the champion: {reasons.of_strongest(found.facts)}"


def of_approval(version: int, case_id: int | None) -> str:
    """Say that a run deployed what a person approved."""
    return f"Release {version} is live: case {case_id} was approved."


def of_damage(version: int, target: int) -> str:
    """Say what a run did about a damaged live release."""
    if target == version:
        return f"Release {version} was damaged and has been restored."
    return f"Release {target} is live: release {version} is damaged."


def of_relinking(version: int) -> str:
    """Say that the link to the live release was wrong."""
    return f"Release {version} is live again: another one had been put in its place."


def fitted(pieces: Iterable[Wordings]) -> str:
    """Join sentences, the most important first, each in the longest wording that still fits."""
    line = ""
    for wordings in pieces:
        room = MAX_LENGTH - len(line) - bool(line)
        written = [" ".join(wording.split()) for wording in wordings]
        chosen = next((wording for wording in written if len(wording) <= room), "")
        if not chosen and not line:
            chosen = textwrap.shorten(written[-1], MAX_LENGTH, placeholder=" ...")
        line = f"{line} {chosen}".strip()
    return line


def ending(line: str, words: str) -> str:
    """Shorten a line so that it can end with these words."""
    room = MAX_LENGTH - len(words) - 1
    return f"{textwrap.shorten(line, room, placeholder=' ...')} {words}"


def _deployed(decision: Row, comparison: Row | None) -> str:
    live = f"Release {decision['version']} is live"
    if decision["reason_code"] in (ReasonCode.REFERENCE, ReasonCode.NEW_REFERENCE):
        rows = (parsed(decision.get("facts")) or {})["rows"]
        return f"{live}, a reference of {counted(rows, 'row')} for predictions made elsewhere."
    if comparison is None:
        return f"{live}, deployed by hand."
    if comparison["champion"] is None:
        score = f"{plain_words.metric(comparison['metric'])} {_value(comparison['challenger'])}"
        return f"{live}, the first model: {score} on {counted(comparison['n'], 'test row')}."
    proven = "" if comparison["proven"] else ", unproven"
    return f"{live}{proven}: {_scores(comparison)}."


def _of_verdict(verdict: VerdictCode, comparison: Row | None) -> str:
    said = OF_VERDICTS.get(verdict, STAYS)
    if not comparison:
        return said.format(worse="worse", beyond_chance="is worse")
    return said.format(**gate_words.placeholders(comparison, decimals=4))


def _scores(comparison: Row) -> str:
    name = plain_words.metric(comparison["metric"])
    values = [comparison[model]["value"] for model in ("challenger", "champion")]
    now, before = map(_value, (comparison["challenger"], comparison["champion"]))
    if None not in values:
        now, before = plain_words.distinct(*values)
    return f"{name} {now} against {before} on {counted(comparison['n'], 'row')}"


def _value(score: Row) -> str:
    return "undefined" if score["value"] is None else f"{score['value']:.2f}"


def _causes(incidents: Sequence[Row]) -> list[Wordings]:
    """Name the worst open incident in full, or at least what it is about, and count the others."""
    if not incidents:
        return []
    worst, rest = incidents[0], len(incidents) - 1
    kind = worst["kind"].replace("_", " ").capitalize()
    more = f" And {counted(rest, 'more incident')}." if rest else ""
    short = f"{kind}: {plain_words.about(worst)}."
    return [
        (
            f"{plain_words.sentence(f'{kind}: {incident_clause(worst)}')}{more}",
            f"{short}{more}",
            short,
        )
    ]


def _refused(intakes: Sequence[Intake]) -> list[Wordings]:
    """Say which files and how many rows were not taken."""
    refused = [intake for intake in intakes if intake.status == "refused"]
    rows = sum(intake.rows_quarantined for intake in intakes)
    found: list[Wordings] = []
    if refused:
        was = "was" if len(refused) == 1 else "were"
        total = f"{counted(len(refused), 'file')} {was} refused"
        names = plain_words.listed([plain_words.in_short(intake.path) for intake in refused])
        found.append((f"{total}: {names}.", f"{total}."))
    if rows:
        was = "was" if rows == 1 else "were"
        found.append((f"{counted(rows, 'row')} {was} quarantined.",))
    return found


def _taken(intakes: Sequence[Intake]) -> list[Wordings]:
    """Count what came, new rows apart from labels of earlier ones."""
    if not intakes:
        return []
    labels = sum(intake.rows_added for intake in intakes if intake.kind == "labels")
    rows = sum(intake.rows_added for intake in intakes) - labels
    words = [counted(rows, "new row")] if rows or not labels else []
    words += [f"labels for {counted(labels, 'earlier row')}"] if labels else []
    known = sum(intake.rows_duplicate for intake in intakes)
    words += [f"{counted(known, 'known row')} again"] if known and not rows + labels else []
    return [(plain_words.sentence(f"{' and '.join(words)} in {counted(len(intakes), 'file')}"),)]
