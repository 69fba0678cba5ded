"""A custom runtime of MLServer: ONNX Runtime with one thread, numpy in and out, nothing else."""

import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = os.path.join(os.environ["BENCH_MODELS"], f"{self.name}.onnx")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        values = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32, copy=False)
        scores = self._session.run(["probabilities"], {"features": values})[0][:, -1]
        output = NumpyCodec.encode_output("probabilities", np.ascontiguousarray(scores))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
