"""What a learner must do: choose fills for missing values, fit on a float32 matrix, and write itself into the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..graph import Graph


@dataclass(frozen=True)
class Parameter:
    """One learner parameter: its default (whose type is the parameter's type) and its inclusive bounds."""

    default: int | float
    least: float
    most: float


@dataclass(frozen=True)
class Column:
    """One column of the prepared matrix."""

    feature: str
    categorical: bool


class FittedModel(Protocol):
    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Probability of the positive class, or the value of a regression, float64 [rows]; the reference that the graph is compared with."""
        ...

    def emit(self, graph: Graph, matrix: str) -> str:
        """Adds the nodes that score the prepared matrix; returns the tensor of what `predict` gives, float32 [N, 1]."""
        ...

    def importance(self) -> np.ndarray:
        """One number >= 0 for each matrix column; comparable within a model only."""
        ...


class Learner(Protocol):
    tasks: tuple[str, ...]
    parameters: dict[str, Parameter]

    def fill(self, values: np.ndarray, column: Column) -> float:
        """What replaces a missing value of this training column; NaN when the model itself handles it."""
        ...

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
    ) -> FittedModel: ...
