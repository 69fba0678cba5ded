"""Every holdout row through the exported graph and through the Python model; they must say the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import TrainerError

# Of probabilities; of a regression times the scale of its answers.
ANSWER_DIFF_MAX = 1e-5
# Nearer to the threshold than this, float32 and float64 may honestly differ.
LABEL_MARGIN = 1e-6


@dataclass(frozen=True)
class Parity:
    rows: int
    max_abs_diff: float
    label_mismatches: int
    allowed: float


def compare(
    python_answers: np.ndarray, onnx_answers: np.ndarray, onnx_labels: np.ndarray, threshold: float, scale: float = 1.0
) -> Parity:
    diff = np.abs(python_answers - onnx_answers.astype(np.float64))
    # A NaN must fail: it compares false with any bound.
    max_abs_diff = float("inf") if np.isnan(diff).any() else float(diff.max())
    decided = np.abs(python_answers - threshold) > LABEL_MARGIN * scale
    wrong = decided & ((python_answers >= threshold) != (onnx_labels == 1))
    return Parity(len(diff), max_abs_diff, int(wrong.sum()), ANSWER_DIFF_MAX * scale)


def require_parity(parity: Parity) -> None:
    if parity.max_abs_diff <= parity.allowed and parity.label_mismatches == 0:
        return
    raise TrainerError(
        "PARITY_FAILED",
        f"the ONNX graph disagrees with the Python model on {parity.rows} holdout rows: largest difference "
        f"{parity.max_abs_diff:.3g} (allowed {parity.allowed:g}), {parity.label_mismatches} labels differ; nothing was exported",
    )
