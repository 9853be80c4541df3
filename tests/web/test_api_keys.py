import hashlib
import json
import os
import threading

import pytest

from risk.errors import BusyError, ConfigError, UnknownName, UsageError
from web import api_keys
from web.api_keys import Keyring


def file_of(config):
    return config.root / config.api_keys_path


def test_a_key_is_shown_once_and_only_its_hash_is_kept(world):
    """Whoever reads the file cannot ask with it; nobody else reads it."""
    new = api_keys.create(world.config, "ci", "read")

    entry = json.loads(file_of(world.config).read_text())["ci"]
    assert str(new).startswith("risk_") and len(str(new)) == 48
    assert set(entry) == {"sha256", "scope", "created_at"}
    assert entry["sha256"] == hashlib.sha256(str(new).encode()).hexdigest()
    assert file_of(world.config).stat().st_mode & 0o777 == 0o600
    assert str(new) not in file_of(world.config).read_text()


def test_a_key_is_found_by_what_its_holder_presents(world):
    """Anything else is nobody's, the hash included."""
    new = api_keys.create(world.config, "ci", "write")
    keyring = Keyring(world.config)

    found = keyring.find(str(new))

    assert (found.name, found.scope) == ("ci", "write")
    digest = hashlib.sha256(str(new).encode()).hexdigest()
    for other in ("", "ci", str(new)[:-1], f"{new} ", digest, "ä" * 9):
        assert keyring.find(other) is None


def test_what_can_be_printed_of_a_key_gives_nothing_away(world):
    """Logs and tracebacks show what repr says."""
    new = api_keys.create(world.config, "ci", "read")
    kept = Keyring(world.config).find(str(new))

    assert kept.sha256 not in repr(kept)
    assert kept.sha256 not in str(api_keys.listing(world.config))
    assert str(api_keys.listing(world.config)).startswith("ci  read  20")


def test_a_change_of_the_file_is_seen_at_once(world):
    """Every worker has a ring of its own, and none may honour a revoked key."""
    keyring = Keyring(world.config)
    assert keyring.keys() == ()
    first, second = (api_keys.create(world.config, name, "read") for name in ("first", "second"))
    assert keyring.find(str(first)) and keyring.find(str(second))

    api_keys.revoke(world.config, "first")

    assert keyring.find(str(first)) is None
    assert keyring.find(str(second)).name == "second"


def test_the_file_is_read_only_when_it_has_changed(world):
    """A request costs one look at its date: without permission to read, an old ring still knows."""
    new = api_keys.create(world.config, "ci", "read")
    keyring = Keyring(world.config)
    assert keyring.find(str(new))
    before = file_of(world.config).stat()
    with open(file_of(world.config), "r+b") as file:
        file.write(b"!" * before.st_size)
    os.utime(file_of(world.config), ns=(before.st_atime_ns, before.st_mtime_ns))

    assert keyring.find(str(new))


@pytest.mark.parametrize("name", ["", " ", "a ", "x" * 65, "a\nb", "a\x1b[31m", "\udcff"])
def test_names_that_would_confuse_a_reader_are_refused(world, name):
    """They stand in lists, logs and the ledger."""
    with pytest.raises(UsageError, match="printable"):
        api_keys.create(world.config, name, "read")

    assert not file_of(world.config).exists()


def test_two_keys_never_share_a_name(world):
    """The ledger tells by name who asked for a change."""
    new = api_keys.create(world.config, "Zoë O'Neil, äöü 日本", "admin")

    with pytest.raises(UsageError, match="already"):
        api_keys.create(world.config, "Zoë O'Neil, äöü 日本", "read")

    assert Keyring(world.config).find(str(new)).scope == "admin"


def test_a_key_that_is_not_there_cannot_be_revoked(world):
    """A misspelt name must not look like a success."""
    with pytest.raises(UnknownName, match="keys list"):
        api_keys.revoke(world.config, "nobody")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_file_that_others_can_read_or_write_is_refused(world, mode):
    """As with the key of the models; the command that repairs it is named."""
    new = api_keys.create(world.config, "ci", "read")
    keyring = Keyring(world.config)
    assert keyring.find(str(new))

    file_of(world.config).chmod(mode)

    with pytest.raises(ConfigError, match="chmod 600"):
        keyring.find(str(new))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"a": {}}', '{"a": 1}', '{"a": {"name": "b"}}', '{"a": {"sha256": "x"}}'],
)
def test_a_damaged_file_opens_no_door(world, content):
    """It is an error that names the file, not an empty ring."""
    api_keys.create(world.config, "ci", "read")
    file_of(world.config).write_text(content)

    with pytest.raises(ConfigError, match="api_keys.json is damaged"):
        Keyring(world.config).find("x")


def test_two_commands_at_once_do_not_undo_each_other(world):
    """Each of 20 either made its key, or said that it did nothing."""
    made = []

    def create(number):
        try:
            made.append(api_keys.create(world.config, f"key {number}", "read").name)
        except BusyError:
            pass

    threads = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made
    assert {key.name for key in Keyring(world.config).keys()} == set(made)


def test_keys_can_be_changed_while_a_run_is_at_work(world):
    """Who takes a key away from somebody cannot wait for a training to end."""
    from risk.ledger import file_lock

    with file_lock.lock(world.config, holder="a run"):
        api_keys.create(world.config, "ci", "read")
        api_keys.revoke(world.config, "ci")

    assert Keyring(world.config).keys() == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "risk.example", ""])
def test_other_machines_may_only_ask_with_a_key(world, host):
    """Without any, listening there is refused."""
    with pytest.raises(ConfigError, match="python app.py keys create NAME"):
        api_keys.require_keys(world.config, host)

    api_keys.create(world.config, "ci", "read")
    api_keys.require_keys(world.config, host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none(world, host):
    """Trying it out takes no preparation."""
    api_keys.require_keys(world.config, host)


def test_each_scope_includes_the_smaller_ones():
    """Read < write < admin; no scope is no right."""
    order = (None, "read", "write", "admin")

    for index, scope in enumerate(order):
        assert [api_keys.covers(scope, needed) for needed in order[1:]] == [
            index >= needed for needed in (1, 2, 3)
        ]


@pytest.mark.parametrize("days", [0, -1, 36_501, 10**11])
def test_a_key_that_would_expire_at_once_or_after_a_century_is_refused(world, days):
    with pytest.raises(UsageError, match="expires after 1 to 36500 days"):
        api_keys.create(world.config, "odd", "read", days=days)
    assert not file_of(world.config).exists()


def test_a_key_expires_after_its_days(world):
    """It is not found any more, opens no server, is listed, and can be revoked."""
    new = api_keys.create(world.config, "short", "read", days=1)
    assert Keyring(world.config).find(str(new)).name == "short"
    path = file_of(world.config)
    entries = json.loads(path.read_text())
    entries["short"]["expires_at"] = "2020-01-01T00:00:00Z"
    path.write_text(json.dumps(entries))

    assert Keyring(world.config).find(str(new)) is None
    assert Keyring(world.config).named("short") is None
    with pytest.raises(ConfigError, match="requires a key"):
        api_keys.require_keys(world.config, "0.0.0.0")
    assert "2020-01-01" in str(api_keys.listing(world.config))
    api_keys.create(world.config, "other", "read")
    assert api_keys.revoke(world.config, "short")
