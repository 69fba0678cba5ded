"""Quality of a binary classifier on the holdout. A metric that is undefined there is null, never a made-up number."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

# scikit-learn and most others clip here, so that one certain mistake does not make the mean infinite.
PROBABILITY_MIN = 1e-15


def binary_metrics(labels: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    hits = float(((predicted == 1) & (labels == 1)).sum())
    selected, positives = float((predicted == 1).sum()), float((labels == 1).sum())
    precision, recall = ratio(hits, selected), ratio(hits, positives)
    clipped = np.clip(probabilities, PROBABILITY_MIN, 1 - PROBABILITY_MIN)
    both = labels.min() != labels.max()
    return {
        "accuracy": float((predicted == labels).mean()),
        "auc": float(roc_auc_score(labels, probabilities)) if both else None,
        "log_loss": float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped)))),
        "brier": float(np.mean((probabilities - labels) ** 2)),
        "f1": ratio(2 * hits, selected + positives),
        "precision": precision,
        "recall": recall,
        "selection_rate": selected / len(labels),
    }


def ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
