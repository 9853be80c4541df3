"""How good the model is: its score over time, and what it gets right and wrong."""

from __future__ import annotations

from collections.abc import Mapping

from risk.errors import RiskError
from risk.explain import plain_words, score_history
from risk.explain.plain_words import counted
from risk.report import curves, risks
from risk.report.context import ENOUGH_ROWS, Context, Labelled
from risk.report.document import Block, Paragraph, Picture, Section, Table
from risk.stats.scores import Estimate, score_all

TITLE = "How good is the model?"
MEANING = {
    "f1": "finding those at risk, and being right about them, in balance; 1 is perfect",
    "precision": "of those called at risk, the share that was",
    "recall": "of those at risk, the share that was called",
    "accuracy": "the share of right calls",
    "roc_auc": "how often one at risk is ranked above one who is not; 0.5 is guessing",
    "average_precision": "precision, averaged over all thresholds",
    "brier": "how far predicted risks are from what happened; 0 is perfect",
    "log_loss": "how surprising what happened was to the model; 0 is perfect",
    "cost": "what wrong calls cost per row, in the unit of the settings",
}


def section(known: Context) -> Section:
    """Tell how the score developed, then what today's release gets right and wrong."""
    history = _history(known)
    if known.monitored is None:
        told = f"More cannot be told: {known.snapshot.fault}."
        return Section(TITLE, (*history, Paragraph(told, "bad")))
    found = known.judged_on
    if found is None:
        told = "More cannot be told: there is no row with a label."
        return Section(TITLE, (*history, Paragraph(told, "warning"), *_unusable(known)))
    return Section(
        TITLE,
        (*history, *_scores(known), *_drawn_from(known, found), *_pictures(known, found)),
    )


def score_on(known: Context, found: Labelled) -> dict[str, Estimate]:
    """Return every score of the live release on some rows."""
    return score_all(
        found.y_true,
        found.y_pred_proba,
        found.y_pred,
        cost=known.config.training.cost.as_tuple(),
        confidence=known.config.scoring.confidence,
    )


def _history(known: Context) -> tuple[Block, ...]:
    from risk.figures import trend

    metric = known.config.checks.metric
    shown = score_history.trend(known.ledger, metric)
    name = plain_words.metric(metric)
    meaning = f"{name} tells how good the calls are: {MEANING[metric]}."
    told = score_history.in_words(shown, metric)
    figure = trend.score_trend(shown.points, shown.changes, metric=name)
    went_live = score_history.changes_in_words(shown)
    return (
        Paragraph(f"{meaning} {told}"),
        Picture(figure, f"{name} over time, and when another release went live.", told),
        Paragraph(went_live, "aside"),
    )


def _scores(known: Context) -> tuple[Table, ...]:
    """List the scores on unlearnt rows and on the test data, the more telling ones first."""
    confidence = f"{known.config.scoring.confidence:.0%}"
    tables = []
    usable = [found for found in (known.unlearnt, known.test) if isinstance(found, Labelled)]
    for found in sorted(usable, key=lambda found: found is not known.judged_on):
        rows = tuple(
            (plain_words.metric(name), MEANING[name], score.value, score.lower, score.upper)
            for name, score in score_on(known, found).items()
        )
        caption = (
            f"Release {known.release_name} on {found.name}, {counted(len(found), 'row')}; the "
            f"true score lies between from and to with {confidence} confidence."
        )
        tables.append(Table(("score", "what it tells", "value", "from", "to"), rows, caption))
    return tuple(tables)


def _drawn_from(known: Context, found: Labelled) -> tuple[Block, ...]:
    """Say which rows the rest of the chapter is about, and why these."""
    unlearnt = known.unlearnt
    told = f"The rest of this chapter is about {found.name}, {counted(len(found), 'row')}"
    if found is unlearnt:
        told += ", which tell more of today than the test data"
    elif isinstance(unlearnt, Labelled):
        told += f"; only {len(unlearnt)} others have a label and were not learnt"
    elif unlearnt is None:
        told += "; no other row has a label and was not learnt"
    blocks: list[Block] = [Paragraph(f"{told}.", "aside"), *_unusable(known)]
    if len(found) < ENOUGH_ROWS:
        few = f"{counted(len(found), 'row')} are few: much of what follows may be chance."
        blocks.append(Paragraph(few, "warning"))
    return tuple(blocks)


def _unusable(known: Context) -> list[Block]:
    """Say which rows cannot be read, and why."""
    rows = (("The test data", known.test), ("The rows that were not learnt", known.unlearnt))
    return [
        Paragraph(f"{name} cannot be used: {error}.", "warning")
        for name, error in rows
        if isinstance(error, RiskError)
    ]


def _pictures(known: Context, found: Labelled) -> tuple[Section, ...]:
    drawn = [_confusion(known, found)]
    if found.has_both_classes:
        drawn += [_curves(found, score_on(known, found))]
    else:
        which = "at risk" if found.y_true[0] else "not at risk"
        only = f"All {counted(len(found), 'row')} are {which}: curves need both kinds."
        drawn.append(Section("What other thresholds would do", (Paragraph(only, "warning"),)))
    return (*drawn, *risks.sections(known, found))


def _confusion(known: Context, found: Labelled) -> Section:
    from risk.figures import matrix
    from risk.figures.labels import percent

    labels, counts = known.config.columns.classes, curves.outcomes(found)
    (right_no, false_alarms), (missed, caught) = counts.tolist()
    told = [
        f"Of {counted(total, 'row')} with {label}, {part:,} ({percent(part / total)}) {what}."
        for total, label, part, what in (
            (missed + caught, labels[1], caught, "were called at risk, as they should be"),
            (right_no + false_alarms, labels[0], false_alarms, "were called so by mistake"),
        )
        if total
    ]
    title = f"Release {known.release_name} on {found.name}, n = {len(found):,}"
    rows = (
        (labels[0], right_no, false_alarms, right_no + false_alarms),
        (labels[1], missed, caught, missed + caught),
        ("all", right_no + missed, false_alarms + caught, len(found)),
    )
    return Section(
        "Right and wrong calls",
        (
            Paragraph(" ".join(told)),
            Picture(
                matrix.confusion_matrix(counts, labels=labels, title=title),
                "Rows by what they were (down) and what was predicted (across).",
                " ".join(told),
            ),
            Table(
                ("what they were", "not called at risk", "called at risk", "all"),
                rows,
                caption="The same as counts.",
            ),
        ),
    )


def _curves(found: Labelled, scores: Mapping[str, Estimate]) -> Section:
    from risk.figures import curves as curve_figures

    (right_no, false_alarms), (missed, caught) = curves.outcomes(found).tolist()
    fpr, tpr = false_alarms / (right_no + false_alarms), caught / (missed + caught)
    called = caught + false_alarms
    precision = caught / called if called else None
    n, base_rate = len(found), float(found.y_true.mean())
    roc_auc, average_precision = scores["roc_auc"].value, scores["average_precision"].value
    told = f"The threshold in force catches {tpr:.0%} of those at risk and calls {fpr:.0%} of the "
    told += "others by mistake."
    right = "It calls nobody." if precision is None else f"{precision:.0%} of its calls are right."
    return Section(
        "What other thresholds would do",
        (
            Paragraph(f"{told} {right} The curves show what other thresholds would do."),
            Picture(
                curve_figures.roc_curve(
                    curves.roc_points(found), chosen=(fpr, tpr), area=roc_auc, n=n
                ),
                "The share of those at risk that is caught, for the share of others called.",
                f"ROC curve with an area of {roc_auc:.3f} on {n} rows. {told}",
            ),
            Picture(
                curve_figures.precision_recall_curve(
                    curves.precision_recall_points(found),
                    chosen=None if precision is None else (tpr, precision),
                    base_rate=base_rate,
                    area=average_precision,
                    n=n,
                ),
                "How many calls are right, for the share of those at risk that is caught.",
                f"Precision and recall, average precision {average_precision:.3f}. {right}",
            ),
        ),
    )
