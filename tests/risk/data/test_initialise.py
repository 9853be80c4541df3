"""A stranger's CSV becomes an installation that runs, in one command."""

import numpy as np
import pandas as pd
import pytest

import full_process
import ingestion
from risk import store
from risk.config import Config
from risk.data.initialise import CONFIG, NOTES, from_options, initialise
from risk.data.proposal import Named
from risk.errors import ConfigError, DataError, UsageError
from risk.ledger.ledger import Ledger

N = 300


def european(path):
    """Write an export as half of Europe makes them: semicolons, decimal commas, Windows-1252."""
    rng = np.random.default_rng(5)
    spend, months = rng.gamma(5, 400, N), rng.integers(0, 72, N)
    left = rng.random(N) < 1 / (1 + np.exp(-(spend - 2000) / 500 + months / 30))
    amounts = [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in spend]
    lines = ["Kundennr;Umsatz;Monate;Ort;Vertrag;churn"]
    lines += [
        f"K{n:04d};{amounts[n]};{months[n]};{'Köln' if n % 3 else 'Münster'};"
        f"{'monatlich' if n % 2 else 'jährlich'};{'ja' if left[n] else 'nein'}"
        for n in range(N)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="cp1252")


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "kunden.csv"
    european(path)
    return path


def test_an_export_runs_without_editing(export):
    """Config, inbox and test data are written; the first run deploys a model on it."""
    made = initialise(export)

    config = Config.load(made.config_path)
    with Ledger.open(config) as ledger:
        outcome = full_process.run(config, ledger)
    rows = [
        pd.read_csv(path, sep=";", encoding="cp1252")
        for path in (config.test_data, config.input_folder / "kunden.csv")
    ]
    assert [len(part) for part in rows] == [made.n_test, made.n_rows]
    assert sorted(pd.concat(rows)["Kundennr"]) == [f"K{n:04d}" for n in range(N)]
    assert outcome.exit_code == 0
    assert outcome.line.startswith("Release 1 is live")
    assert outcome.line.endswith(f"{made.n_rows} new rows in 1 file.")


def test_later_files_are_read_as_the_first_was(export):
    """Written like the original: Windows-1252, days first, a title above, no identifier."""
    lines = export.read_text(encoding="cp1252").splitlines()
    cells = [line.split(";")[1:] for line in lines]
    dated = [[f"{1 + n % 28:02d}.{1 + n % 12:02d}.25", *row] for n, row in enumerate(cells[1:])]
    rows = [";".join(["Datum", *cells[0]]), *map(";".join, dated)]
    export.write_text("\n".join(rows[:250]) + "\n", encoding="cp1252")
    made = initialise(export)
    later = "\n".join(["Export vom 1.1.2026", "", rows[0], *rows[250:]]) + "\n"
    (export.parent / "inbox" / "later.csv").write_text(later, encoding="cp1252")

    config = Config.load(made.config_path)
    with Ledger.open(config) as ledger:
        taken = ingestion.run(config, ledger).intakes
        known = store.read_parts(config, ledger.parts.ids())

    assert [intake.rows_added for intake in taken] == [made.n_rows, 50 + 1]
    assert set(known["Ort"]) == {"Köln", "Münster"}
    assert known["Datum"].str.fullmatch(r"2025-\d\d-\d\d").all()
    assert known["row_id"].iloc[[0, -1]].tolist() == ["kunden-2", "later-54"]


def test_later_files_may_have_the_columns_that_are_left_out(export):
    """Row numbers without a name, and two columns of one name: nothing about them is odd."""
    text = export.read_text(encoding="cp1252")
    lines = [f"{n};;{line}" for n, line in enumerate(text.splitlines())]
    header = ";Land;" + text.splitlines()[0] + ";Land"
    rows = [f"{line};CH" for line in lines[1:]]
    export.write_text("\n".join([header, *rows[:250]]) + "\n", encoding="cp1252")
    made = initialise(export)
    later = export.parent / "inbox" / "later.csv"
    later.write_text("\n".join([header, *rows[250:]]) + "\n", encoding="cp1252")

    config = Config.load(made.config_path)
    with Ledger.open(config) as ledger:
        taken = ingestion.run(config, ledger).intakes

    assert [intake.rows_added for intake in taken] == [made.n_rows, 50]
    assert [intake.undeclared for intake in taken] == ['["Land"]'] * 2


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_later_files_in_utf_16_are_read_too(export, codec):
    """Excel writes them so as Unicode text; what is refused can be read again."""
    text = export.read_text(encoding="cp1252")
    export.write_bytes(f"\ufeff{text}".encode(codec))
    made = initialise(export)
    config = Config.load(made.config_path)
    later = ["K9998;1,5;2;Łódź;monatlich;ja", "K9999;viel;2;Łódź;monatlich;nein"]
    content = "\n".join(["\ufeff" + text.splitlines()[0], *later]) + "\n"
    (config.input_folder / "later.csv").write_bytes(content.encode(codec))

    with Ledger.open(config) as ledger:
        taken = ingestion.run(config, ledger).intakes
        known = store.read_parts(config, ledger.parts.ids())
        again = ingestion.run(config, ledger, requeue=2).intakes

    assert [intake.rows_added for intake in taken] == [made.n_rows, 1]
    assert known["Ort"].iloc[-1] == "Łódź"
    refused = config.quarantine_folder / "00000002" / store.QUARANTINED_ROWS
    assert pd.read_csv(refused, sep=";")["Ort"].tolist() == ["Łódź"]
    assert [intake.rows_quarantined for intake in again] == [1]


def test_without_times_equal_rows_are_in_one_part(tmp_path):
    """Or a model would be tested on rows it has seen."""
    rows = [f"{n % 60 / 7:.3f},{n % 60 % 3 == 0:d}" for n in range(300)]
    (tmp_path / "plain.csv").write_text("\n".join(["x,churn", *rows]) + "\n")

    made = initialise(tmp_path / "plain.csv")

    config = Config.load(made.config_path)
    tests, others = (
        set(path.read_text().splitlines()[1:])
        for path in (config.test_data, config.input_folder / "plain.csv")
    )
    assert len(tests) + len(others) == 60
    assert not tests & others


def test_the_note_beside_it_says_what_was_found(export):
    """Separator, decimal, encoding, each column, and the next commands."""
    made = initialise(export)

    note = (export.parent / NOTES).read_text()
    assert "separated by semicolons, decimal `,`, Windows-1252" in note
    assert "- Umsatz: number from " in note
    assert all(command in note for command in made.next_commands)


def test_names_that_no_setting_may_have_are_told(tmp_path):
    """Before anything is written; what to do is said."""
    rows = [f"c{n},{n % 7},{n % 50},{n % 3 == 0:d}" for n in range(300)]
    (tmp_path / "odd.csv").write_text("\n".join(["id,visits,row_hash,churn", *rows]) + "\n")

    with pytest.raises(ConfigError, match="a column row_hash of its own; rename yours"):
        initialise(tmp_path / "odd.csv")

    assert [path.name for path in tmp_path.iterdir()] == ["odd.csv"]


@pytest.mark.parametrize("header", ["row_id,visits,spend,churn", "row_id,row_id,spend,churn"])
def test_rows_are_numbered_also_beside_a_column_named_like_their_number(tmp_path, header):
    """One that repeats, or two of one name, tell no row from another."""
    rows = [f"{n % 7},{n % 9},{n % 50}.5,{n % 3 == 0:d}" for n in range(300)]
    (tmp_path / "odd.csv").write_text("\n".join([header, *rows]) + "\n")
    made = initialise(tmp_path / "odd.csv")

    config = Config.load(made.config_path)
    with Ledger.open(config) as ledger:
        (taken,) = ingestion.run(config, ledger).intakes

    assert (config.columns.identifier, taken.rows_added) == ("row_id_", made.n_rows)


def test_a_name_of_two_lines_is_told_in_one(tmp_path):
    """A spreadsheet breaks long names; a list of doubts has a line for each."""
    rows = [f"{1000 + n}.50 BTC,{n % 7},{n % 3 == 0:d}" for n in range(300)]
    (tmp_path / "odd.csv").write_text("\n".join(['"Net\nbalance",visits,churn', *rows]) + "\n")

    made = initialise(tmp_path / "odd.csv")

    doubt = "- Net balance is not used: what 1000.50 BTC means is not clear; write it like 1234.5"
    assert f"  {doubt}" in str(made).splitlines()
    assert doubt in made.notes().splitlines()
    assert "Net\nbalance" in Config.load(made.config_path).columns.other


def test_existing_settings_are_not_overwritten_unless_asked_to(export):
    """A mistyped folder costs nothing."""
    (export.parent / CONFIG).write_text("mine")

    with pytest.raises(UsageError, match="exists; --force replaces it"):
        initialise(export)
    assert (export.parent / CONFIG).read_text() == "mine"
    initialise(export, force=True)
    assert Config.load(export.parent / CONFIG).columns.target == "churn"


def test_other_columns_need_a_folder_without_rows_and_releases(export):
    """A run could not go on with them; which folders to remove is said."""
    config = Config.load(initialise(export).config_path)
    with Ledger.open(config) as ledger:
        ingestion.run(config, ledger)

    initialise(export, force=True)
    with pytest.raises(UsageError, match="remove them first: cd .* && rm -r data/ingested db"):
        initialise(export, force=True, target="Vertrag")
    assert Config.load(config.root / CONFIG).columns.target == "churn"


def test_the_newest_rows_are_kept_for_tests_where_rows_have_a_time(tmp_path):
    """As a model is judged on what came after its training."""
    days = pd.date_range("2026-01-01", periods=100).strftime("%Y-%m-%d")
    table = pd.DataFrame({"id": [f"c{n}" for n in range(100)], "day": days[::-1]})
    table = table.assign(x=np.arange(100) / 7, churn=[n % 3 == 0 for n in range(100)])
    table.to_csv(tmp_path / "dated.csv", index=False)

    made = initialise(tmp_path / "dated.csv")

    kept = pd.read_csv(Config.load(made.config_path).test_data)
    assert sorted(kept["day"]) == days[80:].tolist()


def test_too_few_labels_to_split_are_refused(tmp_path):
    """Nothing is written."""
    (tmp_path / "few.csv").write_text("id,x,churn\na,1.5,0\nb,2.5,1\nc,3.5,0\n")

    with pytest.raises(DataError, match="3 labelled rows are too few"):
        initialise(tmp_path / "few.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["few.csv"]


def test_the_command_needs_no_settings(world, export):
    """Those of the project may be broken; options of it alone are wrong usage."""
    (world.folder / "config.json").write_text("not JSON")

    made = world.command(
        "ingestion.py", "--init", str(export), "--folder", str(export.parent / "mine")
    )
    alone = world.command("ingestion.py", "--target", "churn")

    assert made.returncode == 0, made.stderr
    assert "full_process.py --config" in made.stdout
    assert alone.returncode == 64
    assert "--target: requires --init" in alone.stderr


def test_without_the_option_there_is_no_new_installation():
    """The stage runs as ever."""
    options = dict.fromkeys([*Named._fields, "folder", "force"])
    assert from_options(init=None, **options) is None
