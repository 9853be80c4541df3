"""One folder in an object store: list, read, write and delete its objects."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from risk.errors import SourceError
from risk.ledger.engines import on_one_line

BYTES_AT_ONCE = 8_000_000
REQUEST_ID = re.compile(r" \(Request ID: \w*\)")  # new each time, where the fault is the same
AS_IT_IS: dict[str, Any] = {"compression": None}  # Arrow would compress what is named .gz
ONE_REQUEST = "allow_delayed_open=true"  # for a small object, instead of three


@dataclass(frozen=True)
class ObjectFolder:
    """A folder in an object store, by its address; nothing is requested before it is used."""

    url: str

    def entries(self, *, recursive: bool = False) -> list[Any]:
        """Return what lies in the folder now; FileNotFoundError if that is nothing."""
        from pyarrow import fs  # most installations have no object store

        with self._faults():
            selector = fs.FileSelector(self._path, recursive=recursive)
            found: list[Any] = self._filesystem.get_file_info(selector)
        return found

    def entry(self, path: str) -> Any:
        """Return what is known of an object, by its path in the store."""
        with self._faults():
            return self._filesystem.get_file_info(path)

    def path_of(self, name: str) -> str:
        """Return the path in the store of a name within the folder."""
        return f"{self._path}/{name}"

    def read(self, path: str, target: IO[bytes]) -> bool:
        """Copy the content of an object, and return whether there is one."""
        try:
            with self._faults(), self._filesystem.open_input_stream(path, **AS_IT_IS) as remote:
                shutil.copyfileobj(remote, target, BYTES_AT_ONCE)
        except FileNotFoundError:
            return False
        return True

    def write(self, path: str, source: IO[bytes]) -> None:
        """Write an object; it appears when it is complete."""
        with self._faults():
            remote, is_complete = self._filesystem.open_output_stream(path, **AS_IT_IS), False
            try:
                shutil.copyfileobj(source, remote, BYTES_AT_ONCE)
                is_complete = True
            finally:
                remote.close()  # which makes an object of what was written, all or not
                if not is_complete:
                    self._filesystem.delete_file(path)

    def delete(self, path: str) -> None:
        """Delete an object."""
        with self._faults():
            self._filesystem.delete_file(path)

    @property
    def _filesystem(self) -> Any:
        return self._opened[0]

    @property
    def _path(self) -> str:
        return str(self._opened[1]).rstrip("/")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from pyarrow import fs

        joint = "&" if "?" in self.url else "?"
        filesystem, path = fs.FileSystem.from_uri(f"{self.url}{joint}{ONE_REQUEST}")
        return filesystem, path

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Convert faults of the store to SourceError, except that an object is gone."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            message = REQUEST_ID.sub("", on_one_line(error))
            raise SourceError(f"object store {self.url}: {message}") from error
