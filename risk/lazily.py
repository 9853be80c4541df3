"""Large packages that are imported when something of them is used for the first time.

    from risk.lazily import pandas as pd

A run without new data uses none of them, although most modules may. Threads may use them at once:
each waits for the import.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pkgutil import resolve_name
from threading import current_thread, main_thread
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["pandas", "pyarrow", "pyarrow_compute", "pyarrow_csv", "pyarrow_parquet"]

SPARED = {  # parts, and the names of each that are called or asked, not inherited from
    "scipy.stats": {"chi2", "gaussian_kde", "gmean", "rankdata", "spearmanr"},
    "scipy.integrate": {"trapezoid"},
    "scipy.interpolate": {"BSpline"},
    "scipy.cluster": {"hierarchy"},
    "scipy.spatial": {"distance"},
    "scipy.linalg.interpolative": {"interp_decomp"},
    "numpy.f2py": set[str](),
    "fontTools.subset": set[str](),
}
PDF = "matplotlib.backends.backend_pdf"
USERS = {  # the modules that import these parts, and the packages whose parts they are
    "sklearn": (
        ["sklearn.compose", "sklearn.ensemble", "sklearn.impute", "sklearn.isotonic"],
        ["scipy", "numpy"],
    ),
    "seaborn": (["scipy.special", "seaborn"], ["scipy", "numpy", "matplotlib"]),
    PDF: ([PDF], ["fontTools"]),
}
DOCUMENTING: dict[str, tuple[str, str, Any]] = {  # where docstrings are composed, and the stand-in
    "scipy": ("scipy._lib._array_api", "xp_capabilities", lambda **_: lambda function: function),
    "matplotlib": (
        "matplotlib.artist:Artist",
        "_update_set_signature_and_docstring",
        classmethod(lambda _: None),
    ),
}
KNOWN = {
    "scikit-learn": {"1.9.1"},
    "seaborn": {"0.13.2"},
    "scipy": {"1.17.1", "1.18.1"},
    "matplotlib": {"3.11.2"},
}


class _Later(ModuleType):
    """Stands for the module of its name, and has what was asked of it."""

    def __getattr__(self, name: str) -> Any:
        content = getattr(import_module(self.__name__), name)
        setattr(self, name, content)  # where it is found at once from now on
        return content


class _Spared(_Later):
    """Stands for a part while others import it, and for them from then on."""

    __path__: list[str] = []  # as of a package, or `from scipy.stats import` would refuse it

    def __getattr__(self, name: str) -> Any:
        if name in SPARED[self.__name__]:
            return _OnUse(self.__name__, name)
        _withdraw()
        return super().__getattr__(name)


class _OnUse:
    """A function or class of a part, which is imported when it is called or asked."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._content(*arguments, **named)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # `copy` and `pickle` ask for some before there is a name
            raise AttributeError(attribute)
        return getattr(self._content, attribute)

    @property
    def _content(self) -> Any:
        _withdraw()
        return getattr(import_module(self._module), self._name)


def import_sparing(user: str) -> None:
    """Import scikit-learn, seaborn or the PDF of matplotlib, but of others only what they need.

    They ask for a few names of parts which they hardly ever use, most of all of `scipy.stats`:
    together a third of a run with few new rows. Only in the main thread, as beside the others of
    a server there may be one that imports such a part itself; and only of versions that are known
    to ask for no other names, modules within a part, or base classes.
    """
    if user in sys.modules or current_thread() is not main_thread() or not _are_known():
        return
    modules, packages = USERS[user]
    spared = [name for name in SPARED if name.partition(".")[0] in packages]
    for package in packages:
        import_module(package)
    stand_ins = {name: _Spared(name) for name in spared if name not in sys.modules}
    sys.modules.update(stand_ins)
    if "numpy.f2py" in stand_ins:  # scipy takes all that numpy has, and numpy imports it for that
        vars(import_module("numpy"))["f2py"] = stand_ins["numpy.f2py"]
    try:
        with _undocumented(packages):
            for name in modules:
                import_module(name)
    finally:
        _withdraw()


@contextmanager
def _undocumented(packages: Sequence[str]) -> Iterator[None]:
    """Keep docstrings as they are written: without tables of array libraries, and of properties."""
    composing = []
    for place, function, stand_in in (DOCUMENTING[p] for p in packages if p in DOCUMENTING):
        owner = resolve_name(place)
        composing.append((owner, function, vars(owner)[function]))
        setattr(owner, function, stand_in)
    try:
        yield
    finally:
        for original in composing:
            setattr(*original)


def _are_known() -> bool:
    return all(version(package) in versions for package, versions in KNOWN.items())


def _withdraw() -> None:
    """Leave the place of the stand-ins to the parts themselves."""
    for name in SPARED:
        package, _, part = name.rpartition(".")
        content = vars(sys.modules[package]) if package in sys.modules else {}
        for places, place in ((sys.modules, name), (content, part)):
            if isinstance(places.get(place), _Spared):
                places.pop(place, None)


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
