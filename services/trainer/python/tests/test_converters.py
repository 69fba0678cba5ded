"""Our exporter against the community's converters, where these are exact."""

from __future__ import annotations

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import skl2onnx
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headrace_trainer.graph import Graph
from headrace_trainer.learners import LEARNERS
from headrace_trainer.learners.contract import Column, FittedModel
from headrace_trainer.learners.lightgbm_learner import FittedTrees

COLUMNS = tuple(Column(f"c{at}", False) for at in range(5))


def small_problem() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    matrix = random.integers(0, 30, (1_500, len(COLUMNS))).astype(np.float32)
    labels = (matrix[:, 0] + matrix[:, 1] - matrix[:, 2] + random.normal(0, 5, 1_500) > 15).astype(np.int64)
    return matrix, labels


def served(model: FittedModel, matrix: np.ndarray) -> np.ndarray:
    graph = Graph()
    positive = model.emit(graph, graph.input("features", Graph.FLOAT, matrix.shape[1]))
    graph.output(positive, Graph.FLOAT, ["N", 1])
    return onnxruntime.InferenceSession(graph.serialize({})).run(None, {"features": matrix})[0][:, 0]


def test_trees_over_whole_numbers_score_as_onnxmltools_exports_them() -> None:
    # Whole numbers only: on other floats that converter rounds thresholds to nearest and misses by up to 0.15.
    matrix, labels = small_problem()
    booster = lightgbm.train(
        {"objective": "binary", "verbosity": -1, "seed": 7, "num_threads": 1}, lightgbm.Dataset(matrix, labels), 40
    )
    theirs = onnxmltools.convert_lightgbm(
        booster, initial_types=[("features", FloatTensorType([None, len(COLUMNS)]))], zipmap=False, target_opset=15
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # that graph declares its label as one value, and the runtime says so on each run
    answer = onnxruntime.InferenceSession(theirs.SerializeToString(), options).run(["probabilities"], {"features": matrix})[0]
    assert np.abs(served(FittedTrees(booster, is_probability=True), matrix) - answer[:, 1]).max() < 1e-6


def test_the_linear_model_scores_as_skl2onnx_exports_it() -> None:
    matrix, labels = small_problem()
    learner = LEARNERS["logistic_regression"]
    params = {name: p.default for name, p in learner.parameters.items()} | {"tol": 1e-8}
    ours = served(learner.fit(matrix, labels, None, COLUMNS, params, 7, lambda done, total: None, task="binary_classification"), matrix)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=1_000)).fit(matrix, labels)
    theirs = skl2onnx.to_onnx(pipeline, matrix[:1], options={"zipmap": False}, target_opset=17)
    answer = onnxruntime.InferenceSession(theirs.SerializeToString()).run(["probabilities"], {"X": matrix})[0]
    assert np.abs(ours - answer[:, 1]).max() < 1e-5
