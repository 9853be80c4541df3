import pytest

from risk.models import dependencies


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"pandas": 3}', b"\xff", b"[" * 10**6]
)
def test_newest_versions_that_were_altered_count_as_unknown(world, content):
    """They are looked up anew on demand; nothing else depends on them."""
    world.config.model_folder.mkdir(parents=True)
    (world.config.model_folder / dependencies.LATEST_VERSIONS).write_bytes(content)

    table = dependencies.of_installation(world.config)

    assert {*table["latest"]} == {dependencies.UNKNOWN}
    assert {*table["state"]} == {"ok"}
