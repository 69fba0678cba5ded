"""KServe's own clients: typed contents over gRPC, raw contents, JSON and binary over REST."""

import grpc
import httpx
import numpy as np
import pytest
from conftest import GRPC_ADDRESS, HTTP_URL, INCOME_ROWS, TYPES, VALUES, income, same
from kserve import InferInput, InferOutput, InferRequest, InferenceGRPCClient, InferenceRESTClient
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

pytestmark = pytest.mark.asyncio

# Typed contents have no FP16, and KServe's client sends none as JSON.
TYPED = [t for t in TYPES if t != "FP16"]


def request(model, inputs, **more):
    return InferRequest(model_name=model, infer_inputs=inputs, **more)


def tensor(name, datatype, array, binary_data):
    made = InferInput(name=name, shape=list(array.shape), datatype=datatype)
    made.set_data_from_numpy(array, binary_data=binary_data)
    return made


def output(answer, name) -> InferOutput:
    return next(one for one in answer.outputs if one.name == name)


async def test_grpc_health():
    async with InferenceGRPCClient(GRPC_ADDRESS) as client:
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("income") and not await client.is_model_ready("nobody")


async def test_grpc_every_type_raw():
    inputs = [tensor(f"in_{t.lower()}", t, VALUES[t], True) for t in TYPES]
    async with InferenceGRPCClient(GRPC_ADDRESS) as client:
        answer = await client.infer(request("echo", inputs, request_id="k-1"))
    assert answer.id == "k-1" and answer.model_name == "echo"
    for datatype in TYPES:
        assert same(output(answer, f"out_{datatype.lower()}").as_numpy(), VALUES[datatype], datatype), datatype


async def test_grpc_every_type_typed():
    inputs = [tensor(f"in_{t.lower()}", t, VALUES[t], False) for t in TYPED]
    async with InferenceGRPCClient(GRPC_ADDRESS) as client:
        answer = await client.infer(request("echo-typed", inputs))
    for datatype in TYPED:
        assert same(output(answer, f"out_{datatype.lower()}").as_numpy(), VALUES[datatype], datatype), datatype


async def test_grpc_a_model_of_features():
    async with InferenceGRPCClient(GRPC_ADDRESS) as client:
        answer = await client.infer(request("income", [tensor("features", "FP32", INCOME_ROWS, False)]))
        np.testing.assert_allclose(output(answer, "probabilities").as_numpy()[:, 1], income(INCOME_ROWS), atol=1e-6)
        assert answer.parameters["prediction_id"].string_param != ""
        with pytest.raises(grpc.RpcError) as error:
            await client.infer(request("nobody", [tensor("features", "FP32", INCOME_ROWS, False)]))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def rest():
    return InferenceRESTClient(RESTConfig(protocol="v2", timeout=20))


async def test_rest_health():
    async with rest() as client:
        assert await client.is_server_live(HTTP_URL) and await client.is_server_ready(HTTP_URL)
        assert await client.is_model_ready(HTTP_URL, "income")
        assert not await client.is_model_ready(HTTP_URL, "nobody")


@pytest.mark.parametrize("binary_data", [True, False], ids=["binary", "json"])
async def test_rest_every_type(binary_data):
    types, model = (TYPES, "echo") if binary_data else (TYPED, "echo-typed")
    inputs = [tensor(f"in_{t.lower()}", t, VALUES[t], binary_data) for t in types]
    asked = [RequestedOutput(f"out_{t.lower()}", {"binary_data": binary_data}) for t in types]
    async with rest() as client:
        answer = await client.infer(HTTP_URL, request(model, inputs, request_outputs=asked), model_name=model)
    for datatype in types:
        assert same(output(answer, f"out_{datatype.lower()}").as_numpy(), VALUES[datatype], datatype), datatype


async def test_rest_refusals():
    async with rest() as client:
        for model, status, message in (("nobody", 404, "nobody"), ("sums", 400, 'no input "features"')):
            with pytest.raises(httpx.HTTPStatusError) as error:
                await client.infer(HTTP_URL, request(model, [tensor("features", "FP32", INCOME_ROWS, False)]), model_name=model)
            assert error.value.response.status_code == status and message in str(error.value)
