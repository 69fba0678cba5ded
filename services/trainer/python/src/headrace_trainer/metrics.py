"""Quality on the holdout. A metric that is undefined there is null, never a made-up number."""

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


def regression_metrics(labels: np.ndarray, answers: np.ndarray, naive: np.ndarray | None) -> dict[str, float | None]:
    """Errors in the unit of the label. A skill is 1 - error / error of the naive answers: the share that the model takes away."""
    mae, rmse = _errors(labels, answers)
    naive_mae, naive_rmse = (None, None) if naive is None else _errors(labels, naive)
    total = float(np.sum((labels - labels.mean()) ** 2))
    return {
        "mae": mae,
        "rmse": rmse,
        "r2": 1 - float(np.sum((labels - answers) ** 2)) / total if total else None,
        "mean_error": float(np.mean(answers - labels)),
        "naive_mae": naive_mae,
        "naive_rmse": naive_rmse,
        "mae_skill": None if not naive_mae else 1 - mae / naive_mae,
        "rmse_skill": None if not naive_rmse else 1 - rmse / naive_rmse,
    }


def _errors(labels: np.ndarray, answers: np.ndarray) -> tuple[float, float]:
    """(mean absolute error, root of the mean squared error)."""
    return float(np.abs(answers - labels).mean()), float(np.sqrt(np.mean((answers - labels) ** 2)))


def ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
