"""The learners by the name that a spec uses. A new one is a file here and a line in this table."""

from __future__ import annotations

from .contract import Learner
from .lightgbm_learner import LightGbmLearner
from .logistic_regression import LogisticRegressionLearner

LEARNERS: dict[str, Learner] = {
    "lightgbm": LightGbmLearner(),
    "logistic_regression": LogisticRegressionLearner(),
}
