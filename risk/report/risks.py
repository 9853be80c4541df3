"""Whether predicted risks come true, how they are spread, and what errors cost."""

from __future__ import annotations

from risk.explain.plain_words import counted
from risk.report import curves, distributions
from risk.report.context import Context, Labelled
from risk.report.document import Paragraph, Picture, Section, Table
from risk.stats.scores import Costs
from risk.stats.threshold import highest_f1, lowest_cost


def sections(known: Context, found: Labelled) -> tuple[Section, ...]:
    """Compare predicted risks with what happened, then with the costs of acting on them."""
    return (_calibration(known, found), *_distribution(known), *_thresholds(known, found))


def _calibration(known: Context, found: Labelled) -> Section:
    from risk.figures import curves as curve_figures

    bins = curves.calibration_bins(found, confidence=known.config.scoring.confidence)
    n_off = int(((bins["predicted"] < bins["lower"]) | (bins["predicted"] > bins["upper"])).sum())
    where = f"In {n_off} of {counted(len(bins), 'group')}" if n_off else "In no group"
    told = (
        f"The model predicts a mean risk of {found.y_pred_proba.mean():.0%}, and "
        f"{found.y_true.mean():.0%} turned out to be at risk. {where} of rows, sorted by predicted "
        "risk, is the difference more than chance explains."
    )
    return Section(
        "Do predicted risks come true?",
        (
            Paragraph(told),
            Picture(
                curve_figures.calibration_curve(bins),
                "Predicted risk against the share that turned out to be at risk; on the diagonal "
                "both are equal.",
                told,
            ),
        ),
    )


def _distribution(known: Context) -> tuple[Section, ...]:
    from risk.figures import distributions as distribution_figures

    seen, title = known.seen, "How the predicted risk is spread"
    if seen is None or seen.monitored is None:
        why = seen.fault if seen else "no rows have come since the first training"
        return (Section(title, (Paragraph(f"Not told: {why}.", "aside"),)),)
    bins = distributions.of_prediction(seen.monitored.reference, seen.recent)
    threshold = seen.monitored.champion.manifest.threshold
    called = bins[bins["left"] >= threshold - 1e-9][["reference", "current"]].sum()
    told = (
        f"Release {seen.assessment.version} called {called['current']:.0%} of the newest "
        f"{counted(seen.recent.n, 'row')} at risk, and {called['reference']:.0%} of the rows it "
        "learnt from."
    )
    figure = distribution_figures.score_distribution(
        bins,
        threshold=threshold,
        n_reference=seen.monitored.reference.profile.n,
        n_current=seen.recent.n,
    )
    caption = "Predicted risk of the rows learnt from, and of the newest rows."
    return (Section(title, (Paragraph(told), Picture(figure, caption, told))),)


def _thresholds(known: Context, found: Labelled) -> tuple[Section, ...]:
    from risk.figures import curves as curve_figures

    if known.monitored is None or not found.has_both_classes:
        return ()
    cost, chosen = (
        known.config.training.cost.as_tuple(),
        known.monitored.champion.manifest.threshold,
    )
    cheapest = lowest_cost(found.y_true, found.y_pred_proba, cost=cost)
    tried = {
        "in force": chosen,
        "lowest cost on these rows": cheapest,
        "highest F1 on these rows": highest_f1(found.y_true, found.y_pred_proba),
        "one half": 0.5,
    }
    done = {name: curves.at(found, threshold, cost) for name, threshold in tried.items()}
    now, best = (done[name]["cost per row"] for name in list(done)[:2])
    saved = (
        f"the cheapest on these rows, {cheapest:.2f}, would have cost {best:.3f}. What is cheapest "
        "here need not be so tomorrow: it was chosen with the labels known."
        if (best or 0) < (now or 0)
        else "no other would have cost less on these rows."
    )
    told = f"{_prices(cost)} The threshold in force, {chosen:.2f}, costs {now:.3f} per row; {saved}"
    picture = Picture(
        curve_figures.threshold_costs(
            curves.costs(found, cost), chosen=chosen, cheapest=cheapest, n=len(found)
        ),
        "What each threshold would have cost per row.",
        told,
    )
    return (
        Section(
            "What errors cost",
            (
                Paragraph(told),
                picture,
                Table(
                    ("threshold", "", *done["in force"]),
                    tuple((tried[name], name, *told.values()) for name, told in done.items()),
                    shares=("called", "precision", "recall"),
                ),
            ),
        ),
    )


def _prices(cost: Costs) -> str:
    caught, false_alarm, missed, right_no = cost
    told = f"Missing one at risk costs {missed:g}, a false alarm {false_alarm:g}"
    free = not caught and not right_no
    return f"{told}." if free else f"{told}, a right call {caught:g}, a right silence {right_no:g}."
