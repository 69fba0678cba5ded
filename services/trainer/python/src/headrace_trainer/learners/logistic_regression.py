"""Logistic regression by scikit-learn over standardised numbers and one-hot categories."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ..errors import TrainerError
from ..graph import Graph
from .contract import Column, Parameter

# One-hot columns of one feature at most; rarer categories share the all-zero row of the unseen ones.
ONE_HOT_MAX = 256


class LogisticRegressionLearner:
    tasks = ("binary_classification",)
    parameters = {
        "C": Parameter(1.0, 1e-9, 1e9),
        "max_iter": Parameter(1_000, 1, 100_000),
        "tol": Parameter(1e-4, 1e-12, 1.0),
    }

    def fill(self, values: np.ndarray, column: Column) -> float:
        """A missing number takes the training median (0 when there is none); a missing category matches no column."""
        if column.categorical:
            return float("nan")
        present = values[~np.isnan(values)]
        return float(np.median(present)) if len(present) else 0.0

    def fit(
        self,
        matrix: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None,
        columns: tuple[Column, ...],
        params: dict[str, Any],
        seed: int,
        on_iteration: Callable[[int, int], None],
        *,
        task: str,
    ) -> FittedLogistic:
        design = _design(matrix, columns)
        model = LogisticRegression(**params, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(design.encode(matrix), labels, sample_weight=weights)
            except ConvergenceWarning as warning:
                raise TrainerError(
                    "TRAINING_FAILED",
                    f"logistic regression did not converge in {params['max_iter']} iterations; raise max_iter or tol, or lower C",
                ) from warning
        on_iteration(int(model.n_iter_[0]), params["max_iter"])
        return FittedLogistic(design, model.coef_[0].astype(np.float64), float(model.intercept_[0]), len(columns))


@dataclass(frozen=True)
class _Design:
    """The columns of the linear model: `numbers` standardised, then one for each (category column, value)."""

    numbers: np.ndarray  # matrix columns, int64
    mean: np.ndarray
    scale: np.ndarray
    category_columns: np.ndarray  # matrix column of each one-hot column, int64
    category_values: np.ndarray  # its value, float32

    def encode(self, matrix: np.ndarray) -> np.ndarray:
        numbers = (matrix[:, self.numbers].astype(np.float64) - self.mean) / self.scale
        return np.hstack([numbers, matrix[:, self.category_columns] == self.category_values])


def _design(matrix: np.ndarray, columns: tuple[Column, ...]) -> _Design:
    numbers = np.array([at for at, column in enumerate(columns) if not column.categorical], dtype=np.int64)
    # Rounded to float32 here, as the graph holds them, so that both sides compute with the same constants.
    mean = matrix[:, numbers].astype(np.float64).mean(axis=0).astype(np.float32).astype(np.float64)
    scale = matrix[:, numbers].astype(np.float64).std(axis=0).astype(np.float32).astype(np.float64)
    scale[scale == 0] = 1.0
    at_columns, values = [], []
    for at, column in enumerate(columns):
        if column.categorical:
            distinct, counts = np.unique(matrix[~np.isnan(matrix[:, at]), at], return_counts=True)
            kept = np.sort(distinct[np.argsort(-counts, kind="stable")[:ONE_HOT_MAX]])
            at_columns += [at] * len(kept)
            values += kept.tolist()
    return _Design(numbers, mean, scale, np.array(at_columns, dtype=np.int64), np.array(values, dtype=np.float32))


class FittedLogistic:
    def __init__(self, design: _Design, coefficients: np.ndarray, intercept: float, column_count: int) -> None:
        self._design = design
        self._coefficients = coefficients
        self._intercept = intercept
        self._column_count = column_count

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        score = self._design.encode(matrix) @ self._coefficients + self._intercept
        return 1.0 / (1.0 + np.exp(-np.clip(score, -700, 700)))

    def emit(self, graph: Graph, matrix: str) -> str:
        design = self._design
        parts = []
        if len(design.numbers):
            numbers = graph.add("Gather", [matrix, graph.constant(design.numbers)], axis=1)
            centred = graph.add("Sub", [numbers, graph.constant(design.mean.astype(np.float32))])
            parts.append(graph.add("Div", [centred, graph.constant(design.scale.astype(np.float32))]))
        if len(design.category_columns):
            codes = graph.add("Gather", [matrix, graph.constant(design.category_columns)], axis=1)
            equal = graph.add("Equal", [codes, graph.constant(design.category_values)])
            parts.append(graph.add("Cast", [equal], to=graph.FLOAT))
        encoded = parts[0] if len(parts) == 1 else graph.add("Concat", parts, axis=1)
        coefficients = graph.constant(self._coefficients.astype(np.float32).reshape(-1, 1))
        score = graph.add("Gemm", [encoded, coefficients, graph.constant(np.array([self._intercept], dtype=np.float32))])
        return graph.add("Sigmoid", [score])

    def importance(self) -> np.ndarray:
        """Sum of the absolute coefficients of each matrix column, on the standardised scale."""
        of_column = np.concatenate([self._design.numbers, self._design.category_columns])
        return np.bincount(of_column, weights=np.abs(self._coefficients), minlength=self._column_count)
