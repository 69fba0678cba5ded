"""Reweighing: Kamiran & Calders, "Data preprocessing techniques for classification without discrimination", 2012.

w(a, y) = P(a) P(y) / P(a, y). Under these weights group and label are independent, and group sizes are unchanged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .contract import Fit, Mitigated


def reweighing(fit: Fit, labels: np.ndarray, groups: np.ndarray) -> Mitigated:
    weights, cells = reweighing_weights(labels, groups)
    return Mitigated(model=fit(weights), record={"weights": cells})


def reweighing_weights(labels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The weight of each row, and the (value, label) cells it came from. A cell without rows has no weight."""
    rows = len(labels)
    weights = np.ones(rows, dtype=np.float64)
    cells = []
    for value in sorted(set(groups)):
        in_group = groups == value
        for label in (0, 1):
            cell = in_group & (labels == label)
            count = int(cell.sum())
            if count == 0:
                continue
            weight = float(in_group.sum()) * float((labels == label).sum()) / (rows * count)
            weights[cell] = weight
            cells.append({"value": value, "label": label, "rows": count, "weight": weight})
    return weights, cells
