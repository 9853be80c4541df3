"""Whether the newest model deserved to go live: both models on the same rows."""

from __future__ import annotations

from risk.data.statistics import as_rows
from risk.decisions.codes import Action
from risk.explain import events, gate_words, plain_words, reasons
from risk.explain.plain_words import counted
from risk.explain.snapshot import Row
from risk.lazily import pandas as pd
from risk.report.context import Context
from risk.report.document import Block, Bullets, Paragraph, Picture, Section, Table
from risk.stats.scores import BIGGER_IS_BETTER

TITLE = "Did the newest model deserve to go live?"
NEVER = (
    "No new model has been compared with a live one yet. When one is trained, it is compared with "
    "the live one on the same rows, predicted before either was trained on them."
)
TITLE_ELSEWHERE = "When does the reference change?"
ELSEWHERE = (
    "Only when a person says so: by approving a case, or with python deployment.py "
    "--new-reference. The predictions are made elsewhere: no model is compared with another here."
)
CHANGED = {
    Action.DEPLOY: "the new model went live",
    Action.KEEP: "the live model stayed",
    Action.ASK: "approval was requested",
}


def section(known: Context) -> Section:
    """Describe the gate's last comparison and its outcome."""
    judged = known.ledger.decisions.last_comparison()
    if judged is None and known.config.watches_only:
        return Section(TITLE_ELSEWHERE, (Paragraph(ELSEWHERE),))
    if judged is None:
        return Section(TITLE, (Paragraph(NEVER),))
    moment, comparison = plain_words.day(judged["decided_at"]), judged["comparison"]
    weighed = events.judged(judged, known.snapshot)
    if comparison["champion"] is None:
        outcome = f"On {moment} release {judged['version']} went live. {weighed}"
        return Section(TITLE, (Paragraph(outcome), Paragraph(NEVER)))
    outcome = f"On {moment} {CHANGED[Action(judged['action'])]}. {weighed}"
    words = Paragraph(_in_words(comparison))
    return Section(TITLE, (Paragraph(outcome), words, *_weighed(known, judged)))


def comparison(known: Context) -> Picture | None:
    """Draw both models of the last comparison, None if no two were compared yet."""
    from risk.figures import intervals

    judged = known.ledger.decisions.last_comparison()
    if judged is None or judged["comparison"]["champion"] is None:
        return None
    compared = judged["comparison"]
    name = plain_words.metric(compared["metric"])
    return Picture(
        intervals.paired_comparison(_rows(compared), metric=name, n=compared["n"]),
        f"The newest model against the one before it, on {plain_words.day(judged['decided_at'])}. "
        f"{name} of both on the same rows, and how much higher that of the new one is.",
        _in_words(compared),
    )


def _rows(comparison: Row) -> pd.DataFrame:
    """Return name, value, lower and upper of both models and of their difference."""
    scores = {
        "live model": comparison["champion"],
        "new model": comparison["challenger"],
        "difference": comparison.get("difference"),
    }
    rows = [{"name": name} | dict(score) for name, score in scores.items() if score]
    return pd.DataFrame(rows, columns=["name", "value", "lower", "upper"])


def _in_words(comparison: Row) -> str:
    """Say how large the difference is and whether chance explains it."""
    found, name = comparison.get("difference"), plain_words.metric(comparison["metric"])
    if not found:
        return f"The uncertainty of the difference in {name} cannot be computed from single rows."
    value, lower, upper = (found[part] for part in ("value", "lower", "upper"))
    if lower is None:
        return f"{name} differs by {value:+.3f}; both models say the same of almost every row."
    way = "higher" if value >= 0 else "lower"
    span = f"{lower:+.3f} to {upper:+.3f}"
    words = f"{name} of the new model is {way} by {abs(value):.3f} (difference from {span})"
    if lower <= 0 <= upper:
        return f"{words}: chance alone could explain it."
    is_better = (value > 0) == BIGGER_IS_BETTER[comparison["metric"]]
    return f"{words}: it is {'better' if is_better else 'worse'} by more than chance."


def _weighed(known: Context, judged: Row) -> tuple[Block, ...]:
    """Explain to engineers and auditors how it was decided."""
    comparison = judged["comparison"]
    rows = _rows(comparison)
    needed = known.snapshot.evidence_needed
    margin = known.config.gate.margin
    rules = (
        f"Compared on {counted(comparison['n'], 'row')}, predicted before either model was trained "
        "on them.",
        f"A new model is proven better with evidence of {needed:.0f} or more; a worse one reaches "
        f"that in at most {1 / needed:.0%} of all cases, however often one looks.",
        "Against a live model that is known to do worse, and for a scheduled refresh, not being "
        f"inferior by more than {margin:g} is enough, if the score is not lower.",
    )
    confidence = comparison.get("confidence", 0.95)
    table = Table(
        ("model", plain_words.metric(comparison["metric"]), "from", "to"),
        tuple(tuple(row.values()) for row in as_rows(rows)),
        caption=f"Intervals hold with {confidence:.0%} confidence. "
        f"{gate_words.evidence_of_gate(comparison, needed)} p-value of McNemar's exact test: "
        f"{_short(comparison['p_value'])}.",
    )
    why = Bullets(tuple(reasons.reasons_of(judged)))
    recorded = (Bullets(rules), Paragraph("As recorded:"), why)
    return (table, Section("How it was decided", recorded))


def _short(p_value: float | None) -> str:
    return "unknown" if p_value is None else f"{p_value:.2g}"
