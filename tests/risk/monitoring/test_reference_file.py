import gzip

import pytest

from risk.errors import ModelError
from risk.models import model, releases, signing
from risk.monitoring import monitored_release, reference_file


@pytest.fixture
def release(deployed):
    """Give the folder and the manifest of a live release."""
    folder = releases.live_folder(deployed.config.deployment_folder)
    return folder, model.load_manifest(folder, signing.key(deployed.config))


def test_a_reference_is_read_as_it_was_written(deployed, release):
    """The same bytes for the same reference, so that equal releases are equal files."""
    reference = monitored_release.load(deployed.config).reference

    content = reference_file.to_bytes(reference)

    assert reference_file.read(*release) == reference
    assert (release[0] / model.REFERENCE).read_bytes() == content
    assert gzip.decompress(content).decode() == reference.to_json()


def test_the_reference_of_an_earlier_release_is_read(release):
    """It was not compressed."""
    folder, manifest = release
    plain = gzip.decompress((folder / model.REFERENCE).read_bytes())
    (folder / model.PLAIN_REFERENCE).write_bytes(plain)
    files = {model.PLAIN_REFERENCE: model.digest(plain)}

    found = reference_file.read(folder, manifest.model_copy(update={"files": files}))

    assert found == reference_file.read(folder, manifest)


def test_a_damaged_or_absent_reference_is_not_guessed_at(release):
    folder, manifest = release
    with pytest.raises(ModelError, match="has no reference"):
        reference_file.read(folder, manifest.model_copy(update={"files": {}}))
    (folder / model.REFERENCE).write_bytes(b"other")
    with pytest.raises(ModelError, match="is not the file its manifest describes"):
        reference_file.read(folder, manifest)
