"""Files as people export them; what each column is was decided by reading them."""

import numpy as np
import pytest

from risk.data import proposal
from risk.errors import DataError

RNG = np.random.default_rng(3)
N = 120


def table(**others):
    """Return a table of customers whose columns are beyond doubt, but for `others`."""
    columns = {
        "customerID": [f"{n:04d}-K" for n in range(N)],
        "tenure": [str(v) for v in RNG.integers(0, 72, N)],
        "charges": [f"{v:.2f}" for v in RNG.gamma(5, 14, N)],
        "contract": RNG.choice(["monthly", "yearly"], N).tolist(),
        "senior": RNG.choice(["0", "1", "2"], N).tolist(),
        "Churn": ["Yes" if n % 4 == 0 else "No" for n in range(N)],
    }
    return {name: cells for name, cells in (columns | others).items() if cells is not None}


@pytest.fixture
def propose(tmp_path):
    def propose(columns, *, separator=",", encoding="utf-8", name="customers.csv", **options):
        lines = [separator.join(columns), *map(separator.join, zip(*columns.values(), strict=True))]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding=encoding)
        return proposal.propose(tmp_path / name, **options)

    return propose


def test_each_column_has_its_role(propose):
    """Numbers, categories, codes as categories, the key and the label."""
    found = propose(table())

    assert found.columns == {
        "identifier": "customerID",
        "target": "Churn",
        "positive_label": "Yes",
        "negative_label": "No",
        "event_time": None,
        "missing_markers": [],
        "numeric": ["tenure", "charges"],
        "categorical": ["contract", "senior"],
        "other": [],
    }
    assert found.doubts == ()
    assert "positive label: Yes, in 25.0% of 120 labelled rows" in found.notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_european_export_is_understood(propose, encoding):
    """Semicolons, decimal commas, thousands points and umlauts."""
    spend = [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in RNG.gamma(5, 400, N)]
    city = RNG.choice(["Köln", "Münster"], N).tolist()

    found = propose(table(spend=spend, city=city), separator=";", encoding=encoding)

    assert found.dialect.separator == ";"
    assert found.dialect.marks.decimal == ","
    assert "spend" in found.columns["numeric"]
    assert set(found.rows["city"]) == {"Köln", "Münster"}


@pytest.mark.parametrize(
    ("words", "encoding", "n_doubts"),
    [
        (["Małopolskie", "Śląskie", "Łódzkie"], "cp1250", 1),
        (["Středočeský", "Vysočina", "měsíční"], "cp1250", 1),
        (["Győr", "Hódmezővásárhely", "ügyfél", "férfi", "Pécs", "kör"], "cp1250", 1),
        (["Bucureşti", "Timişoara", "Constanţa"], "cp1250", 1),
        (["Москва", "договор", "месяц"], "cp1251", 1),
        (["Αθήνα", "Θεσσαλονίκη", "όχι"], "cp1253", 1),
        (["Diyarbakır", "yıllık", "sözleşme", "İzmir"], "cp1254", 1),
        (["Šiauliai", "Klaipėda", "mėnuo"], "cp1257", 1),
        (["Köln", "m³ of £5", "jährlich", "½"], "cp1252", 0),
        (["résilié", "où", "Besançon", "Mâcon"], "cp1252", 0),
        (["São Paulo", "Conceição", "nº 5"], "cp1252", 0),
        (["København", "Ærø", "måned"], "cp1252", 0),
        (["città", "perché", "più"], "cp1252", 0),
    ],
)
def test_an_encoding_is_known_by_the_letters_of_its_languages(propose, words, encoding, n_doubts):
    """Any of them can be read as Windows-1252, but what is read is then no Polish."""
    region = [words[n // 5 % len(words)] for n in range(N)]

    found = propose(table(region=region), encoding=encoding)

    assert found.ingestion["encoding"] == encoding
    assert set(found.rows["region"]) == set(words)
    assert ["words such as" in doubt for doubt in found.doubts] == [True] * n_doubts


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path, line_end):
    """A carriage return alone is how a spreadsheet saves for an old Mac."""
    columns = table()
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    (tmp_path / "customers.csv").write_bytes("".join(line + line_end for line in lines).encode())

    found = proposal.propose(tmp_path / "customers.csv")

    assert found.dialect.header == tuple(columns)
    assert len(found.rows) == N


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(propose, separator):
    """Whatever it is, the same columns are found."""
    assert propose(table(), separator=separator).columns["numeric"] == ["tenure", "charges"]


@pytest.mark.parametrize(
    ("labels", "positive", "negative"),
    [
        (("1", "0"), 1, 0),
        (("0", "1"), 1, 0),
        (("Attrited Customer", "Existing Customer"), "Attrited Customer", "Existing Customer"),
        (("Stayed", "Left"), "Left", "Stayed"),
        (("true", "false"), "true", "false"),
        (("rare", "usual"), "rare", "usual"),
        (("2", "1"), 2, 1),
    ],
)
def test_the_positive_label_is_the_one_that_says_so(propose, labels, positive, negative):
    """Also where it is the commoner one; else it is the rarer."""
    cells = [labels[0] if n % 4 == 0 else labels[1] for n in range(N)]

    found = propose(table(Churn=cells)).columns

    assert (found["positive_label"], found["negative_label"]) == (positive, negative)


def test_a_column_known_only_afterwards_is_not_learnt(propose):
    """It predicts the target alone: by number or by category."""
    churned = table()["Churn"]
    reason = ["moved" if label == "Yes" else "" for label in churned]
    score = [
        f"{5 + n / 1000 if label == 'Yes' else n / 1000:.3f}" for n, label in enumerate(churned)
    ]

    found = propose(table(reason=reason, exit_score=score))

    assert {"reason", "exit_score"} <= set(found.columns["other"])
    assert sum("almost perfectly" in doubt for doubt in found.doubts) == 1


def test_identifiers_in_disguise_constants_and_free_text_are_no_features(propose):
    """Each is said, with the reason."""
    disguised = [str(90_000 + 7 * n) for n in range(N)]
    remarks = [f"called on day {n} and {n % 7} times" for n in range(N)]

    found = propose(table(account_no=disguised, country=["DE"] * N, remarks=remarks))

    assert found.columns["other"] == ["account_no", "country", "remarks"]
    assert "country: not used, it has one value only" in found.notes


def test_numbers_of_rows_are_no_features_and_the_last_to_identify_rows(propose):
    """A key is better, and an unnamed index of a file is none."""
    columns = {
        "Unnamed: 0": [str(n) for n in range(N)],
        "RowNumber": [str(1 + n) for n in range(N)],
    }
    keys = [str(15_600_000 + 37 * n) for n in range(N)]

    found = propose(columns | table(customerID=None, CustomerId=keys, badge=keys[::-1]))

    assert found.columns["identifier"] == "CustomerId"
    assert found.columns["other"] == ["Unnamed: 0", "RowNumber", "badge"]


def test_totals_below_the_rows_are_left_out(tmp_path):
    """They would be the largest value, and a row without a date."""
    columns = table()
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    below = ["Total,,99999.5,,,", "exported by M.,,,,,"]
    (tmp_path / "totals.csv").write_text("\n".join([*lines, *below]) + "\n")

    found = proposal.propose(tmp_path / "totals.csv")

    assert len(found.rows) == N
    assert "left out below the rows: Total 99999.5" in found.notes
    assert found.columns["numeric"] == ["tenure", "charges"]


def test_rows_with_few_values_at_the_end_are_rows(propose):
    """If they are no totals."""
    charges = ["" if n > N - 3 else "7.5" for n in range(N)]

    assert len(propose(table(charges=charges, tenure=charges)).rows) == N


def test_rows_without_a_key_are_numbered(propose):
    """In every file; what that costs is said."""
    found = propose(table(customerID=None))

    assert found.columns["identifier"] == "row_id"
    assert found.ingestion["number_rows"]
    assert "no column identifies rows" in found.doubts[0]


def test_the_first_complete_time_is_the_time_of_the_event(propose):
    """Which is a guess, unless its name says so."""
    begun = [f"2026-03-{1 + n % 28:02d}" for n in range(N)]
    born = [f"19{60 + n % 30}-03-01" for n in range(N)]
    left = [day if n % 4 == 0 else "" for n, day in enumerate(begun)]

    found = propose(table(birth_date=born, left_on=left, begun=begun, again=begun))
    named = propose(table(begun=begun, snapshot_date=begun))

    assert found.columns["event_time"] == "begun"
    assert found.columns["other"] == ["left_on", "birth_date", "again"]
    assert found.doubts[0].startswith("that rows are from the time in begun is a guess")
    assert named.columns["event_time"] == "snapshot_date"
    assert named.doubts == ()


def test_the_time_of_the_event_can_be_named(propose):
    """Or there is none."""
    days = [f"2026-03-{1 + n % 28:02d}" for n in range(N)]

    named = propose(table(begun=days, ended=days), event_time="ended")
    none = propose(table(begun=days), event_time="none")

    assert named.columns["event_time"] == "ended"
    assert none.columns["event_time"] is None
    assert named.doubts == none.doubts == ()
    with pytest.raises(DataError, match="--event-time: tenure does not have a date in every row"):
        propose(table(begun=days), event_time="tenure")


@pytest.mark.parametrize(
    ("days", "dates", "n_doubts"),
    [
        ([f"{1 + n % 28:02d}.03.2026" for n in range(N)], "day first", 0),
        ([f"3/{1 + n % 28}/26 9:05" for n in range(N)], "month first", 0),
        ([f"{1 + n % 9:02d}-03-2026" for n in range(N)], "day first", 1),
        ([f"2026-03-{1 + n % 28:02d}" for n in range(N)], "ISO 8601", 0),
        ([f"202603{1 + n % 28:02d}" for n in range(N)], "day first", 0),
        ([f"{1 + n % 28}-Mar-2026" for n in range(N)], "day first", 0),
    ],
)
def test_how_dates_are_written_is_found(propose, days, dates, n_doubts):
    """Which is first, a number beyond 12 says; if there is none, it is a guess."""
    found = propose(table(date=days))

    assert found.columns["event_time"] == "date"
    assert found.ingestion["dates"] == dates
    assert len(found.doubts) == n_doubts


def test_codes_that_begin_with_zero_are_no_numbers(propose):
    """Such as postcodes."""
    found = propose(table(plz=[f"0{1000 + n % 7}" if n % 2 else f"{80331 + n}" for n in range(N)]))

    assert "plz" not in found.columns["numeric"]


@pytest.mark.parametrize("written", ["{:,.2f} €", "€ {:,.2f}", "€{:,.2f}", "CHF {:,.2f}"])
def test_units_are_left_out(propose, written):
    """If all numbers of a column have the same, before or behind them."""
    to_commas = str.maketrans(",.", ".,")
    spend = [written.format(v).translate(to_commas) for v in RNG.gamma(5, 400, N)]

    found = propose(table(spend=spend), separator=";")

    assert "spend" in found.columns["numeric"]
    assert any("spend: number" in note and "without its unit" in note for note in found.notes)


@pytest.mark.parametrize(
    "above",
    [
        "sep=,",
        "Customers of March,,,,,\n,,,,,",
        "Customers\n\nas of 31 March",
        ",X1,X2,X3,X4,Y",
        "Export: customerID,tenure,charges,contract,senior,Churn\n\nof March",
        "customerID,tenure,charges,contract,senior,Churn",
        '"Customers\n\nof March"',
    ],
)
def test_lines_above_the_header_are_left_out(tmp_path, above):
    """Titles, also with the names, the mark of a spreadsheet, short names above the long ones."""
    columns = table()
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    (tmp_path / "titled.csv").write_text("\n".join([above, *lines]) + "\n")

    found = proposal.propose(tmp_path / "titled.csv")

    assert found.columns["target"] == "Churn"
    assert len(found.rows) == N


def test_a_separator_may_end_every_line(tmp_path):
    """Also those above the header and below the rows."""
    columns = table()
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    ended = [f"{line}," for line in ["Export of March,,,,,", *lines, "Total,,,,,"]]
    (tmp_path / "ended.csv").write_text("\n".join(ended) + "\n")

    found = proposal.propose(tmp_path / "ended.csv")

    assert found.columns == proposal.propose(plain(tmp_path, lines)).columns
    assert len(found.rows) == N


def test_columns_that_no_setting_can_name_are_not_used(tmp_path):
    """One without a name, such as the row numbers of pandas, is usual; two of one name are not."""
    columns = table()
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    odd = [",region," + lines[0] + ",region"]
    odd += [f"{n},north,{line},south" for n, line in enumerate(lines[1:])]
    (tmp_path / "odd.csv").write_text("\n".join(odd) + "\n")

    found = proposal.propose(tmp_path / "odd.csv")

    assert found.columns == proposal.propose(plain(tmp_path, lines)).columns
    assert found.doubts[0] == "2 columns are named region: none of them is used"
    assert "columns without a name are not used" in found.notes


def plain(folder, lines):
    (folder / "plain.csv").write_text("\n".join(lines) + "\n")
    return folder / "plain.csv"


@pytest.mark.parametrize(
    "name", ["gekündigt", "Résilié", "default payment next month", "kündigung"]
)
def test_a_target_is_known_by_its_name_in_other_languages(propose, name):
    """Before another column of two values."""
    found = propose(table(Churn=None) | {name: table()["Churn"], "news": table()["Churn"]})

    assert found.columns["target"] == name
    assert "the target is a guess" not in str(found.doubts)


def test_missing_values_are_recognised(propose):
    """A blank needs no marker."""
    charges = ["?" if n % 9 == 0 else "" if n % 11 == 0 else f"{n}.5" for n in range(N)]

    found = propose(table(charges=charges))

    assert found.columns["missing_markers"] == ["?"]
    assert "charges" in found.columns["numeric"]


@pytest.mark.parametrize(
    ("columns", "options", "complaint"),
    [
        (table(Churn=[str(n % 3) for n in range(N)]), {"target": "Churn"}, "Churn is not binary"),
        (table(), {"target": "gone"}, "--target: customers.csv has no column 'gone'; it has cust"),
        (table(), {"target": "churn"}, "has no column 'churn'; did you mean 'Churn'?"),
        (table(), {"identifier": "gone"}, "--identifier: customers.csv has no column 'gone'"),
        ({"id": ["a", "b"], "churn": ["0", "1"]}, {}, "no column can serve as a feature"),
        ({"id": ["a", "b", "c"], "spend": ["1", "2", "3"]}, {}, "no column has exactly two values"),
        (table(Churn=[str(n % 3) for n in range(N)]), {}, "Churn is not binary"),
        ({"spend": ["1", "2", "3"], "outcome": ["a", "b", "c"]}, {}, "outcome is not binary"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(propose, columns, options, complaint):
    """And what to name instead."""
    with pytest.raises(DataError, match=complaint):
        propose(columns, **options)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n",
        b"\x00\x81\x8d\n\x81",
        b"PK\x03\x04",
        "a,b\n1,2\n".encode("utf-16")[:-1],
        b"a,b\n1,2,3\n4,5,6\n",
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    """Empty, only a header, no text, a spreadsheet, half a character, more cells than names."""
    (tmp_path / "odd.csv").write_bytes(content)

    with pytest.raises(DataError, match="odd.csv"):
        proposal.propose(tmp_path / "odd.csv")


def test_a_guessed_target_is_said_to_be_a_guess(propose):
    """With the other columns of two values."""
    found = propose(table(Churn=None, renewed=["y" if n % 3 else "n" for n in range(N)]))

    assert found.columns["target"] == "renewed"
    assert any(
        "the target is a guess: renewed; other columns of two values: contract" in doubt
        for doubt in found.doubts
    )


@pytest.mark.parametrize(("name", "is_guess"), [("y", True), ("churned", False)])
def test_a_default_of_a_customer_is_a_feature_beside_a_target(propose, name, is_guess):
    """As in the data of a bank; alone it is the target."""
    bad = ["yes" if n % 9 == 0 else "no" for n in range(N)]

    found = propose(table(Churn=None) | {"default": bad, name: table()["Churn"]})

    assert found.columns["target"] == name
    assert any("the target is a guess" in doubt for doubt in found.doubts) is is_guess
    assert propose(table(Churn=None, default=bad)).columns["target"] == "default"


@pytest.mark.parametrize(
    ("name", "cells", "is_key"),
    [
        ("CLIENTNUM", [f"{708082083 + n * 7}" for n in range(N)], True),
        ("klantnr", [f"{n * 3}" for n in range(N)], True),
        ("ref", [f"{7000000 + n * n}" for n in range(N)], True),
        ("meta", [f'{{"a": {n}}}' for n in range(N)], False),
        ("comment", [f"paid late, {n} times" for n in range(N)], False),
    ],
)
def test_what_identifies_rows_is_a_key(propose, name, cells, is_key):
    """By its name or as a code of many digits; a text in words is none, though no two are equal."""
    found = propose({name: cells} | table(customerID=None), separator=";")

    assert found.columns["identifier"] == (name if is_key else "row_id")


@pytest.mark.parametrize("amount", ["{:,.2f} BTC", "{:,.0f} - ?"])
def test_amounts_that_cannot_be_read_are_doubted(propose, amount):
    """Left out in silence, the best feature may be missing."""
    cells = [amount.format(1000 + 31 * n) for n in range(N)]

    found = propose(table(net=cells), separator=";")

    assert "net" in found.columns["other"]
    assert (
        f"net is not used: what {cells[0]} means is not clear; write it like 1234.5" in found.doubts
    )


def test_a_guessed_target_says_yes_or_no(propose):
    """Rather than something else of two values behind it."""
    kinds = table()["contract"]

    found = propose({"active": ["TRUE", "FALSE"] * (N // 2)} | table(Churn=None) | {"kind": kinds})

    assert found.columns["target"] == "active"
    assert (found.columns["positive_label"], found.columns["negative_label"]) == ("TRUE", "FALSE")
    assert "target: active, the only column of yes and no" in found.notes
