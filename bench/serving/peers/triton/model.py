"""A model of Triton's Python backend: ONNX Runtime with one thread in the backend's own process; requests that came together share a run."""

import os
import sys

# The interpreter inside the backend looks for no environment.
sys.path.insert(0, os.environ["BENCH_SITE_PACKAGES"])

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args: dict) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = os.path.join(os.environ["BENCH_MODELS"], f"{args['model_name']}.onnx")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list) -> list:
        blocks = [triton.get_input_tensor_by_name(request, "features").as_numpy() for request in requests]
        scores = self._session.run(["probabilities"], {"features": np.concatenate(blocks)})[0]
        ends = np.cumsum([len(block) for block in blocks])
        return [
            triton.InferenceResponse([triton.Tensor("probabilities", part)])
            for part in np.split(scores, ends[:-1])
        ]
