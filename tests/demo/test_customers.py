import json
import re
import subprocess
import sys
from datetime import date
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chi2_contingency, ks_2samp
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from demo import customers
from demo.customers import Story

NUMERIC = [
    "lastmonth_activity",
    "lastyear_activity",
    "number_of_employees",
    "support_tickets",
    "tenure_months",
]
CATEGORICAL = ["region", "plan"]
COLUMNS = ["corporation", "snapshot_date", *NUMERIC, *CATEGORICAL, "exited"]
WHOLE_DAYS = [*range(1, 43), *range(47, 61)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    customers.write_history(folder, Story())
    return folder


@pytest.fixture(scope="module")
def world(folder):
    return read_world(folder)


@pytest.fixture(scope="module")
def model(world):
    return trained(world.history)


@pytest.fixture(scope="module")
def truth(folder):
    return json.loads((folder / "truth.json").read_text(encoding="utf-8"))


def read_world(folder):
    paths = sorted((folder / "drops").iterdir())
    history = [pd.read_csv(path) for path in sorted((folder / "history").iterdir())]
    return SimpleNamespace(
        paths=dict(enumerate(paths, start=1)),
        drops={day: pd.read_csv(path) for day, path in enumerate(paths, start=1)},
        weeks=history,
        history=pd.concat(history, ignore_index=True),
        test=pd.read_csv(folder / "test" / "test_data.csv"),
    )


def days(world, first, last):
    return pd.concat([world.drops[day] for day in range(first, last + 1)], ignore_index=True)


def trained(rows):
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    features = make_column_transformer((numbers, NUMERIC), (OneHotEncoder(), CATEGORICAL))
    model = make_pipeline(features, LogisticRegression(max_iter=1000))
    return model.fit(rows[NUMERIC + CATEGORICAL], rows["exited"])


def scores(model, rows):
    chance = model.predict_proba(rows[NUMERIC + CATEGORICAL])[:, 1]
    return roc_auc_score(rows["exited"], chance), f1_score(rows["exited"], chance > 0.5)


def moved(before, after, columns):
    """Columns whose distributions differ, at a level of 1 % for all of them together."""
    return {name for name in columns if p_value(before[name], after[name]) < 0.01 / len(columns)}


def p_value(before, after):
    if before.name in NUMERIC:
        return ks_2samp(before.dropna(), after.dropna()).pvalue
    return chi2_contingency(pd.DataFrame([before.value_counts(), after.value_counts()])).pvalue


def texts(rows):
    """Mark the numeric cells which hold something that is not a number."""
    numbers = rows[NUMERIC].apply(pd.to_numeric, errors="coerce")
    return rows[NUMERIC].notna() & numbers.isna()


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_there_is_one_drop_for_each_of_sixty_days(world):
    """The name of a drop is its day, from New Year on."""
    names = [path.name for path in world.paths.values()]

    assert names == [f"{day:%Y-%m-%d}.csv" for day in pd.date_range("2026-01-01", periods=60)]


def test_every_file_has_the_same_columns(world):
    """Broken days break values and rows, not the header."""
    headers = {tuple(rows) for rows in [*world.drops.values(), *world.weeks, world.test]}

    assert headers == {tuple(COLUMNS)}


def test_a_row_carries_the_day_of_its_drop(world):
    """The event time agrees with the file name."""
    for day in WHOLE_DAYS:
        assert set(world.drops[day]["snapshot_date"]) == {world.paths[day].stem}


def test_the_number_of_rows_follows_the_weekday(world):
    """Weekdays differ by up to 15 % from 1000; what is left is no more than chance."""
    sizes = pd.Series({pd.Timestamp(world.paths[d].stem): len(world.drops[d]) for d in WHOLE_DAYS})
    by_weekday = sizes.groupby(sizes.index.day_name())
    usual = by_weekday.transform("mean")

    assert by_weekday.mean().between(830, 1170).all()
    assert by_weekday.mean()["Monday"] > 1.15 * by_weekday.mean()["Sunday"]
    assert sizes.sum() == pytest.approx(56_000, abs=4 * np.sqrt(56_000))
    assert 25 < ((sizes - usual) ** 2 / usual).sum() < 85  # chi-squared, 56 - 7 degrees of freedom


def test_the_history_is_four_weeks_of_december(world):
    """Each weekly file holds 1500 rows of the seven days up to its name."""
    ends = pd.date_range(end="2025-12-31", periods=4, freq="7D")

    assert [len(rows) for rows in world.weeks] == [1500] * 4
    for rows, end in zip(world.weeks, ends, strict=True):
        week = pd.date_range(end=end, periods=7).strftime("%Y-%m-%d")
        assert set(rows["snapshot_date"]) == set(week)


def test_the_test_file_holds_customers_of_december(world):
    """Its 2000 rows cover the weeks of the history."""
    assert len(world.test) == 2000
    assert set(world.test["snapshot_date"]) == set(world.history["snapshot_date"])


def test_no_two_customers_share_a_name(world):
    """Only re-sent rows repeat a name, so nothing of the test file is trained on."""
    files = [world.history, world.test, *(world.drops[day] for day in [*WHOLE_DAYS, 43, 46])]
    names = pd.concat(files)["corporation"]

    assert names.is_unique


def test_no_two_files_share_their_random_numbers(world):
    """Customers who differ in name only would make the test file a copy of a drop."""
    rows = pd.concat([world.history, world.test, *(world.drops[day] for day in WHOLE_DAYS)])

    assert rows.duplicated(NUMERIC + CATEGORICAL).mean() < 0.001


def test_names_look_like_companies_of_many_countries(world):
    """Letters beyond ASCII, apostrophes and ampersands occur; commas never do."""
    names = world.history["corporation"]

    assert names.str.contains("[^\x00-\x7f]").mean() > 0.1
    assert names.str.contains("'").any() and names.str.contains("&").any()
    assert not names.str.contains('[,"\n]').any()


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    """A demonstration can be repeated on another machine."""
    customers.write_history(tmp_path, Story(seed=7))

    assert contents(tmp_path) == contents(folder)


def test_another_seed_writes_other_customers(folder, tmp_path):
    """The seed reaches every file with rows."""
    customers.write_history(tmp_path, Story(seed=8, days=2))

    assert not set(contents(tmp_path).values()) & set(contents(folder).values())


def test_a_day_does_not_depend_on_how_many_are_written(folder, tmp_path):
    """A longer run adds files and changes none."""
    customers.write_history(tmp_path, Story(days=45))

    shorter = contents(tmp_path)
    shorter.pop("truth.json")
    assert len(shorter) == 45 + 4 + 1
    assert shorter.items() <= contents(folder).items()


def test_a_day_uses_no_randomness_but_what_it_is_given():
    """Equal generators give equal days, and numpy's global state stays as it was."""
    state = np.random.get_state()[1].copy()

    one = customers.day_of_customers(46, rows=200, rng=np.random.default_rng(1))
    two = customers.day_of_customers(46, rows=200, rng=np.random.default_rng(1))

    pd.testing.assert_frame_equal(one, two)
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize(
    ("row", "before", "after"),
    [
        # log-odds worked by hand; the row is in the order of the columns
        ((50, 600, 1, 0, 12, "east", "standard"), -0.716, -1.416),
        ((30, 600, 1, 0, 12, "east", "standard"), 0.484, -1.296),
        ((30, 600, 1, 0, 12, "north", "basic"), 0.784, 1.134),
        ((50, 600, 1, 2, 10, "islands", "premium"), 0.34, -0.36),
        ((50, 600, 1, 0, 100, "west", "enterprise"), -3.78, -4.48),
    ],
)
def test_the_probability_of_leaving_is_the_documented_one(row, before, after):
    """The formula, and what the price rise does to it."""
    x = pd.DataFrame([row], columns=NUMERIC + CATEGORICAL)

    calm = customers.exit_probability(x, price_rise=False)
    dear = customers.exit_probability(x, price_rise=True)

    assert np.log(calm / (1 - calm)) == pytest.approx([before])
    assert np.log(dear / (1 - dear)) == pytest.approx([after])


def test_larger_companies_leave_less():
    """The only logarithm in the formula: e times as many employees cost 0.3."""
    x = pd.DataFrame([(50, 600, n, 0, 12, "east", "standard") for n in (100, 271.8281828)])
    x.columns = NUMERIC + CATEGORICAL

    small, large = customers.exit_probability(x, price_rise=False)

    assert np.log(small / (1 - small)) - np.log(large / (1 - large)) == pytest.approx(0.3)


def test_quiet_days_come_from_one_distribution(world):
    """Neither a feature nor the label differs between days 1-10 and 11-20."""
    assert not moved(days(world, 1, 10), days(world, 11, 20), [*NUMERIC, *CATEGORICAL, "exited"])


def test_history_test_file_and_recovery_are_the_quiet_world(world):
    """What the model learns, is judged on and returns to is one world."""
    quiet, columns = days(world, 1, 20), [*NUMERIC, *CATEGORICAL, "exited"]

    assert not moved(quiet, world.history, columns)
    assert not moved(quiet, world.test, columns)
    assert not moved(quiet, days(world, 47, 60), columns)


def test_about_a_quarter_leaves_and_few_tickets_are_missing(world):
    """Base rate and natural missing values of the quiet world."""
    quiet = days(world, 1, 20)

    assert 0.23 < quiet["exited"].mean() < 0.27
    assert 0.01 < quiet["support_tickets"].isna().mean() < 0.02
    assert quiet.drop(columns="support_tickets").notna().all(axis=None)


def test_the_campaign_moves_the_three_named_columns_only(world, truth):
    """Days 21-30 differ from the quiet days in size, age and region."""
    named = truth["regimes"][1]["columns"]

    shifted = moved(days(world, 1, 20), days(world, 21, 30), NUMERIC + CATEGORICAL)

    assert shifted == set(named) == {"number_of_employees", "tenure_months", "region"}


def test_the_campaign_moves_them_by_almost_half_a_standard_deviation(world):
    """The shift is one a person can see, not one that needs no test."""
    quiet, campaign = (
        days(world, *span).assign(islands=lambda rows: (rows["region"] == "islands").astype(float))
        for span in [(1, 20), (21, 30)]
    )
    columns = ["number_of_employees", "tenure_months", "islands"]

    change = (campaign[columns].mean() - quiet[columns].mean()) / quiet[columns].std()

    assert change.to_list() == pytest.approx([-0.45, -0.45, 0.5], abs=0.05)


def test_the_price_rise_moves_no_feature(world):
    """Days 31-42 look like the quiet days to anybody who sees no labels."""
    assert not moved(days(world, 1, 20), days(world, 31, 42), NUMERIC + CATEGORICAL)


def test_the_first_model_ranks_well_until_the_concept_changes(world, model):
    """The campaign leaves its AUC alone, the price rise costs a tenth, recovery restores it."""
    quiet, _ = scores(model, days(world, 1, 20))
    campaign, _ = scores(model, days(world, 21, 30))
    price_rise, _ = scores(model, days(world, 31, 42))
    recovery, _ = scores(model, days(world, 47, 60))

    assert 0.8 < quiet < 0.86
    assert campaign == pytest.approx(quiet, abs=0.02)
    assert price_rise < quiet - 0.1
    assert recovery == pytest.approx(quiet, abs=0.02)


def test_the_price_rise_can_be_learnt(world, model):
    """A challenger trained on four days of it beats the first model on the other eight."""
    challenger = trained(days(world, 31, 34))

    (old_auc, old_f1), (new_auc, new_f1) = (
        scores(fitted, days(world, 35, 42)) for fitted in (model, challenger)
    )

    assert new_auc > old_auc + 0.1
    assert new_f1 > old_f1 + 0.1


def test_another_seed_tells_the_same_story(tmp_path):
    """The story belongs to the generator, not to the luck of one seed."""
    customers.write_history(tmp_path, Story(seed=11))
    other = read_world(tmp_path)
    model = trained(other.history)

    quiet, campaign, price_rise = (
        scores(model, days(other, *span))[0] for span in [(1, 20), (21, 30), (31, 42)]
    )

    assert campaign == pytest.approx(quiet, abs=0.02)
    assert price_rise < quiet - 0.1


def test_the_docstring_tells_the_measured_scores(world, model):
    """The table of the module docstring is a measurement of the default drops."""
    lines = re.findall(r"(?m)^ +(\d+)-(\d+) .* (\.\d+)  (\.\d+)$", customers.__doc__)
    claimed = {(int(first), int(last)): (float(a), float(f)) for first, last, a, f in lines}

    measured = {span: scores(model, days(world, *span)) for span in claimed}

    assert list(claimed) == [(1, 20), (21, 30), (31, 42), (47, 60)]
    for span, numbers in claimed.items():
        assert measured[span] == pytest.approx(numbers, abs=0.002)


def test_whole_days_have_no_defect(world):
    """Outside days 43-46 every cell has its type and every row comes once."""
    rows = pd.concat([world.drops[day] for day in WHOLE_DAYS])

    assert not texts(rows).any(axis=None)
    assert not rows.duplicated().any()
    assert set(rows["region"]) == {"north", "east", "south", "west", "islands"}
    assert (rows["lastmonth_activity"] <= rows["lastyear_activity"]).all()
    assert all(world.paths[day].read_bytes().endswith(b"\n") for day in WHOLE_DAYS)


def test_day_43_has_last_month_in_the_wrong_unit_and_nothing_else(world):
    """Divided by 1000 the day is a quiet one."""
    day = world.drops[43]
    mended = day.assign(lastmonth_activity=day["lastmonth_activity"] / 1000)

    assert (day["lastmonth_activity"] % 1000 == 0).all()
    assert not moved(days(world, 1, 20), mended, [*NUMERIC, *CATEGORICAL, "exited"])


@pytest.mark.parametrize(("day", "share"), [(44, 0.62), (45, 0.88)])
def test_days_44_and_45_lack_most_tickets(world, truth, day, share):
    """Empty cells are as many as truth.json says, on top of the natural ones."""
    record = next(regime for regime in truth["regimes"] if regime["first_day"] == day)
    empty = int(world.drops[day]["support_tickets"].isna().sum())

    assert record["share_of_tickets_emptied"] == share
    assert binomtest(empty, len(world.drops[day]), share + 0.015 * (1 - share)).pvalue > 0.001


def test_day_44_sends_its_last_25_rows_twice(world):
    """The repeated rows stand at the end and are exact copies."""
    day = world.drops[44]

    assert day.index[day.duplicated()].to_list() == day.index[-25:].to_list()
    pd.testing.assert_frame_equal(
        day.iloc[-25:].reset_index(drop=True), day.iloc[-50:-25].reset_index(drop=True)
    )


def test_day_45_sends_40_rows_of_the_day_before_again(world):
    """They are lines of the other file, byte for byte; no other line is."""
    before = world.paths[44].read_bytes().splitlines()
    today = world.paths[45].read_bytes().splitlines()

    assert today[-40:] == before[1:41]
    assert not set(today[1:-40]) & set(before)


def test_day_45_spells_every_region_in_a_new_way(world, truth):
    """Its own rows know no old spelling, and translate into the usual mix."""
    spelling = {"Nord": "north", "Ost": "east", "Süd": "south", "West": "west", "Inseln": "islands"}
    own = world.drops[45].iloc[:-40]
    mended = own.assign(region=own["region"].map(spelling))

    assert truth["regimes"][5]["regions_respelled"] == {v: k for k, v in spelling.items()}
    assert set(own["region"]) == set(spelling)
    assert not moved(days(world, 1, 20), mended, CATEGORICAL)


def test_day_46_ends_in_the_middle_of_a_row_after_half_of_them(world):
    """A Sunday of about 850 rows sends 425; the last has seven fields and no line end."""
    lines = world.paths[46].read_bytes().decode().split("\n")

    assert pd.Timestamp(world.paths[46].stem).day_name() == "Sunday"
    assert len(lines) - 1 == pytest.approx(850 / 2, abs=5 * np.sqrt(850) / 2)
    assert {line.count(",") for line in lines[:-1]} == {9}
    assert lines[-1].count(",") == 6


def test_day_46_has_text_in_one_number_of_three_percent_of_its_rows(world):
    """No row has two texts, and no text is one pandas takes for a missing value."""
    as_written = pd.read_csv(world.paths[46], dtype=str, keep_default_na=False)
    spoiled = texts(as_written.replace("", np.nan)).sum(axis=1)

    assert spoiled.max() == 1
    assert binomtest(int(spoiled.sum()), len(spoiled), 0.03).pvalue > 0.001
    assert spoiled.equals(texts(world.drops[46]).sum(axis=1))


def test_the_truth_covers_every_day_once(truth):
    """First and last days adjoin, kinds are those of a monitor, words are there."""
    regimes = truth["regimes"]
    spans = [(regime["first_day"], regime["last_day"], regime["kind"]) for regime in regimes]

    assert spans == [
        (1, 20, "none"),
        (21, 30, "covariate drift"),
        (31, 42, "concept drift"),
        *((day, day, "data quality") for day in (43, 44, 45, 46)),
        (47, 60, "none"),
    ]
    assert all(regime["what"].endswith(".") for regime in regimes)


def test_the_truth_names_dates_and_columns_of_the_drops(truth, world):
    """A program finds the drops of a regime by name."""
    for regime in truth["regimes"]:
        assert world.paths[regime["first_day"]].stem == regime["first_date"]
        assert world.paths[regime["last_day"]].stem == regime["last_date"]
        assert set(regime["columns"]) <= set(COLUMNS)


def test_the_truth_of_a_short_run_ends_with_it(tmp_path):
    """Regimes which were not written are not claimed."""
    customers.write_history(tmp_path, Story(days=25, rows=10))

    regimes = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))["regimes"]

    assert [(regime["name"], regime["last_day"]) for regime in regimes] == [
        ("quiet", 20),
        ("campaign", 25),
    ]


def test_the_last_regime_has_no_end(tmp_path):
    """Whoever wants a longer history gets more quiet days."""
    customers.write_history(tmp_path, Story(days=70, rows=10))

    regimes = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))["regimes"]

    assert (regimes[-1]["last_day"], regimes[-1]["last_date"]) == (70, "2026-03-11")


def test_a_story_may_begin_on_any_day(folder, tmp_path):
    """The dates move, and with the weekday how many rows a day has; what happens stays."""
    customers.write_history(tmp_path, Story(days=2, rows=50, first=date(2026, 10, 2)))

    moved = read_world(tmp_path)
    assert [path.stem for path in moved.paths.values()] == ["2026-10-02", "2026-10-03"]
    assert moved.weeks[-1]["snapshot_date"].max() == "2026-10-01"
    assert {*moved.drops[2]["snapshot_date"]} == {"2026-10-03"}


def test_labels_arrive_a_week_after_their_rows(folder, tmp_path):
    """They are those the rows would have had: the same customers, the same ends."""
    customers.write_history(tmp_path, Story(days=9, label_days=7))

    labels = {path.stem: pd.read_csv(path) for path in sorted((tmp_path / "labels").iterdir())}
    assert list(labels) == ["2026-01-08", "2026-01-09"]
    for arrived, day in (("2026-01-08", "2026-01-01"), ("2026-01-09", "2026-01-02")):
        rows = pd.read_csv(tmp_path / f"drops/{day}.csv")
        whole = pd.read_csv(folder / f"drops/{day}.csv")
        assert list(rows) == COLUMNS[:-1]
        assert labels[arrived].equals(whole[["corporation", "snapshot_date", "exited"]])


def test_the_labels_of_a_broken_day_are_those_of_the_rows_that_came():
    """Twice the same customer has one label; what was cut off has none, but for the last row."""
    story = Story(label_days=7)
    for day in (44, 46):
        rows = pd.read_csv(StringIO(customers.drop_text(day, story)))
        labels = pd.read_csv(StringIO(customers.label_text(day, story)))

        assert labels["corporation"].tolist() == rows["corporation"].unique().tolist()


def test_the_script_runs_on_its_own(folder, tmp_path):
    """From any folder, without the repository on the path."""
    done = run_script(tmp_path, "here", "--days", "2")

    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 drops, 4 weeks of history and a test file in here\n"
    first = "drops/2026-01-01.csv"
    assert (tmp_path / "here" / first).read_bytes() == (folder / first).read_bytes()


def test_help_is_the_docstring(tmp_path):
    """The documentation is one text."""
    done = run_script(tmp_path, "--help")

    assert customers.__doc__.strip() in done.stdout


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--days", "0"),
        ("--days", "366"),
        ("--rows", "0"),
        ("--rows", "40001"),
        ("--seed", "-1"),
        ("--label-days", "-1"),
    ],
)
def test_impossible_numbers_are_refused_before_anything_is_written(option, value, tmp_path, capsys):
    """The message names the option, its range and the value."""
    with pytest.raises(SystemExit) as exit_:
        customers.main([str(tmp_path / "out"), option, value])

    assert exit_.value.code == 2
    assert re.search(rf"{option[2:]} must be from \d+ to \d+, got {value}", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path):
    """Somebody's file stands where the folder should be."""
    (tmp_path / "out").write_text("in the way")

    with pytest.raises(SystemExit, match="error: .*out"):
        customers.main([str(tmp_path / "out")])


def run_script(folder, *arguments):
    script = Path(customers.__file__)
    command = [sys.executable, "-B", str(script), *arguments]
    environment = {"PYTHONUTF8": "1", "PATH": ""}
    return subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", env=environment, check=False
    )
