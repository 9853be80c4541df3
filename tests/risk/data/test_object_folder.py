import io

import pytest

from risk.data.object_folder import ObjectFolder
from risk.errors import SourceError


class Interrupted(io.BytesIO):
    """A file whose reader is interrupted after some of it."""

    def read(self, n_bytes=-1):
        if self.tell():
            raise KeyboardInterrupt
        return super().read(10)


def test_an_interrupted_upload_leaves_no_object(bucket):
    """Arrow would make one of what was written."""
    folder = ObjectFolder("s3://acme/churn")

    with pytest.raises(KeyboardInterrupt):
        folder.write(folder.path_of("part"), Interrupted(b"x" * 100))

    assert bucket.names() == []


@pytest.mark.parametrize("name", ["part", "part.json.gz", "part.bz2"])
def test_an_object_is_written_and_read(bucket, name):
    """Its bytes are those of the file, also if its name ends as that of a compressed one."""
    folder, found = ObjectFolder("s3://acme/churn"), io.BytesIO()

    folder.write(folder.path_of(name), io.BytesIO(b"content"))
    folder.read(folder.path_of(name), found)

    assert found.getvalue() == bucket.read(f"churn/{name}") == b"content"
    assert [entry.path for entry in folder.entries()] == [f"acme/churn/{name}"]


def test_what_the_store_says_is_told_with_its_address(bucket):
    folder = ObjectFolder("s3://nobody/churn")

    with pytest.raises(SourceError, match=r"object store s3://nobody/churn: .*bucket does not"):
        folder.write(folder.path_of("part"), io.BytesIO(b"content"))
