"""What a mitigation method must do: get the plain fit, the labels and the groups, give back a model and a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..learners.contract import FittedModel

# Fits the learner on the training rows with these row weights (None: all 1). A method may call it many times, and
# may wrap what it returns in a FittedModel of its own, which then writes itself into the graph.
Fit = Callable[[np.ndarray | None], FittedModel]


@dataclass(frozen=True)
class Mitigated:
    model: FittedModel
    record: dict[str, Any]  # what was done, for result.json


MitigationMethod = Callable[[Fit, np.ndarray, np.ndarray], Mitigated]
