"""Group metrics of one protected attribute; names and numbers as in Fairlearn, with a minimum group size.

A difference is max - min over the groups; a rate counts only when at least GROUP_MIN rows stand under it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .metrics import ratio

GROUP_MIN = 30


def group_report(attribute: str, groups: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    rows = [_group(value, labels[groups == value], predicted[groups == value]) for value in sorted(set(groups), key=_order)]
    selection = [r["selection_rate"] for r in rows if r["n"] >= GROUP_MIN]
    tpr = _spread([r["tpr"] for r in rows if r["positives"] >= GROUP_MIN])
    fpr = _spread([r["fpr"] for r in rows if r["n"] - r["positives"] >= GROUP_MIN])
    return {
        "attribute": attribute,
        "groups": rows,
        "equal_opportunity_difference": tpr,
        "demographic_parity_difference": _spread(selection),
        "equalized_odds_difference": None if tpr is None or fpr is None else max(tpr, fpr),
        # The lowest selection rate over the highest; the "four-fifths rule" asks for 0.8.
        "disparate_impact": ratio(min(selection), max(selection)) if len(selection) > 1 else None,
    }


def _group(value: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    positives = int((labels == 1).sum())
    return {
        "value": value,
        "n": len(labels),
        "positives": positives,
        "accuracy": float((labels == predicted).mean()),
        "selection_rate": float((predicted == 1).mean()),
        "tpr": ratio(float(((predicted == 1) & (labels == 1)).sum()), positives),
        "fpr": ratio(float(((predicted == 1) & (labels == 0)).sum()), len(labels) - positives),
    }


def _spread(rates: list[float]) -> float | None:
    return max(rates) - min(rates) if len(rates) > 1 else None


def _order(value: str) -> tuple[int, float, str]:
    """Numbers by size, then the other names."""
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)
