"""One release an answer, loaded once, however many ask and whatever is deployed meanwhile."""

import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import deployment
import training
from app import create_app
from benchmarks import serving
from risk.config import Config
from risk.data import drops
from risk.errors import LedgerError, ModelError
from risk.ledger.ledger import Ledger
from risk.models import releases
from tests.torture import in_full
from web.service import Service


@pytest.fixture(scope="module")
def original(new_world, tmp_path_factory, first_run):
    """Give a world with three releases, the last one live."""
    world = new_world(tmp_path_factory.mktemp("original")).copy_of(first_run)
    with world.open_ledger() as ledger:
        for strength in (0.1, 0.01):
            training.run(world.set(training__parameters={"C": strength}), ledger)
            deployment.run(world.config, ledger, by_force=True)
    return world


@pytest.fixture
def config(original, tmp_path):
    """Give the settings of a copy of that world."""
    shutil.copytree(original.folder, tmp_path / "copy", symlinks=True)
    return Config.load(tmp_path / "copy" / "config.json")


@pytest.fixture
def slow(config):
    """Make the second release one that is read only as fast as somebody writes it to a pipe."""
    path = config.deployment_folder / "releases" / "2" / "trained_model.pkl"
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    return path, content


def test_a_release_is_loaded_once_for_all_who_ask_at_once(config):
    """Eight threads of a worker that has just begun."""
    service = Service(config)

    with ThreadPoolExecutor(8) as pool:
        lives = list(pool.map(lambda _: service.live(), range(8)))

    assert {id(live) for live in lives} == {id(service.live())}


def test_predictions_in_threads_leave_the_warnings_alone(config):
    """Scikit-learn exchanges the filters while it predicts; those of pytest make errors of them."""
    champion, rows = Service(config).champion(), drops.read_whole(config, config.test_data)
    before = list(warnings.filters)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(champion.predict_proba, [rows] * 400))

    assert list(warnings.filters) == before


def test_while_a_release_is_loaded_the_one_before_answers(config, slow):
    """Nobody waits but the one who loads."""
    path, content = slow
    service = Service(config)
    releases.switch(config.deployment_folder, 1)
    assert service.live().version == 1
    releases.switch(config.deployment_folder, 2)

    with ThreadPoolExecutor() as pool:
        loading = pool.submit(service.live)
        with path.open("wb") as pipe:
            meanwhile = service.live().version
            pipe.write(content)

    assert (meanwhile, loading.result().version, service.live().version) == (1, 2, 2)


@pytest.mark.parametrize("removed", [False, True])
def test_a_release_that_goes_while_it_is_loaded_is_resolved_again(config, slow, removed):
    """The pointer was switched, perhaps the folder is gone: the answer is of the new one."""
    path, _ = slow
    service = Service(config)
    releases.switch(config.deployment_folder, 2)

    with ThreadPoolExecutor() as pool:
        loading = pool.submit(service.live)
        with path.open("wb") as pipe:
            releases.switch(config.deployment_folder, 3)
            if removed:
                shutil.rmtree(path.parent)
            pipe.write(b"half")

    assert loading.result().version == 3


@pytest.mark.parametrize("name", ["trained_model.pkl", "reference.json.gz", "manifest.json"])
def test_a_damaged_release_is_not_served_until_it_is_mended(config, name):
    """And the fault is not remembered."""
    path = config.deployment_folder / "current" / name
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    client = create_app(config).test_client()

    damaged = [client.get("/prediction"), client.post("/prediction", json=[])]
    path.write_bytes(content)

    assert [answer.status_code for answer in damaged] == [503, 503]
    assert client.get("/prediction").status_code == 200


def test_a_pointer_to_nowhere_is_no_bug(config):
    """Somebody removed the folder by hand."""
    shutil.rmtree(config.deployment_folder / "releases" / "3")

    with pytest.raises(ModelError, match="no model in"):
        Service(config).live()


def test_a_release_made_anew_under_the_same_number_is_noticed(config):
    """An installation that begins again counts from 1 again, while the server goes on."""
    service = Service(config)
    before = service.live()
    assert service.live() is before

    os.utime(config.deployment_folder / "releases" / "3", ns=(1, 1))

    assert service.live() is not before


def test_a_release_of_other_columns_is_not_served(config):
    """The settings were changed and nothing was trained since."""
    columns = config.columns.model_copy(update={"numeric": ("lastyear_activity",)})

    with pytest.raises(ModelError, match="was trained on"):
        Service(config.model_copy(update={"columns": columns})).live()


def test_a_ledger_that_was_out_of_reach_is_asked_again(world):
    """The server may have begun before it."""
    service = Service(world.config)
    with pytest.raises(LedgerError):
        service.ledger()

    with Ledger.open(world.config):
        pass

    assert service.ledger() is service.ledger()
    service.ledger().engine.dispose()


def test_those_who_open_the_ledger_at_once_share_it(config):
    """Nobody waits for another, and one of their engines is kept."""
    service = Service(config)

    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: service.ledger(), range(8)))

    assert {id(ledger) for ledger in opened} == {id(service.ledger())}
    service.close()


@pytest.mark.parametrize(("deployments", "seconds", "seen"), [(5, 1, 2), in_full(10, 8, 3)])
def test_no_answer_is_refused_or_mixed_while_releases_are_deployed(
    tmp_path, deployments, seconds, seen
):
    """Two real workers, four clients; each answer is of the release it names."""
    config = serving.install(tmp_path)

    with serving.gunicorn(config):
        answers = serving.under_deployments(config, deployments, seconds=seconds)

    assert serving.judge(config, answers).keys() == {"200"}
    assert len({answer.version for answer in answers}) > seen
