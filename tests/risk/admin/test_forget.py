import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

import ingestion
import training
from risk import store
from risk.admin import check
from risk.admin.forget import forget
from risk.config import Config
from risk.ledger.ledger import Ledger
from risk.models import model, releases, rolling, signing
from tests import forks, servers
from tests.factories import HEADER, UNLABELLED, customers, once
from tests.torture import EVERY, in_full

DRIVER = Path(__file__).parents[2] / "admin_driver.py"
PERSON, VALUE = "Ada Överland-77", 31.41592
OWN = ("inbox", "data")  # drops and test data, which the user supplied


def live(world):
    """Let one person be trained on, predicted, labelled late, refused, and labelled too early."""
    world.take_from_inbox()
    world.set(store_dataset_in_sql=True, training__minimum_rows=10)
    world.drop("1.csv", customers("c", 150, seed=1) + f"{PERSON},{VALUE},2,3,1\n")
    world.run()
    later = customers("d", 40, seed=2, labelled=False)
    world.drop("2.csv", later + f"{PERSON},{VALUE},20,30\n")
    world.drop("3.csv", f"{HEADER}x,=1,2,3,0\n{PERSON},=SECRET,2,3,0\ny,1,2,3,9\n")
    world.run()
    world.drop("4.csv", f"corporation,exited\n{PERSON},1\nd0,0\n")
    world.drop("5.csv", f"corporation,exited\nnobody,1\n{PERSON},0\n")
    world.drop("6.csv", f"no header\n{PERSON},1,2,3\nz,1,2,3\n")
    world.run()


@pytest.fixture
def past(shared):
    """Give the folder of that world; it is only read."""
    return once(shared, "one_person", live)


@pytest.fixture
def world(world, past):
    return world.copy_of(past)


def places(folder):
    """Return every place of an installation that names the person or shows a value of theirs.

    Parts and samples are compressed, so that they are read; all other files are searched.
    """
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink() or path.name == "test_data.csv":
            continue
        if path.suffix == ".parquet":
            text = pd.read_parquet(path).to_csv()
        else:
            text = path.read_bytes().decode("latin-1")
        name = PERSON.encode().decode("latin-1")
        if any(word in text for word in (PERSON, name, str(VALUE), "=SECRET")):
            found.append(str(path.relative_to(folder)))
    return sorted(p for p in found if not p.startswith("inbox/"))


def erase(world):
    with Ledger.open(world.config) as ledger:
        return forget(world.config, ledger, PERSON)


def balance(config):
    """Return the counts of each drop, which must add up."""
    with Ledger.open(config) as ledger:
        drops = ledger.ingestions.after(0)
    for drop in drops:
        assert drop.rows_read == drop.rows_added + drop.rows_duplicate + drop.rows_quarantined
    return [(d.rows_read, d.rows_added, d.rows_duplicate, d.rows_quarantined) for d in drops]


def test_no_file_names_the_person_afterwards(world):
    """Each place is one before, so that the search would find it."""
    before = places(world.folder)
    assert {name.split("/")[0] for name in before} == {"data", "db", "deployment", "models"}
    assert {name.split("/")[1] for name in before if name[:5] == "data/"} == {
        "ingested",
        "quarantine",
    }

    world.set(object_store="s3://acme/customers")
    said = str(erase(world))

    assert places(world.folder) == []
    assert "s3://acme/customers, which was not searched" in said
    assert "inbox/1.csv, which names Ada" in said and "backups; delete those" in said


def test_the_rows_of_others_and_the_counts_stay_right(world):
    """Final data, parts, predictions and labels of everybody else are as they were."""
    rows = pd.read_csv(world.config.ingested_folder / "final_data.csv")
    counts = balance(world.config)

    erase(world)

    after = pd.read_csv(world.config.ingested_folder / "final_data.csv")
    others = rows[rows["corporation"] != PERSON].reset_index(drop=True)
    pd.testing.assert_frame_equal(after, others, check_dtype=False)
    assert len(rows) - len(after) == 2
    changed = [tuple(a - b for a, b in zip(x, y, strict=True)) for x, y in
               zip(counts, balance(world.config), strict=True)]  # fmt: skip
    assert changed[:5] == [(1, 1, 0, 0), (1, 1, 0, 0), (1, 0, 0, 1), (1, 1, 0, 0), changed[4]]
    assert changed[4][0] == sum(changed[4][1:])
    assert check.check(world.config).exit_code == 0


def test_what_was_predicted_of_a_person_for_the_gate_is_forgotten(world):
    """A challenger keeps what was said of new rows before it learnt them, by their hashes."""
    world.drop("7.csv", customers("e", 300, seed=3))
    folder = world.config.model_folder
    with world.open_ledger() as ledger:
        ingestion.run(world.config, ledger)
        manifest = training.run(world.config, ledger).manifest
        before = rolling.read(folder, manifest)
        forget(world.config, ledger, "e200")

    found = rolling.read(folder, model.load_manifest(folder, signing.key(world.config)))
    assert len(found) == len(before) - 1
    assert set(found.index) < set(before.index)


def test_what_an_earlier_challenger_left_is_removed(world):
    """Its predictions may be of the person; the challenger there is made none."""
    left = world.config.model_folder / model.ROLLING
    left.write_bytes(b"predictions of an earlier challenger")

    erase(world)

    assert not left.exists()


def test_releases_are_valid_and_runs_go_on(world):
    """Signed again, as the ledger recorded; the model itself is the same."""
    before = releases.load_champion(world.config)

    erase(world)

    champion = releases.load_champion(world.config)
    assert champion.sha256 == before.sha256
    assert champion.manifest.files != before.manifest.files
    ended = world.command("full_process.py")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert check.check(world.config).exit_code == 0


def test_refused_records_of_others_can_still_be_requeued(world):
    """The cells and reasons of the others stay, byte for byte."""
    erase(world)

    folder = next(f for f in sorted(world.config.quarantine_folder.iterdir()))
    assert (folder / "rows.csv").read_text() == f"{HEADER}x,=1,2,3,0\ny,1,2,3,9\n"
    reasons = (folder / store.REASONS).read_text().splitlines()
    assert [line.split(",")[1] for line in reasons] == ["line", "2", "4"]
    with Ledger.open(world.config) as ledger:
        lines = [cell["line"] for cell in ledger.quarantine.page().items]
    assert sorted(line for line in lines if line).count(3) == 0


def test_refused_records_that_were_damaged_stay_so(world):
    """The person is erased from them, and a check still says that the rest is not as it was."""
    path = min(world.config.quarantine_folder.glob("[0-9]*")) / "rows.csv"
    path.write_bytes(path.read_bytes().replace(b"y,1,2,3,9", b"y,7,2,3,9"))

    erase(world)

    assert places(world.folder) == []
    assert "rows.csv is damaged" in str(check.check(world.config))


@pytest.mark.parametrize("names", [["rows.csv"], ["reasons.csv"], ["rows.csv", "reasons.csv"]])
def test_a_person_is_erased_although_files_in_quarantine_are_lost(world, names):
    """What the ledger says of them takes their place; what cannot be told from others is named."""
    folder = min(world.config.quarantine_folder.glob("[0-9]*"))
    for name in names:
        (folder / name).unlink()

    said = str(erase(world))

    left = places(world.folder)
    balance(world.config)
    assert [(folder / name).exists() for name in names] == [False] * len(names)
    if "rows.csv" in names:
        assert {Path(name).name for name in left} <= {"reasons.csv", "monitoring.sqlite"}
        assert "Not erased: refused cells of ingestion 3, perhaps theirs: data/quarantine/" in said
    else:
        assert left == []
    assert f"{names[0]}: No such file" in str(check.check(world.config))


def test_what_was_lost_from_quarantine_is_erased_once_it_is_restored(world, tmp_path):
    """As the outcome advises."""
    folder = min(world.config.quarantine_folder.glob("[0-9]*"))
    shutil.move(folder, tmp_path / "saved")
    erase(world)
    shutil.move(tmp_path / "saved", folder)

    erase(world)

    assert places(world.folder) == []
    balance(world.config)


def test_somebody_unknown_changes_nothing(world, tree):
    """64: identifiers are compared exactly."""
    before = tree()

    ended = world.command("risk/admin/__main__.py", "forget", "Ada")

    assert ended.returncode == 64
    assert "no accepted row, refused record or label of 'Ada'" in ended.stderr
    assert tree() == before


def test_somebody_unknown_may_be_in_records_that_were_lost(world):
    """Then the answer is not known, which is said."""
    folder = min(world.config.quarantine_folder.glob("[0-9]*"))
    (folder / "rows.csv").unlink()

    ended = world.command("risk/admin/__main__.py", "forget", "Ada")

    assert ended.returncode == 64
    assert "; not searched: refused cells of ingestion 3, perhaps theirs" in ended.stderr


def test_a_person_who_comes_again_is_a_new_one(world):
    """No hash is left by which the row would be a duplicate."""
    erase(world)
    world.drop("again.csv", f"{UNLABELLED}{PERSON},{VALUE},20,30\n")

    world.command("ingestion.py")

    assert balance(world.config)[-1] == (1, 1, 0, 0)


@pytest.mark.parametrize(("first", "every"), [(25, 25), in_full(1, 2 * EVERY)])
def test_an_erasure_that_is_killed_is_completed_by_another(
    new_world, past, tmp_path_factory, tried, first, every
):
    """A run in between neither fails nor brings anything back."""
    point, killed = first, True
    while killed:
        world = new_world(tmp_path_factory.mktemp("killed")).copy_of(past)
        words = [str(world.folder), str(point), "--config", str(world.folder / "config.json")]
        ended = forks.FORKS.run(str(DRIVER), [*words, "forget", PERSON], {**os.environ})
        killed = ended.returncode == -signal.SIGKILL
        assert killed or ended.returncode == 0, ended.stderr
        if point % 2:
            run = world.command("full_process.py")
            assert run.returncode == 0, (point, run.stderr)
        world.command("risk/admin/__main__.py", "forget", PERSON)
        assert places(world.folder) == [], point
        balance(world.config)
        found = check.check(world.config)
        assert found.exit_code == 0, (point, str(found))
        shutil.rmtree(world.folder)
        point += every
    n = (point - first) // every - 1
    tried("erasure killed", "the same command completes it", n)
    assert n


@servers.on_remote_servers
def test_a_person_is_erased_from_a_ledger_on_a_server(server, new_world, tmp_path):
    world = new_world(tmp_path / "on_server")
    world.set(database_url=server.url)
    live(world)

    erase(world)

    assert places(world.folder) == []
    with Ledger.open(world.config) as ledger, ledger.engine.connect() as connection:
        for table in ("dataset_rows", "quarantined_rows", "early_labels", "superseded_rows"):
            rows = connection.execute(sa.text(f"SELECT * FROM {table}")).all()
            assert not any(PERSON in str(row) or "=SECRET" in str(row) for row in rows)
    assert check.check(Config.load(world.folder / "config.json")).exit_code == 0
