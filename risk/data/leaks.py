"""Columns of a CSV file nobody has described yet that are known only once the target is."""

from __future__ import annotations

from typing import Any

from risk.data.target import Findings
from risk.lazily import pandas as pd

LEAKING_AUC = 0.99


def set_aside(found: Findings, roles: dict[str, str], label: str, positive: str) -> None:
    """Take what alone predicts the target out of the features, and say so."""
    for name in _leaks(found, roles, found.text[label] == positive):
        found.doubts.append(
            f"{name} alone predicts {label} almost perfectly (AUC above {LEAKING_AUC}): it is "
            "probably known only afterwards, so the model does not use it. If it is known in "
            "time, move it from `other` to the features."
        )
        roles[name] = "other"


def _leaks(found: Findings, roles: dict[str, str], positive: pd.Series[bool]) -> list[str]:
    """Return the features that predict the target alone."""
    leaking = []
    for name, role in roles.items():
        if role == "numeric":
            score = found.numbers(name).reindex(positive.index)
            score = score.fillna(score.median())
        elif role == "categorical":
            score = positive.groupby(found.text[name]).transform("mean")
        else:
            continue
        if max(auc := _auc(score, positive), 1 - auc) > LEAKING_AUC:
            leaking.append(name)
    return leaking


def _auc(score: pd.Series[Any], positive: pd.Series[bool]) -> float:
    ranks, n = score.rank().to_numpy(), int(positive.sum())
    others = len(positive) - n
    return float((ranks[positive].sum() - n * (n + 1) / 2) / max(n * others, 1))
