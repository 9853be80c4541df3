"""The engines: results are equal to the last bit, and what is lost is lost as a whole."""

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joblib.externals import loky

import full_process
from benchmarks import clusters
from risk import engine
from risk.config import Config
from risk.errors import ConfigError, DataError, EngineError
from risk.ledger import tables
from risk.models import model
from risk.monitoring import backtest, drill, monitored_release
from risk.schema import ROW_HASH
from tests import factories
from tests.torture import sampled

COUNTS = sampled([3, 1, 2], every=3)  # of workers
# tests differ in their number of workers; resizing waits for cancelled parts that still run
pytestmark = pytest.mark.filterwarnings("ignore:Trying to resize an executor")
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
NUMBERS = [*range(12)]
ROOT = Path(__file__).parents[2]
OF_A_RUN = {
    "predictions": ["row_hash", "y_pred_proba", "expected_proba"],
    "scores": ["dataset", "metric", "value", "lower", "upper", "n"],
    "findings": ["check_name", "feature", "e_value", "drift_score", "drift_detected"],
    "assessments": ["profile", "attribution"],
    "decisions": ["action", "reason_code"],
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Give a scheduler with three workers."""
    with clusters.running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def square_root_sum(n, item):
    """Add up so many numbers in an order that rounding depends on."""
    rng = np.random.default_rng(item)
    return float(rng.normal(size=(n, 40)).sum()), os.getpid()


def slow(seconds, item):
    time.sleep(seconds)
    return item


def kill_once(path, item):
    """Die like a process that the system has no memory for, the first time."""
    if item == 3 and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def die(item):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(item):
    raise DataError(f"{item} is odd")


@pytest.mark.parametrize("workers", COUNTS)
def test_processes_give_what_one_gives_in_the_same_order(workers):
    """Other processes have computed it."""
    work = partial(square_root_sum, 1000)

    found = [*engine.Processes(workers).map(work, NUMBERS)]

    assert [value for value, _ in found] == [v for v, _ in engine.LOCAL.map(work, NUMBERS)]
    assert os.getpid() not in {process for _, process in found}


def test_an_error_of_a_part_is_raised_where_the_work_was_asked_for():
    """As if it had been done here, so that its exit code is the same."""
    for each in (engine.LOCAL, engine.Processes(2)):
        with pytest.raises(DataError, match="1 is odd"):
            list(each.map(refuse, [1, 2]))


def test_a_part_whose_process_is_killed_is_computed_again(tmp_path):
    """The others too, as the pool does not say which of them were done."""
    found = engine.Processes(2).map(partial(kill_once, tmp_path / "died"), NUMBERS)

    assert list(found) == NUMBERS


class Broken:
    """A pool of which a process was killed just now."""

    def submit(self, *task):
        raise BrokenProcessPool


def test_a_part_is_handed_out_again_if_a_process_is_killed_meanwhile(monkeypatch):
    """After the question for the pool, and before the part reaches it."""
    made = loky.get_reusable_executor
    pools = [Broken(), None, None, *[Broken()] * engine.MAX_DEATHS]
    monkeypatch.setattr(
        loky,
        "get_reusable_executor",
        lambda *given, **named: (pools and pools.pop(0)) or made(*given, **named),
    )

    assert list(engine.Processes(2).map(abs, [1, 2])) == [1, 2]
    with pytest.raises(EngineError, match="enough memory"):
        list(engine.Processes(2).map(abs, [1, 2]))


def test_processes_that_are_killed_again_and_again_are_an_error():
    """Too little memory, most likely."""
    with pytest.raises(EngineError, match="enough memory"):
        list(engine.Processes(1).map(die, [1, 2]))


def test_a_single_part_is_computed_here():
    """A small drop waits for no worker, and needs no scheduler."""
    work = partial(square_root_sum, 10)

    for each in (engine.Processes(2), engine.Dask("tcp://127.0.0.1:9")):
        assert [process for _, process in each.map(work, [1])] == [os.getpid()]
        assert list(each.map(work, [])) == []


def test_no_more_parts_are_taken_than_the_workers_need():
    """What is too large for the memory may still be worked through in parts."""
    taken = []

    def parts():
        for number in range(100):
            taken.append(number)
            yield number

    next(engine.Processes(2).map(abs, parts()))

    assert len(taken) == 2 * engine.TASKS_PER_WORKER


def test_a_worker_of_another_version_is_refused():
    """Its numbers could differ, if only in the last bit."""
    with pytest.raises(EngineError, match="another version"):
        engine.compute("another", b"", b"")


def test_a_worker_with_another_estimator_is_refused(tmp_path):
    """Whether a package or a single file; what is the same on both is accepted."""
    content = {"client": "C = 1\n", "same": "C = 1\n", "other": "C = 2\n", "without": None}
    for place, text in content.items():
        (tmp_path / place / "own").mkdir(parents=True)
        if text:
            (tmp_path / place / "own" / "__init__.py").write_text(text)
            (tmp_path / place / "single.py").write_text(text)

    def answer(place, packages):
        expected = seen_by("client", f"print(engine.fingerprint({packages}))").stdout.strip()
        task = f"({expected!r}, {pickle.dumps(abs)}, {pickle.dumps(-3)}, {packages})"
        return seen_by(place, f"print(engine.compute(*{task}))")

    def seen_by(place, code):
        around = os.environ | {"PYTHONPATH": f"{tmp_path / place}:{ROOT}"}
        command = [sys.executable, "-c", f"from risk import engine; {code}"]
        return subprocess.run(command, env=around, capture_output=True, text=True, cwd="/")

    for packages in (("own",), ("single",)):
        assert answer("same", packages).stdout == "3\n"
        for place in ("other", "without"):
            refused = answer(place, packages)
            assert f"scikit-learn, {packages[0]}, so its results could differ" in refused.stderr


def test_a_file_that_is_elsewhere_in_a_package_makes_another_of_it(tmp_path):
    """Its content and its name are the same, and so is their order."""
    seen = set()
    for place in ("one", "two"):
        for folder in ("a", "b"):
            (tmp_path / place / "own" / folder).mkdir(parents=True)
    (tmp_path / "one" / "own" / "a" / "model.py").touch()
    (tmp_path / "two" / "own" / "b" / "model.py").touch()
    for place in ("one", "two"):
        around = os.environ | {"PYTHONPATH": f"{tmp_path / place}:{ROOT}"}
        code = "from risk import engine; print(engine.fingerprint(('own',)))"
        seen.add(subprocess.check_output([sys.executable, "-c", code], env=around, cwd="/"))

    assert len(seen) == 2


def test_a_scheduler_that_does_not_know_the_project_is_told_apart(tmp_path):
    """It reads what it hands on to workers."""
    with clusters.running(tmp_path, workers=1, is_known_to_scheduler=False) as cluster:
        with pytest.raises(EngineError, match="start it, as the workers, with PYTHONPATH"):
            list(engine.Dask(cluster.address).map(abs, [1, -2]))


@pytest.mark.parametrize(
    "address",
    ["tls://scheduler.example.org:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:8786", None],
)
def test_a_scheduler_is_reached_by_tls_or_on_this_machine(world, address):
    """Then nobody else can send it anything."""
    world.set(engine_address=address)

    assert world.config.engine_address == address


@pytest.mark.parametrize(
    ("engine_name", "address"),
    [
        ("local", "tcp://scheduler.example.org:8786"),
        ("dask", "tcp://10.0.0.5:8786"),
        ("dask", "scheduler.example.org:8786"),
        ("dask", "inproc://10.0.0.5/1"),
        ("dask", "tcp://127.0.0.1.example.org:8786"),
        ("dask", None),
        ("threads", None),
    ],
)
def test_any_other_address_is_an_invalid_setting(world, engine_name, address):
    """A worker runs what it is sent."""
    world.settings |= {"engine": engine_name, "engine_address": address}
    (world.folder / "config.json").write_text(factories.json.dumps(world.settings))

    with pytest.raises(ConfigError, match="engine"):
        Config.load(world.folder / "config.json")


@pytest.mark.torture
def test_a_scheduler_that_is_not_there_ends_a_run_with_69(world):
    """And nothing is half done: the drops are ingested, and wait for their model."""
    world.set(engine="dask", engine_address="tcp://127.0.0.1:9")

    result = world.command("full_process.py", fresh=True)

    assert result.returncode == 69
    assert "no Dask workers at tcp://127.0.0.1:9" in result.stderr
    assert not list(world.folder.glob("deployment/releases/*"))
    world.set(engine="local")
    assert world.run().exit_code == 0


@pytest.fixture
def rows(deployed):
    """Give the release of a world, and more rows than fit into one block."""
    release = monitored_release.load(deployed.config)
    rng, sample = np.random.default_rng(20261130), release.sample
    drawn = sample.iloc[rng.integers(len(sample), size=157)].reset_index(drop=True)
    drawn[ROW_HASH] = rng.integers(2**62, size=len(drawn))
    target = rng.integers(2, size=len(drawn))
    return release, drawn.assign(**{deployed.config.columns.target: target})


@pytest.mark.parametrize("workers", COUNTS)
def test_predictions_and_counts_are_the_same_on_any_number_of_workers(rows, workers, monkeypatch):
    """They are made of the same blocks of rows in the same order."""
    monkeypatch.setattr(model, "ROWS_AT_ONCE", 20)
    release, drawn = rows

    predictions, profile = release.look(drawn, engine.Processes(workers))

    expected, counted = release.look(drawn, engine.LOCAL)
    assert predictions.equals(expected)
    assert profile == counted
    assert profile.counts == release.reference.count(release.frame(drawn, expected)).counts


def numbers_of(world):
    """Give everything that a world has computed: releases, and what the ledger has of its runs."""
    folder = world.config.deployment_folder / "releases"
    names = (world.config.model_filename, model.REFERENCE)
    found = {path.relative_to(folder): path.read_bytes() for n in names for path in folder.rglob(n)}
    with world.open_ledger() as ledger:
        for name, columns in OF_A_RUN.items():
            table = getattr(tables, name)
            query = sa.select(*(table.c[column] for column in columns))
            found[name] = ledger.database.frame(query).to_csv(float_format="%r")
        found["replay"] = str(backtest.replay(world.config, ledger, world.config.alarms))
        found["drill"] = drill.run(world.config, ledger, drill.BRIEF)
    for version in (1, 2):  # its pickle differs by what was pickled before, not by a number
        release = monitored_release.load(world.config, version)
        proba = release.champion.predict_proba(release.sample)
        found[version] = release.calibration.replicates(release.sample, proba).tolist()
    return found


def run_at(world, moment):
    """Do a run at that time, as the time of day is among what is counted."""
    with world.open_ledger(clock=lambda: moment) as ledger:
        full_process.run(world.config, ledger)


def play(world, **settings):
    """Make the first release of enough rows for all estimates, then let the world change."""
    world.take_from_inbox()
    world.set(**settings)
    world.drop("first.csv", factories.customers("a", 900, seed=1))
    run_at(world, NOON)
    world.drop("second.csv", factories.customers("b", 400, seed=2, grown=40, sign=-1))
    run_at(world, NOON + timedelta(days=1))
    return numbers_of(world)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, new_world):
    """Give the numbers of a run in one process."""
    return play(new_world(tmp_path_factory.mktemp("local")))


def test_runs_in_processes_give_the_numbers_of_runs_in_one(world, expected):
    """Model, reference, predictions, evidence, scores, decision, backtest and drill."""
    found = play(world, engine="processes", engine_workers=2)

    assert found == expected
    assert found["decisions"].count("deploy") == 2


@pytest.mark.torture
def test_runs_on_a_cluster_give_the_numbers_of_runs_in_one(world, expected, cluster):
    """On three workers, one of which is killed in the middle."""
    world.set(engine="dask", engine_address=cluster.address)
    connected = engine.of(world.config)
    work = connected.map(partial(slow, 0.2), NUMBERS)
    next(work)
    cluster.workers[0].kill()
    assert [*work] == NUMBERS[1:]

    found = play(world, engine="dask", engine_address=cluster.address)

    assert found == expected


FATAL = """
import os
import signal
from pathlib import Path

from sklearn.linear_model import LogisticRegression


class Fatal(LogisticRegression):
    def fit(self, X, y):
        os.kill(int(Path(__file__).with_name("pid").read_text()), signal.SIGKILL)
        return super().fit(X, y)
"""


@pytest.mark.torture
def test_a_scheduler_that_goes_away_ends_a_run_with_69_and_nothing_half_done(world, tmp_path):
    """The first fold to be fitted kills it; the next run does what was not done."""
    (tmp_path / "fatal.py").write_text(FATAL)
    names = {"training__estimator": "fatal.Fatal", "training__estimator_packages": ["fatal"]}
    with clusters.running(tmp_path, modules=tmp_path) as doomed:
        (tmp_path / "pid").write_text(str(doomed.scheduler.pid))
        world.set(engine="dask", engine_address=doomed.address, **names)
        path = f"{clusters.ROOT}:{tmp_path}"

        result = world.command("full_process.py", fresh=True, PYTHONPATH=path)

    assert result.returncode == 69, result.stderr
    assert f"the Dask cluster at {doomed.address} was lost during the work" in result.stderr
    assert not list(world.folder.glob("models/*/trained_model.pkl"))
    assert not list(world.folder.glob("deployment/releases/*"))
    world.set(engine="local", training__estimator="LogisticRegression")
    assert "Release 1 is live" in world.run().line


def certificate(folder):
    """Write a certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    begins = datetime.now(UTC) - timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(begins).not_valid_after(begins + timedelta(days=3))
    signed = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "certificate.pem").write_bytes(signed)
    (folder / "key.pem").write_bytes(secret)


@pytest.mark.torture
def test_a_cluster_with_tls_answers_those_who_have_its_certificate(world, tmp_path, monkeypatch):
    """It is given by the variables of Dask itself; nobody else is let in."""
    certificate(tmp_path)
    signed, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    files = ("--tls-ca-file", signed, "--tls-cert", signed, "--tls-key", key)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    own = {f"{tls}CLIENT__CERT": signed, f"{tls}CLIENT__KEY": key, f"{tls}CA_FILE": signed}
    with clusters.running(tmp_path, *files, "--protocol", "tls", workers=1) as secured:
        world.set(engine="dask", engine_address=secured.address)

        allowed = world.command("full_process.py", fresh=True, **own)
        world.set(training__estimator="GaussianNB")
        stranger = world.command("training.py", fresh=True)

    assert secured.address.startswith("tls://")
    assert allowed.returncode == 0, allowed.stderr
    assert stranger.returncode == 69, stranger.stderr
