"""What is tried in full by `make torture` only, and in `make test` as a sample."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

EVERY = int(os.environ.get("CRASH_EVERY", "1"))  # of many alike, each so many-th is tried


def sampled(values: Iterable[Any], every: int) -> list[Any]:
    """Return the parameters of a test of which `make test` tries each `every`th."""
    return [in_full(value) if number % every else value for number, value in enumerate(values)]


def thinned(values: Iterable[Any]) -> list[Any]:
    """Return all values or, where not every crash is tried either, each third of them."""
    return [*values][:: 3 if EVERY > 1 else 1]


def in_full(*values: Any) -> Any:
    """Return one set of parameters that only `make torture` tries; `make test` tries others."""
    return pytest.param(*values, marks=[pytest.mark.torture, pytest.mark.finer])
