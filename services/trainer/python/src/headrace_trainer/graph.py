"""A small builder for one ONNX graph. Names are numbered in calling order, so equal calls give equal bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import __version__
from .graph_names import INTERNAL_PREFIX

# Old enough for every server of the last years (ONNX Runtime >= 1.15 reads them), new enough for all we emit.
OPSET = 17
OPSET_ML = 3
IR_VERSION = 8


class Graph:
    FLOAT = TensorProto.FLOAT
    INT64 = TensorProto.INT64
    STRING = TensorProto.STRING

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: int, width: int) -> str:
        """A graph input of shape [N, width]."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, ["N", width]))
        return name

    def constant(self, values: np.ndarray) -> str:
        name = f"{INTERNAL_PREFIX}const{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, op: str, inputs: list[str], *, domain: str = "", output: str | None = None, **attributes: Any) -> str:
        at = len(self._nodes)
        name = output if output is not None else f"{INTERNAL_PREFIX}t{at}"
        self._nodes.append(helper.make_node(op, inputs, [name], name=f"{INTERNAL_PREFIX}n{at}", domain=domain, **attributes))
        return name

    def output(self, name: str, kind: int, shape: list[str | int]) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def serialize(self, metadata: dict[str, str]) -> bytes:
        """The checked model's bytes; `metadata` must follow from spec and data alone."""
        model = helper.make_model(
            helper.make_graph(self._nodes, "headrace", self._inputs, self._outputs, self._constants),
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)],
            ir_version=IR_VERSION,
            producer_name="headrace_trainer",
            producer_version=__version__,
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)
