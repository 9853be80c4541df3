import json
import shutil
import threading

import pytest
import sqlalchemy as sa

import deployment
import ingestion
import training
from risk.errors import ModelError, UnknownName
from risk.ledger import tables
from risk.models import model, releases
from tests.factories import once


def train(world):
    with world.open_ledger() as ledger:
        ingestion.run(world.config, ledger)
        training.run(world.config, ledger)


@pytest.fixture
def trained(world, shared):
    """Give a world with a challenger and no champion."""
    return world.copy_of(once(shared, "trained", train))


def deploy_another(world, ledger):
    seed = world.settings["random_seed"] + 1
    training.run(world.set(random_seed=seed), ledger)
    return deployment.run(world.config, ledger, by_force=True)


def test_a_release_is_complete_and_its_links_change_together(trained, ledger):
    """The seeds' three files and the manifest, all through one pointer."""
    deployment.run(trained.config, ledger)

    root = trained.config.deployment_folder
    names = {"trained_model.pkl", "latest_score.csv", "ingested_files.csv", "manifest.json"}
    assert names <= {path.name for path in (root / "releases" / "1").iterdir()}
    for name in names:
        assert str((root / name).readlink()) == f"current/{name}"
    assert str((root / "current").readlink()) == "releases/1"


def test_no_link_is_left_to_a_file_that_only_another_release_has(trained, ledger):
    """Earlier versions of this project gave files other names; what a person linked stays."""
    deployment.run(trained.config, ledger)
    root = trained.config.deployment_folder
    (root / "releases" / "1" / "reference.json").write_text("{}")
    releases.switch(root, 1)
    (root / "notes.txt").symlink_to("nowhere.txt")

    deploy_another(trained, ledger)

    dangling = {path.name for path in root.iterdir() if not path.exists()}
    assert dangling == {"notes.txt"}
    releases.switch(root, 1)
    assert (root / "reference.json").read_text() == "{}"


def test_every_file_of_a_release_has_the_digest_of_its_manifest(trained, ledger):
    """Recomputed with hashlib."""
    import hashlib

    deployment.run(trained.config, ledger)

    folder = trained.config.deployment_folder / "releases" / "1"
    files = json.loads((folder / "manifest.json").read_text())["manifest"]["files"]
    assert set(files) == {path.name for path in folder.iterdir()} - {"manifest.json"}
    for name, digest in files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_the_same_model_is_not_deployed_twice(trained, ledger):
    """Nothing new deserves nothing."""
    deployment.run(trained.config, ledger)

    again = deployment.run(trained.config, ledger)

    assert again.version is None
    assert str(again).startswith("The live release stays: the challenger is the same model.")


def test_without_evidence_or_drift_the_champion_stays(trained, ledger):
    """Five rows cannot tell two models apart."""
    deployment.run(trained.config, ledger)
    training.run(trained.set(training__parameters={"C": 0.9}), ledger)

    decided = deployment.run(trained.config, ledger)

    assert decided.action == "keep"
    assert decided.reason.startswith("A person asked for the comparison. There is not enough")
    assert "on 5 rows (5 of the test data)" in decided.reason


def test_rollback_goes_one_back_and_further(trained, ledger):
    """By default the release before, or the one that is named."""
    deployment.run(trained.config, ledger)
    deploy_another(trained, ledger)
    deploy_another(trained, ledger)
    root = trained.config.deployment_folder

    assert str(deployment.run(trained.config, ledger, rollback=0)).startswith("Back to release 2")
    assert releases.live_version(root) == 2
    deployment.run(trained.config, ledger, rollback=1)
    assert releases.live_version(root) == 1
    with pytest.raises(UnknownName, match="no release before 1"):
        deployment.run(trained.config, ledger, rollback=0)
    with pytest.raises(UnknownName, match=r"there is no release 9; available: \[1, 2, 3\]"):
        deployment.run(trained.config, ledger, rollback=9)


def test_after_a_rollback_the_next_release_has_a_new_number(trained, ledger):
    """A number never means two models."""
    deployment.run(trained.config, ledger)
    deploy_another(trained, ledger)
    deployment.run(trained.config, ledger, rollback=1)

    assert deploy_another(trained, ledger).version == 3


def test_a_tampered_release_cannot_be_rolled_back_to(trained, ledger):
    """It is verified first; the champion stays."""
    deployment.run(trained.config, ledger)
    deploy_another(trained, ledger)
    root = trained.config.deployment_folder
    (root / "releases" / "1" / "trained_model.pkl").write_bytes(b"x")

    with pytest.raises(ModelError, match="not the file its manifest describes"):
        deployment.run(trained.config, ledger, rollback=1)

    assert releases.live_version(root) == 2


def test_mixed_files_of_two_releases_are_refused(trained, ledger):
    """Model of one, manifest of the other."""
    deployment.run(trained.config, ledger)
    deploy_another(trained, ledger)
    root = trained.config.deployment_folder
    one, two = root / "releases" / "1", root / "releases" / "2"
    shutil.copy(one / "trained_model.pkl", two / "trained_model.pkl")

    with pytest.raises(ModelError, match="not the file its manifest describes"):
        releases.load_champion(trained.config)


def test_the_list_shows_which_release_is_live(trained, ledger):
    """Two releases, the second live."""
    deployment.run(trained.config, ledger)
    deploy_another(trained, ledger)

    table = deployment.run(trained.config, ledger, show=True)

    assert [line.split()[0] for line in table.splitlines()[1:]] == ["1", "2"]
    assert table.splitlines()[2].endswith("live")
    assert not table.splitlines()[1].endswith("live")


def test_every_decision_is_in_the_ledger_with_its_reason(trained, ledger):
    """Deploy, keep, rollback."""
    deployment.run(trained.config, ledger)
    deployment.run(trained.config, ledger)
    deploy_another(trained, ledger)
    deployment.run(trained.config, ledger, rollback=1)

    with ledger.engine.connect() as connection:
        rows = list(connection.execute(sa.select(tables.decisions)))
    assert [row.action for row in rows] == ["deploy", "keep", "deploy", "rollback"]
    assert all(row.reason and row.completed_at for row in rows)


def test_without_test_data_nothing_is_deployed(trained, ledger):
    """There is nothing to judge by."""
    trained.config.test_data.unlink()

    result = trained.command("deployment.py")

    assert result.returncode == 65
    assert "data/test/test_data.csv: there is no such file" in result.stderr
    assert releases.live_version(trained.config.deployment_folder) is None


def test_a_reader_never_meets_two_releases_at_once(trained, ledger):
    """The mirror copied three files one by one; here 200 switches happen under a reader's eyes."""
    deployment.run(trained.config, ledger)
    deploy_another(trained, ledger)
    config, done = trained.config, threading.Event()

    def switch_to_and_fro():
        for turn in range(200):
            releases.switch(config.deployment_folder, 1 + turn % 2)
        done.set()

    writer = threading.Thread(target=switch_to_and_fro)
    writer.start()
    seen = set()
    while not done.is_set():
        champion = releases.load_champion(config)
        folder = config.deployment_folder / "releases" / str(champion.manifest.version)
        seen.add((champion.manifest.version, champion.sha256))
        assert model.digest((folder / "trained_model.pkl").read_bytes()) == champion.sha256
    writer.join()

    assert len(seen) <= 2
