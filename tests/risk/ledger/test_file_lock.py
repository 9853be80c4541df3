import subprocess
import sys

import pytest

from risk.errors import BusyError, StorageError
from risk.ledger import file_lock


def test_the_lock_keeps_others_out_and_is_freed(world):
    """Holder named; afterwards the next one gets in."""
    with (
        file_lock.lock(world.config, holder="training since noon"),
        pytest.raises(BusyError, match="training since noon"),
        file_lock.lock(world.config, holder="other"),
    ):
        pass

    with file_lock.lock(world.config, holder="other"):
        pass


def test_a_dead_holder_does_not_keep_the_lock(world):
    """The kernel frees it, even after SIGKILL."""
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom risk import store\n"
        "from risk.config import Config\n"
        "with file_lock.lock(Config.load(Path(sys.argv[1])), holder='dead'):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, world.folder / "config.json"])

    with file_lock.lock(world.config, holder="next"):
        pass


@pytest.mark.parametrize("path", ["data", "/proc/run.lock", "config.json/run.lock"])
def test_a_lock_that_cannot_be_taken_is_a_storage_error(world, path):
    """A folder in its place, a file system that takes no files, a file in place of the folder."""
    config = world.set(lock_path=path)

    with pytest.raises(StorageError), file_lock.lock(config, holder="test"):
        pass


@pytest.mark.parametrize("notice", [b"\xff\xfe\x00", b"two\nlines\x1b[2J", None])
def test_a_holder_that_cannot_be_read_is_busy_all_the_same(world, notice):
    config = world.config
    path = (config.root / config.lock_path).with_suffix(".holder")
    with file_lock.lock(config, holder="test"):
        path.unlink()
        if notice is None:
            path.mkdir()
        else:
            path.write_bytes(notice)
        with pytest.raises(BusyError) as busy, file_lock.lock(config, holder="other"):
            pass

    assert "is held by" in str(busy.value)
    assert str(busy.value).isprintable()
