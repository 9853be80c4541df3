"""Large packages that are imported when something of them is used for the first time.

    from risk.lazily import pandas as pd

A run without new data uses none of them, although most modules may. Threads may use them at once:
each waits for the import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import current_thread, main_thread
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["pandas", "pyarrow", "pyarrow_compute", "pyarrow_csv", "pyarrow_parquet"]

SPARED = {  # parts of scipy, and the names of each that are called or asked, not inherited from
    "scipy.stats": {"chi2", "gaussian_kde", "gmean", "rankdata", "spearmanr"},
    "scipy.integrate": {"trapezoid"},
    "scipy.interpolate": {"BSpline"},
    "scipy.cluster": {"hierarchy"},
    "scipy.spatial": {"distance"},
}
USERS = {  # of these parts, and the modules that import them
    "sklearn": ["sklearn.compose", "sklearn.impute", "sklearn.isotonic"],
    "seaborn": ["seaborn"],
}


class _Later(ModuleType):
    """Stands for the module of its name, and has what was asked of it."""

    def __getattr__(self, name: str) -> Any:
        content = getattr(import_module(self.__name__), name)
        setattr(self, name, content)  # where it is found at once from now on
        return content


class _Spared(_Later):
    """Stands for a part of scipy while others import it, and for them from then on."""

    __path__: list[str] = []  # as of a package, or `from scipy.stats import` would refuse it

    def __getattr__(self, name: str) -> Any:
        if name in SPARED[self.__name__]:
            return _OnUse(self.__name__, name)
        _withdraw()
        return super().__getattr__(name)


class _OnUse:
    """A function or class of a module that is imported when it is called or asked."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._content(*arguments, **named)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._content, attribute)

    @property
    def _content(self) -> Any:
        return getattr(import_module(self._module), self._name)


def import_sparing(package: str) -> None:
    """Import scikit-learn or seaborn, but of scipy only what they need before it is used.

    They ask for a few names of parts which they hardly ever use, most of all of `scipy.stats`:
    together a quarter of a run with few new rows. Only in the main thread: beside the others of
    a server there may be one that imports such a part itself.
    """
    if package in sys.modules or current_thread() is not main_thread():
        return
    import_module("scipy")
    stand_ins = {name: _Spared(name) for name in SPARED if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        for name in USERS[package]:
            import_module(name)
    except ImportError:
        pass  # this version needs a module of a part: it is imported as usual by whoever uses it
    finally:
        _withdraw()


def _withdraw() -> None:
    """Leave the place of the stand-ins to the parts themselves."""
    for name in SPARED:
        if isinstance(sys.modules.get(name), _Spared):
            del sys.modules[name]
            vars(sys.modules["scipy"]).pop(name.removeprefix("scipy."), None)


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
