"""Large packages that are imported when something of them is used for the first time.

    from risk.lazily import pandas as pd

A run without new data uses none of them, although most modules may. Threads may use them at once:
each waits for the import.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["pandas", "pyarrow", "pyarrow_compute", "pyarrow_csv", "pyarrow_parquet"]


class _Later(ModuleType):
    """Stands for the module of its name, and has what was asked of it."""

    def __getattr__(self, name: str) -> Any:
        content = getattr(import_module(self.__name__), name)
        setattr(self, name, content)  # where it is found at once from now on
        return content


if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyarrow import compute as pyarrow_compute
    from pyarrow import csv as pyarrow_csv
    from pyarrow import parquet as pyarrow_parquet
else:
    pandas, pyarrow = _Later("pandas"), _Later("pyarrow")
    pyarrow_compute, pyarrow_csv = _Later("pyarrow.compute"), _Later("pyarrow.csv")
    pyarrow_parquet = _Later("pyarrow.parquet")
