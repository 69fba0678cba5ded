"""tritonclient with asyncio, both transports, and its asynchronous stream."""

import asyncio

import pytest
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http.aio as http_aio
from conftest import GRPC_ADDRESS, HTTP_ADDRESS
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.asyncio


def sum_inputs(module, a, b):
    made = []
    for name, array in (("a", a), ("b", b)):
        one = module.InferInput(name, list(array.shape), "INT32")
        one.set_data_from_numpy(array)
        made.append(one)
    return made


@pytest.mark.parametrize("module, address", [(grpc_aio, GRPC_ADDRESS), (http_aio, HTTP_ADDRESS)], ids=["grpc", "http"])
async def test_many_at_once(module, address, a_and_b):
    a, b = a_and_b
    async with module.InferenceServerClient(address) as client:
        assert await client.is_server_ready() and await client.is_model_ready("sums")
        answers = await asyncio.gather(*(client.infer("sums", sum_inputs(module, a + i, b)) for i in range(50)))
        assert all((answer.as_numpy("sum") == a + i + b).all() for i, answer in enumerate(answers))
        with pytest.raises(InferenceServerException, match="nobody"):
            await client.infer("nobody", sum_inputs(module, a, b))


async def test_stream(a_and_b):
    async def requests():
        for i in range(20):
            yield {"model_name": "sums", "inputs": sum_inputs(grpc_aio, *a_and_b), "request_id": str(i)}

    async with grpc_aio.InferenceServerClient(GRPC_ADDRESS) as client:
        answers = [answer async for answer in client.stream_infer(requests())]
    assert [result.get_response().id for result, error in answers] == [str(i) for i in range(20)]
