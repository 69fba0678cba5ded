"""Preparation and model as one ONNX graph with exactly two outputs, and the session that runs it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime

from .graph import Graph
from .graph_names import DENSE_INPUT, LABEL_OUTPUT
from .learners.contract import FittedModel
from .preparation import Preparation
from .spec import TrainSpec
from .table import Table
from .tasks import BINARY, TASKS

BATCH_ROWS = 8_192


def export_onnx(spec: TrainSpec, preparation: Preparation, model: FittedModel) -> bytes:
    graph = Graph()
    task = TASKS[spec.task]
    answer = model.emit(graph, preparation.emit(graph))
    if spec.task == BINARY:
        negative = graph.add("Sub", [graph.constant(np.array([1.0], dtype=np.float32)), answer])
        graph.add("Concat", [negative, answer], axis=1, output=task.output)
    else:
        graph.add("Identity", [answer], output=task.output)
    above = graph.add("GreaterOrEqual", [answer, graph.constant(np.array([spec.threshold], dtype=np.float32))])
    flat = graph.add("Squeeze", [above, graph.constant(np.array([1], dtype=np.int64))])
    graph.add("Cast", [flat], to=Graph.INT64, output=LABEL_OUTPUT)
    graph.output(LABEL_OUTPUT, Graph.INT64, ["N"])
    graph.output(task.output, Graph.FLOAT, ["N", task.width])
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
            {"name": TASKS[spec.task].output, "type": "FP32", "shape": [-1, TASKS[spec.task].width]},
        ],
        "threshold": spec.threshold,
    }


class OnnxModel:
    """The exported bytes in ONNX Runtime, as serving will run them."""

    def __init__(self, onnx_bytes: bytes, task: str) -> None:
        self._output = TASKS[task].output
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])

    def run(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """(labels int64 [rows], answers float32 [rows]: values, or probabilities of the positive class)."""
        labels, answers = [], []
        for start in range(0, table.rows, BATCH_ROWS):
            feed = {name: values[start : start + BATCH_ROWS].reshape(-1, 1) for name, values in table.strings.items()}
            if table.dense.shape[1]:
                feed[DENSE_INPUT] = table.dense[start : start + BATCH_ROWS]
            label, answer = self._session.run([LABEL_OUTPUT, self._output], feed)
            labels.append(label)
            answers.append(answer[:, -1])
        return np.concatenate(labels), np.concatenate(answers)
