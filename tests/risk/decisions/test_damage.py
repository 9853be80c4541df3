import shutil

import pytest

from risk.errors import ModelError
from risk.models import model, releases, signing
from tests.factories import customers, once, two_releases


@pytest.fixture
def world(world, shared):
    """Give a world with two releases, the second live; the challenger is its copy."""
    return world.copy_of(once(shared, "two_releases", two_releases))


def live(world):
    return releases.release_path(world.config.deployment_folder, 2)


def lose_the_challenger(world):
    """Leave no copy of the live release."""
    for path in world.config.model_folder.iterdir():
        path.unlink()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def remove_by(path):
    path.unlink()


NAMES = [
    "trained_model.pkl",
    "reference.json.gz",
    "derived_columns.pkl",
    "reference_rows.parquet",
    "held_out_rows.txt",
    "manifest.json",
    "latest_score.csv",
    "ingested_files.csv",
]


@pytest.mark.parametrize("harm", [flip_a_bit, remove_by])
@pytest.mark.parametrize("name", NAMES)
def test_a_quiet_run_restores_any_file_of_the_live_release(world, tried, name, harm):
    """From the challenger, the recorded scores and the record of drops; and says so."""
    before = files(live(world))
    harm(live(world) / name)

    outcome = world.run()

    tried("file of the live release damaged or lost", "a quiet run restores it", 1)
    assert outcome.line.startswith("Release 2 was damaged and has been restored.")
    assert files(live(world)) == before
    with world.open_ledger() as ledger:
        incident = ledger.incidents.history().iloc[-1]
        decision = ledger.decisions.page().items[0]
    assert (incident["kind"], incident["resolution_code"]) == ("damaged_release", "restored")
    assert f"{name} is not" in incident["detail"] or harm is remove_by or name == "manifest.json"
    assert (decision["action"], decision["reason_code"]) == ("keep", "restored")
    assert world.run().line == "No new data."


def test_a_release_without_any_file_is_restored(world):
    before = files(live(world))
    shutil.rmtree(live(world))

    world.run()

    assert files(live(world)) == before


def test_a_lost_deployment_folder_is_restored_in_one_run(world):
    """From the challenger; the release is live again, not only there."""
    shutil.rmtree(world.config.deployment_folder)

    world.run()

    assert releases.live_version(world.config.deployment_folder) == 2
    assert (world.config.deployment_folder / "trained_model.pkl").is_file()
    assert world.run().line == "No new data."


def test_a_file_that_is_empty_is_restored_like_any_other(new_world, first_run, tmp_path_factory):
    """Nothing is held out for the first model."""
    world = new_world(tmp_path_factory.mktemp("first")).copy_of(first_run)
    held_out = releases.release_path(world.config.deployment_folder, 1) / model.HELD_OUT
    assert held_out.read_bytes() == b""
    held_out.unlink()

    outcome = world.run()

    assert outcome.line.startswith("Release 1 was damaged and has been restored.")
    assert held_out.read_bytes() == b""


def test_without_an_undamaged_copy_the_last_good_release_takes_over(world):
    """A flipped byte is no silent downgrade."""
    lose_the_challenger(world)
    flip_a_bit(live(world) / "trained_model.pkl")

    outcome = world.run()

    assert outcome.line.startswith("Release 1 is live: release 2 is damaged.")
    assert releases.live_version(world.config.deployment_folder) == 1
    with world.open_ledger() as ledger:
        decision = ledger.decisions.page().items[0]
        incident = ledger.incidents.history().iloc[-1]
    assert (decision["action"], decision["reason_code"]) == ("rollback", "damaged")
    assert "trained_model.pkl is not the file" in decision["reason"]
    assert (incident["kind"], incident["resolution_code"]) == ("damaged_release", "rolled_back")
    assert world.run().line == "No new data."


def test_without_a_good_release_the_advice_of_the_message_works(world):
    lose_the_challenger(world)
    for version in (1, 2):
        folder = releases.release_path(world.config.deployment_folder, version)
        flip_a_bit(folder / "trained_model.pkl")

    with pytest.raises(ModelError, match=r"training\.py, then python deployment\.py --force"):
        world.run()

    assert world.command("training.py").returncode == 0
    assert world.command("deployment.py", "--force").returncode == 0
    assert world.run().line == "No new data."


def test_an_older_signed_release_in_place_of_the_live_one_is_noticed(world):
    """All its files are signed; only its number and the ledger know."""
    before = files(live(world))
    older = releases.release_path(world.config.deployment_folder, 1)
    shutil.rmtree(live(world))
    shutil.copytree(older, live(world))
    with pytest.raises(ModelError, match="contains the files of release 1"):
        releases.load_champion(world.config)

    world.run()

    assert files(live(world)) == before


def test_a_signed_release_of_the_same_number_that_was_not_recorded_is_noticed(world):
    """Such as one signed before a reset of the ledger."""
    key = signing.key(world.config)
    manifest = model.load_manifest(live(world), key)
    changed = manifest.model_copy(update={"threshold": 0.99})
    (live(world) / "manifest.json").write_text(model.sign(changed, key))

    assert "restored" in world.run().line
    assert model.load_manifest(live(world), key).threshold == manifest.threshold


def pretend_another_version(world, *versions):
    """Make releases look as if they had been trained with another scikit-learn."""
    key = signing.key(world.config)
    for version in versions:
        folder = releases.release_path(world.config.deployment_folder, version)
        manifest = model.load_manifest(folder, key)
        packages = manifest.packages | {"scikit-learn": "1.2.0"}
        old = manifest.model_copy(update={"packages": packages})
        (folder / "manifest.json").write_text(model.sign(old, key))


@pytest.mark.parametrize("harm", ["another version", "unreadable"])
def test_a_release_to_fall_back_to_that_cannot_be_used_stops_no_run(world, harm):
    """The live one is fine; new data are assessed and decided on."""
    if harm == "another version":
        pretend_another_version(world, 1)
    else:
        flip_a_bit(releases.release_path(world.config.deployment_folder, 1) / "trained_model.pkl")
    world.drop("more.csv", customers("more", 300, seed=1))

    outcome = world.run()

    assert outcome.exit_code == 0
    with world.open_ledger() as ledger:
        assert not ledger.ingestions.pending()


def test_after_an_upgrade_of_scikit_learn_the_advice_of_the_message_works(world):
    pretend_another_version(world, 1, 2)
    world.drop("more.csv", customers("more", 300, seed=1))
    refused = world.command("full_process.py")
    assert refused.returncode == 76
    assert "made with scikit-learn 1.2.0" in refused.stderr
    assert "python training.py, then python deployment.py --force" in refused.stderr

    assert world.command("training.py").returncode == 0
    assert world.command("deployment.py", "--force").returncode == 0

    assert world.command("full_process.py").returncode == 0
    with world.open_ledger() as ledger:
        assert not ledger.ingestions.pending()


@pytest.mark.parametrize("links", ["folders", "texts"])
def test_a_copy_in_which_links_became_something_else_is_healed(world, tmp_path, links):
    """By `cp -rL`, `scp -r` or an archive."""
    copy = tmp_path / "copy"
    shutil.copytree(world.folder, copy, symlinks=False)
    if links == "texts":
        for path in world.config.deployment_folder.iterdir():
            if path.is_symlink():
                there = copy / path.relative_to(world.folder)
                shutil.rmtree(there) if there.is_dir() else there.unlink()
                there.write_text(str(path.readlink()))
    moved = type(world)(tmp_path / "new")
    shutil.rmtree(moved.folder)
    copy.rename(moved.folder)
    with pytest.raises(ModelError, match=r"is not a link.*run: python full_process\.py"):
        releases.load_champion(moved.config)

    result = moved.command("full_process.py")

    assert result.returncode == 0, result.stderr
    assert releases.load_champion(moved.config).manifest.version == 2
    assert (moved.config.deployment_folder / "trained_model.pkl").is_symlink()


def test_a_rehearsal_and_a_list_work_with_a_damaged_release(world):
    """Questions change nothing."""
    flip_a_bit(live(world) / "reference.json.gz")

    assert world.command("deployment.py", "--list").returncode == 0
    assert world.command("full_process.py", "--dry-run").returncode == 0
