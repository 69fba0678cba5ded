"""tritonclient over gRPC, as it is published: synchronous, callbacks and streams."""

import queue

import numpy as np
import pytest
import tritonclient.grpc as triton
from conftest import GRPC_ADDRESS, INCOME_ROWS, TYPES, VALUES, income, same
from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def client():
    with triton.InferenceServerClient(GRPC_ADDRESS) as client:
        yield client


def tensor(name, datatype, array):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def echo_inputs():
    return [tensor(f"in_{t.lower()}", t, VALUES[t]) for t in TYPES]


def sum_inputs(a, b):
    return [tensor("a", "INT32", a), tensor("b", "INT32", b)]


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("echo") and client.is_model_ready("sums", "3")
    assert not client.is_model_ready("nobody") and not client.is_model_ready("sums", "1")
    server = client.get_server_metadata()
    assert server.name == "headrace-serving" and "model_repository" in server.extensions
    metadata = client.get_model_metadata("sums")
    assert metadata.name == "sums" and list(metadata.versions) == ["3"] and metadata.platform == "onnxruntime_onnx"
    assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [("a", "INT32", [-1, 4]), ("b", "INT32", [-1, 4])]
    assert [o.name for o in metadata.outputs] == ["sum", "difference", "total"]


def test_model_config(client):
    config = client.get_model_config("income").config
    assert config.name == "income" and config.backend == "onnxruntime" and config.max_batch_size == 128
    assert [(i.name, list(i.dims)) for i in config.input] == [("features", [3])]
    assert client.get_model_config("sums").config.max_batch_size == 0


@pytest.mark.parametrize("datatype", TYPES)
def test_every_type_comes_back_unchanged(client, datatype):
    name = datatype.lower()
    answer = client.infer("echo", echo_inputs(), outputs=[triton.InferRequestedOutput(f"out_{name}")], request_id=name)
    assert same(answer.as_numpy(f"out_{name}"), VALUES[datatype], datatype)
    response = answer.get_response()
    assert response.id == name and response.model_name == "echo" and response.model_version == "1"
    assert [o.name for o in response.outputs] == [f"out_{name}"]


def test_all_outputs_and_several_inputs(client, a_and_b):
    a, b = a_and_b
    answer = client.infer("sums", sum_inputs(a, b), model_version="3", parameters={"mine": "kept by the client"})
    assert (answer.as_numpy("sum") == a + b).all() and (answer.as_numpy("difference") == a - b).all()
    assert answer.as_numpy("total").shape == () and answer.as_numpy("total") == 10


def test_a_model_of_features_gives_its_formula_and_a_prediction_id(client):
    answer = client.infer("income", [tensor("features", "FP32", INCOME_ROWS)])
    np.testing.assert_allclose(answer.as_numpy("probabilities")[:, 1], income(INCOME_ROWS), atol=1e-6)
    assert (answer.as_numpy("label") == (income(INCOME_ROWS) >= 0.5)).all()
    assert answer.get_response().parameters["prediction_id"].string_param != ""


def test_empty_tensors(client):
    empty = np.empty((0, 3), np.float32)
    inputs = [tensor(f"in_{t.lower()}", t, empty if t == "FP32" else VALUES[t]) for t in TYPES]
    assert client.infer("echo", inputs).as_numpy("out_fp32").shape == (0, 3)


def test_compressed_calls(client, a_and_b):
    answer = client.infer("sums", sum_inputs(*a_and_b), compression_algorithm="gzip")
    assert answer.as_numpy("total") == 10


@pytest.mark.parametrize(
    "model, version, change, status, message",
    [
        ("nobody", "", {}, "NOT_FOUND", "nobody"),
        ("sums", "9", {}, "NOT_FOUND", "version 9"),
        ("sums", "x", {}, "INVALID_ARGUMENT", '"x"'),
        ("sums", "", {"a": ("a", "INT64", np.ones((1, 4), np.int64))}, "INVALID_ARGUMENT", "INT64"),
        ("sums", "", {"a": ("a", "INT32", np.ones((1, 5), np.int32))}, "INVALID_ARGUMENT", "[1,5]"),
        ("sums", "", {"a": ("c", "INT32", np.ones((1, 4), np.int32))}, "INVALID_ARGUMENT", 'no input "c"'),
        ("sums", "", {"a": None}, "INVALID_ARGUMENT", 'needs the input "a"'),
    ],
)
def test_refusals_say_what_is_wrong(client, a_and_b, model, version, change, status, message):
    given = {"a": ("a", "INT32", a_and_b[0]), "b": ("b", "INT32", a_and_b[1]), **change}
    with pytest.raises(InferenceServerException) as error:
        client.infer(model, [tensor(*one) for one in given.values() if one], model_version=version)
    assert error.value.status() == f"StatusCode.{status}" and message in error.value.message()


def test_unknown_output_and_what_is_not_offered(client, a_and_b):
    with pytest.raises(InferenceServerException, match='no output "y"'):
        client.infer("sums", sum_inputs(*a_and_b), outputs=[triton.InferRequestedOutput("y")])
    with pytest.raises(InferenceServerException, match="classification"):
        client.infer("sums", sum_inputs(*a_and_b), outputs=[triton.InferRequestedOutput("sum", class_count=2)])
    with pytest.raises(InferenceServerException, match="sequence_id"):
        client.infer("sums", sum_inputs(*a_and_b), sequence_id=7)
    with pytest.raises(InferenceServerException) as error:
        client.get_system_shared_memory_status()
    assert error.value.status() == "StatusCode.UNIMPLEMENTED"


def test_a_text_with_a_nul_is_refused_and_not_cut(client):
    inputs = [i for i in echo_inputs() if i.name() != "in_bytes"]
    with pytest.raises(InferenceServerException, match="element 1 holds a NUL"):
        client.infer("echo", [*inputs, tensor("in_bytes", "BYTES", np.array([["a", "b\x00c"]], np.object_))])


def test_callbacks(client, a_and_b):
    answers = queue.Queue()
    for i in range(20):
        client.async_infer("sums", sum_inputs(*a_and_b), lambda result, error: answers.put((result, error)), request_id=str(i))
    got = [answers.get(timeout=20) for _ in range(20)]
    assert all(error is None for _, error in got)
    assert sorted(int(result.get_response().id) for result, _ in got) == list(range(20))


def test_stream_answers_in_order_and_outlives_a_refusal(client, a_and_b):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for i in range(10):
        model = "nobody" if i == 5 else "sums"
        client.async_stream_infer(model, sum_inputs(*a_and_b), request_id=str(i), enable_empty_final_response=i == 9)
    got = [answers.get(timeout=20) for _ in range(10)]
    client.stop_stream()
    assert [i for i, (_, error) in enumerate(got) if error] == [5] and "nobody" in got[5][1].message()
    assert [result.get_response().id for result, error in got if not error] == [str(i) for i in range(10) if i != 5]
    assert got[9][0].get_response().parameters["triton_final_response"].bool_param is True


def test_statistics_count_what_was_asked(client, a_and_b):
    def read():
        [one] = client.get_inference_statistics("sums", "3").model_stats
        return one

    before = read()
    for _ in range(5):
        client.infer("sums", sum_inputs(*a_and_b))
    with pytest.raises(InferenceServerException):
        client.infer("sums", sum_inputs(a_and_b[0], np.ones((1, 5), np.int32)))
    after = read()
    assert after.name == "sums" and after.version == "3" and after.last_inference >= before.last_inference > 0
    assert after.inference_count - before.inference_count == 5
    assert after.execution_count - before.execution_count == 5
    assert after.inference_stats.success.count - before.inference_stats.success.count == 5
    assert after.inference_stats.fail.count - before.inference_stats.fail.count == 1
    for part in ["queue", "compute_input", "compute_infer", "compute_output"]:
        old, new = getattr(before.inference_stats, part), getattr(after.inference_stats, part)
        assert new.count - old.count == 5 and new.ns > old.ns
    assert sum(batch.compute_infer.count for batch in after.batch_stats) == after.execution_count
    assert {one.name for one in client.get_inference_statistics().model_stats} >= {"sums", "echo", "income"}


def test_repository(client):
    index = {(m.name, m.version): m.state for m in client.get_model_repository_index().models}
    assert index[("echo", "1")] == "READY" and index[("income", "1")] == "READY"
    client.unload_model("echo")
    assert not client.is_model_ready("echo")
    unloaded = [m for m in client.get_model_repository_index().models if m.name == "echo"]
    assert [(m.state, m.reason) for m in unloaded] == [("UNAVAILABLE", "unloaded")]
    client.load_model("echo")
    assert client.is_model_ready("echo")
    with pytest.raises(InferenceServerException, match="nobody"):
        client.load_model("nobody")
    with pytest.raises(InferenceServerException, match="not config"):
        client.load_model("echo", config="{}")
