"""Golden rows: a few holdout rows with the answers of ONNX Runtime; serving replays them before it swaps a model in."""

from __future__ import annotations

from typing import Any

import numpy as np

from .spec import Feature, TrainSpec
from .table import Table
from .tasks import TASKS, answer_scale

GOLDEN_ROWS = 16
# Rows nearer to the threshold are passed over: another build of the runtime may round them to the other label.
# Of a regression times the scale of its answers.
THRESHOLD_MARGIN = 1e-4


def golden_rows(spec: TrainSpec, holdout: Table, labels: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    """Rows spread evenly over the order of the scores, so that low, middle and high ones are all replayed."""
    margin = THRESHOLD_MARGIN * answer_scale(spec.task, answers)
    clear = np.flatnonzero(np.abs(answers.astype(np.float64) - spec.threshold) > margin)
    ordered = clear[np.lexsort((clear, answers[clear]))]
    picks = np.unique(np.linspace(0, len(ordered) - 1, GOLDEN_ROWS).round().astype(int)) if len(ordered) else []
    dense_at = {f.name: at for at, f in enumerate(spec.dense_features)}
    rows = []
    for row in (int(ordered[pick]) for pick in picks):
        features = {}
        for feature in spec.features:
            column = holdout.strings[feature.name] if feature.type == "string" else holdout.dense[:, dense_at[feature.name]]
            features[feature.name] = _value(feature, column[row])
        rows.append({"features": features, "label": int(labels[row]), TASKS[spec.task].answer: float(answers[row])})
    return {"rows": rows}


def _value(feature: Feature, value: Any) -> Any:
    """As served: float32, missing as null."""
    if feature.type == "string":
        return None if value == "" else value
    if np.isnan(value):
        return None
    if feature.type == "bool":
        return bool(value)
    return int(value) if feature.type == "int64" else float(value)
