"""Addresses of the service under test come by environment; inference.test.ts starts it and sets them."""

import os

import numpy as np
import pytest

GRPC_ADDRESS = os.environ["OIP_GRPC"]
HTTP_URL = os.environ["OIP_HTTP"]
HTTP_ADDRESS = HTTP_URL.removeprefix("http://")

# Every element type that ONNX Runtime has, with its extremes; two rows of three.
VALUES = {
    "BOOL": np.array([[True, False, True], [False, False, True]]),
    "INT8": np.array([[-128, 127, 0], [1, -1, 2]], np.int8),
    "INT16": np.array([[-(2**15), 2**15 - 1, 0], [1, -1, 2]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1, 0], [1, -1, 2]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1, 0], [2**53 + 1, -1, 2]], np.int64),
    "UINT8": np.array([[0, 255, 1], [2, 3, 4]], np.uint8),
    "UINT16": np.array([[0, 2**16 - 1, 1], [2, 3, 4]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1, 1], [2, 3, 4]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1, 2**53 + 1], [2, 3, 4]], np.uint64),
    "FP16": np.array([[0, 65504, -0.5], [1.5, 6e-8, 2]], np.float16),
    "FP32": np.array([[0, 3.4e38, -0.1], [1.5, 1e-45, 2]], np.float32),
    "FP64": np.array([[0, 1.7e308, -0.1], [1.5, 5e-324, 2]], np.float64),
    "BYTES": np.array([["", "Zürich", "a\nb"], ["😀", "x" * 300, " "]], np.object_),
}
TYPES = list(VALUES)

# The formula of the model `income` (services/serving/test/fixtures/make_models.py) with the bias that the suite registers.
INCOME_BIAS = 0.5
INCOME_ROWS = np.array([[1, 2, 3], [-4, 1, 0], [0, 9, -1]], np.float32)


def income(rows):
    z = rows @ np.array([0.5, -0.25, 1.0]) + INCOME_BIAS
    return 1 / (1 + np.exp(-z))


def texts(array):
    """BYTES come back as bytes."""
    return np.vectorize(lambda value: value.decode() if isinstance(value, bytes) else value, otypes=[np.object_])(array)


def same(got, sent, datatype):
    if datatype == "BYTES":
        got = texts(got)
    return got.shape == sent.shape and got.dtype == sent.dtype and (got == sent).all()


@pytest.fixture
def a_and_b():
    return np.array([[1, 2, 3, 4]], np.int32), np.array([[10, 20, 30, 40]], np.int32)
