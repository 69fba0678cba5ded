"""tritonclient over HTTP: binary tensors, JSON, compression, callbacks."""

import json

import numpy as np
import pytest
import tritonclient.http as triton
from conftest import HTTP_ADDRESS, INCOME_ROWS, TYPES, VALUES, income, same
from tritonclient.utils import InferenceServerException

# tritonclient itself refuses FP16 without binary data.
JSON_TYPES = [t for t in TYPES if t != "FP16"]


@pytest.fixture(scope="module")
def client():
    with triton.InferenceServerClient(HTTP_ADDRESS, concurrency=4) as client:
        yield client


def tensor(name, datatype, array, binary_data=True):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary_data)
    return made


def sum_inputs(a, b, binary_data=True):
    return [tensor("a", "INT32", a, binary_data), tensor("b", "INT32", b, binary_data)]


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("echo") and client.is_model_ready("sums", "3")
    assert not client.is_model_ready("nobody") and not client.is_model_ready("sums", "1")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("sums", "3")
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"][0] == {"name": "a", "datatype": "INT32", "shape": [-1, 4]}
    config = client.get_model_config("income")
    assert config["max_batch_size"] == 128 and config["input"] == [{"name": "features", "data_type": "TYPE_FP32", "dims": [3]}]


@pytest.mark.parametrize("datatype", TYPES)
def test_every_type_comes_back_unchanged_as_bytes(client, datatype):
    name = datatype.lower()
    inputs = [tensor(f"in_{t.lower()}", t, VALUES[t]) for t in TYPES]
    answer = client.infer("echo", inputs, outputs=[triton.InferRequestedOutput(f"out_{name}")], request_id=name)
    assert same(answer.as_numpy(f"out_{name}"), VALUES[datatype], datatype)
    assert answer.get_response()["id"] == name


@pytest.mark.parametrize("datatype", JSON_TYPES)
def test_every_type_comes_back_unchanged_as_json(client, datatype):
    name = datatype.lower()
    inputs = [tensor(f"in_{t.lower()}", t, VALUES[t], binary_data=t not in JSON_TYPES) for t in TYPES]
    answer = client.infer("echo", inputs, outputs=[triton.InferRequestedOutput(f"out_{name}", binary_data=False)])
    assert same(answer.as_numpy(f"out_{name}"), VALUES[datatype], datatype)


def test_bytes_and_json_mix_in_one_request_and_one_answer(client, a_and_b):
    a, b = a_and_b
    inputs = [tensor("a", "INT32", a, True), tensor("b", "INT32", b, False)]
    outputs = [triton.InferRequestedOutput("sum", binary_data=False), triton.InferRequestedOutput("difference", binary_data=True)]
    answer = client.infer("sums", inputs, outputs=outputs)
    assert (answer.as_numpy("sum") == a + b).all() and (answer.as_numpy("difference") == a - b).all()
    assert answer.get_output("total") is None


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_bodies(client, a_and_b, algorithm):
    answer = client.infer(
        "sums", sum_inputs(*a_and_b), request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
    )
    assert answer.as_numpy("total") == 10


def test_a_model_of_features(client):
    answer = client.infer("income", [tensor("features", "FP32", INCOME_ROWS)])
    np.testing.assert_allclose(answer.as_numpy("probabilities")[:, 1], income(INCOME_ROWS), atol=1e-6)
    assert answer.get_response()["parameters"]["prediction_id"] != ""


@pytest.mark.parametrize(
    "model, version, change, status, message",
    [
        ("nobody", "", {}, "404", "nobody"),
        ("sums", "9", {}, "404", "version 9"),
        ("sums", "", {"a": ("a", "INT64", np.ones((1, 4), np.int64))}, "400", "INT64"),
        ("sums", "", {"a": ("a", "INT32", np.ones((1, 5), np.int32))}, "400", "[1,5]"),
        ("sums", "", {"a": None}, "400", 'needs the input "a"'),
    ],
)
@pytest.mark.parametrize("binary_data", [True, False])
def test_refusals_say_what_is_wrong(client, a_and_b, model, version, change, status, message, binary_data):
    given = {"a": ("a", "INT32", a_and_b[0]), "b": ("b", "INT32", a_and_b[1]), **change}
    with pytest.raises(InferenceServerException) as error:
        client.infer(model, [tensor(*one, binary_data) for one in given.values() if one], model_version=version)
    assert error.value.status() == status and message in error.value.message()


def test_bodies_that_are_no_requests(client):
    def post(body, headers=None):
        response = client._post("v2/models/sums/infer", body, headers or {}, None)
        return response.status_code, json.loads(response.read())["error"]

    assert post(b"{")[0] == 400
    assert "no inference request" in post(b"{}")[1]
    assert "has 2 bytes" in post(b"{}", {"Inference-Header-Content-Length": "99"})[1]
    claim = {"inputs": [{"name": "a", "datatype": "INT32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}]}
    header = json.dumps(claim).encode()
    length = {"Inference-Header-Content-Length": str(len(header))}
    assert "binary_data_size is 16" in post(header + b"1234", length)[1]
    assert "no input claims" in post(header + bytes(20), length)[1]
    assert "unpacked" in post(b"no gzip", {"Content-Encoding": "gzip"})[1]


def test_callbacks(client, a_and_b):
    waiting = [client.async_infer("sums", sum_inputs(*a_and_b), request_id=str(i)) for i in range(8)]
    assert [one.get_result().get_response()["id"] for one in waiting] == [str(i) for i in range(8)]


def test_statistics_and_repository(client, a_and_b):
    client.infer("sums", sum_inputs(*a_and_b))
    [stats] = client.get_inference_statistics("sums", "3")["model_stats"]
    assert stats["name"] == "sums" and stats["version"] == "3" and stats["inference_stats"]["success"]["count"] >= 1
    assert {one["name"] for one in client.get_inference_statistics()["model_stats"]} >= {"sums", "income"}
    assert {"name": "sums", "version": "3", "state": "READY", "reason": ""} in client.get_model_repository_index()
    client.unload_model("echo")
    assert not client.is_model_ready("echo")
    client.load_model("echo")
    assert client.is_model_ready("echo")
