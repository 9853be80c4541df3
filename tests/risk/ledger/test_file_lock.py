import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from risk.errors import BusyError, StorageError
from risk.ledger import file_lock

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "tests" / "torture" / "no_locks.c"


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
        "import os, sys\nfrom pathlib import Path\n"
        "from risk.config import Config\nfrom risk.ledger import file_lock\n"
        "with file_lock.lock(Config.load(Path(sys.argv[1])), holder='dead'):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, world.folder / "config.json"], cwd=ROOT)
    assert ended.returncode == -9

    with file_lock.lock(world.config, holder="next"):
        pass


@pytest.mark.parametrize("path", ["data", "/proc/run.lock", "config.json/run.lock"])
def test_a_lock_that_cannot_be_taken_is_a_storage_error(world, path):
    """A folder in its place, a file system that takes no files, a file in place of the folder."""
    config = world.set(lock_path=path)

    with pytest.raises(StorageError), file_lock.lock(config, holder="test"):
        pass


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler: apt install gcc libc6-dev")
@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_a_storage_error(world, tmp_path, error):
    """Not busy for ever: nobody holds the lock."""
    library = tmp_path / "no_locks.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", f"-DERROR={error}", "-o", library, SOURCE], check=True
    )

    ended = subprocess.run(
        [sys.executable, "ingestion.py", "--config", world.folder / "config.json"],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert ended.returncode == StorageError.exit_code
    assert ended.stderr.count("\n") == 1
    assert "cannot be locked: " in ended.stderr and "lock_path may be on another" in ended.stderr


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
