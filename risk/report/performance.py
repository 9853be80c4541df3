"""Performance of the model: its score over time, its errors and its thresholds."""

from __future__ import annotations

from collections.abc import Mapping

from risk.errors import RiskError, WatchedOnly
from risk.explain import plain_words, score_change, score_history
from risk.explain.plain_words import ESTIMATED, MEASURED, PROMISED, counted
from risk.report import curves, risks
from risk.report.context import ENOUGH_ROWS, Context, Labelled
from risk.report.document import Block, Paragraph, Picture, Section, Table
from risk.stats.scores import Estimate, score_all

TITLE = "How good is the model?"
MEANING = {
    "f1": "the balance (harmonic mean) of precision and recall; 1 is perfect",
    "precision": "the share of rows flagged as at risk that were at risk",
    "recall": "the share of rows at risk that were flagged",
    "accuracy": "the share of correct predictions",
    "roc_auc": "the probability that a row at risk ranks above one that is not; 0.5 is random",
    "average_precision": "the precision averaged over all thresholds; 1 is perfect",
    "brier": "the mean squared error of the predicted risks; 0 is perfect",
    "log_loss": "the penalty for confident wrong predictions; 0 is perfect",
    "cost": "the mean cost of the predictions per row, in the unit of the settings",
}
PLAINLY = {
    "f1": "1 if it flags every row at risk and no other",
    "roc_auc": "1 if every row at risk ranks above every other, 0.5 if ranks are random",
    "average_precision": "1 if every row at risk ranks above every other",
    "brier": "0 if every predicted risk is right",
    "log_loss": "0 if every predicted risk is right",
}


def section(known: Context) -> Section:
    """Report the score over time, then the errors of the live release."""
    history: tuple[Block, ...] = (Paragraph(_history(known)), *_why(known))
    if known.monitored is None:
        missing = f"No further analysis is possible: {known.snapshot.fault}."
        return Section(TITLE, (*history, Paragraph(missing, "bad")))
    found = known.judged_on
    if found is None:
        missing = "No further analysis is possible: no row has a label."
        return Section(TITLE, (*history, Paragraph(missing, "warning"), *_unusable(known)))
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


def over_time(known: Context) -> Picture | Paragraph:
    """Draw the score over time, once two runs know it."""
    from risk.figures import trend

    metric = known.config.checks.metric
    shown, name = score_history.trend(known.ledger, metric), plain_words.metric(metric)
    if not trend.can_be_drawn(shown.points):
        return Paragraph(f"A chart shows {name} here once two runs know it.")
    words = score_history.in_words(shown, metric)
    figure = trend.score_trend(shown.points, shown.changes, metric=name)
    caption = f"{name} over time. It is {PLAINLY.get(metric, MEANING[metric])}."
    return Picture(figure, caption, words)


def in_plain_words(known: Context) -> list[str]:
    """Say of how many rows in 100 the live release is right, and between what its score is."""
    return [*_of_a_hundred(known), *_ranges(known)]


def _ranges(known: Context) -> list[str]:
    """Say in which range the score is today, and in which it was before the release went live."""
    newest = known.snapshot.newest_scores
    name = plain_words.metric(known.config.checks.metric)
    said = []
    if score := newest.get(MEASURED):
        rows = f"measured on the newest {score['n']:,} labelled rows"
        said.append(f"{name} is {plain_words.between(score)}, {rows}")
    elif score := newest.get(ESTIMATED):
        rows = f"estimated for {score['n']:,} rows without labels"
        said.append(f"{name} is probably {plain_words.between(score)}, {rows}")
    if score := newest.get(PROMISED):
        rows = f"on {score['n']:,} {plain_words.rows_of(score['dataset'])}"
        said.append(f"Before it went live, {name} was {plain_words.between(score)} {rows}")
    return [f"{sentence}." for sentence in said]


def _of_a_hundred(known: Context) -> list[str]:
    found = known.judged_on if known.monitored else None
    if found is None:
        return []
    (_, false_alarms), (missed, caught) = curves.outcomes(found).tolist()
    at_risk, flagged = missed + caught, caught + false_alarms
    if flagged in (0, len(found)):
        each = "every one" if flagged else "none"
        return [f"On {found.name}, it flags {each} of {counted(len(found), 'row')}."]
    if not at_risk or len(found) < ENOUGH_ROWS:
        return []
    label = known.config.columns.classes[1]
    return [
        f"On {found.name}: of 100 rows with {label} it flags {100 * caught / at_risk:.0f}; of 100 "
        f"rows that it flags, {100 * caught / flagged:.0f} have {label}."
    ]


def _history(known: Context) -> str:
    metric = known.config.checks.metric
    shown = score_history.trend(known.ledger, metric)
    words, went_live = score_history.in_words(shown, metric), score_history.changes_in_words(shown)
    return f"{plain_words.metric(metric)} is {MEANING[metric]}. {words} {went_live}".strip()


def _why(known: Context) -> tuple[Section, ...]:
    """Say why the score differs from the promise, and list the parts that add up to it."""
    change = known.snapshot.score_change
    if not change:
        return ()
    is_incident = bool(known.snapshot.open_incidents)
    words = score_change.in_words(change, is_incident=is_incident)
    blocks: list[Block] = [Paragraph(words)]
    whole = f"{change['after'] - change['before']:+.3f}"
    caption = f"The parts add up to the change of {plain_words.metric(change['metric'])}, {whole}."
    columns = ("part", "meaning", "value", "lower", "upper")
    if rows := score_change.rows_of_table(change):
        blocks.append(Table(columns, tuple(rows), caption))
    return (Section("Why does it differ from the promise?", tuple(blocks)),)


def _scores(known: Context) -> tuple[Table, ...]:
    """List the scores on rows not used for training and on test data, the more relevant first."""
    confidence = f"{known.config.scoring.confidence:.0%}"
    tables = []
    usable = [found for found in (known.unlearnt, known.test) if isinstance(found, Labelled)]
    for found in sorted(usable, key=lambda found: found is not known.judged_on):
        rows = tuple(
            (plain_words.metric(name), MEANING[name], score.value, score.lower, score.upper)
            for name, score in score_on(known, found).items()
        )
        caption = (
            f"Release {known.release_name} on {found.name}, {counted(len(found), 'row')}, with "
            f"{confidence} confidence intervals."
        )
        tables.append(Table(("score", "meaning", "value", "lower", "upper"), rows, caption))
    return tuple(tables)


def _drawn_from(known: Context, found: Labelled) -> tuple[Block, ...]:
    """State which rows the rest of the chapter uses, and why."""
    unlearnt = known.unlearnt
    text = f"The rest of this chapter is based on {found.name} ({counted(len(found), 'row')})"
    if found is unlearnt:
        tested = not isinstance(known.test, WatchedOnly)
        text += ", which are more recent than the test data" if tested else ""
    elif isinstance(unlearnt, Labelled):
        text += f"; there are only {counted(len(unlearnt), 'newer labelled row')}"
    elif unlearnt is None:
        text += "; there are no newer labelled rows"
    blocks: list[Block] = [Paragraph(f"{text}.", "aside"), *_unusable(known)]
    if len(found) < ENOUGH_ROWS:
        few = f"{counted(len(found), 'row')} only: much of what follows may be chance."
        blocks.append(Paragraph(few, "warning"))
    return tuple(blocks)


def _unusable(known: Context) -> list[Block]:
    """State which rows cannot be read, and why."""
    rows = (("The test data", known.test), ("The rows not used for training", known.unlearnt))
    return [
        Paragraph(f"{name} cannot be used: {error}.", "warning")
        for name, error in rows
        if isinstance(error, RiskError) and not isinstance(error, WatchedOnly)
    ]


def _pictures(known: Context, found: Labelled) -> tuple[Section, ...]:
    drawn = [_confusion(known, found)]
    if found.has_both_classes:
        drawn += [_curves(found, score_on(known, found))]
    else:
        which = "at risk" if found.y_true[0] else "not at risk"
        only = f"All {counted(len(found), 'row')} are {which}; curves require both classes."
        drawn.append(Section("Other thresholds", (Paragraph(only, "warning"),)))
    return (*drawn, *risks.sections(known, found))


def _confusion(known: Context, found: Labelled) -> Section:
    from risk.figures import matrix
    from risk.figures.labels import percent

    labels, counts = known.config.columns.classes, curves.outcomes(found)
    (right_no, false_alarms), (missed, caught) = counts.tolist()
    sentences = [
        f"Of {counted(total, 'row')} with {label}, {part:,} ({percent(part / total)}) {what}."
        for total, label, part, what in (
            (missed + caught, labels[1], caught, "were correctly flagged as at risk"),
            (right_no + false_alarms, labels[0], false_alarms, "were flagged by mistake"),
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
        "Correct and wrong predictions",
        (
            Paragraph(" ".join(sentences)),
            Picture(
                matrix.confusion_matrix(counts, labels=labels, title=title),
                "Rows by actual class (down) and predicted class (across).",
                " ".join(sentences),
            ),
            Table(
                ("actual", "predicted not at risk", "predicted at risk", "all"),
                rows,
                caption="Number of rows by actual and predicted class.",
            ),
        ),
    )


def _curves(found: Labelled, scores: Mapping[str, Estimate]) -> Section:
    from risk.figures import curves as curve_figures

    (right_no, false_alarms), (missed, caught) = curves.outcomes(found).tolist()
    fpr, tpr = false_alarms / (right_no + false_alarms), caught / (missed + caught)
    flagged = caught + false_alarms
    precision = caught / flagged if flagged else None
    n, base_rate = len(found), float(found.y_true.mean())
    roc_auc, average_precision = scores["roc_auc"].value, scores["average_precision"].value
    rates = (
        f"The current threshold flags {tpr:.0%} of the rows at risk and {fpr:.0%} of the others."
    )
    right = (
        "It flags no row."
        if precision is None
        else f"{precision:.0%} of the rows it flags are at risk."
    )
    return Section(
        "Other thresholds",
        (
            Paragraph(f"{rates} {right} The curves show other thresholds."),
            Picture(
                curve_figures.roc_curve(
                    curves.roc_points(found), chosen=(fpr, tpr), area=roc_auc, n=n
                ),
                "Share of the rows at risk that is flagged, against the share of the others.",
                f"ROC curve with an area of {roc_auc:.3f} on {counted(n, 'row')}. {rates}",
            ),
            Picture(
                curve_figures.precision_recall_curve(
                    curves.precision_recall_points(found),
                    chosen=None if precision is None else (tpr, precision),
                    base_rate=base_rate,
                    area=average_precision,
                    n=n,
                ),
                "Precision (share of flags that are correct) against recall (share flagged).",
                f"Precision and recall, average precision {average_precision:.3f}. {right}",
            ),
        ),
    )
