"""Labels of the two classes, as settings write them and as cells are compared with them."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator


def _plain_label(label: Any) -> Any:
    """Return a label; ValueError if no cell can ever equal it."""
    if isinstance(label, bool):
        raise ValueError(f'must be a number or a text, such as 1 or "{str(label).lower()}"')
    if isinstance(label, float) and not math.isfinite(label):
        raise ValueError("must be a finite number or a text")
    if isinstance(label, str) and (not label or label != label.strip()):
        raise ValueError("must not be empty, or begin or end with a blank: cells are stripped")
    return label


Label = Annotated[int | float | str, BeforeValidator(_plain_label)]


def as_cell(label: Any) -> float | str:
    """Return a label as a cell is compared with it: 1, "1" and "1.0" are the same."""
    try:
        return float(label)
    except ValueError:
        return str(label)
