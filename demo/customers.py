"""Simulated customers of 60 days, with known drift and data faults.

    python demo/customers.py FOLDER [--seed 7] [--days 60] [--rows 1000] [--first 2026-01-01]
        [--label-days 0]

A firm scores its customer companies every day; `exited` is 1 for customers who then left.
The first model is trained on the four quiet weeks before day 1 (`history`) and
evaluated on `test`. From day 1 on, one file arrives per day (`drops`):

    days    event                                       kind             AUC   F1
    1-20    none                                        none             .848  .566
    21-30   a campaign attracts small new customers     covariate drift  .841  .612
    31-42   the usual customers, but a price rise: plan concept drift    .709  .425
            basic leaves, activity predicts little
    43      lastmonth_activity 1000 times too large     data quality
    44      62 % of tickets empty, 25 rows twice        data quality
    45      88 % of tickets empty, regions respelled,   data quality
            40 rows of day 44 sent again
    46      half a file, text in 3 % of its rows        data quality
    47-60   none: same as days 1-20                     none             .855  .566

AUC and F1 (at probability .5) are those of a logistic regression trained on
`history`, with default settings; F1 increases with the share of customers who leave, .25 on
quiet days and .31 in the campaign. `exit_probability` is P(exit | x). The number of rows per
day varies by weekday, by up to 15 %, and at random. The same seed and first day give the same
bytes, and the data of a day do not depend on `--days`.

With `--label-days 7` the drops have no column `exited`: who left is known a week later and
arrives in a file of its own (`labels`), named after the day on which it arrives.

Reads   nothing
Writes  FOLDER/drops/2026-01-01.csv ..., FOLDER/history/2025-12-10.csv ...,
        FOLDER/test/test_data.csv and FOLDER/truth.json, the table above as
        JSON; with --label-days also FOLDER/labels/2026-01-08.csv ...; existing files of the
        same names are overwritten
Exits   0 success, 1 FOLDER cannot be written, 2 wrong usage
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

FIRST_DAY, DAY = date(2026, 1, 1), timedelta(days=1)
HISTORY_WEEKS, HISTORY_ROWS, TEST_ROWS = 4, 1500, 2000
MAX_DAYS, MAX_ROWS, NAMES_PER_FILE = 365, 40_000, 50_000
ROWS_BY_WEEKDAY = (1.12, 1.08, 1.04, 1.02, 1.00, 0.89, 0.85)  # Monday first, mean 1
MISSING_TICKETS = 0.015

NUMERIC = (
    "lastmonth_activity",
    "lastyear_activity",
    "number_of_employees",
    "support_tickets",
    "tenure_months",
)
REGIONS = ("north", "east", "south", "west", "islands")
REGION_MIX, CAMPAIGN_REGION_MIX = (0.30, 0.25, 0.20, 0.15, 0.10), (0.22, 0.20, 0.19, 0.14, 0.25)
PLANS, PLAN_MIX = ("basic", "standard", "premium", "enterprise"), (0.40, 0.30, 0.20, 0.10)
TEXTS = ("unknown", "ca. 50", "1.2k", "12 months", "#REF!")

STARTS = (
    "Al An Ar Bel Bor Bra Cal Cor Da Del Dro El Es Fa Fin Gal Gor Ha Hel Il Is Jo Ka Kel Kor "
    "La Lu Ma Mar Mi Na Nor O'B O'D Or Pa Pel Qua Ra Ro Sa Sol Ta Tor Ul Va Vi Zé Ång Øst"
).split()
MIDDLES = (
    "a'a ade ala amo ani ara asé ato avi aço ebe eda elo emi ena era eso eti evó eğu ibo ida ilë "
    "imo ina irá iso iti ivu iša obe odo ola omi onà ora osi otu ové oñe ube uda umi una uré "
    "usa uti uvo ülo yra"
).split()
ENDS = (
    "ba ber bø cci cht da den dor du fa fen ga gen gić ka ken kó la lden lin lo lux ma men mi na "
    "nda ne nić no pa ra rem ri ro rø sa sen sk son ta ten ti ton tz va ven vik x za"
).split()
TRADES = (
    "Bakery Books Bricks Cargo Dairy Farms Films Foods Garden Glass Labs Marine Metal Optics Paper "
    "Power Rail Tea Textil Tools"
).split()
FORMS = (
    "& Co|& Daughters|& Filhos|& Søn|& Töchter|A/S|AB|AG|BV|GmbH|Kft|Ltd|NV|OÜ|Oy|PLC|S.A.|SARL|"
    "d.o.o.|s.r.o."
).split("|")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Regime:
    """State of the customers and of the feed from `first_day` on; a record of truth.json."""

    name: str
    first_day: int
    kind: str
    what: str
    columns: tuple[str, ...] = ()
    campaign: bool = False
    price_rise: bool = False
    lastmonth_activity_times: int = 1
    share_of_tickets_emptied: float = 0.0
    share_of_rows_with_text: float = 0.0
    regions_respelled: dict[str, str] = field(default_factory=dict)
    rows_sent_twice: int = 0
    rows_of_the_day_before: int = 0
    share_of_file_kept: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is simulated: random seed, days, rows a day, first day, and days until labels arrive."""

    seed: int = 7
    days: int = 60
    rows: int = 1000
    first: date = FIRST_DAY
    label_days: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        for name, minimum, maximum in (
            ("seed", 0, 2**32 - 1),
            ("days", 1, MAX_DAYS),
            ("rows", 1, MAX_ROWS),
            ("label_days", 0, MAX_DAYS),
        ):
            if not minimum <= (value := getattr(self, name)) <= maximum:
                option = name.replace("_", "-")
                raise ValueError(f"{option} must be from {minimum} to {maximum}, got {value}")


REGIMES = (
    Regime(
        name="quiet",
        first_day=1,
        kind="none",
        what="No change: same distribution as the history.",
    ),
    Regime(
        name="campaign",
        first_day=21,
        kind="covariate drift",
        columns=("number_of_employees", "tenure_months", "region"),
        what="A campaign attracts small new customers, many from the islands: employees and tenure "
        "fall by 0.4 to 0.5 standard deviations, the islands grow from 10 to 25 %. "
        "P(exit | x) is unchanged; more leave because new customers leave more often.",
        campaign=True,
    ),
    Regime(
        name="price rise",
        first_day=31,
        kind="concept drift",
        columns=("exited",),
        what="A price rise, for customers like those of days 1-20: plan basic leaves much more "
        "often, the other plans slightly less, and recent activity keeps a tenth of its weight.",
        price_rise=True,
    ),
    Regime(
        name="wrong unit",
        first_day=43,
        kind="data quality",
        columns=("lastmonth_activity",),
        what="lastmonth_activity is sent in thousandths: each value is 1000 times too large.",
        lastmonth_activity_times=1000,
    ),
    Regime(
        name="empty tickets",
        first_day=44,
        kind="data quality",
        columns=("support_tickets",),
        what="62 % of support_tickets are empty; the last 25 rows are sent twice.",
        share_of_tickets_emptied=0.62,
        rows_sent_twice=25,
    ),
    Regime(
        name="another spelling",
        first_day=45,
        kind="data quality",
        columns=("support_tickets", "region"),
        what="88 % of support_tickets are empty; every region has a spelling not seen before; "
        "the first 40 rows of the day before are sent again, unchanged.",
        share_of_tickets_emptied=0.88,
        regions_respelled=dict(zip(REGIONS, ("Nord", "Ost", "Süd", "West", "Inseln"), strict=True)),
        rows_of_the_day_before=40,
    ),
    Regime(
        name="truncated file",
        first_day=46,
        kind="data quality",
        columns=NUMERIC,
        what="The file ends after half of its rows, the last one cut off after tenure_months; "
        "3 % of the rows have text in one numeric column.",
        share_of_rows_with_text=0.03,
        share_of_file_kept=0.5,
    ),
    Regime(
        name="recovery",
        first_day=47,
        kind="none",
        what="The feed is fixed and the price rise withdrawn: same as days 1-20.",
    ),
)
QUIET = REGIMES[0]


def regime_on(day: int) -> Regime:
    """Return the regime of `day`; the last regime is open-ended."""
    return [regime for regime in REGIMES if regime.first_day <= day][-1]


def company_names(numbers: npt.NDArray[np.int64]) -> list[str]:
    """Return a unique company name for each number below 50 million.

    >>> company_names(np.array([0, 1, 2]))
    ["Ala'aba Bakery & Co", 'Maevókó Marine NV', 'Boroturem Bricks A/S']
    """
    parts = (STARTS, MIDDLES, ENDS, TRADES, FORMS)
    names = np.prod([len(part) for part in parts])
    rest = numbers * 31_415_927 % names  # coprime, so neighbours differ and none collide
    digits = []
    for part in parts:
        rest, digit = np.divmod(rest, len(part))
        digits.append(np.array(part, dtype=object)[digit])
    start, middle, end, trade, form = digits
    return list(start + middle + end + " " + trade + " " + form)


def customers(size: int, *, campaign: bool, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the features; the campaign scales two columns and changes the mix of regions."""
    company_size = rng.normal(size=size)
    activity = 0.5 * company_size + np.sqrt(0.75) * rng.normal(size=size)
    lastyear = rng.poisson(np.exp(6.3 + 0.45 * activity))
    lastmonth = rng.poisson(lastyear / 12 * np.exp(rng.normal(-0.08, 0.4, size)))
    employees = np.exp(4.2 + 0.7 * company_size) * (0.66 if campaign else 1.0)
    tenure = rng.gamma(2.2, 16.0, size) * (0.7 if campaign else 1.0)
    return pd.DataFrame(
        {
            "lastmonth_activity": np.minimum(lastmonth, lastyear),
            "lastyear_activity": lastyear,
            "number_of_employees": 1 + employees.astype(np.int64),
            "support_tickets": rng.poisson(rng.gamma(1.5, 1.6, size)),
            "tenure_months": tenure.astype(np.int64),
            "region": rng.choice(REGIONS, size, p=CAMPAIGN_REGION_MIX if campaign else REGION_MIX),
            "plan": rng.choice(PLANS, size, p=PLAN_MIX),
        }
    )


def exit_probability(x: pd.DataFrame, *, price_rise: bool) -> Array:
    """Return P(exit | x), a logistic function of the columns.

        1.2 slump + 0.38 tickets - 0.028 tenure - 0.3 log(employees)
        + 0.3 islands - 0.2 north + 0.2 basic - 0.3 premium - 0.6 enterprise
        + 0.3 slump * basic + 0.12 tickets * (tenure < 12) - 0.38

    where slump is a twelfth of last year's activity minus last month's, divided
    by 20. After the price rise: a tenth of both slumps, 2.6 basic, 0.7 less.
    """
    slump = (x["lastyear_activity"] / 12 - x["lastmonth_activity"]) / 20
    basic = x["plan"] == "basic"
    log_odds = (
        (1.2 + 0.3 * basic) * slump * (0.1 if price_rise else 1.0)
        + (0.38 + 0.12 * (x["tenure_months"] < 12)) * x["support_tickets"]
        - 0.028 * x["tenure_months"]
        - 0.3 * np.log(x["number_of_employees"])
        + x["region"].map({"islands": 0.3, "north": -0.2}).fillna(0.0)
        + x["plan"].map({"basic": 0.2, "standard": 0.0, "premium": -0.3, "enterprise": -0.6})
        + (2.4 * basic - 0.7 if price_rise else 0.0)
        - 0.38
    )
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)


def observed(
    file_number: int, dates: list[date], *, regime: Regime, rng: np.random.Generator
) -> pd.DataFrame:
    """Generate one new customer per date, as an intact feed would send them."""
    size = len(dates)
    x = customers(size, campaign=regime.campaign, rng=rng)
    exited = rng.random(size) < exit_probability(x, price_rise=regime.price_rise)
    unknown = rng.random(size) < MISSING_TICKETS
    x["support_tickets"] = x["support_tickets"].astype("Int64").mask(unknown)
    x.insert(0, "corporation", company_names(file_number * NAMES_PER_FILE + np.arange(size)))
    x.insert(1, "snapshot_date", [day.isoformat() for day in dates])
    return x.assign(exited=exited.astype(np.int64))


def damaged(frame: pd.DataFrame, *, regime: Regime, rng: np.random.Generator) -> pd.DataFrame:
    """Apply the data faults of `regime` to the rows of a day."""
    empty = rng.random(len(frame)) < regime.share_of_tickets_emptied
    return with_text(
        frame.assign(
            lastmonth_activity=frame["lastmonth_activity"] * regime.lastmonth_activity_times,
            support_tickets=frame["support_tickets"].mask(empty),
            region=frame["region"].replace(regime.regions_respelled),
        ),
        share=regime.share_of_rows_with_text,
        rng=rng,
    )


def with_text(frame: pd.DataFrame, *, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Replace one numeric value by text in a `share` of the rows."""
    hit = rng.permutation(len(frame)) < round(share * len(frame))
    column, text = rng.integers(len(NUMERIC), size=len(frame)), rng.choice(TEXTS, len(frame))
    spoiled = {
        name: frame[name].astype(object).mask(hit & (column == place), text)
        for place, name in enumerate(NUMERIC)
    }
    return frame.assign(**spoiled) if hit.any() else frame


def day_of_customers(
    day: int, *, rows: int = 1000, first: date = FIRST_DAY, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the rows of `day` (1 is `first`), with the data faults of its regime."""
    regime, today = regime_on(day), first + timedelta(day - 1)
    size = rng.poisson(rows * ROWS_BY_WEEKDAY[today.weekday()])
    number = HISTORY_WEEKS + day  # file 0 is the test file, 1-4 the history
    frame = observed(number, [today] * size, regime=regime, rng=rng)
    frame = damaged(frame, regime=regime, rng=rng)
    return pd.concat([frame, frame.tail(regime.rows_sent_twice)], ignore_index=True)


def week_of_history(week: int, *, first: date, rng: np.random.Generator) -> pd.DataFrame:
    """Return one week's rows of the quiet weeks; week 4 ends on the day before `first`."""
    back = 7 * (HISTORY_WEEKS - week) + 1 + np.sort(rng.integers(7, size=HISTORY_ROWS))[::-1]
    return observed(week, [first - timedelta(int(d)) for d in back], regime=QUIET, rng=rng)


def customers_for_test(*, first: date, rng: np.random.Generator) -> pd.DataFrame:
    """Return the test data: other customers of the same weeks."""
    back = 1 + rng.integers(7 * HISTORY_WEEKS, size=TEST_ROWS)
    return observed(0, [first - timedelta(int(d)) for d in back], regime=QUIET, rng=rng)


def drop_text(day: int, story: Story) -> str:
    """Return the CSV text of `day`, including rows sent again; it may be cut off."""
    regime, frame = regime_on(day), _rows_of(day, story)
    if again := regime.rows_of_the_day_before:
        frame = pd.concat([frame, _rows_of(day - 1, story).head(again)], ignore_index=True)
    if story.label_days:
        frame = frame.drop(columns="exited")
    if regime.share_of_file_kept == 1.0:
        return _csv(frame)
    kept = _csv(frame.head(round(regime.share_of_file_kept * len(frame))))
    cut = 2 if story.label_days else 3
    return kept.rsplit(",", cut)[0]  # the last row loses region and what follows


def label_text(day: int, story: Story) -> str:
    """Return the CSV text of who left, for the customers whose rows the file of `day` held."""
    rows = _rows_of(day, story).drop_duplicates("corporation")
    kept = rows.head(round(regime_on(day).share_of_file_kept * len(rows)))
    return _csv(kept[["corporation", "snapshot_date", "exited"]])


def truth(story: Story) -> dict[str, object]:
    """Return the description of what `write_history` writes."""
    first, days = story.first, story.days
    ends = [later.first_day - 1 for _, later in pairwise(REGIMES)] + [MAX_DAYS]
    regimes = [
        asdict(regime)
        | {
            "last_day": min(end, days),
            "first_date": (first + timedelta(regime.first_day - 1)).isoformat(),
            "last_date": (first + timedelta(min(end, days) - 1)).isoformat(),
        }
        for regime, end in zip(REGIMES, ends, strict=True)
        if regime.first_day <= days
    ]
    return {
        "seed": story.seed,
        "days": days,
        "rows_per_day": story.rows,
        "days_until_labels": story.label_days,
        "missing_support_tickets": MISSING_TICKETS,
        "exit_probability": inspect.getdoc(exit_probability),
        "history": f"{HISTORY_WEEKS} quiet weeks of {HISTORY_ROWS} rows, up to {first - DAY}",
        "test": f"{TEST_ROWS} other customers of the same weeks",
        "regimes": regimes,
    }


def write_history(folder: Path, story: Story) -> None:
    """Write the drops, the labels, the history, the test file and truth.json into `folder`."""
    first, seed = story.first, story.seed
    texts = {"truth.json": json.dumps(truth(story), indent=2) + "\n"}
    texts["test/test_data.csv"] = _csv(customers_for_test(first=first, rng=_rng(seed, 0, 0)))
    for week in range(1, HISTORY_WEEKS + 1):
        last = first - timedelta(7 * (HISTORY_WEEKS - week) + 1)
        texts[f"history/{last}.csv"] = _csv(
            week_of_history(week, first=first, rng=_rng(seed, 0, week))
        )
    for name, text in texts.items():
        _write(folder / name, text)
    for day in range(1, story.days + 1):
        today = first + timedelta(day - 1)
        _write(folder / f"drops/{today}.csv", drop_text(day, story))
        if story.label_days and day > story.label_days:
            _write(folder / f"labels/{today}.csv", label_text(day - story.label_days, story))


def _rows_of(day: int, story: Story) -> pd.DataFrame:
    return day_of_customers(day, rows=story.rows, first=story.first, rng=_rng(story.seed, day))


def _rng(*entropy: int) -> np.random.Generator:
    return np.random.default_rng(entropy)


def _csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="target folder")
    parser.add_argument("--seed", type=int, default=7, help="random seed (default: 7)")
    parser.add_argument("--days", type=int, default=60, help="number of days (default: 60)")
    parser.add_argument(
        "--rows", type=int, default=1000, help="average number of rows per day (default: 1000)"
    )
    parser.add_argument(
        "--first",
        type=date.fromisoformat,
        default=FIRST_DAY,
        metavar="DATE",
        help="day 1 (default: 2026-01-01)",
    )
    parser.add_argument(
        "--label-days", type=int, default=0, help="days until labels arrive (default: 0)"
    )
    args = parser.parse_args(arguments)
    chosen = {name: value for name, value in vars(args).items() if name != "folder"}
    try:
        write_history(args.folder, Story(**chosen))
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        sys.exit(f"error: {error}")
    print(f"{args.days} drops, {HISTORY_WEEKS} weeks of history and a test file in {args.folder}")


if __name__ == "__main__":
    main()
