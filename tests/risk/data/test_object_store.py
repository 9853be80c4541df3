"""Objects are ingested like files; the store is moto's server, which speaks S3."""

import pytest

import full_process
import ingestion
from risk.admin import check
from risk.errors import ConfigError
from tests.buckets import free_port
from tests.factories import HEADER, counts

URL = "s3://acme/customers"
ROWS = HEADER + "a,1,2,3,0\nb,4,5,6,1\n"


@pytest.fixture
def bucket(bucket, world):
    world.take_from_inbox()
    world.set(object_store=URL)
    return bucket


def test_an_object_is_taken_once_and_recorded_under_its_address(bucket, world, ledger):
    bucket.put(may=ROWS, june=HEADER + "b,4,5,6,1\nc,7,8,many,1\nd,7,8,9,1\n")

    first = ingestion.run(world.config, ledger)
    second = ingestion.run(world.config, ledger)

    assert [intake.path for intake in first.intakes] == [f"{URL}/june.csv", f"{URL}/may.csv"]
    assert [counts(intake) for intake in first.intakes] == [(3, 2, 0, 1), (2, 1, 1, 0)]
    assert str(second) == "no new data"


def test_a_folder_and_an_object_store_may_be_used_together(bucket, world, ledger):
    """The same bytes in both places are one drop."""
    world.drop("may.csv", ROWS)
    bucket.put(again=ROWS, june=HEADER + "c,7,8,9,1\n")

    result = ingestion.run(world.config, ledger)

    assert [(intake.path, intake.status) for intake in result.intakes] == [
        ("inbox/may.csv", "taken"),
        (f"{URL}/again.csv", "duplicate"),
        (f"{URL}/june.csv", "taken"),
    ]


def test_an_object_that_was_replaced_is_read_again(bucket, world, ledger):
    """Even by one of the same size."""
    bucket.put(may=ROWS)
    ingestion.run(world.config, ledger)
    bucket.put(may=ROWS.replace("b,4", "c,4"))

    (intake,) = ingestion.run(world.config, ledger).intakes

    assert counts(intake) == (2, 1, 1, 0)


def test_an_object_just_written_is_left_for_a_later_run(bucket, world, ledger):
    """A store tells times in seconds, so it may still be replaced without a trace."""
    world.set(ingestion__settle_seconds=60)
    bucket.put(may=ROWS)

    result = ingestion.run(world.config, ledger)

    assert result.intakes == ()
    assert result.left_alone == (f"{URL}/may.csv: just written, left for a later run",)


def test_what_is_no_drop_is_named_and_what_is_hidden_is_not(bucket, world, ledger):
    bucket.write("customers/older/may.csv", ROWS)
    bucket.write("customers/may.csv.gz", "packed")
    bucket.write("customers/.hidden.csv", ROWS)
    world.set(ingestion__max_file_bytes=5)
    bucket.put(large=ROWS)

    result = ingestion.run(world.config, ledger)

    assert result.left_alone == (
        f"{URL}/large.csv: {len(ROWS)} bytes, more than max_file_bytes = 5",
        f"{URL}/may.csv.gz: skipped, packed; unpack it to a file named .csv",
        f"{URL}/older: skipped, a folder; drops must be in the folder itself",
    )


def test_refused_rows_of_an_object_can_be_requeued_when_the_store_has_lost_it(
    bucket, world, ledger
):
    bucket.put(may=ROWS + "c,-7,8,9,1\n")
    (first,) = ingestion.run(world.config, ledger).intakes
    bucket.delete("customers/may.csv")
    mended = world.set(columns__allowed_ranges={}, object_store=None)

    (again,) = ingestion.run(mended, ledger, requeue="all").intakes

    assert (counts(first), counts(again)) == ((3, 2, 0, 1), (1, 1, 0, 0))


def test_a_rehearsal_reads_objects_and_records_nothing(bucket, world, ledger):
    bucket.put(may=ROWS)

    would, rows = ingestion.rehearse(world.config, ledger)

    assert counts(would.intakes[0]) == (2, 2, 0, 0)
    assert rows["corporation"].tolist() == ["a", "b"]
    assert ledger.ingestions.last_id() == 0


def test_a_whole_run_learns_from_objects(bucket, world, ledger):
    for path in sorted((world.folder / "data/development").glob("*.csv")):
        bucket.write(f"customers/{path.name}", path.read_text())
    bucket.put()

    outcome = full_process.run(world.config, ledger)

    assert outcome.exit_code == 0
    assert ledger.decisions.live_version() == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"{URL}/none", "there is no such folder, or nothing lies in it"),
        ("s3://nobody/customers", "The specified bucket does not exist"),
        (f"{URL}?scheme=gopher", "gopher"),
    ],
)
def test_a_store_that_cannot_be_read_holds_nothing_up(bucket, world, ledger, url, reason):
    world.drop("may.csv", ROWS)
    config = world.set(object_store=url)

    result = ingestion.run(config, ledger)

    assert (len(result.intakes), result.exit_code) == (1, 69)
    assert reason in str(result)
    (fault,) = [fault for fault in check.check(config).faults if "object store" in fault.text]
    assert reason in fault.text
    assert fault.exit_code == 69


def test_a_fault_is_told_in_the_same_words_each_time(bucket, world, ledger):
    """Cron mails trouble once, which it knows by its text."""
    config = world.set(object_store="s3://nobody/customers")

    first, second = (ingestion.run(config, ledger).out_of_reach for _ in range(2))

    assert first == second


def test_a_store_that_is_away_is_told(bucket, world, ledger, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    result = ingestion.run(world.config, ledger)

    assert result.exit_code == 69
    assert result.out_of_reach[0].startswith(f"object store {URL}: ")


@pytest.mark.parametrize("url", ["s3://key:secret@acme/x", "file:///etc", "s3://", "/srv/drops"])
def test_an_address_with_a_secret_or_of_something_else_is_refused(world, url):
    with pytest.raises(ConfigError, match="object_store"):
        world.set(object_store=url)
