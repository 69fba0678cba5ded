"""Preparation and model as one ONNX graph with exactly two outputs, and the session that runs it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime

from .graph import Graph
from .graph_names import DENSE_INPUT, LABEL_OUTPUT, PROBABILITIES_OUTPUT
from .learners.contract import FittedModel
from .preparation import Preparation
from .spec import TrainSpec
from .table import Table

BATCH_ROWS = 8_192


def export_onnx(spec: TrainSpec, preparation: Preparation, model: FittedModel) -> bytes:
    graph = Graph()
    positive = model.emit(graph, preparation.emit(graph))
    negative = graph.add("Sub", [graph.constant(np.array([1.0], dtype=np.float32)), positive])
    graph.add("Concat", [negative, positive], axis=1, output=PROBABILITIES_OUTPUT)
    above = graph.add("GreaterOrEqual", [positive, graph.constant(np.array([spec.threshold], dtype=np.float32))])
    flat = graph.add("Squeeze", [above, graph.constant(np.array([1], dtype=np.int64))])
    graph.add("Cast", [flat], to=Graph.INT64, output=LABEL_OUTPUT)
    graph.output(LABEL_OUTPUT, Graph.INT64, ["N"])
    graph.output(PROBABILITIES_OUTPUT, Graph.FLOAT, ["N", 2])
    # The run's id is left out on purpose: the same spec and data must give the same bytes in every run.
    return graph.serialize(
        {
            "headrace.project": spec.project,
            "headrace.model": spec.model,
            "headrace.training_set_sha256": spec.training_set_sha256,
            "headrace.features": json.dumps([f.name for f in spec.dense_features]),
            "headrace.threshold": repr(spec.threshold),
        }
    )


def signature(spec: TrainSpec) -> dict[str, Any]:
    inputs = []
    if spec.dense_features:
        names = [f.name for f in spec.dense_features]
        inputs.append({"name": DENSE_INPUT, "type": "FP32", "shape": [-1, len(names)], "features": names})
    for feature in spec.string_features:
        inputs.append({"name": feature.name, "type": "BYTES", "shape": [-1, 1], "features": [feature.name]})
    return {
        "inputs": inputs,
        "outputs": [
            {"name": LABEL_OUTPUT, "type": "INT64", "shape": [-1]},
            {"name": PROBABILITIES_OUTPUT, "type": "FP32", "shape": [-1, 2]},
        ],
        "threshold": spec.threshold,
    }


class OnnxModel:
    """The exported bytes in ONNX Runtime, as serving will run them."""

    def __init__(self, onnx_bytes: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])

    def run(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """(labels int64 [rows], positive probabilities float32 [rows])."""
        labels, probabilities = [], []
        for start in range(0, table.rows, BATCH_ROWS):
            feed = {name: values[start : start + BATCH_ROWS].reshape(-1, 1) for name, values in table.strings.items()}
            if table.dense.shape[1]:
                feed[DENSE_INPUT] = table.dense[start : start + BATCH_ROWS]
            label, probability = self._session.run([LABEL_OUTPUT, PROBABILITIES_OUTPUT], feed)
            labels.append(label)
            probabilities.append(probability[:, 1])
        return np.concatenate(labels), np.concatenate(probabilities)
