import os
import stat

import pytest

from risk.config import Config
from risk.errors import ConfigError
from risk.models import signing


def test_the_signing_key_is_made_once_and_private(world):
    """64 hexadecimal digits nobody else can read."""
    key = signing.key(world.config)

    path = world.folder / ".secrets" / "signing_key"
    assert signing.key(world.config) == key
    assert len(key) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_signing_key_that_others_can_read_is_refused(world):
    """With the command that mends it."""
    signing.key(world.config)
    os.chmod(world.folder / ".secrets" / "signing_key", 0o644)

    with pytest.raises(ConfigError, match="chmod 600"):
        signing.key(world.config)


@pytest.mark.parametrize("content", [b"", b"\n", b"short"])
def test_a_signing_key_with_nothing_in_it_signs_nothing(world, content):
    signing.key(world.config)
    (world.folder / ".secrets" / "signing_key").write_bytes(content)

    with pytest.raises(ConfigError, match=r"has fewer than 32 bytes; restore it"):
        signing.key(world.config)


def test_a_signing_key_of_blanks_in_the_environment_signs_nothing(world):
    config = Config.load(world.folder / "config.json", environment={"RISK_SIGNING_KEY": " " * 40})

    with pytest.raises(ConfigError, match="RISK_SIGNING_KEY has fewer than 32 bytes that"):
        signing.key(config)


def test_a_lost_signing_key_is_not_replaced_by_a_new_one(deployed):
    """Not by a quiet run, nor by training; what the message says begins anew."""
    key = deployed.folder / ".secrets" / "signing_key"
    key.unlink()

    for script in ("full_process.py", "training.py"):
        result = deployed.command(script)
        assert result.returncode == 78
        assert "restore it from a backup" in result.stderr
        assert "move deployment and models/development away" in result.stderr
    assert not key.exists()

    for name in ("deployment", "models/development"):
        (deployed.folder / name).rename(deployed.folder / f"{name}.old")
    for words in (["training.py"], ["deployment.py", "--force"], ["full_process.py"]):
        result = deployed.command(*words)
        assert result.returncode == 0, result.stderr
