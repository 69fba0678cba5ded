"""A BentoML service: ONNX Runtime with one thread, JSON in and out, nothing else; calls of one moment share a run."""

import os

import bentoml
import numpy as np
import onnxruntime

ROWS_MAX = 128
LATENCY_MS_MAX = 10_000


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, metrics={"enabled": True})
class Predictor:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])

    @bentoml.api
    def predict(self, features: np.ndarray) -> np.ndarray:
        return self._scores(features)

    @bentoml.api(batchable=True, max_batch_size=ROWS_MAX, max_latency_ms=LATENCY_MS_MAX)
    def predict_together(self, features: np.ndarray) -> np.ndarray:
        return self._scores(features)

    def _scores(self, features: np.ndarray) -> np.ndarray:
        rows = features.astype(np.float32, copy=False)
        return self._session.run(["probabilities"], {"features": rows})[0][:, -1]
