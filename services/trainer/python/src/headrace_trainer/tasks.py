"""What a model answers, and what follows from it: how labels are read, how good the answers are, what the files hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .graph_names import DENSE_INPUT, LABEL_OUTPUT, PROBABILITIES_OUTPUT, VALUE_OUTPUT
from .metrics import binary_metrics, regression_metrics

BINARY = "binary_classification"
REGRESSION = "regression"


@dataclass(frozen=True)
class Task:
    # Of the graph, beside the label. Golden rows name the same answer with `answer`.
    output: str
    answer: str
    # Of one row in the output; a classifier's last column is the positive class.
    width: int
    # labels, answers, predicted classes, naive answers (None: a class has none) -> metrics
    metrics: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], dict[str, float | None]]

    @property
    def reserved_inputs(self) -> tuple[str, ...]:
        """Names of the graph that a string feature must avoid."""
        return (DENSE_INPUT, LABEL_OUTPUT, self.output)


TASKS: dict[str, Task] = {
    BINARY: Task(PROBABILITIES_OUTPUT, "probability", 2, lambda labels, answers, predicted, _: binary_metrics(labels, answers, predicted)),
    REGRESSION: Task(VALUE_OUTPUT, "value", 1, lambda labels, answers, _, naive: regression_metrics(labels, answers, naive)),
}


def classes_of(task: str, labels: np.ndarray, threshold: float) -> np.ndarray:
    """0 or 1 for each label. A regression's label is 1 from the threshold on, as its answers are."""
    return (labels >= threshold).astype(np.int64) if task == REGRESSION else labels


def answer_scale(task: str, answers: np.ndarray) -> float:
    """What a tolerance is relative to: probabilities are of the order of 1, values of a regression are of any."""
    return max(1.0, float(np.abs(answers).max())) if task == REGRESSION and len(answers) else 1.0


def label_profile(task: str, labels: np.ndarray, numeric_profile: Callable[[str, np.ndarray], dict[str, Any]]) -> dict[str, Any]:
    if task == REGRESSION:
        return {**numeric_profile("label", labels), "n": len(labels)}
    return {"positives": int(labels.sum()), "n": len(labels)}
