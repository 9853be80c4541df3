"""Predicted risks: calibration, distribution, and the cost of errors."""

from __future__ import annotations

from risk.explain import distributions
from risk.explain.plain_words import counted
from risk.report import curves
from risk.report.context import Context, Labelled
from risk.report.document import Paragraph, Picture, Section, Table
from risk.stats.scores import Costs
from risk.stats.threshold import highest_f1, lowest_cost


def sections(known: Context, found: Labelled) -> tuple[Section, ...]:
    """Report calibration, the distribution of the predicted risk, and the cost of errors."""
    return (_calibration(known, found), *_distribution(known), *_thresholds(known, found))


def _calibration(known: Context, found: Labelled) -> Section:
    from risk.figures import curves as curve_figures

    bins = curves.calibration_bins(found, confidence=known.config.scoring.confidence)
    n_off = int(((bins["predicted"] < bins["lower"]) | (bins["predicted"] > bins["upper"])).sum())
    off = f"{n_off} of {len(bins)} groups" if n_off else "none of the groups"
    text = (
        f"The mean predicted risk is {found.y_pred_proba.mean():.0%}; "
        f"{found.y_true.mean():.0%} of the rows were at risk. With rows grouped by predicted risk, "
        f"the difference exceeds chance in {off}."
    )
    return Section(
        "Are predicted risks accurate?",
        (
            Paragraph(text),
            Picture(
                curve_figures.calibration_curve(bins),
                "Predicted risk against the observed share at risk; equal on the diagonal.",
                text,
            ),
        ),
    )


def _distribution(known: Context) -> tuple[Section, ...]:
    from risk.figures import distributions as distribution_figures

    seen, title = known.seen, "Distribution of the predicted risk"
    if seen is None or seen.monitored is None:
        why = seen.fault if seen else "no rows have arrived since the first release"
        return (Section(title, (Paragraph(f"Not available: {why}."),)),)
    bins = distributions.of_prediction(seen.monitored.reference, seen.recent)
    threshold = seen.monitored.manifest.threshold
    flagged = bins[bins["left"] >= threshold - 1e-9][["reference", "current"]].sum()
    text = (
        f"Release {seen.assessment.version} flags {flagged['current']:.0%} of "
        f"{counted(seen.recent.n, 'new row')} as at risk, and {flagged['reference']:.0%} of its "
        f"{seen.known_rows}."
    )
    figure = distribution_figures.score_distribution(
        bins,
        threshold=threshold,
        n_reference=seen.monitored.reference.profile.n,
        n_current=seen.recent.n,
    )
    caption = f"Predicted risk of the {seen.known_rows} and of the new rows."
    return (Section(title, (Paragraph(text), Picture(figure, caption, text))),)


def _thresholds(known: Context, found: Labelled) -> tuple[Section, ...]:
    from risk.figures import curves as curve_figures

    if known.monitored is None or not found.has_both_classes:
        return ()
    cost, chosen = (
        known.config.training.cost.as_tuple(),
        known.monitored.manifest.threshold,
    )
    cheapest = lowest_cost(found.y_true, found.y_pred_proba, cost=cost)
    tried = {
        "current": chosen,
        "lowest cost on these rows": cheapest,
        "highest F1 on these rows": highest_f1(found.y_true, found.y_pred_proba),
        "0.5": 0.5,
    }
    done = {name: curves.at(found, threshold, cost) for name, threshold in tried.items()}
    now, best = (done[name]["cost per row"] for name in list(done)[:2])
    saved = (
        f"the cheapest on these rows, {cheapest:.2f}, would have cost {best:.3f}. It was chosen "
        "with the labels known and may not be the cheapest on other rows."
        if (best or 0) < (now or 0)
        else "no other threshold would have cost less on these rows."
    )
    text = f"{_prices(cost)} The current threshold, {chosen:.2f}, costs {now:.3f} per row; {saved}"
    picture = Picture(
        curve_figures.threshold_costs(
            curves.costs(found, cost), chosen=chosen, cheapest=cheapest, n=len(found)
        ),
        "Mean cost per row at each threshold.",
        text,
    )
    return (
        Section(
            "Cost of errors",
            (
                Paragraph(text),
                picture,
                Table(
                    ("threshold", "chosen by", *done["current"]),
                    tuple((tried[name], name, *scores.values()) for name, scores in done.items()),
                    shares=("flagged", "precision", "recall"),
                ),
            ),
        ),
    )


def _prices(cost: Costs) -> str:
    caught, false_alarm, missed, right_no = cost
    errors = f"A missed row at risk costs {missed:g}, a false alarm {false_alarm:g}"
    if not caught and not right_no:
        return f"{errors}."
    return f"{errors}, a correct flag {caught:g}, correctly not flagging {right_no:g}."
